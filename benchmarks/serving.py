"""A server of `make serve` under load: requests a second, and memory over all of them.

Usage: python -m benchmarks.serving URL AUDIO [--requests N] [--clients N]
The server must be on this machine, so that its memory can be read.
"""

import argparse
import base64
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import requests

PARTS = 10  # of the requests, after each of which the memory is read
MIB = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="such as http://127.0.0.1:8080")
    parser.add_argument("audio", type=Path, help="a recording")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args()
    server = _server(urlsplit(options.url).port or 80)
    row = {"audio": base64.b64encode(options.audio.read_bytes()).decode()}
    content = {"dataframe_records": [row]}
    bad = {"dataframe_records": [{"audio": "/etc/passwd"}]}

    def ask(number: int) -> None:
        refused = number % 10 == 9  # refusals must not leak either
        answer = requests.post(f"{options.url}/invocations", json=bad if refused else content, timeout=60)
        assert answer.status_code == (400 if refused else 200), answer.text

    with ThreadPoolExecutor(options.clients) as pool:
        list(pool.map(ask, range(4 * options.clients)))  # warm
        began, held = time.perf_counter(), [server.memory_info().rss / MIB]
        for part in range(PARTS):
            list(
                pool.map(ask, range(options.requests * part // PARTS, options.requests * (part + 1) // PARTS))
            )
            held.append(server.memory_info().rss / MIB)
    seconds = time.perf_counter() - began
    print(
        f"{options.requests} requests, {options.clients} clients: {options.requests / seconds:.1f} a second"
    )
    print("memory, MiB:", " ".join(f"{one:.0f}" for one in held))


def _server(port: int) -> psutil.Process:
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            return psutil.Process(connection.pid)
    raise SystemExit(f"error: nobody listens at port {port} on this machine")


if __name__ == "__main__":
    main()
