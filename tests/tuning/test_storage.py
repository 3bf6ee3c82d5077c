"""Training states in a folder, and where only a file system of pyarrow reaches."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import fsspec
import pytest
from pyarrow import fs

from laspa.errors import LaspaError
from laspa.tuning.storage import Storage, fetch
from pipelines.tune import READ, main, tables
from tests.tuning.tiny import make_tiny_sweep

FREE_MIB = 5
USAGE = SimpleNamespace(total=1 << 30, used=(1 << 30) - (FREE_MIB << 20), free=FREE_MIB << 20)


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """A storage in the memory of this process, which stands in for an object store."""
    memory = fs.PyFileSystem(fs.FSSpecHandler(fsspec.filesystem("memory")))
    monkeypatch.setattr("laspa.tuning.storage._opened", lambda place: (memory, f"/{tmp_path.name}"))
    return Storage("memory://states")


def test_a_folder_is_used_as_it_is(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path / "states"))
    with storage.states("abc") as (folder, keep):
        assert folder == tmp_path / "states"
        (folder / "abc.safetensors").write_text("state")
        keep()
    (tmp_path / "states/thesis.txt").touch()
    storage.delete("sweep", ["abc", "def"])
    assert [file.name for file in (tmp_path / "states").iterdir()] == ["thesis.txt"]


def test_states_elsewhere_are_copied_to_and_fro(remote: Storage) -> None:
    with remote.states("abc") as (folder, keep):
        assert not list(folder.iterdir())
        (folder / "abc.safetensors").write_text("one epoch")
        keep()
    assert not folder.exists()
    with remote.states("abc") as (folder, keep):
        assert (folder / "abc.safetensors").read_text() == "one epoch"
    remote.delete("sweep", ["abc", "def"])
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
    assert "name a folder or a URI that this machine and all nodes can write" in message
    assert ("credentials come from the environment" in message) == ("://" in place)


def test_a_folder_without_room_for_the_states_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: USAGE)
    storage = Storage(str(tmp_path))
    storage.check_room(FREE_MIB, 1 << 20)
    with pytest.raises(LaspaError) as error:
        storage.check_room(FREE_MIB + 1, 1 << 20)
    assert str(error.value) == (
        f"params.yaml: tune.storage is '{tmp_path}': the states of 6 trials would take 6.0 MiB, but "
        f"{tmp_path} has only 5.0 MiB free; make room, lower tune.trials or name a folder on a larger disk"
    )


def test_a_sweep_without_room_ends_before_its_first_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_tiny_sweep(tmp_path / "project", {"tune.trials": 40})
    monkeypatch.chdir(folder)
    monkeypatch.setattr("shutil.disk_usage", lambda _: USAGE)
    with pytest.raises(
        LaspaError, match=r"tune\.storage is .* 40 trials would take .* has only 5\.0 MiB free"
    ):
        main()
    assert not (folder / "reports").exists()
    assert not list(folder.rglob("*.json"))


def test_the_room_of_an_object_store_is_not_asked_for(
    remote: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: USAGE)
    remote.check_room(FREE_MIB + 1, 1 << 20)


@pytest.mark.parametrize("secret", ["ann:hunter2@bucket/states", "bucket/states?secret_key=hunter2"])
def test_no_secret_of_a_place_is_shown(secret: str, tmp_path: Path) -> None:
    with pytest.raises(LaspaError) as error:
        Storage(f"nothing://{secret}")
    with pytest.raises(LaspaError) as other:
        tables(f"nothing://{secret}", READ, tmp_path)
    for message in (str(error.value), str(other.value)):
        assert "hunter2" not in message
        assert "'nothing://bucket/states'" in message


def test_what_a_driver_sends_is_there_for_the_next_one(tmp_path: Path) -> None:
    """At a URI alone: a folder is the driver's own already."""
    file = tmp_path / "trial.json"
    file.write_text("first", encoding="utf-8")
    here, there = (Storage(place) for place in (str(tmp_path / "folder"), (tmp_path / "store").as_uri()))
    for storage in (here, there):
        storage.upload(file, "sweep/trials/abc.json")
        storage.download("sweep", tmp_path / f"back from {storage is there}")
    assert not (tmp_path / "back from False").exists()
    assert (tmp_path / "back from True/trials/abc.json").read_text(encoding="utf-8") == "first"
    file.write_text("second", encoding="utf-8")
    there.upload(file, "sweep/trials/abc.json")
    there.download("sweep", tmp_path / "back from True")  # what is there is newer, or the same
    assert (tmp_path / "back from True/trials/abc.json").read_text(encoding="utf-8") == "first"
    there.delete("sweep", [])
    there.download("sweep", tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_a_file_at_a_folder_s_uri_is_replaced_whole_or_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads it meanwhile, or after a driver was killed there, finds the old file or the new."""
    storage = Storage((tmp_path / "bucket").as_uri())
    file = tmp_path / "trial.json"
    for text in ("old", "new"):
        file.write_text(text)
        storage.upload(file, "sweep/trial.json")
    assert (tmp_path / "bucket/sweep/trial.json").read_text() == "new"

    def killed(source: Path, target: Path) -> None:
        target.write_text("ha")
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "copyfile", killed)
    with pytest.raises(KeyboardInterrupt):
        storage.upload(file, "sweep/trial.json")
    assert (tmp_path / "bucket/sweep/trial.json").read_text() == "new"


def test_a_file_and_a_folder_are_fetched_whole(tmp_path: Path) -> None:
    (tmp_path / "data/features").mkdir(parents=True)
    for name in ("manifest.parquet", "features/part-0.parquet", "features/part-1.parquet"):
        (tmp_path / "data" / name).write_text(name, encoding="utf-8")
    place = (tmp_path / "data").as_uri()
    fetch(f"{place}/manifest.parquet", tmp_path / "copy/manifest.parquet")
    fetch(f"{place}/features", tmp_path / "copy/features")
    fetch(f"{place}/trials", tmp_path / "copy/trials")
    copied = {str(file.relative_to(tmp_path / "copy")) for file in (tmp_path / "copy").rglob("*")}
    names = {"features/part-0.parquet", "features/part-1.parquet"}
    assert copied == {"manifest.parquet", "features"} | names
    assert all((tmp_path / "copy" / name).read_text(encoding="utf-8") == name for name in names)
