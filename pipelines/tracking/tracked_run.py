"""One MLflow run that loses nothing while the store is away: records wait in order until it answers.

Training must neither end nor wait because a tracking server is restarted or a database is locked: all
records are sent by a thread of the run.
"""

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Self

from laspa import errors
from laspa.redaction import without_credentials

SYSTEM_METRICS_SECONDS = 10.0
RETRY_SECONDS = 5.0  # between tries while the store is away
SLOW_SECONDS = 120.0  # at a run's end, for one record that a store neither takes nor refuses
LAST_RETRY_SECONDS = 1.0  # the same when the run ends and waits
REFUSED = set(range(400, 500)) - {408, 429}  # the store has judged the record: a retry will not help

Record = Callable[[Any, str], None]  # of MLflow's client and the run's id


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
    """A run of MLflow. What logs returns at once, and nothing raises because of the store."""

    def __init__(
        self,
        uri: str,
        start: Callable[[], Any],
        end: Callable[[Any, str, str], None],
        patience: float,
        watch: bool = True,
    ) -> None:
        """Start the run.

        Args:
            uri: the store.
            start: makes or reopens the run, and returns MLflow's client and run; called until it succeeds.
            end: ends it, given the client, the run's id and the status; called until it succeeds.
            patience: seconds that `close` waits for a store that is away.
            watch: log this machine's load.
        """
        self._uri, self._start, self._end, self._patience = uri, start, end, patience
        self._run: Any = None
        self._client: Any = None
        self._pending: deque[Record] = deque()
        self._away_since: float | None = None
        self._taken = time.monotonic()  # when the store took the last record
        self._began = time.time()
        quieten_mlflow()
        self._changed = threading.Condition()
        self._tried, self._stop, self._given_up = threading.Event(), threading.Event(), threading.Event()
        self._ended = False
        self._sender = threading.Thread(target=self._send_all, name="tracking", daemon=True)
        self._sender.start()
        self._watcher = threading.Thread(target=self._log_system_metrics, name="system metrics", daemon=True)
        if watch:
            self._watcher.start()

    @property
    def run_id(self) -> str | None:
        """The run's id, once the store has been asked for it; None while the store is away."""
        self._tried.wait()
        return self._run and str(self._run.info.run_id)

    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Log numbers with the current time; those that are None are left out."""
        now = int(time.time() * 1000)
        values = {name: float(value) for name, value in metrics.items() if value is not None}

        def log(client: Any, run_id: str) -> None:
            from mlflow.entities import Metric

            client.log_batch(
                run_id, metrics=[Metric(name, value, now, step or 0) for name, value in values.items()]
            )

        self.send(log)

    def steps(self, name: str) -> set[int]:
        """The steps at which the store has the metric `name`; none while it is away."""
        run_id = self.run_id
        if run_id is None:
            return set()
        try:
            return {int(metric.step) for metric in self._client.get_metric_history(run_id, name)}
        except Exception:  # of whatever kind the store's driver raises
            return set()

    def set_tag(self, name: str, value: str) -> None:
        """Set a tag, without the credentials that a URI in it may have."""
        clean = without_credentials(value)
        self.send(lambda client, run_id: client.set_tag(run_id, name, clean))

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

        self.send(copy)

    def send(self, record: Record) -> None:
        """Have `record` called, after those before it and again until the store takes it."""
        with self._changed:
            self._pending.append(record)
            self._changed.notify()

    def close(self, status: str) -> None:
        """End the run; wait for a store that is away, then give up the records that it did not take."""
        self._stop.set()
        if self._watcher.is_alive():
            self._watcher.join()
        self.send(lambda client, run_id: self._end(client, run_id, status))
        with self._changed:
            self._ended = True
            self._changed.notify()
        ended = time.monotonic()
        while self._sender.is_alive():
            patience = SLOW_SECONDS if self._away_since is None else self._patience
            if time.monotonic() > max(ended, self._taken) + patience:
                break
            self._sender.join(0.1)
        self._given_up.set()
        if self._sender.is_alive():
            _warn(
                f"MLflow did not come back: {len(self._pending)} records of this run are lost there. "
                "Results are not: they are in reports/ and data/"
            )

    def _send_all(self) -> None:
        """Start the run and send the records until it is closed and all are sent, or given up."""
        while not self._given_up.is_set():
            taken = self._send_pending()
            self._tried.set()
            with self._changed:
                if taken and self._ended and not self._pending:
                    return
                if taken:
                    self._changed.wait_for(lambda: self._pending or self._ended)
                else:
                    self._changed.wait_for(lambda: self._ended, RETRY_SECONDS)
            if not taken and self._ended:
                self._given_up.wait(min(LAST_RETRY_SECONDS, self._patience))

    def _send_pending(self) -> bool:
        """Start the run, then send the pending records, in order; False if the store fails."""
        try:
            if self._run is None:
                self._client, self._run = self._start()
                self._began = self._run.info.start_time / 1000
            while self._pending:
                accepted(partial(self._pending[0], self._client, self._run.info.run_id), "a record")
                self._pending.popleft()
                self._taken = time.monotonic()
        except Exception as error:  # of whatever kind the store's driver raises
            if self._away_since is None:
                self._away_since = time.monotonic()
                store = without_credentials(self._uri)
                reason = f"does not take records ({one_line(error)})"
                _warn(f"MLflow at {store} {reason}; work goes on, they are kept and sent when it does")
            return False
        if self._away_since is not None:
            seconds = time.monotonic() - self._away_since
            _warn(f"MLflow takes records again after {seconds:.0f} s; none was lost")
            self._away_since = None
        return True

    def _log_system_metrics(self) -> None:
        """Log the machine's load every few seconds and once at the end; steps are seconds since the start."""
        try:
            self._watch_machine()
        except Exception as error:  # of psutil or of a GPU's driver
            _warn(f"this machine's load is not tracked any more: {one_line(error)}")

    def _watch_machine(self) -> None:
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        # It only reads the machine: with an address that is never asked, it does not open the store.
        monitor = SystemMetricsMonitor(run_id="", tracking_uri="http://127.0.0.1")
        ended = False
        while not ended:
            ended = self._stop.wait(SYSTEM_METRICS_SECONDS)
            monitor.collect_metrics()
            metrics = monitor.aggregate_metrics()
            for part in monitor.monitors:
                part.clear_metrics()
            step = int(time.time() - self._began)
            self.log_metrics({f"system/{name}": value for name, value in metrics.items()}, step)


