"""The server of a registered model: right answers, short refusals, and nothing that grows or stays behind."""

import asyncio
import base64
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import requests
import soundfile

from benchmarks.serving import flat, load
from laspa.recogniser.recogniser import Recogniser
from laspa.recogniser.requests import MOST_SECONDS
from pipelines.serving import app
from pipelines.tracking import logged_model
from tests import servers
from tests.packaging.test_package import scored
from tests.small_model import RATE, calibrate, small_model, voice

pytestmark = pytest.mark.services
ROOT = Path(__file__).parents[2]
CLIENTS, EACH = 8, 5
SECONDS = 60.0


class Server:
    """A process of `make serve`."""

    def __init__(self, saved: Path, folder: Path) -> None:
        self.port = servers.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.saved, self.folder = saved, folder
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "MODEL": str(self.saved),
            "PORT": str(self.port),
            "MLFLOW_TRACKING_URI": f"sqlite:///{self.folder / 'mlflow.db'}",
        }
        command = [sys.executable, "-m", "pipelines.serving.app"]
        self.process = subprocess.Popen(command, cwd=self.folder, env=environment)
        deadline = time.monotonic() + servers.PATIENCE_SECONDS
        while not self.ready():
            assert self.process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/ping", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def post(self, *rows: Any, body: Any = None) -> requests.Response:
        content = json.dumps({"dataframe_records": rows}) if body is None else body
        headers = {"content-type": "application/json"}
        return requests.post(f"{self.url}/invocations", data=content, headers=headers, timeout=SECONDS)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return calibrate(small_model(tmp_path_factory.mktemp("model") / "model"), any=(5.0, -2.0, 0.5))


@pytest.fixture(scope="module")
def saved(model: Path) -> Path:
    return logged_model.save_model(model.parent / "saved", model, scored("test", 1))


@pytest.fixture(scope="module")
def server(saved: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(saved, tmp_path_factory.mktemp("served"))
    server.start()
    yield server
    server.kill()


def encoded(samples: np.ndarray, kind: str = "FLAC") -> str:
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format=kind)
    return base64.b64encode(file.getvalue()).decode()


def test_eight_clients_at_once_get_the_answers_of_the_library(server: Server, model: Path) -> None:
    sounds = [voice(1.0 + 0.2 * number, seed=number) for number in range(CLIENTS)]
    own = Recogniser.load(model)
    texts = [encoded(sound, "WAV") for sound in sounds]
    wanted = [own.embed(sound.astype(np.float32), RATE) for sound in sounds]

    def ask(number: int) -> None:
        for _ in range(EACH):
            answer = server.post({"audio": texts[number]})
            assert answer.status_code == 200, answer.text
            found = np.array(answer.json()["predictions"][0]["embedding"])
            np.testing.assert_allclose(found, wanted[number], atol=2e-3)  # 16-bit samples
            other = (number + 1) % CLIENTS
            answer = server.post({"audio": texts[number], "other": texts[other]})
            assert answer.status_code == 200, answer.text
            verified = answer.json()["predictions"][0]
            assert verified["score"] == pytest.approx(float(wanted[number] @ wanted[other]), abs=5e-3)
            assert verified["same"] == (verified["score"] > verified["threshold"] == 0.5)
            assert 0 < verified["probability"] < 1

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(ask, range(CLIENTS)))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"audio": "/etc/passwd"}, "not base64; send the file's content, not its path"),
        ({"audio": "etcpasswd/aa"}, "not a recording that can be decoded"),
        ({"audio": 5}, "audio is a int"),
        ({"audio": ""}, "not a recording that can be decoded"),
        ({"other": "aaaa"}, "missing inputs ['audio']"),
        ({"audio": encoded(np.zeros(RATE))}, "silent"),
        ({"audio": encoded(voice(0.1))}, "of speech"),
        ({"audio": encoded(voice(2.0), "WAV")[:30_000]}, "send the whole file"),
    ],
)
def test_what_is_not_a_recording_is_refused_with_one_line(server: Server, row: Any, reason: str) -> None:
    answer = server.post(row)
    assert answer.status_code == 400
    assert reason in answer.json()["message"]
    assert "\n" not in answer.json()["message"]
    assert "Traceback" not in answer.text
    assert len(answer.text) < 2 * app.MESSAGE_CHARACTERS


def test_ten_hours_and_a_decompression_bomb_cost_nothing(server: Server) -> None:
    silence = io.BytesIO()
    with soundfile.SoundFile(silence, "w", RATE, 1, format="FLAC") as file:
        for _ in range(600):
            file.write(np.zeros(60 * RATE, dtype=np.int16))
    assert len(silence.getvalue()) < 2**21  # 1.1 GiB of samples in two MiB
    before = memory(server)
    answer = server.post({"audio": base64.b64encode(silence.getvalue()).decode()})
    assert answer.status_code == 400
    assert f"longer than {MOST_SECONDS:g} s" in answer.json()["message"]
    assert memory(server) - before < 100 * 2**20


