"""One MLflow run whose records survive a store that is away: kept in order, sent when it answers.

Training must not end, nor wait, because a tracking server is restarted or a database is locked.
"""

import os
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

SYSTEM_METRICS_SECONDS = 10.0
RETRY_SECONDS = 5.0  # between tries while the store is away, so that each record does not wait for a time-out
REFUSED = range(400, 500)  # a status in which the store has judged the record, and a retry will not help
TRY_AGAIN = (408, 429)

Action = Callable[["MlflowClient", str], Any]
Started: TypeAlias = "tuple[MlflowClient, MlflowRun]"


class Run:
    """A run of MLflow. Every method returns at once or after one try; nothing raises for the store's sake."""

    def __init__(self, uri: str, start: Callable[[], Started], patience: float, watch: bool = True) -> None:
        """Begin.

        Args:
            uri: the store.
            start: opens the store and makes or reopens the run; tried again until it succeeds.
            patience: seconds that `close` waits for a store that is away.
            watch: log this machine's load.
        """
        self.run_id: str | None = None
        self._uri, self._start, self._patience = uri, start, patience
        self._client: MlflowClient | None = None
        self._pending: deque[Action] = deque()
        self._away_since: float | None = None
        self._next_try = 0.0
        self._lock = threading.Lock()
        self._began = time.time()
        self._deliver()
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch_system, name="system metrics", daemon=True)
        if watch:
            self._watcher.start()

    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Log numbers under this moment's time; those that are None are left out."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        values = [
            Metric(name, float(value), now, step or 0) for name, value in metrics.items() if value is not None
        ]
        self._send(lambda client, run_id: client.log_batch(run_id, metrics=values))

    def steps(self, name: str) -> set[int]:
        """The steps at which the store has the metric `name`; none while it is away."""
        if self._client is None or self.run_id is None:
            return set()
        try:
            return {int(metric.step) for metric in self._client.get_metric_history(self.run_id, name)}
        except Exception:  # whatever the store's driver raises
            return set()

    def set_tag(self, name: str, value: str) -> None:
        """Set a tag, without what a URI may carry of credentials."""
        clean = without_credentials(value)
        self._send(lambda client, run_id: client.set_tag(run_id, name, clean))

    def log_artifacts(self, path: Path | str, folder: str = "") -> None:
        """Copy a file, or all of a folder, under the artifact folder `folder`."""
        source = str(Path(path).resolve())  # the working directory may be another when the store is back

        def copy(client: "MlflowClient", run_id: str) -> None:
            if Path(source).is_dir():
                client.log_artifacts(run_id, source, folder or None)
            elif Path(source).exists():
                client.log_artifact(run_id, source, folder or None)
            else:
                _warn(f"{source} is not there (any more): not kept in MLflow")

        self._send(copy)

    def log_figure(self, figure: "Figure", name: str) -> None:
        """Store a matplotlib figure as `plots/<name>`; the suffix chooses the format."""
        self._send(lambda client, run_id: client.log_figure(run_id, figure, f"plots/{name}"))

    def close(self, status: str) -> None:
        """End the run; wait a while for a store that is away, then give up what it did not take."""
        self._stop.set()
        if self._watcher.is_alive():
            self._watcher.join()
        self._send(lambda client, run_id: client.set_terminated(run_id, status))
        deadline = time.monotonic() + self._patience
        while self._pending and time.monotonic() < deadline:
            time.sleep(min(1.0, self._patience))
            self._next_try = 0.0
            self._deliver()
        if self._pending:
            _warn(
                f"MLflow did not come back: {len(self._pending)} records of this run are lost there. "
                "Results are not: they are in reports/ and data/"
            )

    def _send(self, action: Action) -> None:
        self._pending.append(action)
        self._deliver()

    def _deliver(self) -> None:
        """Start the run, then send what is pending, in order, until the store fails."""
        if time.monotonic() < self._next_try:
            return
        with self._lock:
            try:
                if self._client is None or self.run_id is None:
                    self._client, started = self._start()
                    self.run_id, self._began = started.info.run_id, started.info.start_time / 1000
                while self._pending:
                    self._deliver_first(self._client, self.run_id)
            except Exception as error:  # whatever the store's driver raises
                self._store_is_away(error)
            else:
                self._store_is_back()

    def _deliver_first(self, client: "MlflowClient", run_id: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._pending[0](client, run_id)
        except MlflowException as error:
            status = error.get_http_status_code()
            if status not in REFUSED or status in TRY_AGAIN:
                raise
            _warn(f"MLflow refused a record, which is dropped: {_one_line(error)}")
        self._pending.popleft()

    def _store_is_away(self, error: Exception) -> None:
        self._next_try = time.monotonic() + RETRY_SECONDS
        if self._away_since is None:
            self._away_since = time.monotonic()
            _warn(f"MLflow at {without_credentials(self._uri)} does not take records ({_one_line(error)}); "
                  "work goes on, they are kept and sent when it does")  # fmt: skip

    def _store_is_back(self) -> None:
        if self._away_since is not None:
            _warn(
                f"MLflow takes records again after {time.monotonic() - self._away_since:.0f} s; none was lost"
            )
            self._away_since = None

    def _watch_system(self) -> None:
        """Log the machine's load now and then and once at the end; steps are seconds since the start."""
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


def client_of(uri: str) -> "MlflowClient":
    """A client of the store, without MLflow's chatter, usage reports and minutes of retries by default."""
    for name, value in (
        ("MLFLOW_LOGGING_LEVEL", "WARNING"),
        ("MLFLOW_DISABLE_TELEMETRY", "true"),
        ("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true"),  # the URL may carry a password
        ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1"),
        ("MLFLOW_HTTP_REQUEST_TIMEOUT", "30"),
    ):
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    return MlflowClient(uri)


def without_credentials(text: str) -> str:
    """`text` without user and password in its URIs, nor values of query fields that name a secret."""
    text = re.sub(r"(://)[^/@\s]*@", r"\1", text)
    return re.sub(r"(?i)([?&][^=&\s]*(?:token|password|secret|key|signature)[^=&\s]*=)[^&\s]+", r"\1…", text)


def _one_line(error: Exception) -> str:
    text = without_credentials(" ".join(str(error).split()))
    return text if len(text) <= 200 else text[:200] + "…"


def _warn(message: str) -> None:
    print(f"warning: {message}", file=sys.stderr, flush=True)
