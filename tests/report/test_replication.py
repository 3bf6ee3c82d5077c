"""The page on the replication: what it says is what was measured, and rows are merged by seed."""

from pathlib import Path

import pytest

from laspa.files import read_json
from laspa.report.replication import merged, paired, replication_page

ROOT = Path(__file__).parents[2]
TABLE = read_json(ROOT / "studies/replication.json")


def test_the_committed_page_is_that_of_the_committed_table():
    backbones = read_json(ROOT / "studies/backbones.json")["systems"]
    page = (ROOT / "docs/replication.md").read_text(encoding="utf-8")
    assert replication_page(TABLE, backbones) == page
    assert "## Over each backbone" not in replication_page(TABLE, {})
    rates = {"cross_same": rate(0.2, 0.3), "all": rate(0.1, 0.1), "same_same": rate(0.01, 0.01)}
    rows = dict.fromkeys(("conditions", "seen", "unseen", "pair_norm", "other", "other_pair_norm"), rates)
    rows |= {"seeds": [1, 2], "epochs": 8}
    rows["added_parameters_percent"] = {"mean": 0.5}
    worse = rows | {"other": rates | {"all": rate(0.12, 0.12)}}
    worse["pair_norm"] = rates | {"all": rate(0.15, 0.15)}
    page = replication_page(TABLE, {"ecapa-baseline": rows, "ecapa-laspa": worse})
    wide, narrow = "25.0 (19.0–31.0)", "10.0 (10.0–10.0)"
    assert f"| `ecapa` | 8 | `laspa` | 0.50 % | {' | '.join([wide] * 3 + [narrow] * 3)} | 1.00" in page
    others = page.split("#the-other-family), which no system heard")[1]
    assert f"\n| `ecapa` | `baseline` | {wide} | 1.00 (1.00–1.00) | {narrow} | – | – | – |\n" in others
    changes = " | ".join(f"{points} points ({points} to {points})" for points in ("±0.00", "±0.00", "+2.00"))
    assert f"\n| `ecapa` | `laspa` | {wide} | 1.00 (1.00–1.00) | 12.0 (12.0–12.0) | {changes} |\n" in others
    both = f"{wide} | 1.00 (1.00–1.00) | 15.0 (15.0–15.0) | {wide} | 1.00 (1.00–1.00) | {narrow}"
    assert f"\n| `ecapa` | `laspa` | {both} |\n" in others.split("With pair norm")[1]
    assert page.count("| `ecapa` | 8 | `baseline` |") == 1
    assert page.count("| `ecapa` | `baseline` |") == 2  # it is not compared with itself
    without = {name: row for name, row in rows.items() if name != "other"}
    assert "`ecapa`" not in replication_page(TABLE, {"ecapa-laspa": without}).split("#the-other-family)")[1]


def rate(*values):
    mean = sum(values) / len(values)
    low, high = (mean - 0.06, mean + 0.06) if values[0] != values[1] else (mean, mean)
    return {"mean": mean, "low": low, "high": high, "values": list(values)}


def test_seeds_are_merged_and_differences_paired_by_seed():
    def seed(number, eer):
        accuracy = {"accuracy": 0.3 + eer}
        return {
            "seed": number,
            "conditions": {"all": {"eer": eer}},
            "probe": {"speaker": {"language_linear": accuracy, "language_mlp": accuracy}},
            "language_probe_chance": 0.1,
            "gradients": {"speaker_encoder": {"aam": 1.0 + eer}},
            "mapc_by_batch_size": [{"size": 16, "paired": eer, "shuffled": 0.2, "floor": 0.2}],
            "history": [{"epoch": 2, "dev": {"language_probe": eer}}, {"epoch": 3, "dev": {}}],
            "epochs": 2,
        }

    found = merged({"a": [seed(1, 0.1), seed(2, 0.3)], "b": [seed(2, 0.2)]}, {"a": {"system": "laspa"}})
    assert found["a"]["changes"] == {"system": "laspa"}
    assert found["a"]["eer"]["all"]["values"] == [0.1, 0.3]
    assert found["a"]["probe"]["speaker"]["language_mlp"]["mean"] == pytest.approx(0.5)
    assert found["a"]["gradients"]["speaker_encoder"]["aam"] == pytest.approx(1.2)
    assert found["a"]["mapc_by_batch_size"][0]["paired"] == pytest.approx(0.2)
    assert found["a"]["course"] == {"2": pytest.approx(0.2)}
    assert paired(found["a"], found["b"], "eer", "all")["values"] == [pytest.approx(0.1)]  # of seed 2
