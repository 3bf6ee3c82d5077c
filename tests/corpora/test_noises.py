"""MUSAN and RIRS_NOISES: their recordings by kind, and fetching them from a local server."""

import argparse
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from laspa.audio.noise_folders import noise_files
from laspa.cli import corpus as commands
from laspa.corpora import musan as noises
from laspa.corpora.corpus import RemoteFile
from laspa.errors import LaspaError
from tests.bad_server import bad_server

PARAMS = Path(__file__).parents[2] / "params.yaml"
MUSAN = (
    "musan/music/fma/music-fma-0000.wav",
    "musan/noise/free-sound/noise-free-sound-0000.wav",
    "musan/noise/sound-bible/noise-sound-bible-0000.wav",
    "musan/speech/us-gov/speech-us-gov-0000.wav",
    "musan/noise/free-sound/LICENSE",
)
REAL = "RIRS_NOISES/real_rirs_isotropic_noises"
RIRS = (
    "RIRS_NOISES/simulated_rirs/smallroom/Room001/Room001-00001.wav",
    "RIRS_NOISES/simulated_rirs/smallroom/rir_list",
    f"{REAL}/RVB2014_type1_rir_largeroom1_far_angla.wav",
    f"{REAL}/air_type1_air_binaural_office_0_1.wav",
    f"{REAL}/RVB2014_type1_noise_largeroom1_1.wav",
    "RIRS_NOISES/pointsource_noises/noise-free-sound-0000.wav",
)


def by_kind(name: str, folder: Path) -> dict[str, list[str]]:
    return {kind: [file.name for file in files] for kind, files in noise_files(name, folder).items()}


def make(folder: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def test_musan_by_kind(tmp_path: Path) -> None:
    make(tmp_path, MUSAN)
    expected = {
        "noise": ["noise-free-sound-0000.wav", "noise-sound-bible-0000.wav"],
        "music": ["music-fma-0000.wav"],
        "speech": ["speech-us-gov-0000.wav"],
    }
    assert by_kind("musan", tmp_path) == by_kind("musan", tmp_path / "musan") == expected


def test_rooms_and_the_noise_in_them_are_told_apart(tmp_path: Path) -> None:
    make(tmp_path, RIRS)
    assert by_kind("rirs_noises", tmp_path) == {
        "simulated_rirs": ["Room001-00001.wav"],
        "real_rirs": ["RVB2014_type1_rir_largeroom1_far_angla.wav", "air_type1_air_binaural_office_0_1.wav"],
        "isotropic_noises": ["RVB2014_type1_noise_largeroom1_1.wav"],
        "pointsource_noises": ["noise-free-sound-0000.wav"],
    }


def test_what_is_not_the_corpus_or_not_all_of_it(tmp_path: Path) -> None:
    make(tmp_path, MUSAN[:3])
    with pytest.raises(LaspaError, match="not musan, which has the folders noise, music, speech; run laspa"):
        noise_files("musan", tmp_path)
    (tmp_path / "musan" / "speech").mkdir()
    with pytest.raises(LaspaError, match="no WAV of speech; delete"):
        noise_files("musan", tmp_path)


@pytest.mark.parametrize("name", ["musan", "rirs_noises"])
def test_fetched_and_listed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    buffer = io.BytesIO()
    if name == "musan":
        make(tmp_path / "in", MUSAN)
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            tar.add(tmp_path / "in" / "musan", "musan")
    else:
        with zipfile.ZipFile(buffer, "w") as zipped:
            for member in RIRS:
                zipped.writestr(member, b"x")
    params = tmp_path / "params.yaml"
    params.write_text(PARAMS.read_text().replace("accept_licences: []", f"accept_licences: [{name}]"))
    with bad_server() as server:
        server.files["/archive"] = buffer.getvalue()
        file = RemoteFile(f"{server.url}/archive", "all/archive")
        monkeypatch.setattr(noises, "_MUSAN", file)
        monkeypatch.setattr(noises, "_RIRS", file)
        commands.fetch(argparse.Namespace(name=name, params=str(params)))
    inner = "musan" if name == "musan" else "RIRS_NOISES"
    folder = tmp_path / "data" / "downloads" / name / "unpacked" / "all" / inner
    assert f"{name} is in {folder}" in capsys.readouterr().out
    assert noise_files(name, folder) == noise_files(name, tmp_path / "data" / "downloads" / name / "unpacked")
