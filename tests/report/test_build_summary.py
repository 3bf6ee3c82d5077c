"""The comparison of a run: differences to the baseline, what is printed of it, and what stands beside it."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from laspa.files import read_json
from laspa.manifest.tables import read_manifest
from laspa.params import Evaluate
from laspa.report import text
from laspa.report.build_summary import differences, read_summary
from laspa.report.page import render
from laspa.report.page_figures import page_figures
from laspa.report.results import Results, read_results
from laspa.report.seeds import over_seeds, read_seeds
from laspa.trials.conditions import CONDITIONS
from pipelines.result import result_text

REPOSITORY = Path(__file__).parents[2]


def test_differences_are_those_of_the_same_trials_and_speakers(
    tmp_path: Path, write_results: Callable[..., None]
) -> None:
    write_results(tmp_path, speakers=12)
    manifest = read_manifest(tmp_path / "data/manifest.parquet")
    draws, evaluation = Evaluate(bootstrap=100, seed=1), tmp_path / "data/evaluation"
    summary = read_summary(tmp_path / "data", "laspa_plus", ["baseline", "laspa_plus"], manifest, draws)
    found = summary["systems"]["laspa_plus"]["difference"]["conditions"]
    # The scores are the same but for what speaking one language adds to both kinds of trials.
    assert found["cross_same"]["eer"] < 0
    assert found["same_same"] == {"eer": 0, "eer_low": 0, "eer_high": 0, "p_value": 1}
    assert (summary["systems"]["laspa_plus"]["seeds"], summary["default"]) == ([1], "laspa_plus")
    assert "difference" not in summary["systems"]["baseline"]
    scores = evaluation / "laspa_plus/scores.parquet"
    pd.read_parquet(scores).sample(frac=1, random_state=0).to_parquet(scores)  # paired by trial, not by row
    again = differences(evaluation / "baseline", evaluation / "laspa_plus", manifest, draws)
    assert again["conditions"] == found
    assert "other" not in again
    for system in ("baseline", "laspa_plus"):
        file = evaluation / system / "scores.parquet"
        (evaluation / system / "scores_other.parquet").write_bytes(file.read_bytes())
    assert differences(evaluation / "baseline", evaluation / "laspa_plus", manifest, draws) == {
        "conditions": found,
        "other": {"conditions": found},
    }


def test_what_is_printed_last(results: Results) -> None:
    lines = result_text(results.summary).splitlines()
    row = next(line for line in lines if line.startswith("cross / same  "))
    base = results.summary["systems"]["baseline"]["conditions"]["cross_same"]["eer"]
    assert row.split()[4] == f"{100 * base:.1f}"
    assert lines[-2:] == ["Report   reports/index.html", "Runs     make ui"]
    rows = [line for line in lines if re.match(r".{15}(Baseline|LASPA\+?) +\d", line)]
    labels = [line[:13].strip() for line in rows]
    assert [label for label in labels if label] == [CONDITIONS[name].label for name in text.READING_ORDER[:4]]
    assert len(labels) == 12  # three systems in four conditions
    assert any(line.startswith("On this corpus LASPA+ is better than the baseline (EER") for line in lines)
    assert max(map(len, lines)) <= 100


def test_other_voices_and_pair_norm_are_shown_where_they_were_measured(results: Results) -> None:
    assert "other voices" not in result_text(results.summary)
    rates = {"all": {"eer": 0.4, "eer_low": 0.3, "eer_high": 0.5, "trials": 9, "targets": 4}}
    info = {"name": "other", "sha256": "ab", "trials": 9000, "speakers": 12}
    worse = {"eer": 0.1, "eer_low": 0.05, "eer_high": 0.15, "p_value": 0.01}
    changed = {}
    for name, system in results.summary["systems"].items():
        other = {"conditions": rates, "trial_list": info, "pair_norm": {"conditions": rates}}
        difference = system.get("difference", {}) | {"other": {"conditions": {"all": worse}}}
        changed[name] = system | {"other": other} | ({"difference": difference} if name != "baseline" else {})
    printed = result_text(results.summary | {"systems": changed})
    assert "9,000 trials of 12 other speakers" in printed
    lines = printed.splitlines()
    assert max(map(len, lines)) <= 100
    assert re.split(" {2,}", lines[4]) == ["target /", "this corpus", "other voices"]
    assert lines[5].count("EER %  minus baseline, points") == 2
    (row,) = (line for line in lines if "LASPA+, pair norm" in line)
    assert row.split()[-1] == "40.0"
    assert any(line.endswith("40.0   +10.0 (+5.00 to +15.0)") for line in lines)
    assert "on other voices it is worse (EER" in " ".join(lines)
    with_other = replace(results, summary=results.summary | {"systems": changed})
    assert "Other voices<small>EER in %</small>" in render(with_other, page_figures(with_other))


def test_what_was_measured_on_demand_is_shown_beside_the_run(folder: Path, results: Results) -> None:
    alone = render(results, page_figures(results))
    assert "<code>make ablation</code> trains LASPA without each of its parts" in alone
    ablation = over_seeds(read_seeds(folder / "studies/ablation/systems"))
    changed = replace(results, ablation=ablation, study=read_json(REPOSITORY / "reports/study.json"))
    shown = render(changed, page_figures(changed))
    assert "LASPA − prefix" in shown
    assert "2 epochs, 3 seeds" in shown
    assert "Measured before with 3 seeds" in shown


def test_what_was_measured_on_other_data_is_left_out(folder: Path, results: Results) -> None:
    study = {"trial_list": results.metrics["trial_list"], "systems": {}}
    ablation = {"manifest_sha256": results.manifest_sha256, "systems": {"laspa": {}}}
    moved = {"study": study | {"trial_list": {}}, "ablation": ablation | {"manifest_sha256": "ab"}}
    for on_demand, there in (({"study": study, "ablation": ablation}, True), (moved, False)):
        found = read_results(folder / "data", results.summary, {}, {}, on_demand)
        assert (found.study is not None, found.ablation is not None) == (there, there)
