"""The command: what it prints, writes and refuses, and that asking for help loads nothing heavy."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laspa.cli.main import main
from laspa.evaluation.error_rates import eer
from laspa.evaluation.score_files import read_scores
from laspa.trials.lists import read_list

HEAVY = ["torch", "pandas", "mlflow", "ray", "sklearn", "great_expectations", "pyarrow", "scipy", "numpy"]
LANGUAGES = ("en", "hi", "ta")
DIMENSION = 12


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """Six training and eight test speakers, two utterances in each of two or three languages."""
    generator = np.random.default_rng(5)
    rows, vectors = [], []
    for number in range(14):
        split = "train" if number < 6 else "test"
        centre = generator.normal(size=DIMENSION)
        for language in LANGUAGES[: 2 if split == "train" else 3]:
            for take in range(2):
                name = f"s{number:02}"
                rows.append((f"{name}/{language}/{take}", name, language, "fm"[number % 2], split))
                vectors.append(centre + 0.6 * generator.normal(size=DIMENSION))
    columns = dict(
        zip(("utterance_id", "speaker", "language", "gender", "split"), zip(*rows, strict=True), strict=True)
    )
    monkeypatch.chdir(tmp_path)
    pq.write_table(pa.table({name: list(values) for name, values in columns.items()}), "manifest.parquet")
    for file, keep in (("all", ("train", "test")), ("cohort", ("train",)), ("leak", ("test",))):
        chosen = [i for i, row in enumerate(rows) if row[4] in keep]
        flat = pa.array(np.array(vectors, dtype=np.float32)[chosen].ravel())
        table = {
            "utterance_id": [rows[i][0] for i in chosen],
            "vector": pa.FixedSizeListArray.from_arrays(flat, DIMENSION),
        }
        pq.write_table(pa.table(table), f"{file}.parquet")
    run("trials", "manifest.parquet", "--output", "list.txt", "--per-group", "60")
    run("score", "--embeddings", "all.parquet", "--trials", "list.txt", "--output", "scores.txt")
    return dict(zip(columns["utterance_id"], vectors, strict=True))


def run(*arguments: str) -> None:
    assert main(arguments) == 0


def refused(capsys, *arguments: str) -> str:
    capsys.readouterr()
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    return printed.err.removeprefix("error: ").strip()


def test_asking_for_help_loads_nothing_heavy():
    code = (
        "import sys, contextlib, io, laspa.cli.main\n"
        "with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):\n"
        "    laspa.cli.main.main(['--help'])\n"
        "assert 'compare' in out.getvalue()\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_measuring_commands_need_no_deep_learning(corpus):
    """Other toolkits' users have a score file, not a GPU: torch and scikit-learn stay out."""
    code = (
        "import sys, laspa.cli.main\n"
        "laspa.cli.main.main(['metrics', 'scores.txt', '--by', 'gender', '--manifest', 'manifest.parquet'])\n"
        "print([name for name in ('torch', 'sklearn', 'mlflow') if name in sys.modules])"
    )
    path = {"PYTHONPATH": ":".join(sys.path)}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=path)
    assert found.stdout.splitlines()[-1] == "[]"


def test_trials_are_drawn_balanced_and_by_seed(corpus):
    trials = read_list("list.txt")
    assert trials.target.sum() == 8 * 3 + 60  # every pair within a language, 60 across
    assert 60 < (~trials.target).sum() <= 2 * 60
    run("trials", "manifest.parquet", "--output", "again.txt", "--per-group", "60")
    run("trials", "manifest.parquet", "--output", "other.txt", "--per-group", "60", "--seed", "2")
    same, other = (Path(name).read_bytes() for name in ("again.txt", "other.txt"))
    assert Path("list.txt").read_bytes() == same != other
    run("trials", "manifest.parquet", "--output", "list.parquet", "--per-group", "60")
    assert set(read_list("list.parquet").relations) == {"same_language", "same_gender", "unseen_language"}


def test_scores_are_cosines_in_the_lists_order(corpus):
    trials, scores = read_scores("scores.txt")
    for row in range(0, len(trials), 7):
        one, other = (corpus[name] for name in trials.pair(row).split())
        expected = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
        assert scores[row] == pytest.approx(expected, abs=1e-5)
    assert [trials.pair(row) for row in range(5)] == [read_list("list.txt").pair(row) for row in range(5)]