def accepted(record: Callable[[], Any], name: str = "") -> bool:
    """Send a record; False if the store refuses it, with a warning if it has a `name`. Other errors raise."""
    try:
        record()
    except Exception as error:  # of whatever kind the store's driver raises
        if getattr(error, "get_http_status_code", lambda: None)() not in REFUSED:
            raise
        if name:
            _warn(f"MLflow refused {name}, which is dropped: {one_line(error)}")
        return False
    return True


def client_of(uri: str) -> Any:
    """A client of the store."""
    quieten_mlflow()
    from mlflow import MlflowClient

    return MlflowClient(uri)


def quieten_mlflow() -> None:
    """No log lines, progress bars, usage reports or minutes of retries unless set; call it before import."""
    for name, value in (
        ("MLFLOW_LOGGING_LEVEL", "CRITICAL"),  # its errors are tracebacks; a line here says what failed
        ("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false"),
        ("MLFLOW_DISABLE_TELEMETRY", "true"),
        ("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true"),  # the URL may hold a password
        ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1"),
        ("MLFLOW_HTTP_REQUEST_TIMEOUT", "30"),
    ):
        os.environ.setdefault(name, value)


def one_line(error: Exception) -> str:
    text = without_credentials(errors.one_line(error))
    return text if len(text) <= 200 else text[:200] + "…"


def _warn(message: str) -> None:
    print(f"warning: {message}", file=sys.stderr, flush=True)
