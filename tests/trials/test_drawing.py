"""Trial lists: the four language relations, who meets whom, caps, and the same list for a seed."""

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest

from laspa.errors import LaspaError
from laspa.params.data import Trials
from laspa.trials.drawing import _target_pairs, generate_trials, official_trials
from laspa.trials.lists import TrialList
from laspa.trials.splits import OTHER
from tests.trial_tables import frame, trial_list

OPTIONS = Trials(seed=1, same_gender=True, per_group=10_000)
GROUPS = [(target, same) for target in (True, False) for same in (True, False)]


def manifest(
    speakers: int = 8, languages: tuple[str, ...] = ("en", "es", "xx"), utterances: int = 3
) -> pd.DataFrame:
    """Test speakers who each speak two of `languages`, and training speakers of the first two alone."""
    rows = []
    for index in range(speakers):
        for language in {languages[index % len(languages)], languages[(index + 1) % len(languages)]}:
            for number in range(utterances):
                rows.append(
                    (f"s{index}/{language}/{number}", f"s{index}", language, "fm"[index // 2 % 2], "test")
                )
    for index, language in enumerate(languages[:2]):
        rows.append((f"t{index}/{language}/0", f"t{index}", language, "f", "train"))
    table = pd.DataFrame(rows, columns=["utterance_id", "speaker", "language", "gender", "split"])
    return table.sort_values("utterance_id", ignore_index=True)


def trials(table: pd.DataFrame, **changes: Any) -> pd.DataFrame:
    return frame(generate_trials(table, "test", OPTIONS.model_copy(update=changes)))


def keys(pairs: pd.DataFrame) -> list[frozenset[str]]:
    return [frozenset(pair) for pair in pairs[["enroll", "test"]].values]


def test_a_corpus_that_stands_apart_gets_a_list_of_its_own_and_changes_no_other() -> None:
    home = manifest().assign(corpus="synthetic")
    apart = manifest(6, ("en", "zz"))
    apart = apart[apart["split"] == "test"].assign(corpus="synthetic_other")
    apart["speaker"] = "synthetic_other-" + apart["speaker"]
    apart["utterance_id"] = "synthetic_other-" + apart["utterance_id"]
    both = pd.concat([home, apart]).sort_values("utterance_id", ignore_index=True)
    alone, together = (generate_trials(table, "test", OPTIONS) for table in (home, both))
    pd.testing.assert_frame_equal(frame(together), frame(alone))
    assert together.sha256() == alone.sha256()
    other = frame(generate_trials(both, OTHER, OPTIONS))
    assert other["enroll"].str.startswith("synthetic_other-").all()
    assert other["test"].str.startswith("synthetic_other-").all()
    assert set(zip(other["target"], other["same_language"], strict=True)) == set(GROUPS)
    # Languages of training are those of the corpus at home.
    spoken = other[["enroll", "test"]].apply(lambda side: side.str.split("/").str[1])
    assert ((spoken == "zz").any(axis=1) == other["unseen_language"]).all()


def naive(table: pd.DataFrame, same_gender: bool = True) -> dict[frozenset[str], dict[str, Any]]:
    """Every trial there can be, by a plain loop."""
    train = set(table.loc[table["split"] == "train", "language"])
    found = {}
    for a, b in combinations(table[table["split"] == "test"].to_dict("records"), 2):
        target = a["speaker"] == b["speaker"]
        known = pd.notna(a["gender"]) and pd.notna(b["gender"])
        same = a["gender"] == b["gender"] if known else None
        if target or not (same_gender and known and not same):
            found[frozenset((a["utterance_id"], b["utterance_id"]))] = {
                "target": target,
                "same_language": a["language"] == b["language"],
                "same_gender": same,
                "unseen_language": not {a["language"], b["language"]} <= train,
            }
    return found


@pytest.mark.parametrize("same_gender", [True, False])
def test_without_a_cap_every_pair_comes_once_with_its_flags(same_gender: bool) -> None:
    table = manifest()
    table.loc[table["speaker"] == "s5", "gender"] = None
    found = trials(table, same_gender=same_gender)
    assert list(found.columns) == [
        "enroll", "test", "target", "same_language", "same_gender", "unseen_language",
    ]  # fmt: skip
    assert len(set(keys(found))) == len(found)
    assert (found["enroll"] != found["test"]).all()
    expected = naive(table, same_gender)
    flags = found.drop(columns=["enroll", "test"]).astype(object)
    flags = flags.where(flags.notna(), None).to_dict("records")
    assert dict(zip(keys(found), flags, strict=True)) == expected
    # All four groups are there, and both kinds of language.
    assert set(zip(found["target"], found["same_language"], strict=True)) == set(GROUPS)
    assert set(found["unseen_language"]) == {True, False}
    assert set(found["same_gender"]) <= {True, False, None}


def test_a_cap_holds_for_each_group_and_draws_from_all_pairs() -> None:
    table = manifest(utterances=5)
    possible = naive(table)
    found = trials(table, per_group=30)
    assert found.groupby(["target", "same_language"]).size().to_dict() == dict.fromkeys(GROUPS, 30)
    assert set(keys(found)) <= set(possible)
    assert len(set(keys(found))) == len(found)


def test_no_speaker_has_more_than_a_share_of_the_targets() -> None:
    table = manifest(speakers=8, utterances=5)
    talkative = table[table["speaker"] == "s0"]
    extra = pd.concat([talkative.assign(utterance_id=talkative["utterance_id"] + f"x{i}") for i in range(5)])
    found = trials(pd.concat([table, extra], ignore_index=True), per_group=80)
    for same in (True, False):
        chosen = found[found["target"] & (found["same_language"] == same)]
        assert chosen["enroll"].str.split("/").str[0].value_counts().tolist() == [10] * 8


def test_non_targets_lean_on_no_speaker() -> None:
    table = manifest(speakers=24, utterances=6)
    found = trials(table, per_group=600)
    for same in (True, False):
        chosen = found[~found["target"] & (found["same_language"] == same)]
        speakers = pd.concat([chosen["enroll"], chosen["test"]]).str.split("/").str[0]
        counts = speakers.value_counts()
        assert len(counts) == 24
        assert counts.max() < 2.5 * counts.min(), counts


def test_the_list_is_a_function_of_manifest_and_seed() -> None:
    table = manifest(utterances=5)
    first, again, other = (trials(table, per_group=30, seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert set(keys(first)) != set(keys(other))


def test_other_splits_do_not_change_which_pairs_come() -> None:
    table = manifest(utterances=5)
    more = table[table["split"] == "train"].assign(utterance_id="u", split="dev")
    found = trials(pd.concat([table, more], ignore_index=True), per_group=30)
    pd.testing.assert_frame_equal(found, trials(table, per_group=30))


def test_monolingual_speakers_give_no_targets_across_languages() -> None:
    table = manifest()
    first = table.groupby("speaker")["language"].transform("first")
    table = table[table["language"] == first].reset_index(drop=True)
    found = trials(table)
    present = set(zip(found["target"], found["same_language"], strict=True))
    assert present == {(True, True), (False, True), (False, False)}


def test_one_language_gives_no_trials_across_languages() -> None:
    table = manifest(languages=("en",))
    found = trials(table)
    assert found["same_language"].all()
    assert set(found["target"]) == {True, False}
    assert not found["unseen_language"].any()


def test_without_genders_everyone_meets_everyone() -> None:
    table = manifest().assign(gender=None)
    found = trials(table)
    assert found["same_gender"].isna().all()
    assert set(keys(found)) == set(naive(table))


def test_a_split_without_targets_or_non_targets_is_refused() -> None:
    table = manifest()
    one_each = table.groupby("speaker").head(1).reset_index(drop=True)
    with pytest.raises(LaspaError, match="split test gives no targets: no speaker has two utterances"):
        trials(one_each)
    two = table[table["speaker"].isin(["s0", "s2"])].reset_index(drop=True)  # a woman and a man
    with pytest.raises(LaspaError, match="split test gives no non-targets: no two speakers of one gender"):
        trials(two)
    assert len(trials(two, same_gender=False)) == len(naive(two, same_gender=False))


def test_flags_are_plain_columns() -> None:
    found = trials(manifest())
    for column in ("target", "same_language", "unseen_language"):
        assert found[column].dtype == np.bool_


def official(*rows: tuple[str, str, bool]) -> TrialList:
    return trial_list(pd.DataFrame(rows, columns=["enroll", "test", "target"]), "as published")


BY_PATH = pd.DataFrame(
    [
        ("t/1", "t", "en", "f", "train"),
        ("d/1", "d", "en", "f", "dev"),
        ("a/1", "a", "en", "f", "test"),
        ("a/2", "a", "xx", "f", "test"),
        ("b/1", "b", "en", None, "test"),
        ("c/1", "c", "xx", "m", "test"),
    ],
    columns=["utterance_id", "speaker", "language", "gender", "split"],
).assign(path=lambda table: "vox/" + table["utterance_id"] + ".wav")


def test_an_official_list_is_a_trial_table_in_its_own_order() -> None:
    rows = (
        ("vox/c/1.wav", "vox/a/2.wav", False),
        ("vox/a/1.wav", "vox/a/2.wav", True),
        ("vox/a/1.wav", "vox/b/1.wav", False),
    )
    found = official_trials("o", official(*rows), BY_PATH)
    assert found is not None
    assert found.sha256() == "as published"
    assert frame(found).astype(object).values.tolist() == [
        ["c/1", "a/2", False, True, False, True],
        ["a/1", "a/2", True, False, True, True],
        ["a/1", "b/1", False, True, None, False],
    ]
    assert list(found.relations) == ["same_language", "same_gender", "unseen_language"]


def test_a_copy_in_an_official_list_is_the_recording_that_is_kept() -> None:
    rows = ("vox/a/1.wav", "vox/a/9.wav", True), ("vox/a/1.wav", "vox/b/1.wav", False)
    found = official_trials("o", official(*rows), BY_PATH, {"vox/a/9.wav": "vox/a/2.wav"})
    assert found is not None
    assert [found.pair(row) for row in range(2)] == ["a/1 a/2", "a/1 b/1"]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (
            ("vox/t/1.wav", "vox/a/1.wav", False),
            "1 of its 2 speakers are in train or dev, such as t; it takes",
        ),
        (
            ("vox/a/1.wav", "vox/d/1.wav", False),
            "1 of its 2 speakers are in train or dev, such as d; it takes",
        ),
        (
            ("vox/a/1.wav", "vox/a/3.wav", True),
            "1 of its 2 recordings are not in the manifest, such as vox/a/3",
        ),
    ],
)
def test_an_official_list_that_must_not_be_measured_is_left_out_and_says_why(
    row: tuple[str, str, bool], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert official_trials("e", official(row), BY_PATH) is None
    assert f"trial list e is left out: {why}" in capsys.readouterr().out


def test_an_official_label_against_the_manifest_is_an_error() -> None:
    message = r"trial list e: vox/a/1\.wav vox/b/1\.wav is a target trial of a and b; mend the list"
    with pytest.raises(LaspaError, match=message):
        official_trials("e", official(("vox/a/1.wav", "vox/b/1.wav", True)), BY_PATH)


def test_a_speaker_with_very_many_utterances_is_thinned_and_others_are_not() -> None:
    table = manifest(speakers=6, languages=("en", "es"), utterances=4)  # 28 pairs a speaker
    talkative = table[table["speaker"] == "s0"]
    more = [talkative.assign(utterance_id=talkative["utterance_id"] + f"x{i:02}") for i in range(40)]
    table = pd.concat([table, *more], ignore_index=True)  # s0 has 328 utterances, 53,628 pairs
    whole = trials(table, per_group=60)
    speaker = table.loc[table["split"] == "test", "speaker"].factorize()[0]
    pairs = _target_pairs(speaker, 6 * 600, 1)
    of = np.bincount(speaker[pairs[:, 0]])
    assert of[1:].tolist() == [28] * 5
    assert 500 < of[0] <= 600
    assert (speaker[pairs[:, 0]] == speaker[pairs[:, 1]]).all()
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert len(np.unique(pairs, axis=0)) == len(pairs)
    # Each utterance of s0 is in 2 · 600 / 328 of them on average, and none is favoured.
    often = np.bincount(pairs[speaker[pairs[:, 0]] == 0].ravel(), minlength=len(speaker))[speaker == 0]
    assert often.mean() == pytest.approx(2 * of[0] / 328)
    assert often.max() < 16
    everything = _target_pairs(speaker, 6 * 53_628, 1)
    assert len(everything) == 53_628 + 5 * 28
    assert {tuple(pair) for pair in pairs} < {tuple(pair) for pair in everything}
    assert len(whole[whole["target"]]) == 120


def test_memory_is_bounded_whatever_the_utterances_of_a_speaker() -> None:
    speaker = np.repeat([0, 1], 100_000)  # ten thousand million pairs
    assert len(_target_pairs(speaker, 10_000, 1)) == pytest.approx(10_000, rel=0.01)
