"""What Ray is told before a trial starts: earlier trials, and whether the machines have what is asked."""

import pickle
import socket
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from laspa.errors import LaspaError
from laspa.params import load_params, with_overrides
from laspa.tuning.trial_files import FAILED, FINISHED, PRUNED, RUNNING, Trial
from pipelines.ray import session as ray_session
from pipelines.ray import sweep

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml").resolve("laspa")
GRACE = PARAMS.tune.grace_epochs


def history(rate: float, epochs: int) -> list[dict[str, Any]]:
    return [{"epoch": epoch, "dev": {"eer_cross_same": rate}} for epoch in range(1, epochs + 1)]


def decision(trials: list[Trial], rate: float) -> str:
    """What the scheduler decides of one more trial with this rate, at the end of its grace."""
    scheduler = sweep._scheduler(PARAMS.tune, trials)
    assert scheduler is not None
    trial: Any = SimpleNamespace(trial_id="new")
    scheduler.on_trial_add(None, trial)
    return scheduler.on_trial_result(None, trial, {"epoch": GRACE, "eer": rate})


def test_trials_that_ended_before_a_restart_still_count() -> None:
    ended = [
        Trial(1, "a", {}, FINISHED, history(0.1, PARAMS.tune.epochs)),
        Trial(2, "b", {}, PRUNED, history(0.3, GRACE)),
        Trial(3, "c", {}, FAILED, error="it died"),
    ]
    assert decision(ended, 0.2) == "STOP"  # of 0.1 and 0.3 the upper third begins at 1/6 of the way
    assert decision(ended, 0.15) == "CONTINUE"
    assert decision([], 0.2) == "CONTINUE"
    assert decision([Trial(1, "a", {}, RUNNING, history(0.1, GRACE))], 0.2) == "CONTINUE"  # it reports again


def test_no_scheduler_where_none_is_asked_for() -> None:
    assert sweep._scheduler(with_overrides(PARAMS, {"tune.scheduler": "none"}).tune, []) is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"tune.gpus": 0.25},
            "tune.gpus is 0.25 but no node has more than 0 GPU; set it to 0",
        ),
        ({"tune.cpus": 3.0}, "tune.cpus is 3 but no node has more than 2 CPU; lower it"),
    ],
)
def test_what_no_node_has_is_refused(
    changes: dict[str, Any], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = [
        {"Alive": True, "Resources": {"CPU": 2.0}},
        {"Alive": False, "Resources": {"CPU": 8.0, "GPU": 1.0}},
    ]
    monkeypatch.setattr(sweep.ray, "nodes", lambda: nodes)
    sweep._check_resources(PARAMS.tune)
    with pytest.raises(LaspaError) as error:
        sweep._check_resources(with_overrides(PARAMS, changes).tune)
    assert str(error.value).startswith(f"params.yaml: {expected}")


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_that_nobody_answers_is_refused_at_once(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("RAY_ADDRESS", f"{scheme}127.0.0.1:{port}")
    with pytest.raises(LaspaError) as error, sweep.ray_started(PARAMS.tune):
        raise AssertionError
    message = str(error.value)
    assert message.startswith(f"RAY_ADDRESS is '{scheme}127.0.0.1:{port}' but no Ray cluster answers there")
    assert message.endswith("correct it, or unset it to stay on this machine")


def test_a_port_where_another_program_listens_is_refused_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_session, "ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{mute.getsockname()[1]}")
        with pytest.raises(LaspaError, match="no Ray cluster answers there"), sweep.ray_started(PARAMS.tune):
            raise AssertionError


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request", b"SSH-", b""])
def test_a_server_of_another_protocol_is_refused(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(said)

        threading.Thread(target=answer, daemon=True).start()
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(LaspaError, match="does not speak gRPC"), sweep.ray_started(PARAMS.tune):
            raise AssertionError


def test_ray_keeps_no_copy_of_the_data() -> None:
    """Its settings of a sweep are pickled into the sweep's folder, and again as trials run."""
    data: Any = np.zeros(10**6, dtype=np.float32)
    files: Any = None
    queue = sweep._Queue(PARAMS, [Trial(1, "a", {})], data, files)
    assert len(pickle.dumps(queue)) < 1000
