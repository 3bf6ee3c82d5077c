"""Trial lists: each format of the field from a small literal list, and what is said of a wrong one."""

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laspa.errors import LaspaError
from laspa.trials.lists import (
    FORMATS,
    TrialList,
    check_duplicates,
    detect_format,
    read_language_labels,
    read_list,
    read_models,
    write_list,
)

VOXCELEB = """1 id10270/x6uYqmx31kE/00001.wav id10270/8jEAjG6SegY/00008.wav
0 id10270/x6uYqmx31kE/00001.wav id10300/ize_eiCFEg0/00003.wav
1 id10270/x6uYqmx31kE/00001.wav id10270/GWXujl-xAVM/00017.wav
0 id10300/ize_eiCFEg0/00003.wav id10270/8jEAjG6SegY/00008.wav
"""
KALDI = """spk1-a spk1-b target
spk1-a spk2-a nontarget
"""
CNCELEB = """id00800-enroll test/id00800-singing-01-001.wav 1
id00800-enroll test/id00801-vlog-01-002.wav 0
"""
TIDYVOICE = "1\tid1/en/a.wav\tid1/fa/b.wav\n0\tid1/en/a.wav\tid2/en/c.wav\n"


def written(folder, text: str, name: str = "list.txt"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def plain(trials) -> list[tuple]:
    names = trials.names.to_pylist()
    target = [None] * len(trials) if trials.target is None else trials.target.tolist()
    return [(names[a], names[b], t) for a, b, t in zip(trials.enroll, trials.test, target, strict=True)]


@pytest.mark.parametrize(
    ("text", "form", "first", "targets"),
    [
        (VOXCELEB, "voxceleb", ("id10270/x6uYqmx31kE/00001.wav", "id10270/8jEAjG6SegY/00008.wav", True), 2),
        (KALDI, "kaldi", ("spk1-a", "spk1-b", True), 1),
        (CNCELEB, "cnceleb", ("id00800-enroll", "test/id00800-singing-01-001.wav", True), 1),
        (TIDYVOICE, "voxceleb", ("id1/en/a.wav", "id1/fa/b.wav", True), 1),
        (VOXCELEB.replace("\n", "\r\n"), "voxceleb", ("id10270/x6uYqmx31kE/00001.wav",) * 1, 2),
    ],
)
def test_formats_are_told_from_the_first_line(tmp_path, text, form, first, targets):
    path = written(tmp_path, text)
    assert detect_format(path) == form
    trials = read_list(path)
    assert plain(trials)[0][: len(first)] == first
    assert trials.target.sum() == targets
    assert len(trials) == len(text.splitlines())
    assert len(set(trials.names.to_pylist())) == len(trials.names)


def test_unlabelled_lists_have_no_targets(tmp_path):
    trials = read_list(written(tmp_path, "a.wav\tb.wav\na.wav\tc.wav\n"))
    assert trials.target is None
    assert plain(trials) == [("a.wav", "b.wav", None), ("a.wav", "c.wav", None)]


def test_irregular_spacing_reads_the_same(tmp_path):
    neat = plain(read_list(written(tmp_path, VOXCELEB)))
    for text in (
        VOXCELEB.replace(" ", "   "),
        VOXCELEB.replace("\n", " \n\n"),
        "\n" + VOXCELEB.replace(" ", "\t", 3),
    ):
        assert plain(read_list(written(tmp_path, text))) == neat


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_written_reads_the_same(tmp_path, form):
    trials = read_list(written(tmp_path, VOXCELEB))
    path = tmp_path / "out.txt"
    write_list(path, trials, form)
    again = read_list(path)
    if form == "unlabelled":
        assert [pair[:2] for pair in plain(again)] == [pair[:2] for pair in plain(trials)]
    else:
        assert detect_format(path) == form
        assert plain(again) == plain(trials)
    if form == "voxceleb":
        assert path.read_text() == VOXCELEB


def test_this_projects_table_keeps_its_relations(tmp_path):
    path = tmp_path / "trials.parquet"
    columns = {"enroll": ["a", "a"], "test": ["b", "c"], "target": [True, False]}
    columns |= {"same_language": [True, False], "same_gender": pa.array([None, True], pa.bool_())}
    pq.write_table(pa.table(columns), path)
    trials = read_list(path)
    assert plain(trials) == [("a", "b", True), ("a", "c", False)]
    np.testing.assert_array_equal(trials.relations["same_language"], [True, False])
    assert trials.relations["same_gender"].tolist() == [None, True]  # not known everywhere


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"list.txt: empty; expected lines of a trial"),
        ("\n \n", r"list.txt: empty"),
        (
            "1 a b\na c nontarget\n",
            r"list.txt:2: label 'a' is none of 1, 0 \(mixed formats\?\); expected `label enroll test`",
        ),
        ("a b target\n\na c 0\n", r"list.txt:3: label '0' is none of target, nontarget"),
        (
            "1 a b\n\n0 a\n",
            r"list.txt:3: 2 fields instead of 3; expected `label enroll test` \(voxceleb\), got '0 a'",
        ),
        ("2 a b\n", r"list.txt:1: expected a trial"),
        ("\n1 a 0\n", r"list.txt:2: could be voxceleb or cnceleb, name the format"),
        ("1 a b\n0 a c\n1 a b\n", r"list.txt:3: a b stands in .*list.txt:1 too; a trial comes once"),
        ("1 a b\n0 a c\n0 a b\n", r"list.txt:3: a b has another label in .*list.txt:1"),
    ],
)
def test_a_wrong_list_is_refused_with_its_line(tmp_path, text, message):
    with pytest.raises(LaspaError, match=message):
        read_list(written(tmp_path, text))


