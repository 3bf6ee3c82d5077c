"""DVC beyond one machine: remotes on disk and in S3, the queue, and experiments shared through git."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from laspa.files import read_json
from pipelines.tracking import runs as tracking
from pipelines.tracking.tracked_run import client_of
from tests import servers
from tests.regression.tiny import SMALLEST, drop_stages, make_tiny_project, run

pytestmark = pytest.mark.services

BUCKET, QUEUE_SECONDS = "laspa", 900
UP_TO_DATE = "Data and pipelines are up to date."


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny project after `dvc repro`, committed, with a bare repository beside it to share it."""
    folder = tmp_path_factory.mktemp("remotes") / "project"
    make_tiny_project(folder, SMALLEST)
    drop_stages(folder, ["evaluate", "model", "report"])
    run(folder, "dvc", "repro")
    run(folder, "git", "init", "-q", "--bare", "../shared.git")
    run(folder, "git", "remote", "add", "origin", str(folder.parent / "shared.git"))
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-q", "-m", "The first results")
    return folder


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    with servers.s3(BUCKET) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield environment


def add_remote(folder: Path, url: str) -> None:
    run(folder, "dvc", "remote", "add", "--force", "--default", "storage", url)
    run(folder, "git", "commit", "-q", "-m", "Another remote", ".dvc/config")
    run(folder, "git", "push", "-q", "origin", "HEAD")


def clone(folder: Path, target: Path) -> Path:
    run(folder, "git", "clone", "-q", str(folder.parent / "shared.git"), str(target))
    return target


def check_pulled(folder: Path, original: Path) -> None:
    """A clone has all data by `dvc pull` alone, and nothing to do."""
    assert not (folder / "data").exists()
    run(folder, "dvc", "pull")
    assert UP_TO_DATE in run(folder, "dvc", "status").stdout
    repeated = run(folder, "dvc", "repro").stdout
    assert "Running stage" not in repeated
    assert UP_TO_DATE in repeated
    assert run(folder, "git", "status", "--porcelain").stdout == ""
    weights = "data/trained/laspa_plus/model.safetensors"
    assert (folder / weights).read_bytes() == (original / weights).read_bytes()


def test_a_remote_on_disk_gives_a_clone_all_outputs(project: Path, tmp_path: Path) -> None:
    add_remote(project, str(tmp_path / "storage"))
    run(project, "dvc", "push")
    check_pulled(clone(project, tmp_path / "clone"), project)


def test_a_remote_in_s3_gives_a_clone_all_outputs(
    project: Path, aws: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_remote(project, f"s3://{BUCKET}/dvc")
    run(project, "dvc", "push")
    assert all(key.startswith("dvc/files/md5/") for key in servers.s3_keys(aws, BUCKET))
    check_pulled(clone(project, tmp_path / "clone"), project)

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # ask nobody else for credentials
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    refused = run(clone(project, tmp_path / "other"), "dvc", "pull", check=False)
    assert refused.returncode != 0
    assert "Unable to locate credentials" in refused.stdout
    kept = [path.read_text(errors="ignore") for path in (project / ".dvc").glob("config*")]
    assert not any(aws["AWS_SECRET_ACCESS_KEY"] in text for text in [refused.stdout, *kept])


def test_queued_experiments_run_one_by_one_and_are_shared_through_git(project: Path, tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    shutil.copytree(project, ours, symlinks=True)
    run(ours, "git", "init", "-q", "--bare", "../shared.git")
    run(ours, "git", "remote", "set-url", "origin", str(tmp_path / "shared.git"))
    add_remote(ours, str(tmp_path / "storage"))
    run(ours, "dvc", "push")
    for length in (2, 4):
        run(ours, "dvc", "exp", "run", "--queue", "--name", f"prefix-{length}", "-S", f"prefix_len={length}",
            "train@laspa_plus")  # fmt: skip
    run(ours, "dvc", "queue", "start")
    deadline = time.monotonic() + QUEUE_SECONDS
    while "Queued" in (status := run(ours, "dvc", "queue", "status").stdout) or "Running" in status:
        assert time.monotonic() < deadline, status
        time.sleep(3)
    assert status.count("Success") == 2, status
    assert run(ours, "git", "status", "--porcelain").stdout == ""  # the checkout is as it was
    client = client_of(f"sqlite:///{ours / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT)
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id], "tags.DVC_EXP_NAME LIKE 'prefix-%'")
    lengths = {run_.data.tags["DVC_EXP_NAME"]: run_.data.params["prefix_len"] for run_ in found}
    assert lengths == {"prefix-2": "2", "prefix-4": "4"}

    run(ours, "dvc", "exp", "push", "origin", "prefix-4")
    theirs = clone(ours, tmp_path / "theirs")
    run(theirs, "dvc", "pull")
    assert "prefix-4" in run(theirs, "dvc", "exp", "list", "origin").stdout
    run(theirs, "dvc", "exp", "pull", "origin", "prefix-4")
    run(theirs, "dvc", "exp", "apply", "prefix-4")
    config = read_json(theirs / "data/trained/laspa_plus/config.json")
    assert config != read_json(ours / "data/trained/laspa_plus/config.json")
    again = run(theirs, "dvc", "repro", "train@laspa_plus").stdout
    assert "Running stage" not in again
    assert UP_TO_DATE in again
