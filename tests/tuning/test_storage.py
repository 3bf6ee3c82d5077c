"""Training states in a folder, and where only a file system of pyarrow reaches."""

from pathlib import Path

import fsspec
import pytest
from pyarrow import fs

from laspa.errors import LaspaError
from laspa.tuning.storage import Storage


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """A storage in the memory of this process, which stands in for an object store."""
    memory = fs.PyFileSystem(fs.FSSpecHandler(fsspec.filesystem("memory")))
    monkeypatch.setattr("laspa.tuning.storage._opened", lambda place: (memory, f"/{tmp_path.name}"))
    return Storage("memory://states")


def test_a_folder_is_used_as_it_is(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path / "states"))
    storage.check()
    with storage.states("abc") as (folder, keep):
        assert folder == tmp_path / "states"
        (folder / "abc.safetensors").write_text("state")
        keep()
    (tmp_path / "states/thesis.txt").touch()
    storage.remove(["abc", "def"])
    assert [file.name for file in (tmp_path / "states").iterdir()] == ["thesis.txt"]


def test_states_elsewhere_are_copied_to_and_fro(remote: Storage) -> None:
    remote.check()
    with remote.states("abc") as (folder, keep):
        assert not list(folder.iterdir())
        (folder / "abc.safetensors").write_text("one epoch")
        keep()
    assert not folder.exists()
    with remote.states("abc") as (folder, keep):
        assert (folder / "abc.safetensors").read_text() == "one epoch"
    remote.remove(["abc", "def"])
    with remote.states("abc") as (folder, _):
        assert not list(folder.iterdir())


@pytest.mark.parametrize("place", ["nothing://bucket/states", "params.yaml/states"])
def test_a_place_that_cannot_be_written_is_refused(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").touch()
    with pytest.raises(LaspaError) as error:
        Storage(place)
    message = str(error.value)
    assert message.startswith(f"params.yaml: tune.storage is {place!r}, which cannot be used (")
    assert message.endswith("name a folder or a URI that this machine and all nodes can write")
