"""Requests from elsewhere: recordings as base64 text, with limits on what one may cost, and the answers.

Servers of every kind (MLflow's, Ray Serve) answer through `answer`, so that they accept and refuse the same.
"""

import base64
import binascii
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import soundfile

from laspa.audio.decoders import Buffer
from laspa.audio.lengths import ReadInPart, cut_short, with_all_sound
from laspa.audio.streaming import Recording, array_recording
from laspa.errors import LaspaError
from laspa.recogniser.recogniser import Recogniser

MOST_BYTES = 12 * 2**20  # of one recording as a file: 6.5 minutes of 16-bit samples at 16 kHz
MOST_SECONDS = 300.0  # of one recording; decoding stops there, whatever a file's header says
MOST_CHANNELS, MOST_RATE = 2, 48_000  # so that the samples of one recording take 110 MiB at most
MOST_REQUESTS = 16  # in one call
READ_FRAMES = 2**18  # decoded at a time
FIELDS = "audio", "other"


def answer_all(recogniser: Recogniser, requests: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """`answer` of each; a bad one is named by its place, and then none is answered.

    Raises:
        LaspaError: as `answer`; no requests, or too many.
    """
    if not 1 <= len(requests) <= MOST_REQUESTS:
        raise LaspaError(f"{len(requests)} requests; send 1 to {MOST_REQUESTS} at a time")
    answers = []
    for place, request in enumerate(requests):
        try:
            answers.append(answer(recogniser, request))
        except LaspaError as error:
            raise LaspaError(f"request {place}: {error}" if len(requests) > 1 else str(error)) from None
    return answers


def answer(recogniser: Recogniser, request: Mapping[str, Any]) -> dict[str, Any]:
    """What is asked of one or two recordings, as JSON has it.

    Args:
        request: `audio`, the base64 of a WAV, FLAC, OGG or MP3 file; with `other`, a second one, they are
            compared.

    Returns:
        of one: `embedding` (of unit length), `language` (code and posterior, or null), `seconds` of speech;
        of two: the fields of `Verification`.

    Raises:
        LaspaError: not base64, not a recording, too long, or as `Recogniser.hear` and `Recogniser.verify`.
    """
    given = {name: request[name] for name in FIELDS if request.get(name) is not None}
    if "audio" not in given:
        raise LaspaError("audio is missing; send the base64 of a recording")
    decoded = [decode_recording(text, name) for name, text in given.items()]
    if len(decoded) == 1:
        heard = recogniser.hear(decoded[0])
        language = heard.language and heard.language._asdict()
        return {"embedding": heard.embedding.tolist(), "language": language, "seconds": heard.seconds}
    if recogniser.decision is None:  # said here, without the model's folder in it
        raise LaspaError("this model has no calibration, so that it only embeds; leave other out")
    return recogniser.verify(decoded[0], decoded[1]).as_dict()


def decode_recording(text: Any, name: str = "audio") -> Recording:
    """The recording whose file is given as base64, decoded.

    Raises:
        LaspaError: not base64, not a whole recording that can be decoded, or over a limit.
    """
    if not isinstance(text, str):
        raise LaspaError(f"{name} is a {type(text).__name__}; send the base64 of a recording")
    if len(text) * 3 // 4 > MOST_BYTES + 2:
        raise LaspaError(f"{name} is larger than {MOST_BYTES} bytes; send a shorter recording")
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise LaspaError(f"{name} is not base64; send the file's content, not its path") from None
    if cut := cut_short(content):
        raise LaspaError(f"{name}: {cut}; send the whole file")
    try:
        with suppress(ReadInPart):  # an MP3 that does not say how long it is stays as it is
            content = with_all_sound(name, content) or content
        with soundfile.SoundFile(Buffer(content)) as file:
            return array_recording(_samples(file, name), file.samplerate, name)
    except LaspaError:
        raise
    except Exception:  # libsndfile and its wrapper raise errors of many kinds
        raise LaspaError(
            f"{name} is not a recording that can be decoded; send the base64 of a whole WAV, FLAC, OGG or "
            "MP3 file"
        ) from None


def _samples(file: soundfile.SoundFile, name: str) -> np.ndarray:
    if file.channels > MOST_CHANNELS or file.samplerate > MOST_RATE:
        raise LaspaError(
            f"{name} has {file.channels} channels at {file.samplerate} Hz; at most {MOST_CHANNELS} at "
            f"{MOST_RATE} Hz are taken"
        )
    most = int(MOST_SECONDS * file.samplerate)
    blocks, count = [np.zeros((0, file.channels), dtype=np.float32)], file.frames
    if count <= most:  # as its header says
        count = 0
        while count <= most and len(block := file.read(READ_FRAMES, dtype="float32", always_2d=True)):
            blocks.append(block)
            count += len(block)
    if count > most:
        raise LaspaError(f"{name} is longer than {MOST_SECONDS:g} s; send a shorter recording")
    return np.concatenate(blocks)
