"""Eight writers at once on each kind of store, and a server that goes away: nothing is lost."""

import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from laspa.params import load_params
from pipelines.tracking import runs as tracking
from pipelines.tracking import tracked_run
from tests import servers
from tests.regression.tiny import ROOT

pytestmark = pytest.mark.services

WRITERS, STEPS = 8, 25
METRICS = ("loss/total", "dev/eer_cross_same")
BUCKET = "artifacts"
AWAY_SECONDS = 3.0


class Server:
    """An MLflow server over PostgreSQL, its artifacts in S3; it can be killed and started again."""

    def __init__(self, database: str, aws: dict[str, str]) -> None:
        self.database, self.aws, self.port = database, aws, servers.free_port()
        self.url = f"http://{servers.HOST}:{self.port}"
        self.start()

    def start(self) -> None:
        self._running = servers.mlflow(self.database, f"s3://{BUCKET}", self.port, self.aws)
        self._running.__enter__()

    def kill(self) -> None:
        self._running.__exit__(None, None, None)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with servers.postgres() as database, servers.s3(BUCKET) as aws:
        started = Server(database, aws)
        yield started
        started.kill()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No store of the machine's own, and another working directory than the checkout."""
    for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_LOGGING_LEVEL", "WARNING")  # before MLflow is imported for the writers
    monkeypatch.chdir(tmp_path)


def write(number: int, experiment: str, uri: str | None, kept: Path | None, together: Any) -> None:
    """One writer: a run of STEPS epochs, what it prints in a file of its own."""
    sys.stdout = sys.stderr = open(f"{number}.log", "w", encoding="utf-8", buffering=1)  # noqa: SIM115
    if uri:
        os.environ["MLFLOW_TRACKING_URI"] = uri
    tracking.EXPERIMENT = experiment
    params = load_params(ROOT / "params.yaml").resolve("laspa")
    together.wait()
    with tracking.start_run(f"writer {number}", "train", params) as run:
        for step in range(STEPS):
            run.log_metrics(dict.fromkeys(METRICS, number + step / STEPS), step)
        if kept:
            run.log_artifacts(kept, "model")


def write_at_once(uri: str | None, kept: Path | None = None) -> None:
    """Start the writers together in the working directory; none may have a word to say."""
    # MLflow is imported once, and the writers are forked from there: eight imports take longer than the test.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mlflow", "pipelines.tracking.runs"])
    together = context.Barrier(WRITERS)
    writers = [
        context.Process(target=write, args=(number, tracking.EXPERIMENT, uri, kept, together))
        for number in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    said = [Path(f"{number}.log").read_text(encoding="utf-8") for number in range(WRITERS)]
    assert said == [""] * WRITERS
    assert [writer.exitcode for writer in writers] == [0] * WRITERS


def check_every_metric(uri: str) -> list[Any]:
    """Each writer's run has each metric at each step, once; the runs."""
    client = tracked_run.client_of(uri)
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "attributes.run_name LIKE 'writer %'")
    assert sorted(run.info.run_name for run in runs) == [f"writer {number}" for number in range(WRITERS)]
    for run in runs:
        assert run.info.status == "FINISHED"
        number = int(run.info.run_name.split()[1])
        for name in METRICS:
            history = client.get_metric_history(run.info.run_id, name)
            assert sorted((entry.step, entry.value) for entry in history) == [
                (step, number + step / STEPS) for step in range(STEPS)
            ]
    return list(runs)


def test_eight_writers_on_the_default_store(tmp_path: Path) -> None:
    write_at_once(None)
    check_every_metric(f"sqlite:///{tmp_path / 'mlflow.db'}")


def test_eight_writers_on_a_server_over_postgresql_and_s3(server: Server, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text('{"prefix_len": 8}')
    write_at_once(server.url, model)
    runs = check_every_metric(server.url)
    names = [name for name in servers.s3_keys(server.aws, BUCKET) if name.endswith("model/config.json")]
    assert sorted(name.split("/")[1] for name in names) == sorted(run.info.run_id for run in runs)
    fetched = tracked_run.client_of(server.url).download_artifacts(
        runs[0].info.run_id, "model/config.json", str(tmp_path)
    )
    assert Path(fetched).read_text() == '{"prefix_len": 8}'


def test_eight_writers_on_postgresql_itself(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tracking, "EXPERIMENT", "direct")
    write_at_once(server.database)
    check_every_metric(server.database)


def test_a_server_that_is_killed_and_started_again_loses_no_metric(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    params = load_params(ROOT / "params.yaml").resolve("laspa")
    with tracking.start_run("outage", "train", params) as run:
        run.log_metrics({"loss/total": 0.0}, 0)
        server.kill()
        try:
            began = time.monotonic()
            for step in range(1, STEPS):
                run.log_metrics({"loss/total": float(step)}, step)
            assert time.monotonic() - began < AWAY_SECONDS  # training does not wait for the server
            time.sleep(AWAY_SECONDS)
        finally:
            server.start()
        run.log_metrics({"loss/total": float(STEPS)}, STEPS)
    warnings = capsys.readouterr().err
    assert warnings.count("does not take records") == 1
    assert "none was lost" in warnings
    client = tracked_run.client_of(server.url)
    history = client.get_metric_history(run.run_id or "", "loss/total")
    assert [(entry.step, entry.value) for entry in history] == [(step, step) for step in range(STEPS + 1)]
    assert client.get_run(run.run_id or "").info.status == "FINISHED"