def test_bodies_that_are_too_large_cut_or_not_json_are_refused(server: Server) -> None:
    assert server.post(body=b"x" * (app.MOST_BODY + 1)).status_code == 413
    chunks = (b"x" * 2**20 for _ in range(app.MOST_BODY // 2**20 + 2))
    try:
        assert server.post(body=chunks).status_code == 413
    except requests.ConnectionError:  # the server has refused while the client was still sending
        assert server.ready()
    assert server.post(body=b'{"dataframe_records": [{"aud').status_code == 400
    url = f"{server.url}/invocations"
    csv = requests.post(url, data="audio\nx", headers={"content-type": "text/csv"}, timeout=SECONDS)
    assert csv.status_code == 415
    with socket.create_connection(("127.0.0.1", server.port)) as client:  # goes in the middle of its body
        head = "POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        client.sendall(f"{head}content-length: 1000\r\n\r\n{{".encode())
    assert server.ready()


def test_a_server_that_is_killed_under_load_answers_again(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    server = Server(saved, tmp_path / "run")
    server.start()
    text = encoded(voice(1.0))
    wanted = server.post({"audio": text}).json()

    def ask(_: int) -> str:
        try:
            answer = server.post({"audio": text})
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            return "no answer"
        assert answer.json() == wanted
        return "right"

    with ThreadPoolExecutor(CLIENTS) as pool:
        asked = [pool.submit(ask, number) for number in range(200)]
        time.sleep(0.5)
        server.kill()
        assert "no answer" in {one.result() for one in asked}
    server.start()
    try:
        assert ask(0) == "right"
        assert list((tmp_path / "run").iterdir()) == []  # no file is written
    finally:
        server.kill()


def test_two_thousand_requests_leave_the_memory_as_it_was(server: Server) -> None:
    assert server.process is not None
    row = {"audio": encoded(voice(2.0), "WAV")}
    held = load(server.url, row, psutil.Process(server.process.pid), 2000, CLIENTS)
    assert flat(held), held


def test_memory_that_grows_by_fifteen_kilobytes_a_request_is_not_flat() -> None:
    assert not flat([500 + 200 * part * 0.015 for part in range(11)])  # MiB
    assert flat([500, 510, 517, 517, 517, 518, 517, 517, 517, 517, 517])


@pytest.mark.parametrize(("wait", "ninth"), [(0.05, 503), (SECONDS, 200)])
def test_a_ninth_request_waits_and_is_then_refused(
    wait: float, ninth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "WAIT_SECONDS", wait)
    statuses: list[int] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def receive() -> Any:
        return {"type": "http.request", "body": b"{}"}

    async def ask_all() -> None:
        end = asyncio.Event()

        async def slow(scope: Any, receive: Any, send: Any) -> None:
            await end.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body"})

        limits = app.Limits(slow)
        request = {"type": "http", "method": "POST", "headers": [(b"content-type", b"application/json")]}
        asked = [asyncio.create_task(limits(request, receive, send)) for _ in range(app.MOST_IN_WORK + 1)]
        await asyncio.wait(asked, timeout=1)
        end.set()
        await asyncio.gather(*asked)

    asyncio.run(ask_all())
    assert sorted(statuses) == [200] * app.MOST_IN_WORK + [ninth]


def memory(server: Server) -> int:
    """Bytes that the server holds."""
    assert server.process is not None
    return int(psutil.Process(server.process.pid).memory_info().rss)


def test_two_replicas_of_ray_serve_give_the_same_answers(
    server: Server, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray
    from ray import serve

    from deploy.ray_serve import application

    port = servers.free_port()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    ray.init("local", num_cpus=3, include_dashboard=False, logging_level="ERROR")
    try:
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        serve.run(application({"model": str(saved), "replicas": 2, "cpus": 1}), name="laspa")
        url = f"http://127.0.0.1:{port}/invocations"
        text = encoded(voice(1.0))
        (wanted,) = server.post({"audio": text}).json()["predictions"]
        for _ in range(6):
            answer = requests.post(url, json={"dataframe_records": [{"audio": text}]}, timeout=SECONDS)
            (found,) = answer.json()["predictions"]
            np.testing.assert_allclose(found["embedding"], wanted["embedding"], atol=1e-6)  # of unit length
            assert found["language"]["code"] == wanted["language"]["code"]
            assert found["seconds"] == wanted["seconds"]
        bad = requests.post(url, json={"dataframe_records": [{"audio": "/etc/passwd"}]}, timeout=SECONDS)
        assert bad.status_code == 400
    finally:
        serve.shutdown()
        ray.shutdown()