def test_other_wrong_files(tmp_path):
    with pytest.raises(LaspaError, match="no such file"):
        read_list(tmp_path / "none.txt")
    with pytest.raises(LaspaError, match="no such file"):
        read_list(tmp_path / "none.parquet")
    (tmp_path / "binary.txt").write_bytes(b"1 a b\n0 \xff\xfe c\n")
    with pytest.raises(LaspaError, match="not UTF-8"):
        read_list(tmp_path / "binary.txt")
    with pytest.raises(LaspaError, match="not a Parquet table"):
        read_list(written(tmp_path, "1 a b\n", "false.parquet"))
    pq.write_table(pa.table({"enroll": ["a"]}), tmp_path / "short.parquet")
    with pytest.raises(LaspaError, match="no column test; it has enroll"):
        read_list(tmp_path / "short.parquet")


def test_duplicates_can_be_kept_but_not_contradictions(tmp_path):
    assert len(read_list(written(tmp_path, "1 a b\n0 a c\n1 a b\n"), keep_duplicates=True)) == 3
    with pytest.raises(LaspaError, match="another label"):
        read_list(written(tmp_path, "1 a b\n0 a b\n"), keep_duplicates=True)


@pytest.mark.parametrize("trials", [1, 2, 3, 60, 3000])
def test_a_repeated_trial_is_found_wherever_it_stands(trials):
    generator = np.random.default_rng(trials)
    names = pa.array([f"u{number}" for number in range(2 * trials)])
    for _ in range(50):
        pair = generator.choice(4 * trials**2, size=trials, replace=False)
        if again := trials > 1 and generator.random() < 0.5:
            first, second = generator.choice(trials, size=2, replace=False)
            pair[first] = pair[second]
        enroll, test = (side.astype(np.int32) for side in np.divmod(pair, 2 * trials))
        found = TrialList("made up.parquet", names, enroll, test, None)
        assert again == (len(set(zip(enroll.tolist(), test.tolist(), strict=True))) < trials)
        check_duplicates(found, keep=True)
        if again:
            with pytest.raises(LaspaError, match=f"row {max(first, second) + 1}: .* stands in .*row"):
                check_duplicates(found, keep=False)
        else:
            check_duplicates(found, keep=False)


def test_the_digest_is_of_the_lines_whatever_stands_in_a_name(tmp_path):
    lines = ['a"x spk/é.wav 1\n', 'a"x c 0\n', "c c; 1\n"]
    trials = read_list(written(tmp_path, "".join(lines)))
    assert trials.sha256() == hashlib.sha256("".join(lines).encode()).hexdigest()
    write_list(tmp_path / "out.txt", trials, "kaldi")
    expected = 'a"x spk/é.wav target\na"x c nontarget\nc c; target\n'
    assert (tmp_path / "out.txt").read_text(encoding="utf-8") == expected


