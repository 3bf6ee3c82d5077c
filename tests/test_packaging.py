"""The wheel: what is in it, and that its core works where none of the extras is installed."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from laspa.models.saving import save_model
from laspa.params import with_overrides
from tests.small_training import run, small_data, small_params
from tests.test_house import ROOT, tracked

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CORE_ALONE = Path(__file__).with_name("core_alone.py")
IN_EXTRAS = ("laspa.report", "laspa.tuning")  # only stages import them
ALONE = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
COMMAND = "from laspa.cli.main import main; sys.exit(main())"
IMPORT_ALL = f"""
import importlib, pkgutil, laspa
for module in pkgutil.walk_packages(laspa.__path__, "laspa."):
    if not module.name.startswith({IN_EXTRAS}):
        importlib.import_module(module.name)
print(laspa.__file__)
"""
EMBED = """
from pathlib import Path
import numpy as np, torch
from laspa.audio.reading import read_audio
from laspa.features.mel import log_mel
from laspa.models.saving import load_model
from laspa.params.data import Features
model, config = load_model(Path("model"))
mel = log_mel(read_audio("a.wav"), Features(**config["features"]["settings"]))
np.save("embedding.npy", model.eval()(torch.from_numpy(mel).float()[None]).speaker.detach().numpy())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of what git tracks here, built in a copy: building writes into the folder."""
    folder = tmp_path_factory.mktemp("source")
    for file in tracked("laspa", "pyproject.toml", "README.md", "LICENSE"):
        copy = folder / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder / "dist"]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, folder], check=True)
    (built,) = (folder / "dist").iterdir()
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model, a recording and a score file."""
    folder = tmp_path_factory.mktemp("used")
    params = with_overrides(small_params(), {"train.epochs": 1, "features.num_mels": 12})
    data = small_data()
    trained = run(params, data, folder / "state").model
    features = {"settings": params.features.model_dump(mode="json"), "digest": "made up"}
    save_model(folder / "model", trained, features, data.speakers, data.languages)
    soundfile.write(folder / "a.wav", np.random.default_rng(1).normal(size=16_000) / 10, 16_000)
    rows = ["a/1 a/2 0.9 1", "a/1 b/1 0.2 0", "b/1 b/2 0.8 1", "b/2 c/1 0.3 0"]
    (folder / "scores.txt").write_text("\n".join(rows), encoding="utf-8")
    return folder


def core_alone(installed: Path, folder: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, CORE_ALONE, installed, code, *arguments]
    return subprocess.run(
        command, cwd=folder, env=ALONE, capture_output=True, text=True, check=False, timeout=120
    )


def test_the_wheel_holds_the_library_with_its_templates_and_nothing_else(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == {str(file.relative_to(ROOT)) for file in tracked("laspa")}
    assert any(name.startswith("laspa/report/templates/") for name in names)


def test_the_core_imports_and_embeds_a_recording_without_the_extras(installed: Path, used: Path) -> None:
    imported = core_alone(installed, used, IMPORT_ALL)
    assert imported.returncode == 0, imported.stderr
    assert imported.stdout == f"{installed}/laspa/__init__.py\n"
    embedded = core_alone(installed, used, EMBED)
    assert embedded.returncode == 0, embedded.stderr
    embedding = np.load(used / "embedding.npy")
    assert embedding.shape == (1, 16)
    assert np.isfinite(embedding).all()


def test_the_core_measures_scores_without_the_extras(installed: Path, used: Path) -> None:
    measured = core_alone(installed, used, COMMAND, "metrics", "scores.txt", "--bootstrap", "0")
    assert measured.returncode == 0, measured.stderr
    assert "EER" in measured.stdout


def test_a_command_without_its_extra_says_which_to_install(installed: Path, used: Path) -> None:
    (used / "pipelines").mkdir()
    (used / "pipelines/tune.py").write_text("import matplotlib, ray\n", encoding="utf-8")
    ended = core_alone(installed, used, f"sys.path.append('.'); {COMMAND}", "tune")
    assert ended.returncode != 0
    assert ended.stderr == "error: this needs matplotlib: pip install 'laspa[tune]'\n"


def test_a_module_of_no_extra_is_a_fault_of_ours(installed: Path, used: Path) -> None:
    ended = core_alone(installed, used, "from laspa.cli.main import extra_with; print(extra_with('lasp'))")
    assert ended.stdout == "None\n"


def test_the_lock_has_one_version_of_each_package_for_every_python() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = [Requirement(line) for line in text.splitlines() if not line.startswith("#")]
    extras = PROJECT["optional-dependencies"]
    names = chain(PROJECT["dependencies"], *(extras[name] for name in extras if name != "voxlingua"))
    wanted = [needed for needed in map(Requirement, names) if needed.name != "laspa"]
    for python in PYTHONS:
        environment = {
            "python_version": python,
            "python_full_version": f"{python}.2",
            "sys_platform": "linux",
        }
        here = [line for line in locked if not line.marker or line.marker.evaluate(environment)]
        versions = {canonicalize_name(line.name): str(line.specifier).removeprefix("==") for line in here}
        assert len(versions) == len(here)
        for needed in wanted:
            assert needed.specifier.contains(versions[canonicalize_name(needed.name)]), needed


def test_all_places_name_the_same_pythons() -> None:
    allowed = SpecifierSet(PROJECT["requires-python"])
    assert [f"3.{minor}" for minor in range(30) if f"3.{minor}" in allowed] == PYTHONS
    script = (ROOT / ".ci/find-python").read_text(encoding="utf-8")
    assert set(re.findall(r"python(3\.\d+)", script)) == set(PYTHONS)
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]
    assert jobs["test"]["strategy"]["matrix"]["python"] == PYTHONS


@pytest.mark.services
def test_an_environment_with_the_core_alone(wheel: Path, used: Path, tmp_path: Path) -> None:
    python = tmp_path / "bin/python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path], check=True)
    lock = ["--constraint", ROOT / "requirements.lock"]
    pip = [python, "-m", "pip", "--quiet"]
    probe = subprocess.run([*pip, "download", "--no-deps", "--dest", tmp_path, "tqdm", *lock], check=False)
    if probe.returncode != 0:
        pytest.skip("THE CORE'S ENVIRONMENT IS NOT TESTED: no package index can be reached")
    subprocess.run([*pip, "install", "--no-compile", *lock, wheel], check=True)
    for command in ([python, "-c", EMBED], [tmp_path / "bin/laspa", "metrics", "scores.txt"]):
        subprocess.run(command, cwd=used, env=ALONE, check=True)
    absent = ("dvc", "mlflow", "ray", "great_expectations", "matplotlib", "optuna")
    found = f"from importlib.util import find_spec; print([name for name in {absent} if find_spec(name)])"
    printed = subprocess.run([python, "-c", found], env=ALONE, capture_output=True, check=True).stdout
    assert printed == b"[]\n"
