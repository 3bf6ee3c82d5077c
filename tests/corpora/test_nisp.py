"""NISP from a local server: a miniature with the real names, list formats and layers of compression."""

import argparse
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

from laspa.cli import corpus as commands
from laspa.corpora import prepare as preparation
from laspa.corpora.nisp import CORPUS
from laspa.errors import LaspaError
from laspa.manifest.build import build_manifest
from laspa.manifest.index import locator
from laspa.params import Download, load_params, with_overrides
from tests.bad_server import BadServer, bad_server

PARAMS = Path(__file__).parents[2] / "params.yaml"


def prepare(options: Download, root: Path, raw: Path) -> None:
    params = load_params(PARAMS).model_copy(update={"corpus": "nisp", "download": options})
    preparation.prepare(params, root, raw)


NATIVE = {"Hindi": "Hin", "Kannada": "Kan", "Malayalam": "Mal", "Tamil": "Tam", "Telugu": "Tel"}
RATE = 44_100
# The first of each language in train_spkrID and test_spkrID, with the gender of total_spkrinfo.list.
TRAIN = {"Hin_0002": "f", "Kan_0001": "f", "Mal_0001": "m", "Tam_0001": "m", "Tel_0002": "m"}
TEST = {"Hin_0001": "f", "Kan_0003": "f", "Mal_0003": "f", "Tam_0003": "m", "Tel_0001": "m"}


def recording(seed: int) -> bytes:
    """0.6 s of noise at 44.1 kHz."""
    buffer = io.BytesIO()
    samples = np.random.default_rng(seed).normal(0, 0.1, int(0.6 * RATE))
    soundfile.write(buffer, samples, RATE, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def archive(code: str, language: str) -> bytes:
    """A gzip of a gzip of a tar RECS/SPEAKER/NAME.wav, of all speakers of a native language."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for speaker, gender in sorted((TRAIN | TEST).items()):
            for take in range(2 if speaker.startswith(code) else 0):
                name = f"RECS/{speaker}/{speaker}_{language}_{gender}_{take:04}.wav"
                info = tarfile.TarInfo(name)
                content = recording(int(hashlib.sha256(name.encode()).hexdigest()[:8], 16))
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return gzip.compress(gzip.compress(buffer.getvalue(), mtime=0), mtime=0)


def git_blob(content: bytes) -> str:
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


def publish(server: BadServer) -> None:
    """The repository's files as raw.githubusercontent.com gives them, and its tree as the API does."""
    files = {"README.md": b"# NISP-Dataset\n", "Hindi_master/scripts/Hindi_txt/common_sents": b"x"}
    files["train_spkrID"] = "".join(f"{speaker}___TRN\n" for speaker in TRAIN).encode()
    files["test_spkrID"] = "".join(f"{speaker}___TST\n" for speaker in TEST).encode()
    for native, code in NATIVE.items():
        for folder, language in ((native, code), (f"English_{native}", "Eng")):
            content = archive(code, language)
            third = -(-len(content) // 3)
            for number, suffix in enumerate(("aa", "ab", "ac")):
                path = f"{native}_master/{folder}/RECS.tar.gz.{suffix}"
                files[path] = content[number * third : (number + 1) * third]
    tree = [
        {"path": path, "mode": "100644", "type": "blob", "sha": git_blob(content), "size": len(content)}
        for path, content in files.items()
    ]
    tree.append({"path": "Hindi_master", "mode": "040000", "type": "tree", "sha": "0"})
    server.files = {f"/raw/{path}": content for path, content in files.items()}
    listing = json.dumps({"sha": "0", "tree": tree, "truncated": False}).encode()
    server.files["/api/repos/iiscleap/NISP-Dataset/git/trees/master"] = listing


@pytest.fixture
def server() -> Iterator[BadServer]:
    with bad_server() as running:
        publish(running)
        yield running


def changes(server: BadServer) -> dict[str, Any]:
    return {
        "corpus": "nisp",
        "download.accept_licences": ["nisp"],
        "download.retries": 1,
        "download.stall_seconds": 5.0,
        "download.wait_seconds": 0.01,
        "download.mirrors": {
            "https://api.github.com": f"{server.url}/api",
            "https://raw.githubusercontent.com/iiscleap/NISP-Dataset/master": f"{server.url}/raw",
        },
    }


def options(server: BadServer) -> Download:
    return with_overrides(load_params(PARAMS), changes(server)).download


def test_the_whole_way_from_the_licence_to_the_manifest(server: BadServer, tmp_path: Path) -> None:
    server.faults["/raw/Tamil_master/Tamil/RECS.tar.gz.ab"] = ["500", "truncate", "corrupt"]
    prepare(options(server), tmp_path, tmp_path / "raw")
    index = pd.read_csv(tmp_path / "raw" / "index.csv", dtype=str, keep_default_na=False)
    assert len(index) == 10 * 2 * 2
    row = index[index["path"].str.endswith("Hin_0001_Eng_f_0000.wav")].iloc[0]
    size = len(recording(0))
    assert row.to_dict() == {
        "path": "nisp/unpacked/Hindi_master/English_Hindi/RECS/Hin_0001/Hin_0001_Eng_f_0000.wav",
        "speaker": "Hin_0001",
        "language": "eng",
        "gender": "f",
        "split": "test",
        "bytes": str(size),
    }
    assert set(index["language"]) == {"eng", "hin", "kan", "mal", "tam", "tel"}

    params = with_overrides(load_params(PARAMS), changes(server))
    locate = locator(tmp_path / "raw", tmp_path)
    manifest, skipped = build_manifest(index, "nisp", params.manifest, locate, 2, tmp_path / "partial")
    assert skipped.empty
    assert set(manifest["sample_rate"]) == {RATE}
    speakers = manifest.groupby("split")["speaker"].unique().map(set).to_dict()
    assert speakers["test"] == set(TEST)
    assert speakers["train"] | speakers["dev"] == set(TRAIN)
    assert len(speakers["dev"]) == 2  # a fifth of five speakers, but at least two

    server.seen.clear()
    prepare(options(server), tmp_path, tmp_path / "again")
    assert not server.seen
    assert (tmp_path / "again" / "index.csv").read_bytes() == (tmp_path / "raw" / "index.csv").read_bytes()


def test_unpacked_archives_may_be_deleted(server: BadServer, tmp_path: Path) -> None:
    prepare(options(server), tmp_path, tmp_path / "raw")
    for part in (tmp_path / "data/downloads/nisp").rglob("RECS.tar.gz.*"):
        part.unlink()
    server.seen.clear()
    prepare(options(server), tmp_path, tmp_path / "raw")
    assert not server.seen


def test_the_licence_comes_first(server: BadServer, tmp_path: Path) -> None:
    refusing = options(server).model_copy(update={"accept_licences": ["musan"]})
    with pytest.raises(LaspaError) as raised:
        prepare(refusing, tmp_path, tmp_path / "raw")
    assert str(raised.value) == (
        "nisp comes under CC BY 4.0, https://creativecommons.org/licenses/by/4.0/; read it and, if you "
        "accept it, set download.accept_licences to [musan, nisp] in params.yaml"
    )
    assert not server.seen


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        ("Telugu_master/English_Telugu/RECS.tar.gz", "names no RECS.tar.gz.aa of telugu_master/english_telu"),
        ("Tamil_master/Tamil/RECS.tar.gz.ab", "has no part RECS.tar.gz.ab, but .*RECS.tar.gz.ac"),
    ],
)
def test_a_tree_without_what_is_needed(server: BadServer, tmp_path: Path, lost: str, words: str) -> None:
    path = "/api/repos/iiscleap/NISP-Dataset/git/trees/master"
    tree = json.loads(server.files[path])
    tree["tree"] = [entry for entry in tree["tree"] if not entry["path"].startswith(lost)]
    server.files[path] = json.dumps(tree).encode()
    with pytest.raises(LaspaError, match=words):
        prepare(options(server), tmp_path, tmp_path / "raw")


