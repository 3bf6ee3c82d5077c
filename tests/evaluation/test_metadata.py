"""Parts of a hand-made list by condition, language pair, gender and novelty, and what they need."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laspa.errors import LaspaError
from laspa.evaluation.calibration import Calibration
from laspa.evaluation.evaluate import measure, parts_of
from laspa.evaluation.intervals import percentile_interval, resampled_rates
from laspa.evaluation.metadata import Metadata, read_metadata
from laspa.trials.lists import read_list

LIST = """1 ann/1 ann/2
1 ann/1 ann/3
0 ann/1 bob/1
0 ann/3 bob/1
0 ann/3 cat/1
"""
LANGUAGES = {"ann/1": "en", "ann/2": "en", "ann/3": "hi", "bob/1": "en", "cat/1": "hi"}
GENDERS = {"ann": "f", "bob": "m", "cat": None}


@pytest.fixture
def trials(tmp_path):
    (tmp_path / "list.txt").write_text(LIST)
    return read_list(tmp_path / "list.txt")


@pytest.fixture
def manifest(tmp_path):
    names = [*LANGUAGES, "dan/1"]
    columns = {"utterance_id": names, "speaker": [name[:3] for name in names]}
    columns |= {"language": [*LANGUAGES.values(), "en"], "split": ["test"] * 5 + ["train"]}
    columns["gender"] = pa.array([GENDERS.get(name[:3]) for name in names], pa.string())
    pq.write_table(pa.table(columns), tmp_path / "manifest.parquet")
    return tmp_path / "manifest.parquet"


def rows(parts) -> dict[str, list[int]]:
    return {name: np.flatnonzero(part).tolist() for name, part in parts.items()}


def test_parts_are_those_of_the_list(trials, manifest):
    about = read_metadata(trials, manifest)
    assert rows(parts_of("condition", trials, about)) == {
        "cross_cross": [1, 3],
        "cross_same": [1, 2, 4],
        "same_cross": [0, 3],
        "same_same": [0, 2, 4],
    }
    assert rows(parts_of("language-pair", trials, about)) == {"en-en": [0, 2], "en-hi": [1, 3], "hi-hi": [4]}
    assert rows(parts_of("gender", trials, about)) == {"?-f": [4], "f-f": [0, 1], "f-m": [2, 3]}
    assert rows(parts_of("seen", trials, about)) == {"seen": [0, 2], "unseen": [1, 3, 4]}
    assert about.speaker[trials.enroll].tolist() == ["ann"] * 5


def test_languages_may_come_from_a_file_of_labels(tmp_path, trials):
    labels = tmp_path / "labels.csv"
    labels.write_text("filename,label\n" + "".join(f"{name},{label}\n" for name, label in LANGUAGES.items()))
    about = read_metadata(trials, None, labels)
    assert rows(parts_of("language-pair", trials, about)) == {"en-en": [0, 2], "en-hi": [1, 3], "hi-hi": [4]}
    labels.write_text("filename,label\nann/1,en\n")
    with pytest.raises(LaspaError, match=r"list.txt:1: .*labels.csv lacks ann/2, and 4 utterance\(s\)"):
        read_metadata(trials, None, labels)


def test_speakers_may_come_from_the_names(trials):
    about = read_metadata(trials, None)
    assert sorted(set(about.speaker)) == ["ann", "bob", "cat"]
    assert read_metadata(trials, None, separator="#").speaker is None


@pytest.mark.parametrize("name", ["wav/{}", "/data/wav/{}", "{}"])
def test_a_guess_of_speakers_that_contradicts_a_label_is_dropped_and_told(tmp_path, name):
    one, two, three = (name.format(f"ann/{number}") for number in (1, 2, 3))
    (tmp_path / "wrong.txt").write_text(f"1 {one} {two}\n0 {one} {three}\n")
    found = read_metadata(read_list(tmp_path / "wrong.txt"), None)
    guess = name.format("ann").partition("/")[0]
    what = f"{tmp_path}/wrong.txt:2: {one} {three} is a non-target trial of {guess!r} and {guess!r}"
    assert (found.speaker, found.contradiction) == (None, what)


def test_a_manifest_that_contradicts_a_label_is_an_error(tmp_path, trials, manifest):
    (tmp_path / "wrong.txt").write_text("1 ann/1 ann/2\n0 ann/1 ann/2\n".replace("ann/2", "ann/3", 1))
    with pytest.raises(LaspaError, match=r"wrong.txt:2: ann/1 ann/2 is a non-target trial of .*; mend one"):
        read_metadata(read_list(tmp_path / "wrong.txt"), manifest)


def test_what_is_not_known_is_said(tmp_path, trials, manifest):
    nothing = read_metadata(trials, None)
    for kind, what in (("condition", "languages"), ("language-pair", "languages"), ("gender", "genders")):
        with pytest.raises(LaspaError, match=f"--by {kind}: the {what} of .*list.txt are not known"):
            parts_of(kind, trials, nothing)
    with pytest.raises(LaspaError, match="--by age: expected one of condition"):
        parts_of("age", trials, nothing)
    table = pq.read_table(manifest)
    pq.write_table(table.slice(1), manifest)
    with pytest.raises(LaspaError, match=r"list.txt:1: .*manifest.parquet lacks ann/1, and 1 utt"):
        read_metadata(trials, manifest)
    pq.write_table(table.drop_columns("speaker"), manifest)
    with pytest.raises(LaspaError, match=r"manifest.parquet: no column speaker; it has utterance_id"):
        read_metadata(trials, manifest)


def test_rates_are_worked_by_hand(trials):
    scores, whole = np.array([3.0, 1.0, 2.0, 0.0]), {"": {"all": np.ones(4, dtype=bool)}}
    four = replace(
        trials, enroll=trials.enroll[:4], test=trials.test[:4], target=np.array([1, 1, 0, 0], bool)
    )
    found = measure(four, scores, Metadata(), whole, None, 100, 1)[""]["all"]
    expected = {"trials": 4, "targets": 2, "eer": 0.5, "eer_convex_hull": 0.25, "min_cllr": 0.5}
    expected |= {"min_dcf_01": 0.5, "min_dcf_05": 0.5, "frr_at_far_1": 0.5, "frr_at_far_01": 0.5}
    assert found == pytest.approx(expected)  # and no intervals, since nobody says who speaks
    # Ratios of 0 everywhere: always reject at these priors, one bit per trial.
    empty = measure(four, scores, Metadata(), whole, Calibration(0.0, 0.0), 0, 1)[""]["all"]
    assert (empty["act_dcf_01"], empty["act_dcf_05"], empty["cllr"]) == pytest.approx((1, 1, 1))


def test_all_parts_are_measured_at_once(trials, manifest):
    metadata = read_metadata(trials, manifest)
    scores = np.linspace(1, 0, len(trials))
    parts = {kind: parts_of(kind, trials, metadata) for kind in ("all", "gender", "seen")}
    flat = {name: mask for masks in parts.values() for name, mask in masks.items()}
    found = measure(trials, scores, metadata, {"": flat}, None, 100, seed=1)[""]
    assert list(found) == list(flat)
    everything = found["all"]
    assert everything["trials"] == len(trials)
    sides = metadata.speakers(trials)
    drawn = resampled_rates(scores, trials.target, sides, {"all": flat["all"]}, 100, 1)["all"]["eer"]
    assert (everything["eer_low"], everything["eer_high"]) == percentile_interval(drawn)
    assert everything["min_dcf_05_low"] <= everything["min_dcf_05"] <= everything["min_dcf_05_high"]
    one_class = [name for name, part in flat.items() if len(set(trials.target[part])) < 2]
    assert one_class
    assert [name for name, row in found.items() if row is None] == one_class
