"""Stage report: the summary of all systems, the page, and plots for `dvc plots` and MLflow."""

from pathlib import Path

import pyarrow.parquet as pq

from laspa.files import atomic_path, sha256_file, write_json, write_text
from laspa.params import load_params
from laspa.report.page import plot_tables, render
from laspa.report.page_figures import page_figures
from laspa.report.prefix_heads import read_prefix_heads
from laspa.report.results import read_results
from laspa.report.svg import file_svg
from pipelines import stage
from pipelines.tracking import runs as tracking

PREFIX_HEADS = Path("studies/prefix_heads.json")  # written on demand, by studies/prefix_heads
DATA, REPORTS, WEIGHTS = Path("data"), Path("reports"), Path("data/model/model.safetensors")
SUMMARY, PAGE, PLOTS = REPORTS / "summary.json", REPORTS / "index.html", REPORTS / "plots"


def main() -> None:
    params = load_params(stage.PARAMS_FILE).resolve()
    flat, features = tracking.flat_params(params), _features(DATA / "features")
    results = read_results(DATA, REPORTS, flat, features, read_prefix_heads(PREFIX_HEADS))
    figures = page_figures(results)
    write_json(SUMMARY, results.summary)
    write_text(PAGE, render(results, figures))
    with atomic_path(PLOTS) as folder:
        folder.mkdir()
        for name, table in plot_tables(results).items():
            table.to_csv(folder / name, index=False, lineterminator="\n")
        for name, shown in figures.items():
            write_text(folder / f"{name}.svg", file_svg(shown.figure))
    with tracking.run_of_model(sha256_file(WEIGHTS), params) as run:
        run.log_artifacts(PLOTS, "plots")
        run.log_artifacts(PAGE, "report")


def _features(folder: Path) -> dict[str, str]:
    """What the features' own metadata says of them."""
    for path in sorted(folder.glob("*.parquet")):
        metadata = pq.read_schema(path).metadata or {}
        return {
            "Features": metadata.get(b"laspa.mel", b"").decode(),
            "Features, digest": metadata.get(b"laspa.digest", b"").decode(),
        }
    return {}


if __name__ == "__main__":
    stage.run(main)
