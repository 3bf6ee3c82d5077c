"""The study's numbers: differences against the baseline, the way to the ceiling, and the page."""

import numpy as np
import pandas as pd
import pytest

from laspa.evaluation.error_rates import eer
from laspa.report.results_page import Measured, choices_summary, results_page, study_summary
from laspa.report.seeds import over_seeds
from tests.trial_tables import trial_list

LANGUAGES = ("de", "en")


@pytest.fixture(scope="module")
def manifest() -> pd.DataFrame:
    rows = [
        (f"{speaker}/{language}/{take}", f"s{speaker}", language)
        for speaker in range(12)
        for language in LANGUAGES
        for take in range(2)
    ]
    return pd.DataFrame(rows, columns=["utterance_id", "speaker", "language"])


@pytest.fixture(scope="module")
def trials(manifest: pd.DataFrame) -> pd.DataFrame:
    first, second = np.triu_indices(len(manifest), 1)
    one, other = manifest.iloc[first].reset_index(drop=True), manifest.iloc[second].reset_index(drop=True)
    return pd.DataFrame(
        {
            "enroll": one["utterance_id"],
            "test": other["utterance_id"],
            "target": one["speaker"] == other["speaker"],
            "same_language": one["language"] == other["language"],
            "unseen_language": (one["language"] == "en") | (other["language"] == "en"),
        }
    )


def measured(trials: pd.DataFrame, language_effect: float, seeds: int = 3) -> Measured:
    """Scores that rise by 2 for a target and by `language_effect` within a language."""
    results, columns = [], []
    target, same = (trials[name].to_numpy() for name in ("target", "same_language"))
    cross_same = np.where(target, ~same, same)
    unseen = trials["unseen_language"].to_numpy()
    for seed in range(seeds):
        noise = np.random.default_rng(seed).normal(size=len(trials))
        score = noise + 2 * target + language_effect * same

        def rate(mask: np.ndarray, score: np.ndarray = score) -> dict[str, float]:
            return {"eer": eer(score[mask & target], score[mask & ~target])}

        results.append(
            {
                "seed": seed,
                "epochs": 4,
                "conditions": {
                    "cross_same": rate(cross_same),
                    "same_same": rate(same),
                    "all": rate(np.ones_like(same)),
                },
                "unseen": {"cross_same": rate(cross_same & unseen)},
                "other": {
                    "conditions": {
                        "cross_same": rate(cross_same),
                        "same_same": rate(same),
                        "all": rate(same | True),
                    },
                    "pair_norm": {"conditions": {}, "not_measured": "too few speakers"},
                },
                "language_probe_accuracy": 0.5 + 0.1 * seed,
                "language_probe_chance": 0.5,
            }
        )
        columns.append(score)
    merged = over_seeds({"": results})["systems"][""]
    return Measured(merged, {"test": np.stack(columns, axis=1), "other": np.stack(columns, axis=1)})


@pytest.fixture(scope="module")
def summary(trials: pd.DataFrame, manifest: pd.DataFrame) -> dict:
    systems = {
        "baseline": measured(trials, 2.0),
        "same": measured(trials, 2.0),
        "laspa": measured(trials, 1.0),
        "ceiling": measured(trials, 0.0),
    }
    choices = {name: systems[name] for name in ("same", "laspa")}
    changes = {"same": {}, "laspa": {"model.mapc": "matrix", "prefix_len": 4}}
    return study_summary(
        systems, {"test": trial_list(trials), "other": trial_list(trials)}, manifest, seed=0
    ) | choices_summary(choices, changes)


def test_a_system_is_no_different_from_itself(summary):
    for found in summary["systems"]["same"]["difference"].values():
        assert found == {"mean": 0.0, "low": 0.0, "high": 0.0}
    assert summary["systems"]["same"]["of_gap"] == 0


def test_less_language_in_the_scores_is_a_gain_across_languages_alone(summary):
    found = summary["systems"]["laspa"]["difference"]
    assert found["cross_same"]["low"] < found["cross_same"]["mean"] < found["cross_same"]["high"] < 0
    assert found["unseen_cross_same"]["high"] < 0
    # Within a language every score moves alike.
    assert found["same_same"] == pytest.approx({"mean": 0.0, "low": 0.0, "high": 0.0}, abs=1e-9)
    assert 0 < summary["systems"]["laspa"]["of_gap"] < 1
    assert summary["systems"]["ceiling"]["of_gap"] == 1


def test_means_and_intervals_are_those_over_seeds(summary):
    # 0.5, 0.6, 0.7: t(0.975, 2) · 0.1 / √3 = 4.3027 · 0.057735 = 0.24842.
    probe = summary["systems"]["baseline"]["language_probe"]
    assert probe["mean"] == pytest.approx(0.6)
    assert probe["low"] == pytest.approx(0.6 - 0.24842, abs=1e-4)


def test_other_voices_have_rates_and_differences_of_their_own(summary):
    # The same trials here, so the same figures as at home; no pair norm, since it was not measured.
    for found in summary["systems"].values():
        assert found["other"]["eer"]["all"] == found["eer"]["all"]
        assert found["other"]["pair_norm"] == {}
    found = summary["systems"]["laspa"]
    assert found["other"]["difference"]["cross_same"] == found["difference"]["cross_same"]
    assert "difference" not in summary["systems"]["baseline"]["other"]


def test_the_page_has_a_row_for_each_system_in_all_tables(summary):
    lines = results_page(summary, "| people |").splitlines()
    assert lines[0] == "# Results"
    assert lines[lines.index("## On recordings of people") + 6] == "| people |"
    assert (
        sum(line.startswith("| `baseline` |") for line in lines) == 3
    )  # what it is, its EERs at home and away
    assert sum(line.startswith("| `laspa` |") for line in lines) == 5
    assert "chance is 50.0 %" in " ".join(lines)


def test_choices_are_listed_with_what_they_change(summary):
    chosen = [line for line in results_page(summary, "").splitlines() if "prefix_len" in line]
    assert len(chosen) == 1
    assert chosen[0].startswith("| `laspa` | `model.mapc: matrix`, `prefix_len: 4` | ")
    eers = summary["choices"]["laspa"]["eer"]
    assert eers["cross_same"]["mean"] < summary["choices"]["same"]["eer"]["cross_same"]["mean"]
