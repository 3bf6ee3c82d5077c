"""The same bytes under every mask of processor features: the digests of portable_operations.py."""

import importlib
import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from laspa.arithmetic import PORTABLE, use_arithmetic

HERE = Path(__file__).parent
DIGESTS = HERE / "portable_digests.json"
# What other processors with AVX2 look like to the libraries. OpenBLAS names its AVX2 kernels Haswell, Zen.
AS_AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OPENBLAS_CORETYPE": "Zen",
    "NPY_DISABLE_CPU_FEATURES": PORTABLE["NPY_DISABLE_CPU_FEATURES"],
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX512DQ",
}
WITHOUT_AVX = {"MKL_CBWR": "COMPATIBLE", "ONEDNN_MAX_CPU_ISA": "SSE41", "OPENBLAS_CORETYPE": "Nehalem"}


def digests(*parts: str, **variables: str) -> dict[str, str]:
    """What the operations give in a process of their own with these switches and no others."""
    masks = {*PORTABLE, *AS_AVX2}
    environment = {name: value for name, value in os.environ.items() if name not in masks}
    environment |= variables | {"PYTHONPATH": str(HERE.parent)}
    command = [sys.executable, str(HERE / "portable_operations.py"), *parts]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def committed() -> dict[str, str]:
    """The digests of the versions that requirements.lock names."""
    kept = json.loads(DIGESTS.read_text())
    others = [
        f"{name} {version(name)}"
        for name, locked in kept["versions"].items()
        if version(name).split("+")[0] != locked
    ]
    if others:
        pytest.skip(f"the digests are those of other versions than {', '.join(others)}")
    return kept["digests"]


@pytest.mark.parametrize(
    "variables",
    [PORTABLE, PORTABLE | AS_AVX2 | {"MKL_CBWR": "COMPATIBLE"}],
    ids=["this processor", "as one with AVX2 alone"],
)
def test_everything_is_as_committed_with_the_switches(variables: dict[str, str]) -> None:
    expected, found = committed(), digests(**variables)
    assert found.keys() == expected.keys()
    differ = [name for name, value in expected.items() if found[name] != value]
    assert not differ, (
        f"this processor computes other bytes in: {', '.join(differ)}; see docs/reproducibility.md"
    )


@pytest.mark.parametrize(
    "variables", [{}, AS_AVX2, WITHOUT_AVX], ids=["none", "avx2", "libraries without AVX"]
)
def test_features_need_no_switches(variables: dict[str, str]) -> None:
    expected = committed()
    for name, value in digests("features", **variables).items():
        assert value == expected[name], f"{name} depends on the processor"


def test_versions_are_those_of_the_lock() -> None:
    lock = (HERE.parent / "requirements.lock").read_text()
    for name, kept in json.loads(DIGESTS.read_text())["versions"].items():
        assert re.search(rf"^{re.escape(name)}=={re.escape(kept)}\b", lock, re.MULTILINE), (
            f"requirements.lock has another {name}: make the digests again, by portable_operations.py"
        )


@pytest.mark.parametrize(
    ("train", "there"),
    [("arithmetic: portable", True), ("arithmetic: native  # fast", False), ("epochs: 3", True)],
)
def test_the_params_decide(tmp_path: Path, train: str, there: bool) -> None:
    params = tmp_path / "params.yaml"
    params.write_text(f"# arithmetic: native\ntrain:\n  device: cpu\n  {train}\n")
    program = (
        "import os, sys; from pathlib import Path; from laspa.arithmetic import use_arithmetic; "
        "use_arithmetic(Path(sys.argv[1])); "
        "print(os.environ.get('MKL_CBWR'), os.environ['OPENBLAS_CORETYPE'])"
    )
    environment = {name: value for name, value in os.environ.items() if name not in PORTABLE}
    environment |= {"OPENBLAS_CORETYPE": "Zen", "PYTHONPATH": str(HERE.parent)}
    command = [sys.executable, "-c", program, str(params)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["COMPATIBLE" if there else "None", "Zen"]  # what is set already stays


def test_nothing_changes_once_numpy_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MKL_CBWR", raising=False)
    importlib.import_module("numpy")  # also where this file is run alone
    use_arithmetic(tmp_path / "params.yaml")
    assert "MKL_CBWR" not in os.environ


def test_a_stage_sets_the_switches_before_it_loads_numpy() -> None:
    program = "import sys, os, pipelines; print(os.environ['MKL_CBWR'], 'numpy' in sys.modules)"
    environment = {name: value for name, value in os.environ.items() if name not in PORTABLE}
    environment["PYTHONPATH"] = str(HERE.parent)
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, env=environment, cwd=HERE.parent, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["COMPATIBLE", "False"]