def test_a_format_can_be_forced(tmp_path):
    path = written(tmp_path, "1 a 0\n")
    assert plain(read_list(path, "cnceleb")) == [("1", "a", False)]
    with pytest.raises(LaspaError, match="format 'nist' is none of voxceleb"):
        read_list(path, "nist")


def test_names_that_text_cannot_hold_stay_in_parquet(tmp_path):
    pq.write_table(pa.table({"enroll": ["a b"], "test": ["c"], "target": [True]}), tmp_path / "t.parquet")
    with pytest.raises(LaspaError, match="'a b' holds a blank"):
        write_list(tmp_path / "t.txt", read_list(tmp_path / "t.parquet"), "kaldi")
    assert not (tmp_path / "t.txt").exists()
    with pytest.raises(LaspaError, match="has labels"):
        write_list(tmp_path / "t.txt", read_list(written(tmp_path, "a b\n")), "kaldi")


def test_models_and_their_utterances(tmp_path):
    path = written(tmp_path, "id1-enroll a.wav b.wav\nid2-enroll c.wav\n")
    assert read_models(path) == {"id1-enroll": ["a.wav", "b.wav"], "id2-enroll": ["c.wav"]}
    with pytest.raises(LaspaError, match=r":2: expected `model utterance \[utterance ...\]`, got 'm' alone"):
        read_models(written(tmp_path, "id1 a\nm\n"))
    with pytest.raises(LaspaError, match=":2: model m is described twice"):
        read_models(written(tmp_path, "m a\nm b\n"))
    with pytest.raises(LaspaError, match="empty"):
        read_models(written(tmp_path, ""))


def test_language_labels_of_voxceleb1_b(tmp_path):
    path = written(tmp_path, 'filename,label\nid1/a/00001.wav,English\nid1/a/00002.wav,"Chinese, Min"\n')
    assert read_language_labels(path) == {"id1/a/00001.wav": "English", "id1/a/00002.wav": "Chinese, Min"}
    with pytest.raises(LaspaError, match="no column filename, label; it has file, lang"):
        read_language_labels(written(tmp_path, "file,lang\n"))
    with pytest.raises(LaspaError, match=":3: a is Hindi here and Tamil above"):
        read_language_labels(written(tmp_path, "filename,label\na,Tamil\na,Hindi\n"))
    with pytest.raises(LaspaError, match=":2: more or fewer fields than the header names"):
        read_language_labels(written(tmp_path, "filename,label\na\n"))


def test_a_list_of_many_blocks_is_one_numbering(tmp_path):
    generator = np.random.default_rng(1)
    sides = generator.integers(3000, size=(2, 60_000))
    rows = list(dict.fromkeys(zip(*sides.tolist(), strict=True)))  # in order, none twice
    text = "".join(f"{a % 2} speaker{a:05}/x.wav speaker{b:05}/x.wav\n" for a, b in rows)
    assert len(text) > 2**21  # more than pyarrow takes at a time
    trials = read_list(written(tmp_path, text))
    assert len(trials.names) == len(set(trials.names.to_pylist())) == len({n for pair in rows for n in pair})
    number = np.array([int(name[7:12]) for name in trials.names.to_pylist()])
    np.testing.assert_array_equal(np.stack([number[trials.enroll], number[trials.test]], axis=1), rows)
    np.testing.assert_array_equal(trials.target, np.array(rows)[:, 0] % 2 == 1)


def test_a_trial_without_a_name_is_refused(tmp_path):
    pa_table = pa.table({"enroll": ["a", None], "test": ["b", "c"], "score": [0.1, 0.2]})
    pq.write_table(pa_table, tmp_path / "t.parquet")
    with pytest.raises(LaspaError, match=r"t\.parquet: enroll is empty in 1 trial\(s\); name an utterance"):
        read_list(tmp_path / "t.parquet")
