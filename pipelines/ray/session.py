"""Ray on this machine alone, or on the cluster that RAY_ADDRESS names."""

import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray

from laspa.arithmetic import switches
from laspa.errors import LaspaError, one_line

START_TRIES = 3  # of Ray on this machine
ANSWER_SECONDS = 5.0  # that a Ray cluster has to take a connection, and to answer
# The bytes that open an HTTP/2 connection, and the frame that its server begins with: RFC 9113, 3.4 and 6.5.
# gRPC's own client is no part of Ray's wheel, and would not say what is wrong before the time is over.
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
FRAME_HEADER_BYTES, FRAME_TYPE, SETTINGS = 9, 3, 4
QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}


@contextmanager
def ray_session(driver: Mapping[str, str], workers: Mapping[str, str]) -> Iterator[None]:
    """Start Ray or join the cluster of RAY_ADDRESS, and leave it at the end.

    Args:
        driver, workers: environment variables of this process and of Ray's.

    Raises:
        LaspaError: an address that nobody answers, or Ray does not start here.
    """
    address = os.environ.get("RAY_ADDRESS", "local")
    no_reports = {"RAY_USAGE_STATS_ENABLED": "0"}  # to Ray's makers
    for name, value in {**no_reports, **driver, **workers}.items():
        os.environ.setdefault(name, value)  # workers on this machine inherit them
    if address == "local":
        _start_here()
    else:
        _check_address(address)
        code = [str(Path(__file__).parents[2] / package) for package in ("laspa", "pipelines")]
        try:
            environment = {"env_vars": {**switches(), **workers}, "py_modules": code}
            ray.init(address=address, runtime_env=environment, **QUIET)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise _no_answer(address, error) from None
    try:
        yield
    finally:
        ray.shutdown()


def _start_here() -> None:
    """Start Ray on this machine; on a busy one its processes may need more than Ray's half minute."""
    for left in reversed(range(START_TRIES)):
        try:
            ray.init(address="local", include_dashboard=False, **QUIET)
            return
        except Exception as error:  # Ray raises no narrower one when its processes do not start in time
            ray.shutdown()
            if not left:
                raise LaspaError(
                    f"Ray did not start on this machine ({one_line(error)[:200]}); start again"
                ) from error


def _check_address(address: str) -> None:
    """Refuse a host and port where nothing speaks gRPC; Ray itself would try for a quarter of an hour."""
    found = re.fullmatch(r"(?:ray://)?([^:/]+):(\d+)", address)
    if not found:
        return
    try:
        with socket.create_connection((found[1], int(found[2])), timeout=ANSWER_SECONDS) as connection:
            if os.environ.get("RAY_USE_TLS", "0") == "0":
                connection.sendall(HTTP2_PREFACE)
                answer = connection.recv(FRAME_HEADER_BYTES, socket.MSG_WAITALL)
                if answer[FRAME_TYPE : FRAME_TYPE + 1] != bytes((SETTINGS,)):
                    raise ConnectionError("what listens there does not speak gRPC")
    except (OSError, OverflowError) as error:
        raise _no_answer(address, error) from None


def _no_answer(address: str, why: Exception) -> LaspaError:
    return LaspaError(
        f"RAY_ADDRESS is {address!r} but no Ray cluster answers there ({one_line(why)[:200]}); start one "
        "(ray start --head), correct it, or unset it to stay on this machine"
    )