def test_a_speaker_in_both_lists_or_in_none(server: BadServer, tmp_path: Path) -> None:
    server.files["/raw/test_spkrID"] += b"Hin_0002___TST\n"
    server.files["/api/repos/iiscleap/NISP-Dataset/git/trees/master"] = json.dumps(
        {
            "tree": json.loads(server.files["/api/repos/iiscleap/NISP-Dataset/git/trees/master"])["tree"],
            "truncated": False,
        }
    ).encode()
    with pytest.raises(LaspaError, match="test_spkrID:6: Hin_0002 is in train_spkrID too"):
        prepare(options(server), tmp_path, tmp_path / "raw")
    lists = tmp_path / "data/downloads/nisp"
    (lists / "test_spkrID").write_text("Hin_0001___TST\n")
    (tmp_path / "checksums.json").unlink()
    (lists / "train_spkrID").write_text((lists / "train_spkrID").read_text())
    with pytest.raises(LaspaError, match=r"speaker \w+ is in neither of train_spkrID, test_spkrID"):
        prepare(options(server), tmp_path, tmp_path / "raw")


def test_a_recording_of_another_name(server: BadServer, tmp_path: Path) -> None:
    prepare(options(server), tmp_path, tmp_path / "raw")
    unpacked = tmp_path / "data/downloads/nisp/unpacked/Hindi_master/Hindi/RECS"
    (unpacked / "Hin_0001_Hin_f_0000 (copy).wav").write_bytes(b"x")
    with pytest.raises(LaspaError, match=r"1 of 41 recordings are not named like .*\(copy\)\.wav"):
        prepare(options(server), tmp_path, tmp_path / "raw")


def test_a_plan_before_and_after(
    server: BadServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "params.yaml"
    text = PARAMS.read_text()
    url = server.url
    text = text.replace("accept_licences: []", "accept_licences: [nisp]")
    mirrors = f"{{https://api.github.com: {url}/api, {CORPUS.lists[1].url.rpartition('/')[0]}: {url}/raw}}"
    file.write_text(text.replace("mirrors: {}", f"mirrors: {mirrors}"))
    chosen = argparse.Namespace(name="nisp", params=str(file))
    commands.plan(chosen)
    before = capsys.readouterr().out
    raw = "https://raw.githubusercontent.com/iiscleap/NISP-Dataset/master"
    assert f"missing  {raw}/Tamil_master/English_Tamil/RECS.tar.gz.aa, ab, …" in before
    assert "how many, sizes and checksums unknown until first fetch" in before
    assert "to fetch 0 B, and what is unknown; " in before
    assert not server.seen

    part = "Hindi_master/Hindi/RECS.tar.gz.ab"
    server.always[f"/raw/{part}"] = "404"
    with pytest.raises(LaspaError, match=f"nisp: {part} could not be fetched"):
        commands.fetch(chosen)
    commands.plan(chosen)
    between = capsys.readouterr().out
    size = len(server.files[f"/raw/{part}"])
    assert f"missing  {raw}/{part}\n         size {size:,} bytes; checksum published (git)" in between
    server.always.clear()
    commands.fetch(chosen)
    commands.plan(chosen)
    after = capsys.readouterr().out
    assert f"unpacked {raw}/{part}\n         size {size:,} bytes; checksum pinned" in after
    assert "to fetch 0 B; " in after
