"""Stage report: the summary of all systems, the page, and plots for `dvc plots` and MLflow."""

from pathlib import Path

import pyarrow.parquet as pq

from laspa.files import atomic_path, sha256_file, write_json, write_text
from laspa.params import load_params
from laspa.report.gallery import gallery
from laspa.report.grid import read_grid
from laspa.report.page import plot_tables, render
from laspa.report.results import read_results
from laspa.report.svg import file_svg
from pipelines import stage
from pipelines.tracking import store as tracking

GRID = Path("studies/prefix_heads.json")  # written on demand, by studies/prefix_heads
DATA, REPORTS, WEIGHTS = Path("data"), Path("reports"), Path("data/model/model.safetensors")
SUMMARY, PAGE, PLOTS = REPORTS / "summary.json", REPORTS / "index.html", REPORTS / "plots"


def main() -> None:
    params = load_params(stage.PARAMS_FILE).resolve()
    results = read_results(
        DATA, REPORTS, tracking.flat_params(params), _features(DATA / "features"), read_grid(GRID)
    )
    shown = list(gallery(results))
    write_json(SUMMARY, results.summary)
    write_text(PAGE, render(results, shown))
    with atomic_path(PLOTS) as folder:
        folder.mkdir()
        for name, table in plot_tables(results).items():
            table.to_csv(folder / name, index=False, lineterminator="\n")
        for item in shown:
            write_text(folder / f"{item.name}.svg", file_svg(item.figure))
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
