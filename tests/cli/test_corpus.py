"""`laspa corpus`: what it says of a corpus whose archives have no public address."""

import json
from pathlib import Path
from typing import Any

import pytest

from laspa.cli.main import main
from laspa.corpora.download import corpora
from laspa.corpora.voxceleb import VOXCELEB2
from laspa.params.dotted import put
from laspa.params.loading import read_yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that are asked for; nothing is fetched."""
    monkeypatch.chdir(tmp_path)
    asked: list[str] = []
    monkeypatch.setattr(corpora, "fetch", lambda files, *_: asked.extend(one.url for one in files))
    monkeypatch.setattr(corpora, "extract", lambda _, folder: folder.mkdir(parents=True))
    return asked


def write_params(**changes: Any) -> None:
    """A project's params.yaml, in which the licence is accepted."""
    values = read_yaml(ROOT / "params.yaml")
    put(values, "download.accept_licences", ["voxceleb2"])
    values["voxceleb2"] |= changes
    Path("params.yaml").write_text(json.dumps(values), encoding="utf-8")  # which is YAML too


def test_without_an_address_the_lists_are_fetched_and_it_is_said_what_is_missing(fetched, capsys):
    write_params()
    assert main(["corpus", "fetch", "voxceleb2"]) == 0
    assert fetched == [one.url for one in VOXCELEB2.lists]
    said = capsys.readouterr().out
    assert "the lists of voxceleb2 are in data/downloads/voxceleb2; of its recordings nothing was" in said
    assert "set voxceleb2.archives in params.yaml" in said


def test_with_an_address_the_archives_are_fetched_too(fetched, capsys):
    write_params(archives="https://example.org/vox/")
    assert main(["corpus", "fetch", "voxceleb2"]) == 0
    assert fetched[1] == "https://example.org/vox/vox2_dev_aac_partaa"
    assert fetched[-1] == "https://example.org/vox/vox2_test_aac.zip"
    assert len(fetched) == len(VOXCELEB2.lists) + 8 + 1
    assert "voxceleb2 is in data/downloads/voxceleb2/unpacked" in capsys.readouterr().out
