"""A server of `make serve`: requests a second, the model's share of one, and memory over 2,000 of them.

Usage: python -m benchmarks.serving URL AUDIO [--model FOLDER] [--requests N]
The server must be on this machine, so that its memory and processor time can be read, and serve the model of
FOLDER (data/model). Status 1 if its memory grows. Processor times say what other work does not change.
"""

import argparse
import base64
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import requests

PARTS, WARM_PARTS = 10, 3  # of the requests; the memory is read after each, and compared from the third on
MOST_GROWTH = 20  # MiB from then on: 15 kB a request, a tenth of what one recording of 3 s takes as base64
CLIENTS = 8
BAD = {"audio": "/etc/passwd"}  # every tenth request: refusals must not leak either
MIB = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="such as http://127.0.0.1:8080")
    parser.add_argument("audio", type=Path, help="a recording")
    parser.add_argument("--model", default="data/model", metavar="FOLDER")
    parser.add_argument("--requests", type=int, default=2000)
    options = parser.parse_args()
    server = _server(urlsplit(options.url).port or 80)
    row = {"audio": base64.b64encode(options.audio.read_bytes()).decode()}
    load(options.url, row, server, 40, CLIENTS)  # warm
    for clients, count in ((1, options.requests // 10), (CLIENTS, options.requests)):
        began, used = time.perf_counter(), _processor(server)
        held = load(options.url, row, server, count, clients)
        seconds, used = time.perf_counter() - began, _processor(server) - used
        each = f"{1e3 * used / count:.2f} ms of the processor each"
        print(f"{clients} client(s): {count / seconds:.1f} a second, {each}", flush=True)
        if clients == 1:
            print(f"of which the model: {_model_share(options.model, options.audio, used / count):.0%}")
    print("memory, MiB:", " ".join(f"{one:.0f}" for one in held), "(flat)" if flat(held) else "(grows)")
    sys.exit(0 if flat(held) else 1)


def load(url: str, row: dict[str, str], server: psutil.Process, count: int, clients: int) -> list[float]:
    """Ask `count` times, every tenth time with bad input; the server's memory in MiB, before and by part.

    Raises:
        AssertionError: an answer of another status than 200, or 400 of bad input.
    """

    def ask(number: int) -> None:
        bad = number % 10 == 9
        content = {"dataframe_records": [BAD if bad else row]}
        answer = requests.post(f"{url}/invocations", json=content, timeout=120)
        assert answer.status_code == (400 if bad else 200), answer.text

    held = [server.memory_info().rss / MIB]
    with ThreadPoolExecutor(clients) as pool:
        for part in range(PARTS):
            list(pool.map(ask, range(count * part // PARTS, count * (part + 1) // PARTS)))
            held.append(server.memory_info().rss / MIB)
    return held


def flat(held: list[float]) -> bool:
    """Whether the memory stays, once all that is made at first is there."""
    return held[-1] - held[WARM_PARTS] < MOST_GROWTH


def _model_share(folder: str, audio: Path, request: float) -> float:
    """Of `request` seconds of the processor: what the model takes, log-mels included, on one thread."""
    from laspa import Recogniser
    from laspa.recogniser.requests import decode_recording

    recogniser = Recogniser.load(folder, "cpu", threads=1)
    encode, taken = recogniser.runtime.encode, []

    def timed(speech):
        began = time.process_time()
        encoded = encode(speech)
        taken.append(time.process_time() - began)
        return encoded

    recogniser.runtime.encode = timed
    for _ in range(50):
        recogniser.hear(decode_recording(base64.b64encode(audio.read_bytes()).decode()))
    return 0.9 * sorted(taken)[len(taken) // 2] / request  # a tenth of the requests is refused


def _processor(server: psutil.Process) -> float:
    used = server.cpu_times()
    return used.user + used.system


def _server(port: int) -> psutil.Process:
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            return psutil.Process(connection.pid)
    raise SystemExit(f"error: nobody listens at port {port} on this machine")


if __name__ == "__main__":
    main()
