"""deploy/: the cluster files are what Ray and KubeRay take, and ask for what the sweep relies on."""

import copy
import json
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[1]


def read(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / "deploy" / name).read_text(encoding="utf-8"))


@pytest.fixture
def launcher_schema() -> dict[str, Any]:
    """Ray's own, from its wheel."""
    spec = find_spec("ray")
    assert spec is not None
    assert spec.origin is not None
    return json.loads((Path(spec.origin).parent / "autoscaler/ray-schema.json").read_text(encoding="utf-8"))


@pytest.fixture
def rayjob_schema() -> dict[str, Any]:
    return json.loads(Path(__file__).with_name("rayjob.schema.json").read_text(encoding="utf-8"))


def test_the_launchers_file_is_what_ray_takes(launcher_schema: dict[str, Any]) -> None:
    cluster = read("ray-cluster.yaml")
    jsonschema.validate(cluster, launcher_schema)
    worker = cluster["available_node_types"]["gpu_worker"]
    assert cluster["head_node_type"] in cluster["available_node_types"]
    assert worker["node_config"]["InstanceMarketOptions"]["MarketType"] == "spot"
    assert worker["resources"]["GPU"] == 1
    assert worker["min_workers"] == 0 < worker["max_workers"] <= cluster["max_workers"]
    assert "InstanceMarketOptions" not in cluster["available_node_types"]["head"]["node_config"]
    wrong = copy.deepcopy(cluster) | {"idle_timeout": 5}
    with pytest.raises(jsonschema.ValidationError, match="idle_timeout"):
        jsonschema.validate(wrong, launcher_schema)


def test_the_job_is_what_kuberay_takes(rayjob_schema: dict[str, Any]) -> None:
    job = read("rayjob.yaml")
    jsonschema.validate(job, rayjob_schema)
    (workers,) = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert workers["minReplicas"] == 0 < workers["maxReplicas"]
    assert job["spec"]["rayClusterSpec"]["enableInTreeAutoscaling"]
    (container,) = workers["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    wrong = copy.deepcopy(job)
    wrong["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["minReplica"] = 0
    with pytest.raises(jsonschema.ValidationError, match="minReplica"):
        jsonschema.validate(wrong, rayjob_schema)


def test_both_run_the_locked_ray_and_a_script_that_is_there() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    (version,) = (line.removeprefix("ray==") for line in lock if line.startswith("ray=="))
    job = read("rayjob.yaml")["spec"]
    assert job["rayClusterSpec"]["rayVersion"] == version
    assert f"rayproject/ray:{version}-" in (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8")
    script = ROOT / "deploy/sweep.sh"
    for command in (job["entrypoint"], script.read_text(encoding="utf-8").splitlines()[-1]):
        module = command.split(" -m ")[1]
        assert (ROOT / f"{module.replace('.', '/')}.py").exists()
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