def test_a_models_vector_is_the_mean_direction_of_its_utterances(corpus, capsys):
    with open("models.txt", "w") as models, open("cn.txt", "w") as trials:
        models.write("s10-enroll s10/en/0 s10/hi/0\n")
        trials.write("s10-enroll s10/ta/0 1\ns10-enroll s11/ta/0 0\n")
    arguments = ["--embeddings", "all.parquet", "--trials", "cn.txt", "--models", "models.txt"]
    run("score", *arguments, "--output", "cn.parquet")
    unit = {name: vector / np.linalg.norm(vector) for name, vector in corpus.items()}
    mean = (unit["s10/en/0"] + unit["s10/hi/0"]) / 2
    expected = [mean @ unit[name] / np.linalg.norm(mean) for name in ("s10/ta/0", "s11/ta/0")]
    np.testing.assert_allclose(read_scores("cn.parquet")[1], expected, atol=1e-5)
    # A model is known by its first utterance: Hindi would be across languages, too.
    measured = ["metrics", "cn.parquet", "--manifest", "manifest.parquet", "--by", "condition", "--json"]
    capsys.readouterr()
    run(*measured, "--models", "models.txt", "--bootstrap", "0")
    assert json.loads(capsys.readouterr().out)["parts"].keys() == {"all", "cross_cross"}
    message = refused(capsys, *measured)
    assert message.startswith("cn.parquet: row 1: manifest.parquet lacks s10-enroll, and 1 utt")


def test_metrics_are_printed_and_machine_readable(corpus, capsys):
    capsys.readouterr()
    by = ["--by", "condition", "--by", "seen", "--manifest", "manifest.parquet", "--bootstrap", "100"]
    run("metrics", "scores.txt", *by, "--json")
    found = json.loads(capsys.readouterr().out)
    trials, scores = read_scores("scores.txt")
    expected = eer(scores[trials.target], scores[~trials.target])
    assert found["parts"]["all"]["eer"] == expected
    assert found["parts"]["all"]["eer_low"] <= expected <= found["parts"]["all"]["eer_high"]
    assert found["parts"]["cross_same"]["trials"] < found["parts"]["all"]["trials"]
    assert found["trial_list"]["speakers"] == 8
    run("metrics", "scores.txt", *by)
    table = capsys.readouterr().out
    assert found["trial_list"]["sha256"] in table
    row = next(line.split() for line in table.splitlines() if line.startswith("all "))
    assert row[3] == f"{100 * expected:.3f}"
    # The pipeline's own hash of the same trials.
    lines = [f"{trials.pair(i)} {int(trials.target[i])}\n" for i in range(len(trials))]
    assert found["trial_list"]["sha256"] == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_scores_without_labels_take_them_from_a_list(corpus, capsys):
    text = Path("scores.txt").read_text().splitlines()
    with open("bare.txt", "w") as file:
        file.writelines(line.rsplit(" ", 1)[0] + "\n" for line in reversed(text))
    capsys.readouterr()
    run("metrics", "scores.txt", "--json", "--bootstrap", "0")
    expected = json.loads(capsys.readouterr().out)["parts"]
    run("metrics", "bare.txt", "--trials", "list.txt", "--json", "--bootstrap", "0")
    assert json.loads(capsys.readouterr().out)["parts"] == expected
    assert "no labels; name the list by --trials" in refused(capsys, "metrics", "bare.txt")


def test_calibration_is_fitted_on_other_utterances(corpus, capsys):
    generator = np.random.default_rng(1)
    lines = []
    for number in range(400):
        target = number % 4 == 0
        score = generator.normal(0.5 if target else 0.0, 0.25)
        sides = f"d{number}/1 {f'd{number}' if target else 'd'}/2"
        lines.append(f"{sides} {score:.6f} {'target' if target else 'nontarget'}\n")
    Path("dev.txt").write_text("".join(lines))
    capsys.readouterr()
    run("metrics", "scores.txt", "--calibrate", "dev.txt", "--json", "--bootstrap", "0")
    found = json.loads(capsys.readouterr().out)
    assert found["calibration"]["slope"] == pytest.approx(0.5 / 0.25**2, rel=0.3)
    assert found["parts"]["all"]["cllr"] >= found["parts"]["all"]["min_cllr"]
    message = refused(capsys, "metrics", "scores.txt", "--calibrate", "scores.txt")
    assert "a calibration is fitted on dev utterances, never on those it is measured on" in message


