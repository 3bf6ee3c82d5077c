"""Score files of several toolkits, matched with lists in any order, and what is said of wrong ones."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laspa.errors import LaspaError
from laspa.evaluation.score_files import read_scores, scores_of, write_scores
from laspa.trials.lists import read_list


def written(folder, text: str, name: str = "scores.txt"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("a b 0.5\na c -1e-3\n", None),
        ("a b 0.5 target\na c -1e-3 nontarget\n", [True, False]),
        ("a\tb\t0.5\t1\na\tc\t-0.001\t0\n", [True, False]),
        ("enroll,test,score,target\na,b,0.5,1\na,c,-0.001,0\n", [True, False]),
        ("a  b 0.5\n\na c   -0.001 \n", None),
        ("a b 1 0.5\na c 0 -0.001\n", [True, False]),  # SpeechBrain
        ("Enroll Test Label Score\na b 1 0.5\na c 0 -0.001\n", [True, False]),
        ("\ufeffa b 0.5\r\na c -0.001\r\n", None),
        ("a\u00a0b 0.5\n\ufeffa c -0.001\n", None),
    ],
)
def test_forms_of_score_files(tmp_path, text, target):
    trials, scores = read_scores(written(tmp_path, text))
    np.testing.assert_array_equal(scores, [0.5, -0.001])
    assert [trials.pair(row) for row in range(2)] == ["a b", "a c"]
    assert target == (None if trials.target is None else trials.target.tolist())


@pytest.mark.parametrize("name", ["out.txt", "out.parquet"])
@pytest.mark.parametrize("labels", ["", " target"])
def test_what_is_written_reads_the_same(tmp_path, name, labels):
    trials, _ = read_scores(written(tmp_path, f"a b 1{labels}\na c 2{labels}\nb c 3{labels}\n"))
    scores = np.array([1 / 3, -2e-7, 0.1], dtype=np.float32)
    write_scores(tmp_path / name, trials, scores)
    again, found = read_scores(tmp_path / name)
    np.testing.assert_array_equal(found.astype(np.float32), scores)
    assert [again.pair(row) for row in range(3)] == ["a b", "a c", "b c"]
    assert (again.target is None) == (not labels)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "scores.txt: empty; expected lines of `enroll test score`"),
        ("a b 1\n\na c nan\n", r"scores.txt:3: score nan of a c is not a finite number \(1 such score"),
        ("a b 1\na c inf\na d -inf\n", r"scores.txt:2: score inf of a c .*\(2 such score"),
        ("enroll test score\na b nan\n", "scores.txt:2: score nan"),
        ("a b 1\na c x\n", "scores.txt:2: score is not a number: 'x'; expected `enroll test score`"),
        (
            "a b 1\na c 2 target\n",
            "scores.txt:2: 4 fields instead of 3; expected `enroll test score` as in its",
        ),
        ("a b 1 target\na c 2 impostor\n", "scores.txt:2: label 'impostor' is none of target, nontarget"),
        ("1 a\n", "scores.txt:1: expected `enroll test score`, .* got '1 a'"),
        ("a b 0,5\na c 1,2\n", "scores.txt:1: 0,5 has a decimal comma; write numbers with a point"),
        ("0.5 a b\n-0.5 a c\n", "scores.txt:1: the score stands before the names; expected"),
        ("1 0.5 a b\n0 -0.5 a c\n", "scores.txt:1: the score stands before the names; expected"),
        ("a b 1 0\na c 0 1\n", "scores.txt:1: the third and fourth field are 0 or 1 in all"),
        ("a b 1 0.5\na c 2 0.5\n", "scores.txt:2: label '2' is none of target, nontarget"),
        ("a b 1\nc d 0\na b 2\n", "scores.txt:3: a b stands in .*scores.txt:1 too"),
        ("enroll test score\na b 1\na b 2\n", "scores.txt:3: a b stands in .*scores.txt:2 too"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(tmp_path, text, message):
    with pytest.raises(LaspaError, match=message):
        read_scores(written(tmp_path, text))


def test_a_table_names_the_row(tmp_path):
    path = tmp_path / "scores.parquet"
    for bad in (float("nan"), None):
        pq.write_table(pa.table({"enroll": ["a", "a"], "test": ["b", "c"], "score": [0.5, bad]}), path)
        with pytest.raises(LaspaError, match=r"scores.parquet: row 2: score nan of a c"):
            read_scores(path)


def test_lines_of_scores_are_written_as_they_stand(tmp_path):
    trials, _ = read_scores(written(tmp_path, 'a"x é 1 target\na"x c 2 nontarget\n'))
    write_scores(tmp_path / "out.txt", trials, np.array([0.5, -0.25], dtype=np.float32))
    assert (tmp_path / "out.txt").read_text(encoding="utf-8") == 'a"x é 0.5 target\na"x c -0.25 nontarget\n'


def test_scores_are_put_into_the_lists_order(tmp_path):
    trials = read_list(written(tmp_path, "1 a b\n0 c b\n0 a c\n", "list.txt"))
    scored, scores = read_scores(written(tmp_path, "c b 3\na c 4\na b 5\n"))
    np.testing.assert_array_equal(scores_of(trials, scored, scores), [5, 3, 4])
    same, values = read_scores(written(tmp_path, "a b 1\nc b 2\na c 3\n"))
    np.testing.assert_array_equal(scores_of(trials, same, values), [1, 2, 3])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a b 1\nc b 2\n", r"no score for 1 of 3 trials, the first is a c \(.*list.txt:3\)"),
        ("a b 1\nc b 2\nc a 3\n", r"no score for 1 of 3 trials, the first is a c"),  # sides are not swapped
        ("a b 1\nc b 2\na c 3\nb c 4\n", "b c is scored but is no trial of .*list.txt"),
        ("a b 1\nc b 2\na c 3\na x 4\n", r"scores.txt:4: a x is no trial of .*list.txt: 1 utterance"),
    ],
)
def test_scores_of_another_list_are_refused(tmp_path, text, message):
    trials = read_list(written(tmp_path, "1 a b\n0 c b\n0 a c\n", "list.txt"))
    with pytest.raises(LaspaError, match=message):
        scores_of(trials, *read_scores(written(tmp_path, text)))
