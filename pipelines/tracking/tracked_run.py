"""One MLflow run that loses nothing while the store is away: records wait in order until it answers.

Training must neither end nor wait because a tracking server is restarted or a database is locked.
"""

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from laspa.redaction import without_credentials

SYSTEM_METRICS_SECONDS = 10.0
RETRY_SECONDS = 5.0  # between tries while the store is away, so that not every record waits for a time-out
REFUSED = set(range(400, 500)) - {408, 429}  # the store has judged the record: a retry will not help


class ClosedWithStatus:
    """`with` closes it: FAILED if the block raises, KILLED if it is interrupted, else FINISHED."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        failed = "KILLED" if kind is KeyboardInterrupt else "FAILED"
        self.close(failed if kind else "FINISHED")

    def close(self, status: str) -> None:
        raise NotImplementedError


class TrackedRun(ClosedWithStatus):
    """A run of MLflow. Each method returns at once or after one try; none raises because of the store."""

    def __init__(self, uri: str, start: Callable[[], Any], patience: float, watch: bool = True) -> None:
        """Start the run.

        Args:
            uri: the store.
            start: makes or reopens the run, and returns MLflow's client and run; called until it succeeds.
            patience: seconds that `close` waits for a store that is away.
            watch: log this machine's load.
        """
        self.run_id: str | None = None
        self._uri, self._start, self._patience = uri, start, patience
        self._client: Any = None
        self._pending: deque[Callable[[Any, str], None]] = deque()
        self._away_since: float | None = None
        self._next_try = 0.0
        self._lock = threading.Lock()
        self._began = time.time()
        self._send_pending()
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._log_system_metrics, name="system metrics", daemon=True)
        if watch:
            self._watcher.start()

    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Log numbers with the current time; those that are None are left out."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        values = [
            Metric(name, float(value), now, step or 0) for name, value in metrics.items() if value is not None
        ]
        self._send(lambda client, run_id: client.log_batch(run_id, metrics=values))

    def steps(self, name: str) -> set[int]:
        """The steps at which the store has the metric `name`; none while it is away."""
        if self.run_id is None:
            return set()
        try:
            return {int(metric.step) for metric in self._client.get_metric_history(self.run_id, name)}
        except Exception:  # of whatever kind the store's driver raises
            return set()

    def set_tag(self, name: str, value: str) -> None:
        """Set a tag, without the credentials that a URI in it may have."""
        clean = without_credentials(value)
        self._send(lambda client, run_id: client.set_tag(run_id, name, clean))

    def log_artifacts(self, path: Path | str, folder: str = "") -> None:
        """Copy a file, or all of a folder, under the artifact folder `folder`."""
        source = Path(path).resolve()  # the working directory may be another when the store is back

        def copy(client: Any, run_id: str) -> None:
            if source.is_dir():
                client.log_artifacts(run_id, str(source), folder or None)
            elif source.exists():
                client.log_artifact(run_id, str(source), folder or None)
            else:
                _warn(f"{source} does not exist (any more): not kept in MLflow")

        self._send(copy)

    def close(self, status: str) -> None:
        """End the run; wait for a store that is away, then give up the records that it did not take."""
        self._stop.set()
        if self._watcher.is_alive():
            self._watcher.join()
        self._send(lambda client, run_id: client.set_terminated(run_id, status))
        deadline = time.monotonic() + self._patience
        while self._pending and time.monotonic() < deadline:
            time.sleep(min(1.0, self._patience))
            self._next_try = 0.0
            self._send_pending()
        if self._pending:
            _warn(
                f"MLflow did not come back: {len(self._pending)} records of this run are lost there. "
                "Results are not: they are in reports/ and data/"
            )

    def _send(self, record: Callable[[Any, str], None]) -> None:
        self._pending.append(record)
        self._send_pending()

    def _send_pending(self) -> None:
        """Start the run, then send the pending records, in order, until the store fails."""
        if time.monotonic() < self._next_try:
            return
        with self._lock:
            try:
                if self.run_id is None:
                    self._client, started = self._start()
                    self.run_id, self._began = started.info.run_id, started.info.start_time / 1000
                while self._pending:
                    try:
                        self._pending[0](self._client, self.run_id)
                    except Exception as error:
                        status = getattr(error, "get_http_status_code", lambda: None)()
                        if status not in REFUSED:
                            raise
                        _warn(f"MLflow refused a record, which is dropped: {_one_line(error)}")
                    self._pending.popleft()
            except Exception as error:  # of whatever kind the store's driver raises
                self._next_try = time.monotonic() + RETRY_SECONDS
                if self._away_since is None:
                    self._away_since = time.monotonic()
                    store = without_credentials(self._uri)
                    reason = f"does not take records ({_one_line(error)})"
                    _warn(f"MLflow at {store} {reason}; work goes on, they are kept and sent when it does")
                return
            if self._away_since is not None:
                seconds = time.monotonic() - self._away_since
                _warn(f"MLflow takes records again after {seconds:.0f} s; none was lost")
                self._away_since = None

    def _log_system_metrics(self) -> None:
        """Log the machine's load every few seconds and once at the end; steps are seconds since the start."""
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        monitor = SystemMetricsMonitor(run_id="", tracking_uri=self._uri)
        ended = False
        while not ended:
            ended = self._stop.wait(SYSTEM_METRICS_SECONDS)
            monitor.collect_metrics()
            metrics = monitor.aggregate_metrics()
            for part in monitor.monitors:
                part.clear_metrics()
            step = int(time.time() - self._began)
            self.log_metrics({f"system/{name}": value for name, value in metrics.items()}, step)


def client_of(uri: str) -> Any:
    """A client of the store, without MLflow's log lines, usage reports and minutes of retries by default."""
    for name, value in (
        ("MLFLOW_LOGGING_LEVEL", "WARNING"),
        ("MLFLOW_DISABLE_TELEMETRY", "true"),
        ("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true"),  # the URL may hold a password
        ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1"),
        ("MLFLOW_HTTP_REQUEST_TIMEOUT", "30"),
    ):
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    return MlflowClient(uri)


def _one_line(error: Exception) -> str:
    text = without_credentials(" ".join(str(error).split()))
    return text if len(text) <= 200 else text[:200] + "…"


def _warn(message: str) -> None:
    print(f"warning: {message}", file=sys.stderr, flush=True)