def test_compare_prints_difference_and_interval(corpus, capsys):
    cohort = ["--cohort", "cohort.parquet", "--manifest", "manifest.parquet", "--cohort-top", "4"]
    run("score", "--embeddings", "all.parquet", "--trials", "list.txt", "--output", "normed.txt", *cohort)
    capsys.readouterr()
    run("compare", "scores.txt", "normed.txt", "--bootstrap", "200", "--json")
    found = json.loads(capsys.readouterr().out)["parts"]["all"]
    trials, scores = read_scores("normed.txt")
    assert found["second"] == eer(scores[trials.target], scores[~trials.target])
    assert found["low"] <= found["difference"] <= found["high"]
    by = ["--by", "condition", "--manifest", "manifest.parquet"]
    run("compare", "scores.txt", "normed.txt", "--bootstrap", "200", *by)
    rows = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines()}
    assert rows["all"][3] == f"{100 * found['difference']:+.3f}"
    assert rows["all"][4:7:2] == [f"{100 * found[end]:+.3f}" for end in ("low", "high")]
    language = np.array([name.split("/")[1] for name in trials.names.to_pylist()])
    same = language[trials.enroll] == language[trials.test]
    first, second = (
        100 * eer(values[trials.target & ~same], values[~trials.target & same])
        for values in (read_scores("scores.txt")[1], scores)
    )
    assert rows["cross_same"][1:4] == [f"{first:.3f}", f"{second:.3f}", f"{second - first:+.3f}"]


def test_a_cohort_with_evaluated_speakers_is_refused(corpus, capsys):
    arguments = ["score", "--embeddings", "all.parquet", "--trials", "list.txt", "--output", "normed.txt"]
    message = refused(capsys, *arguments, "--cohort", "leak.parquet", "--manifest", "manifest.parquet")
    assert message.startswith("cohort: 8 of its 8 speakers stand in the trial list, s06 among them")
    assert "needs --manifest" in refused(capsys, *arguments, "--cohort", "cohort.parquet")
    # A speaker of another split is no training data either, though no trial has him.
    with open("short.txt", "w") as file:
        file.write("1 s10/en/0 s10/en/1\n0 s10/en/0 s11/en/0\n")
    arguments[4] = "short.txt"
    table = pq.read_table("leak.parquet")
    pq.write_table(table.slice(0, 6), "other.parquet")
    message = refused(capsys, *arguments, "--cohort", "other.parquet", "--manifest", "manifest.parquet")
    assert "6 of 6 utterances are not of the split train, s06/en/0 among them" in message


def edited(name: str, old: str, new: str) -> str:
    text = Path("scores.txt").read_text()
    assert old in text
    with open(name, "w") as file:
        file.write(text.replace(old, new, 1))
    return name


def test_bad_input_ends_with_one_line_that_says_what_is_wrong(corpus, capsys):
    fourth = Path("scores.txt").read_text().splitlines()[3]
    enroll, test, score, label = fourth.split()
    nan = edited("nan.txt", f"{test} {score}", f"{test} nan")
    assert f"nan.txt:4: score nan of {enroll} {test} is not a finite number" in refused(
        capsys, "metrics", nan
    )
    unknown = edited("unknown.txt", fourth, f"{enroll} s99/en/0 {score} {label}")
    message = refused(capsys, "metrics", unknown, "--trials", "list.txt")
    assert f"unknown.txt:4: {enroll} s99/en/0 is no trial of list.txt: 1 utterance" in message
    message = refused(capsys, "metrics", unknown, "--manifest", "manifest.parquet")
    assert message.startswith(
        "unknown.txt:4: manifest.parquet lacks s99/en/0, and 1 utterance(s) of the list"
    )
    Path("empty.txt").touch()
    assert refused(capsys, "metrics", "empty.txt").startswith("empty.txt: empty; expected lines of")
    twice = edited("twice.txt", fourth, f"{fourth}\n{fourth}")
    assert "twice.txt:5" in refused(capsys, "metrics", twice)
    mixed = edited("mixed.txt", fourth, f"{label} {enroll} {test}")
    assert "mixed.txt:4: 3 fields instead of 4" in refused(capsys, "metrics", mixed)
    with open("one.txt", "w") as file:
        file.write("a/1 a/2 0.5 target\n")
    assert "one.txt: all 1 trials are target trials; error rates need both" in refused(
        capsys, "metrics", "one.txt"
    )
    assert refused(capsys, "metrics", "none.txt") == "none.txt: no such file"
    assert "languages of scores.txt are not known" in refused(
        capsys, "metrics", "scores.txt", "--by", "condition"
    )


