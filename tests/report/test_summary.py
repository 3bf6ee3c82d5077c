"""Summary over seeds, against hand-worked numbers and scipy."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from laspa.errors import LaspaError
from laspa.report.results import read_results
from laspa.report.seeds import interval, over_seeds, read_seeds
from laspa.report.summary import difference, headliners, rate, verdict
from laspa.report.text import interval_text, percent, points_text, relative_text, takeaway


def result(seed: int, eer: float, **more: Any) -> dict[str, Any]:
    conditions = {"cross_same": {"eer": eer, "trials": 100}}
    return {
        "seed": seed,
        "system": "x",
        "epochs": 2,
        "history": [1],
        "mapc": None,
        "conditions": conditions,
        **more,
    }


def test_interval_by_hand() -> None:
    # mean 2, s = 1, t(0.975, 2) = 4.302653: half width 4.302653 / √3 = 2.484138
    found = interval([1.0, 2.0, 3.0])
    assert found["mean"] == 2.0
    assert found["low"] == pytest.approx(2 - 2.484138, abs=1e-6)
    assert found["high"] == pytest.approx(2 + 2.484138, abs=1e-6)


def test_interval_is_scipy_s() -> None:
    values = [0.21, 0.25, 0.19, 0.24]
    found = interval(values)
    low, high = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert (found["low"], found["high"]) == pytest.approx((low, high), abs=1e-12)


def test_one_seed_has_no_interval() -> None:
    assert interval([0.2]) == {"mean": 0.2, "low": None, "high": None, "values": [0.2]}


def test_measurements_become_intervals_and_the_rest_stays() -> None:
    merged = over_seeds({"x": [result(1, 0.1), result(2, 0.3)]})
    system = merged["systems"]["x"]
    assert system["seeds"] == [1, 2]
    assert system["epochs"] == 2
    assert system["mapc"] is None
    assert system["conditions"]["cross_same"]["trials"] == 100
    assert system["conditions"]["cross_same"]["eer"]["mean"] == pytest.approx(0.2)
    assert not {"seed", "history"} & set(system)
    json.dumps(merged, allow_nan=False)


def test_differences_are_paired_by_seed() -> None:
    seeds = {
        "baseline": [result(1, 0.30), result(2, 0.20), result(3, 0.25)],
        "laspa": [result(1, 0.28), result(2, 0.17), result(3, 0.24)],
    }
    summary = over_seeds(seeds)
    found = difference(summary, "laspa", "cross_same")
    assert found is not None
    assert found["values"] == pytest.approx([-0.02, -0.03, -0.01])
    low, high = stats.ttest_rel([0.28, 0.17, 0.24], [0.30, 0.20, 0.25]).confidence_interval(0.95)
    assert (found["low"], found["high"]) == pytest.approx((low, high))
    assert difference(summary, "laspa", "same_same") is None
    assert rate(summary, "nobody", "cross_same") is None
    assert relative_text(summary, "laspa", "cross_same") == "−8 %"  # 0.23 / 0.25


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [(-3, -1, "lower"), (1, 3, "higher"), (-1, 1, "unclear"), (None, None, "unknown")],
)
def test_verdicts(low: float | None, high: float | None, word: str) -> None:
    assert verdict({"mean": 0.0, "low": low, "high": high}) == word
    assert verdict(None) == "unknown"


def one_run(eer: float, change: tuple[float, float, float] | None = None) -> dict[str, Any]:
    rates = {"eer": eer, "eer_low": eer - 0.01, "eer_high": eer + 0.01}
    system: dict[str, Any] = {"conditions": {"cross_same": rates, "all": rates}, "seeds": [1], "epochs": 2}
    if change:
        found = dict(zip(("eer", "eer_low", "eer_high"), change, strict=True))
        system["difference"] = {"conditions": {"cross_same": found, "all": found}}
    return system


@pytest.mark.parametrize(
    ("eer", "low", "high", "told"),
    [
        (0.15, -0.1, -0.02, "50 % lower on this corpus"),
        (0.36, 0.01, 0.1, "20 % higher on this corpus"),
        (0.15, -0.4, 0.1, "not clearly different on this corpus"),
    ],
)
def test_what_a_reader_takes_home(eer: float, low: float, high: float, told: str) -> None:
    systems = {"baseline": one_run(0.3), "laspa_plus": one_run(eer, (eer - 0.3, low, high))}
    sentence = takeaway({"default": "laspa_plus", "systems": systems})
    assert sentence == (
        f"LASPA+ beside the baseline: the EER of cross / same is {told}; the EER of all trials is {told}."
    )


def test_without_a_baseline_nothing_is_claimed() -> None:
    assert takeaway({"default": "laspa", "systems": {"laspa": one_run(0.2)}}) == ""
    alone = {"default": "baseline", "systems": {"baseline": one_run(0.2)}}
    assert takeaway(alone) == ""
    assert difference(alone, "baseline", "all") is None


def test_one_run_s_rates_have_their_intervals_over_speakers() -> None:
    summary = {"default": "laspa", "systems": {"laspa": one_run(0.2), "baseline": one_run(0.3)}}
    assert rate(summary, "laspa", "all") == {"mean": 0.2, "low": 0.19, "high": pytest.approx(0.21)}
    assert rate(summary, "laspa", "all", part="other") is None
    assert headliners(summary) == ["baseline", "laspa"]


def test_numbers_in_words() -> None:
    assert percent(0.0123) == "1.23"
    assert percent(0.123) == "12.3"
    assert percent(0.0999) == "9.99"
    assert percent(0.09996) == "10.0"
    assert interval_text({"mean": 0.01, "low": -0.01, "high": 0.03}) == "1.00 (0.00–3.00)"
    assert interval_text(None) == "–"
    assert points_text({"mean": -0.012, "low": -0.02, "high": 0.004}) == "−1.20 points (−2.00 to +0.40)"


def test_seeds_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for seed in (10, 9):
        path = tmp_path / f"laspa/seed-{seed}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(result(seed, 0.1)))
    assert [found["seed"] for found in read_seeds(tmp_path)["laspa"]] == [9, 10]


def test_what_is_no_result_is_named(tmp_path: Path) -> None:
    with pytest.raises(LaspaError, match="make ablation writes them"):
        read_seeds(tmp_path)
    (tmp_path / "laspa").mkdir()
    (tmp_path / "laspa/seed-1.json").write_text("[]")
    with pytest.raises(LaspaError, match=r"laspa/seed-1\.json"):
        read_seeds(tmp_path)


def test_missing_columns_are_named(tmp_path: Path, write_results: Callable[..., None]) -> None:
    write_results(tmp_path, speakers=4)
    evaluation = tmp_path / "data/evaluation/laspa_plus"
    (evaluation / "scores.parquet").write_bytes((evaluation / "embeddings.parquet").read_bytes())
    summary = {"default": "laspa_plus", "systems": {"laspa_plus": {}}}
    with pytest.raises(LaspaError, match=r"scores\.parquet: no column enroll"):
        read_results(tmp_path / "data", summary, {}, {})
