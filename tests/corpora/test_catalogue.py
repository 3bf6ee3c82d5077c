"""Corpora joined: whose a speaker is, one code a language, and that the interface is what the docs show."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

from laspa.corpora import catalogue
from laspa.corpora.catalogue import CORPORA
from laspa.corpora.corpus import Corpus
from laspa.corpora.prepare import prepare
from laspa.errors import LaspaError
from laspa.manifest.build import build_manifest
from laspa.manifest.index import locator
from laspa.manifest.language_codes import iso_639_3, unify
from laspa.params import Params, load_params, with_overrides

ROOT = Path(__file__).parents[2]
PARAMS = load_params(ROOT / "params.yaml")


def params(**changes: Any) -> Params:
    return with_overrides(PARAMS, {name.replace("__", "."): value for name, value in changes.items()})


def write(path: Path, seed: int) -> None:
    """0.6 s of noise at 16 kHz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(seed).uniform(-0.3, 0.3, 9_600), 16_000)


def write_tree(folder: Path, names: Sequence[str], first_seed: int = 0) -> None:
    for seed, name in enumerate(names, start=first_seed):
        write(folder / name, seed)


def read_index(raw: Path) -> pd.DataFrame:
    return pd.read_csv(raw / "index.csv", dtype=str, keep_default_na=False)


def test_the_catalogue_names_corpora_as_they_name_themselves() -> None:
    assert {name: corpus.name for name, corpus in catalogue.CORPORA.items()} == {
        name: name for name in catalogue.CORPORA
    }


@pytest.mark.parametrize("corpus", ["voxceleb", ["synthetic", "voxceleb"]])
def test_an_unknown_corpus_is_named_with_those_there_are(corpus: str | list[str], tmp_path: Path) -> None:
    with pytest.raises(LaspaError) as error:
        prepare(params(corpus=corpus), tmp_path, tmp_path / "raw")
    assert str(error.value) == (
        f"params.yaml: corpus is 'voxceleb' but should be one of {', '.join(CORPORA)}"
    )
    assert not (tmp_path / "raw").exists()


def test_joined_corpora_keep_people_of_one_name_apart_and_call_languages_alike(tmp_path: Path) -> None:
    """Speaker 01 of one corpus and 01 of the other are two people; `en` and `English` are one language."""
    write_tree(tmp_path / "mine", [f"{n:02d}/en/{i}.wav" for n in range(6) for i in range(2)])
    tidy = [f"TidyVoiceX_Train/{n:02d}/English/{i}.wav" for n in range(4) for i in range(2)]
    tidy += [f"TidyVoiceX_Dev/{n:02d}/sw/{i}.wav" for n in range(4, 6) for i in range(2)]
    write_tree(tmp_path / "tidy", tidy, first_seed=100)
    joined = params(corpus=["folder", "tidyvoice"], folder__paths=["mine"], tidyvoice__path="tidy")
    raw = tmp_path / "raw"
    prepare(joined, tmp_path, raw)
    index = read_index(raw)
    assert index.groupby("corpus")["speaker"].unique().map(sorted).to_dict() == {
        "folder": [f"folder-mine-{n:02d}" for n in range(6)],
        "tidyvoice": [f"tidyvoice-{n:02d}" for n in range(6)],
    }
    assert set(index["language"]) == {"eng", "swa"}
    manifest, _ = build_manifest(
        index, "folder", joined.manifest, locator(raw, tmp_path), 2, tmp_path / "partial"
    )
    assert len(manifest) == 24
    assert set(manifest["corpus"]) == {"folder", "tidyvoice"}
    # The folder's six speakers are split by seed, TidyVoiceX's as it says.
    splits = manifest.groupby(["corpus", "split"])["speaker"].nunique().to_dict()
    assert splits == {
        ("folder", "dev"): 2,
        ("folder", "test"): 2,
        ("folder", "train"): 2,
        ("tidyvoice", "train"): 4,
        ("tidyvoice", "test"): 2,
    }


def test_the_embedded_corpus_can_be_joined(tmp_path: Path) -> None:
    write_tree(tmp_path / "mine", ["ann/de/0.wav"])
    joined = params(
        corpus=["synthetic", "folder"],
        folder__paths=["mine"],
        synthetic__train_speakers=2,
        synthetic__dev_speakers=2,
        synthetic__test_speakers=2,
        synthetic__train_utterances=1,
        synthetic__eval_utterances=1,
        synthetic__seconds=1.0,
    )
    raw = tmp_path / "raw"
    prepare(joined, tmp_path, raw)
    index, locate = read_index(raw), locator(raw, tmp_path)
    assert all(locate(path).is_file() for path in index["path"])
    assert {"synthetic-train0000", "folder-mine-ann"} <= set(index["speaker"])
    assert index["language"].str.len().eq(3).all()
    assert (raw / "synthetic/train0000").is_dir()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("en", "eng"), ("eng", "eng"), ("en-US", "eng"), ("English", "eng"), ("en: English", "eng"),
        ("de", "deu"), ("ger", "deu"), ("zh-CN", "zho"), ("yue", "yue"), ("hi", "hin"), ("Kannada", "kan"),
        ("ckb", "ckb"), ("und", "und"),
    ],
)  # fmt: skip
def test_a_language_has_one_code_whatever_it_is_called(name: str, code: str) -> None:
    assert iso_639_3(name) == code


@pytest.mark.parametrize("name", ["xx", "zz", "klingonese", "e", "12"])
def test_a_code_nobody_knows_has_none(name: str) -> None:
    with pytest.raises(ValueError, match=re.escape(name)):
        iso_639_3(name)


def test_unknown_codes_are_counted() -> None:
    with pytest.raises(LaspaError) as raised:
        unify(pd.Series(["en", "xx", "xx", "q9"]), "folder")
    assert str(raised.value) == (
        "folder: no language is called 'q9' (1 recordings), 'xx' (2 recordings); write languages as "
        "ISO 639-1 or 639-3 codes, such as en, ben or yue"
    )


def test_the_corpus_of_the_docs_runs(tmp_path: Path) -> None:
    """docs/corpora.md shows a corpus in 50 lines: it is taken out of there and run."""
    text = (ROOT / "docs/corpora.md").read_text(encoding="utf-8")
    (source,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(source.splitlines()) <= 50
    (tmp_path / "digits.py").write_text(source, encoding="utf-8")
    namespace: dict[str, Any] = {}
    exec(compile(source, "digits.py", "exec"), namespace)
    corpus = namespace["CORPUS"]
    assert isinstance(corpus, Corpus)
    write_tree(tmp_path / "digits", ["en/ann_f_0.wav", "en/bob_m_0.wav", "uk/ann_f_0.wav"])
    listing = corpus.list_recordings(params(folder__paths=["digits"]), tmp_path, tmp_path / "raw")
    assert listing.rows[["path", "speaker", "language", "gender"]].values.tolist() == [
        ["digits/en/ann_f_0.wav", "ann", "en", "f"],
        ["digits/en/bob_m_0.wav", "bob", "en", "m"],
        ["digits/uk/ann_f_0.wav", "ann", "uk", "f"],
    ]
    # Its style is the house's.
    command = ["ruff", "check", "--config", str(ROOT / "pyproject.toml"), str(tmp_path / "digits.py")]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    (tmp_path / "digits/en/strange.wav").write_bytes(b"")
    with pytest.raises(LaspaError, match=r"en/strange\.wav: expected NAME_GENDER_NUMBER\.wav"):
        corpus.list_recordings(params(folder__paths=["digits"]), tmp_path, tmp_path / "raw")
