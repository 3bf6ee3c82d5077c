"""Real servers for the services tests: S3, PostgreSQL, MLflow; each on 127.0.0.1, at a port of its own."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

HOST = "127.0.0.1"
PATIENCE_SECONDS = 120.0  # for a server to answer on a busy machine
DATABASE_USER = "laspa"


def free_port() -> int:
    """A port that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextmanager
def s3(bucket: str) -> Iterator[dict[str, str]]:
    """An S3 server with one empty bucket.

    Yields:
        The environment variables through which boto3, s3fs, DVC and MLflow reach it.
    """
    pytest.importorskip("moto.server", reason="no local S3 server: pip install 'moto[s3]'")
    port = free_port()
    url = f"http://{HOST}:{port}"
    environment = {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": secrets.token_hex(16),
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    command = [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(port)]
    with _process(command, dict(os.environ), lambda: _http(f"{url}/moto-api/")):
        s3_client(environment).create_bucket(Bucket=bucket)
        yield environment


def s3_keys(environment: dict[str, str], bucket: str) -> list[str]:
    """The names of all that the bucket holds."""
    pages = s3_client(environment).get_paginator("list_objects_v2")
    return [item["Key"] for page in pages.paginate(Bucket=bucket) for item in page.get("Contents", [])]


@contextmanager
def postgres() -> Iterator[str]:
    """A PostgreSQL with an empty database and a password; its URI.

    It refuses to run as root, who starts it as the user postgres of Debian's package.
    """
    pytest.importorskip("psycopg", reason="no PostgreSQL driver: pip install 'laspa[postgres]'")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("postgres")
    if not found and on_path is None:
        pytest.skip("no PostgreSQL on this machine: apt-get install postgresql")
    programs = found[-1].parent if found else Path(str(on_path)).resolve().parent
    be_postgres = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    # Not pytest's own folder, which only the user who runs the tests may enter.
    folder, password, port = Path(tempfile.mkdtemp(prefix="laspa-pg-")), secrets.token_hex(16), free_port()
    (folder / "password").write_text(password)
    if be_postgres:
        for path in (folder, folder / "password"):
            shutil.chown(path, "postgres")
    make = [programs / "initdb", "-D", folder / "db", "-U", DATABASE_USER, "--pwfile", folder / "password"]
    serve = [programs / "postgres", "-D", folder / "db", "-p", str(port), "-h", HOST, "-k", ""]
    try:
        command = [*be_postgres, *map(str, make), "--auth=scram-sha-256", "--no-sync", "-E", "UTF8"]
        made = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stdout + made.stderr
        uri = f"postgresql://{DATABASE_USER}:{password}@{HOST}:{port}/postgres"
        command = [*be_postgres, *map(str, serve), "-F"]
        with _process(
            command, dict(os.environ), lambda: _database(uri), end=signal.SIGINT
        ):  # a fast shutdown
            yield uri
    finally:
        shutil.rmtree(folder)


@contextmanager
def mlflow(
    store: str, artifacts: str, port: int | None = None, environment: dict[str, str] | None = None
) -> Iterator[str]:
    """An MLflow server over a store's URI and an artifact folder or URI; its URL.

    The store's URI goes through the environment, since it may hold a password.
    """
    port = port or free_port()
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host",
        HOST,
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    variables = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    variables |= {
        "MLFLOW_BACKEND_STORE_URI": store,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        **(environment or {}),
    }
    url = f"http://{HOST}:{port}"
    with _process(
        [*command, "--artifacts-destination", artifacts], variables, lambda: _http(f"{url}/health")
    ):
        yield url


def s3_client(environment: dict[str, str]) -> Any:
    """A client of boto3 that takes nothing from this process's own environment."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_DEFAULT_REGION"],
    )


@contextmanager
def _process(
    command: list[str],
    environment: dict[str, str],
    answers: Callable[[], bool],
    end: signal.Signals = signal.SIGKILL,
) -> Iterator[None]:
    """A server that answers, in a process group of its own, ended as a whole: servers have workers."""
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            command,
            env=environment,
            cwd=tempfile.gettempdir(),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not answers():
                ended = server.poll() is not None or time.monotonic() > deadline
                log.seek(0)
                assert not ended, f"{command[:4]} does not answer\n{log.read().decode()[-4000:]}"
                time.sleep(0.1)
            yield
        finally:
            with suppress(ProcessLookupError):
                os.killpg(server.pid, end)
            server.wait(timeout=PATIENCE_SECONDS)


def _http(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except OSError:
        return False


def _database(uri: str) -> bool:
    import psycopg

    try:
        psycopg.connect(uri).close()
    except psycopg.OperationalError:
        return False
    return True
