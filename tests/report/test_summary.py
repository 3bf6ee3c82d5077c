"""Summary over seeds, against hand-worked numbers and scipy."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from laspa.errors import LaspaError
from laspa.report.results import read_results
from laspa.report.summary import difference, interval, rate, read_seeds, summarise, verdict
from laspa.report.text import findings, interval_text, percent, points_text, relative_text


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
    merged = summarise({"x": [result(1, 0.1), result(2, 0.3)]}, {"any": 1})
    system = merged["systems"]["x"]
    assert system["seeds"] == [1, 2]
    assert system["epochs"] == 2
    assert system["mapc"] is None
    assert system["conditions"]["cross_same"]["trials"] == 100
    assert system["conditions"]["cross_same"]["eer"]["mean"] == pytest.approx(0.2)
    assert not {"seed", "history"} & set(system)
    assert merged["trained"] == {"any": 1}
    json.dumps(merged, allow_nan=False)


def test_differences_are_paired_by_seed() -> None:
    seeds = {
        "baseline": [result(1, 0.30), result(2, 0.20), result(3, 0.25)],
        "laspa": [result(1, 0.28), result(2, 0.17), result(3, 0.24)],
    }
    summary = summarise(seeds, {})
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


def test_where_laspa_does_not_win_is_said() -> None:
    seeds = {
        "baseline": [result(1, 0.30), result(2, 0.20), result(3, 0.25)],
        "laspa": [result(1, 0.20), result(2, 0.30), result(3, 0.25)],
    }
    (sentence,) = findings(summarise(seeds, {}))
    assert "does not beat the baseline" in sentence


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


def test_what_is_no_result_is_named(tmp_path: Path, write_results: Callable[..., None]) -> None:
    with pytest.raises(LaspaError, match="dvc repro ablate"):
        read_seeds(tmp_path)
    write_results(tmp_path, speakers=4)
    (tmp_path / "data/ablation/laspa/seed-1.json").write_text("[]")
    with pytest.raises(LaspaError, match=r"laspa/seed-1\.json"):
        read_seeds(tmp_path / "data/ablation")


def test_missing_columns_are_named(tmp_path: Path, write_results: Callable[..., None]) -> None:
    write_results(tmp_path, speakers=4)
    (tmp_path / "data/evaluation/scores.parquet").write_bytes(
        (tmp_path / "data/evaluation/embeddings.parquet").read_bytes()
    )
    with pytest.raises(LaspaError, match=r"scores\.parquet: no column enroll"):
        read_results(tmp_path / "data", tmp_path / "reports", {}, {}, {"manifest_sha256": ""})
