"""Stage report: the summary of all systems, the page, and plots for `dvc plots` and MLflow."""

import json
from pathlib import Path

from laspa.files import atomic_path, read_json, sha256_file, write_json, write_text
from laspa.manifest.tables import read_manifest
from laspa.models.saving import CONFIG_FILE, WEIGHTS_FILE
from laspa.params import Params, load_params
from laspa.params.base import Local
from laspa.report.build_summary import read_summary
from laspa.report.page import plot_tables, render
from laspa.report.page_figures import page_figures
from laspa.report.prefix_heads import read_prefix_heads
from laspa.report.results import read_results
from laspa.report.summary import in_detail
from laspa.report.svg import file_svg
from pipelines import stage
from pipelines.systems import read_run
from pipelines.tracking import runs as tracking

# Written on demand, and in git: `make ablation`, `make results`.
ABLATION, PREFIX_HEADS = Path("studies/ablation.json"), Path("studies/prefix_heads.json")
STUDY = Path("reports/study.json")
DATA, REPORTS, TRAINED = Path("data"), Path("reports"), Path("data/trained")
SUMMARY, PAGE, PLOTS = REPORTS / "summary.json", REPORTS / "index.html", REPORTS / "plots"

OF_MANY_RUNS = {"compare", "ablate", "study", "tune"}
SHOWN_PARAMS = {
    name
    for name, field in Params.model_fields.items()
    if name not in OF_MANY_RUNS
    and not (isinstance(field.annotation, type) and issubclass(field.annotation, Local))
}


def main() -> None:
    options = load_params(stage.PARAMS_FILE)
    trained = TRAINED / options.system
    features = read_json(trained / CONFIG_FILE)["features"]
    mels = {"Features": json.dumps(features["settings"]), "Features, digest": features["digest"]}
    manifest = read_manifest(DATA / "manifest.parquet")
    summary = read_summary(DATA, options.system, options.compare, manifest, options.evaluate)
    flat = tracking.flat_params(read_run(in_detail(summary)), SHOWN_PARAMS)
    on_demand = {"ablation": read_json(ABLATION), "prefix_heads": read_prefix_heads(PREFIX_HEADS)}
    results = read_results(DATA, summary, flat, mels, on_demand | {"study": read_json(STUDY)})
    figures = page_figures(results)
    write_json(SUMMARY, results.summary)
    write_text(PAGE, render(results, figures))
    with atomic_path(PLOTS) as folder:
        folder.mkdir()
        for name, table in plot_tables(results).items():
            table.to_csv(folder / name, index=False, lineterminator="\n")
        for name, shown in figures.items():
            write_text(folder / f"{name}.svg", file_svg(shown.figure))
    # By these weights, since those of data/model may have a borrowed language encoder beside them.
    digest = sha256_file(trained / WEIGHTS_FILE)
    with tracking.run_of_model(digest, read_run(options.system), last=True) as run:
        run.log_artifacts(PLOTS, "plots")
        run.log_artifacts(PAGE, "report")


if __name__ == "__main__":
    stage.run(main)