def test_embeddings_that_do_not_fit_are_refused(corpus, capsys):
    arguments = ["score", "--trials", "list.txt", "--output", "out.txt", "--embeddings"]
    message = refused(capsys, *arguments, "cohort.parquet")
    assert message.startswith(
        "list.txt:1: the list has 48 utterance(s) or models without an embedding, s06/en/0"
    )
    table = pq.read_table("all.parquet")
    broken = table["vector"].combine_chunks().flatten().to_numpy().copy()
    broken[30 * DIMENSION] = np.nan
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(broken), DIMENSION)
    pq.write_table(pa.table({"utterance_id": table["utterance_id"], "vector": vectors}), "broken.parquet")
    assert "broken.parquet: the vector of s07/en/0 has values that" in refused(
        capsys, *arguments, "broken.parquet"
    )
    pq.write_table(pa.concat_tables([table, table.slice(0, 2)]), "twice.parquet")
    assert "twice.parquet: 2 utterance(s) stand there twice" in refused(capsys, *arguments, "twice.parquet")
    ragged = {"utterance_id": ["a", "b"], "vector": [[1.0], [1.0, 2.0]]}
    pq.write_table(pa.table(ragged), "ragged.parquet")
    assert "ragged.parquet: vectors of 2 lengths" in refused(capsys, *arguments, "ragged.parquet")
    for vectors, wrong in (
        ([[0.0], [1.0]], "the vector of a is zero"),
        (["1", "2"], "its column vector is string"),
    ):
        pq.write_table(pa.table(ragged | {"vector": vectors}), "ragged.parquet")
        assert f"ragged.parquet: {wrong}" in refused(capsys, *arguments, "ragged.parquet")
    assert not Path("out.txt").exists()


def test_a_corpus_folders_own_table_will_do(corpus, capsys):
    """Without splits and genders, and with paths for names; a speaker 01 is not 1."""
    table = (
        pd.read_parquet("manifest.parquet").query("split == 'test'").rename(columns={"utterance_id": "path"})
    )
    table = table.assign(speaker=table["speaker"].str.removeprefix("s"))
    table[["path", "speaker", "language"]].to_csv("own.csv", index=False)
    run("trials", "own.csv", "--output", "own.parquet")
    drawn = pd.read_parquet("own.parquet")
    assert drawn["target"].sum() == 8 * 6 * 5 / 2
    assert set(drawn["enroll"]) <= set(table["path"])
    run("score", "--embeddings", "all.parquet", "--trials", "own.parquet", "--output", "own.txt")
    capsys.readouterr()
    run("metrics", "own.txt", "--manifest", "own.csv", "--by", "condition", "--bootstrap", "100")
    printed = capsys.readouterr().out
    assert "8 speakers" in printed
    assert "cross_same" in printed
    table.assign(language=["", *table["language"][1:]]).to_csv("own.csv", index=False)
    message = refused(capsys, "trials", "own.csv", "--output", "x.txt")
    assert message == "own.csv: 1 utterance(s) without speaker or language; fill them in"


def test_other_refusals(corpus, capsys):
    message = refused(capsys, "trials", "manifest.parquet", "--split", "eval", "--output", "x.txt")
    assert message == "manifest.parquet: no split 'eval'; it has test, train"
    assert "none.parquet: no such file" in refused(capsys, "trials", "none.parquet", "--output", "x.txt")
    assert "--bootstrap is 0" in refused(capsys, "compare", "scores.txt", "scores.txt", "--bootstrap", "0")
    with pytest.raises(SystemExit):
        main(["metrics", "scores.txt", "--bootstrap", "7"])
    assert "'7' should be 0, or 100 or more" in capsys.readouterr().err


def test_names_that_show_no_speaker_cost_the_intervals_and_no_more(capsys, tmp_path):
    text = "\n".join(
        f"/data/s{a}/{a} /data/s{b}/{b}x {0.9 - abs(a - b)} {int(a == b)}" for a in (1, 2) for b in (1, 2)
    )
    (tmp_path / "scores.txt").write_text(text)
    assert main(["metrics", str(tmp_path / "scores.txt")]) == 0
    out = capsys.readouterr().out
    assert "unknown speakers" in out
    assert out.count("no intervals: what stands before '/' is no speaker (") == 1
    assert main(["metrics", str(tmp_path / "scores.txt"), "--json"]) == 0
    assert "is no speaker (" in json.loads(capsys.readouterr().out)["no_intervals"]
    assert main(["compare", str(tmp_path / "scores.txt"), str(tmp_path / "scores.txt")]) == 2
    assert "what stands before '/' is no speaker" in capsys.readouterr().err


@pytest.mark.parametrize("other", ["a/1.wav", "./a/1.wav", "a/1.m4a"])
def test_a_recording_against_itself_is_told(capsys, tmp_path, other):
    (tmp_path / "scores.txt").write_text(
        f"a/2.wav a/3.wav 0.9 1\na/1.wav {other} 1 1\na/1.wav b/1.wav 0.1 0\n"
    )
    assert main(["metrics", str(tmp_path / "scores.txt")]) == 0
    said = (
        "warning: 1 of 3 trials are of a recording with itself, which makes error rates too good: "
        f"{tmp_path}/scores"
    )
    assert said in capsys.readouterr().err
