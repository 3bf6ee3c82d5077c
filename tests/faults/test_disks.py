"""Stages on a full disk, and in folders that may not be written: one line, nothing half-written."""

import ctypes
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.faults.conftest import Finished
from tests.faults.killing import contents, half_written
from tests.faults.summary import keep
from tests.regression.tiny import FOREIGN_VARIABLES

pytestmark = pytest.mark.faults

SEED, WRITES = 1, int(os.environ.get("LASPA_FULL_DISKS", "20"))
PAGE_BYTES, DISK_BYTES = 4096, 2**28  # of the small disk: a file takes whole pages
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1  # of linux/prctl.h and linux/capability.h


@pytest.fixture(scope="module")
def project(finished: Finished) -> Iterator[Path]:
    """The finished project, on a small disk where one can be mounted."""
    with tempfile.TemporaryDirectory(prefix="laspa-faults-") as place:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", place]
        mounted = (
            os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
        )
        try:
            yield finished.copy(Path(place) / "project")
        finally:
            if mounted:
                subprocess.run(["umount", "--lazy", place], check=True)


def stages(folder: Path) -> dict[str, list[str]]:
    """What each stage writes, by the words of its command, as in `train baseline`."""
    lock = yaml.safe_load((folder / "dvc.lock").read_text(encoding="utf-8"))
    return {
        one["cmd"].removeprefix("pipelines/python -m pipelines."): [out["path"] for out in one["outs"]]
        for one in lock["stages"].values()
    }


def stage(folder: Path, name: str, largest: int | None = None) -> tuple[int, str]:
    """Run a stage's script, for which the modes of folders hold (root's rights to pass them are dropped).

    Args:
        largest: bytes of a file, beyond which a write fails as on a full disk.

    Returns:
        its status and output.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN_VARIABLES)}

    def limit() -> None:
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)
        if largest is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

    ended = subprocess.run(
        [sys.executable, "-m", *f"pipelines.{name}".split()],
        cwd=folder,
        env=kept | {"PYTHONPATH": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        preexec_fn=limit,
        timeout=900,
    )
    return ended.returncode, ended.stdout


def stage_on_a_full_disk(folder: Path, name: str, room: int) -> tuple[int, str]:
    """Run a stage's script where `room` bytes are free."""
    ballast = folder.parent / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(folder).free - room)
    try:
        return stage(folder, name)
    finally:
        ballast.unlink()


def written(folder: Path, parts: list[str]) -> dict[str, bytes]:
    """The files that these outputs are, or hold."""
    files = {part: (folder / part).read_bytes() for part in parts if (folder / part).is_file()}
    return contents(folder, *parts) | files


def check_refused(status: int, said: str) -> None:
    """One line says what is wrong, besides warnings and progress."""
    assert status == 1, said
    assert "Traceback" not in said, said
    assert sum(line.startswith("error: ") for line in said.splitlines()) == 1, said


@pytest.mark.parametrize("kind", ["full_disks", "file_size_limits"])
def test_a_full_disk_is_one_line_and_the_next_run_mends_it(project: Path, kind: str) -> None:
    full = kind == "full_disks"
    if full and not os.path.ismount(project.parent):
        pytest.skip("only root can mount a small disk")
    generator, refused, known = np.random.default_rng(SEED), Counter[str](), stages(project)
    for _ in range(WRITES // 2):
        name = str(generator.choice(list(known)))
        expected = written(project, known[name])
        for part in known[name]:  # as DVC does before it runs a stage
            path = project / part
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        if full:
            pages = sum(-(-len(content) // PAGE_BYTES) for content in expected.values())
            status, said = stage_on_a_full_disk(project, name, PAGE_BYTES * int(generator.integers(pages)))
        else:
            largest = max(map(len, expected.values()))
            status, said = stage(project, name, int(np.exp(generator.uniform(0, np.log(largest)))))
        check_refused(status, said)
        assert half_written(project) == []
        for part in filter(lambda part: (project / part).exists(), known[name]):  # whole, or not there
            whole = {file: content for file, content in expected.items() if f"{file}/".startswith(f"{part}/")}
            assert written(project, [part]) == whole, said
        status, said = stage(project, name)
        assert status == 0, said
        assert written(project, known[name]) == expected
        refused[name.split()[0]] += 1
    keep(kind, writes=refused.total(), stages=dict(refused))


def test_a_folder_that_may_not_be_written_is_one_line(project: Path) -> None:
    before = contents(project, "data", "reports")
    folders = [one for part in ("data", "reports") for one in (project / part, *(project / part).rglob("*/"))]
    folders = [one for one in folders if one.is_dir()]
    try:
        for one in folders:
            one.chmod(0o555)
        for name in stages(project):
            status, said = stage(project, name)
            check_refused(status, said)
            assert "denied" in said
            assert contents(project, "data", "reports") == before
    finally:
        for one in folders:
            one.chmod(0o755)
    keep("read_only_folders", stages=len(stages(project)))
