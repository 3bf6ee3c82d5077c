"""`laspa backend fit` and `laspa score --backend` as a user calls them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from laspa.backend.parts import Speech
from laspa.cli.main import main
from laspa.evaluation.score_files import read_scores
from tests.backend.made_up import people


def write(name: str, speech: Speech, model: str = "abc") -> None:
    ids = [f"{one}/{row}" for row, one in enumerate(speech.speakers.tolist())]
    flat = pa.array(speech.vectors.astype(np.float32).ravel())
    vectors = pa.FixedSizeListArray.from_arrays(flat, speech.vectors.shape[1])
    table = pa.table({"utterance_id": ids, "vector": vectors})
    pq.write_table(table.replace_schema_metadata({b"laspa.model": model.encode()}), f"{name}.parquet")
    about = {"utterance_id": ids, "speaker": speech.speakers.tolist(), "language": speech.languages.tolist()}
    pq.write_table(pa.table(about), f"{name}_manifest.parquet")
    pairs = [(one, other) for one in range(0, len(ids), 3) for other in range(1, len(ids), 3)]
    labels = [(int(speech.speakers[a] == speech.speakers[b]), ids[a], ids[b]) for a, b in pairs]
    Path(f"{name}.txt").write_text("".join(f"{label} {a} {b}\n" for label, a, b in labels), encoding="utf-8")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write("mine", people(speakers=8))
    write("others", people(speakers=6, seed=1))


FIT = ["backend", "fit", "--embeddings", "mine.parquet", "--manifest", "mine_manifest.parquet"]
FIT += ["--output", "backend.safetensors", "--bootstrap", "100", "--parts", "pair,means"]


def score(name: str, *more: str, backend: bool = True) -> list[str]:
    used = ["--backend", "backend.safetensors"] if backend else []
    given = ["--embeddings", f"{name}.parquet", "--trials", f"{name}.txt", "--output", f"{name}.scores"]
    return ["score", *given, *used, *more]


@pytest.mark.usefixtures("files")
def test_fit_and_score(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(FIT) == 0
    printed = capsys.readouterr().out
    assert "8 speakers: 8 of en, 8 of zh; 8 of more than one language" in printed
    assert "cross / same" in printed
    assert "backend.safetensors: it pays; uses" in printed
    assert main(score("others", "--manifest", "others_manifest.parquet")) == 0
    trials, scores = read_scores("others.scores")
    assert main(score("others", backend=False)) == 0
    _, plain = read_scores("others.scores")
    target = np.array([a.split("/")[0] == b.split("/")[0] for a, b in _names(trials)])
    assert _error(scores, target) < 0.7 * _error(plain, target)
    assert main(score("others")) == 0  # without labels the languages are told from the embeddings
    _, told = read_scores("others.scores")
    assert _error(told, target) < 0.7 * _error(plain, target)


@pytest.mark.usefixtures("files")
def test_what_it_was_learnt_of_is_not_scored(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(FIT) == 0
    assert main(score("mine")) == 2
    assert "was learnt of 32 utterance(s) of mine.txt" in capsys.readouterr().err
    again = people(speakers=8, seed=0)
    write("again", again)
    renamed = pq.read_table("again_manifest.parquet").to_pydict()
    ids = [f"new-{name}" for name in renamed["utterance_id"]]
    for file in ("again", "again_manifest"):
        table = pq.read_table(f"{file}.parquet")
        pq.write_table(table.set_column(0, "utterance_id", [ids]), f"{file}.parquet")
    lines = Path("again.txt").read_text(encoding="utf-8").replace(" s0", " new-s0")
    Path("again.txt").write_text(lines, encoding="utf-8")
    assert main(score("again", "--manifest", "again_manifest.parquet")) == 2
    assert "was learnt of 8 speaker(s) of again.txt" in capsys.readouterr().err


@pytest.mark.usefixtures("files")
def test_another_recogniser_and_another_recording(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(FIT) == 0
    others = people(speakers=6, seed=1)
    write("others", others, model="xyz")
    assert main(score("others")) == 2
    assert (
        "was learnt of embeddings of the model abc, but others.parquet is of xyz" in capsys.readouterr().err
    )
    write("others", others._replace(vectors=others.vectors[:, :7]))
    assert main(score("others")) == 2
    assert "was learnt of vectors of length 16, others.parquet has vectors of 7" in capsys.readouterr().err
    microphone = 4 * np.random.default_rng(5).normal(size=others.vectors.shape[1])
    write("others", others._replace(vectors=others.vectors + microphone))
    assert main(score("others", "--manifest", "others_manifest.parquet")) == 0
    assert "not used, scores are cosines" in capsys.readouterr().err
    _, scores = read_scores("others.scores")
    assert main(score("others", backend=False)) == 0
    np.testing.assert_array_equal(scores, read_scores("others.scores")[1])


@pytest.mark.usefixtures("files")
def test_a_csv_of_paths_names_the_speakers(capsys: pytest.CaptureFixture[str]) -> None:
    table = pq.read_table("mine_manifest.parquet")
    table = table.rename_columns(["path", "speaker", "language"])
    pyarrow.csv.write_csv(table, "mine.csv")
    command = [word.replace("mine_manifest.parquet", "mine.csv") for word in FIT]
    assert main(command) == 0
    assert "8 speakers: 8 of en, 8 of zh" in capsys.readouterr().out
    pyarrow.csv.write_csv(table.drop_columns(["language"]), "mine.csv")
    assert main(command) == 2
    assert "mine.csv: no column language; it has path, speaker, utterance_id" in capsys.readouterr().err
    assert main([word.replace("mine.csv", "none.csv") for word in command]) == 2
    assert "none.csv: no such file" in capsys.readouterr().err


@pytest.mark.usefixtures("files")
def test_bad_files(capsys: pytest.CaptureFixture[str]) -> None:
    pq.write_table(pq.read_table("mine_manifest.parquet").drop_columns(["language"]), "mine_manifest.parquet")
    assert main(FIT) == 2
    assert "mine_manifest.parquet" in (error := capsys.readouterr().err)
    assert "language" in error
    Path("backend.safetensors").write_bytes(b"no backend")
    assert main(score("others")) == 2
    assert "backend.safetensors: not a backend" in capsys.readouterr().err


def _names(trials) -> list[tuple[str, str]]:
    names = trials.names.to_pylist()
    return [(names[a], names[b]) for a, b in zip(trials.enroll, trials.test, strict=True)]


def _error(scores: np.ndarray, target: np.ndarray) -> float:
    from laspa.evaluation.error_rates import eer

    return eer(scores[target], scores[~target])
