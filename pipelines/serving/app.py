"""`make serve`: MLflow's own scoring server of a registered model, with limits around it.

`mlflow models serve -m models:/laspa@champion` gives the same answers. Added here are a limit on the body,
one on what is in work, refusal of anything but JSON, and errors without traces of the server.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from laspa.errors import LaspaError
from laspa.recogniser.requests import MOST_BYTES
from pipelines import stage
from pipelines.tracking.registry import CHAMPION, folder_of
from pipelines.tracking.runs import tracking_uri
from pipelines.tracking.tracked_run import quieten_mlflow

HOST, PORT = "127.0.0.1", 8080
MODEL = f"models:/laspa@{CHAMPION}"
MOST_BODY = 2 * (MOST_BYTES * 4 // 3) + 2**16  # two recordings as base64
MOST_IN_WORK = 8  # requests whose bodies are in memory
WAIT_SECONDS = 1.0  # of the others, before they are told to come again: a client's next one may be early
READ_SECONDS = 30.0  # for a body to arrive
ANSWER_SECONDS = "60"  # MLflow's limit on the whole request
MESSAGE_CHARACTERS = 500

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Limits:
    """ASGI: reads a body up to `MOST_BODY` and hands it to `app`; shortens what `app` says of an error."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app
        self._free = asyncio.Semaphore(MOST_IN_WORK)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        try:
            await asyncio.wait_for(self._free.acquire(), WAIT_SECONDS)
        except TimeoutError:
            busy = f"{MOST_IN_WORK} requests are in work; try again"
            await _refuse(send, HTTPStatus.SERVICE_UNAVAILABLE, busy)
            return
        try:
            await self._answer(scope, receive, send)
        finally:
            self._free.release()

    async def _answer(self, scope: Message, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            await _refuse(send, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send content-type: application/json")
            return
        length = headers.get("content-length", "0")
        too_large = length.isdecimal() and int(length) > MOST_BODY
        try:
            body = b"" if too_large else await asyncio.wait_for(_body(receive), READ_SECONDS)
        except TimeoutError:
            await _refuse(send, HTTPStatus.REQUEST_TIMEOUT, f"the body did not arrive in {READ_SECONDS:g} s")
            return
        if body is None:  # the client has gone
            return
        if too_large or len(body) > MOST_BODY:
            await _refuse(send, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {MOST_BODY} bytes")
            return
        parts = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def replay() -> Message:
            return next(parts, None) or await receive()

        start: Message = {}
        said = bytearray()

        async def shorten(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= HTTPStatus.BAD_REQUEST:
                start.update(message)
            elif start:
                said.extend(message.get("body", b""))
                if not message.get("more_body"):
                    await _refuse(send, start["status"], _reason(bytes(said)))
            else:
                await send(message)

        await self._app(scope, replay, shorten)


async def _body(receive: Receive) -> bytes | None:
    """None where the client has gone; of a body that is too large, a little more than may be."""
    body, more = bytearray(), True
    while more and len(body) <= MOST_BODY:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(body)


def _reason(body: bytes) -> str:
    """What MLflow says, without the input that it repeats before its reason, and without its trace."""
    try:
        message = json.loads(body)["message"]
    except (ValueError, KeyError, TypeError):
        message = body.decode(errors="replace")
    reason = str(message).rpartition("\nError: ")[2].partition("\nInput:")[0].strip()
    return " ".join(reason.split())[:MESSAGE_CHARACTERS]


async def _refuse(send: Send, status: int, message: str) -> None:
    body = json.dumps({"message": message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status in (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.REQUEST_TIMEOUT):
        headers.append((b"connection", b"close"))  # the rest of the body is not read
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": body})


def load(address: str) -> Any:
    """The model of an address of the registry, or of a folder that MLflow has saved, as MLflow serves it.

    Raises:
        LaspaError: no such model.
    """
    quieten_mlflow()
    import mlflow

    if address.startswith("models:/"):
        folder = folder_of(address).parents[1]
    else:
        folder = Path(address).absolute()
        if not (folder / "MLmodel").is_file():
            raise LaspaError(f"{address}: neither models:/NAME@ALIAS nor a folder with an MLmodel")
    return mlflow.pyfunc.load_model(str(folder))


def asgi_app() -> Limits:
    """MLflow's scoring server of the model that MODEL in the environment names, with the limits."""
    os.environ.setdefault("MLFLOW_TRACKING_URI", tracking_uri())
    os.environ.setdefault("MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT", ANSWER_SECONDS)
    model = load(os.environ.get("MODEL") or MODEL)
    import torch
    from mlflow.pyfunc.scoring_server import init

    torch.set_num_threads(1)  # requests are answered beside each other, by threads of their own
    return Limits(init(model))


def main() -> None:
    app = asgi_app()
    import uvicorn

    host, port = os.environ.get("HOST") or HOST, int(os.environ.get("PORT") or PORT)
    address = os.environ.get("MODEL") or MODEL
    print(f"{address} at http://{host}:{port}: /ping, /invocations", file=sys.stderr, flush=True)
    uvicorn.run(app, host=host, port=port, log_level="warning")


if __name__ == "__main__":
    stage.run(main)
