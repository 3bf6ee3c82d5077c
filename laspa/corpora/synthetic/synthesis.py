"""Making a corpus of synthetic voices by a recipe: each speaker in a fresh process, in a fixed order.

So the number of cores and the other speakers change no byte.
"""

import io
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import soundfile
import soxr

from laspa.audio.reading import SAMPLE_RATE
from laspa.corpora.corpus import Listing
from laspa.corpora.synthetic import espeak
from laspa.corpora.synthetic.voices import generator_for
from laspa.errors import LaspaError
from laspa.files import atomic_path
from laspa.manifest.index import INDEX_COLUMNS
from laspa.progress import progress
from laspa.worker_processes import available_cores

CHARACTERS_PER_SECOND = 20  # espeak-ng speaks 16 to 20 of CLDR names (measured): no text is too short
LENGTH_SPREAD = 0.25  # standard deviation of log length; our choice
SECONDS_AT_LEAST = 1.0
FAILED = 3  # exit status of a process that has sent its exception to the parent


@dataclass(frozen=True)
class Speaker:
    """A speaker to synthesise, with `utterances` in each language."""

    name: str
    gender: str
    split: str
    languages: tuple[str, ...]
    utterances: int


@dataclass(frozen=True)
class Recipe:
    """How the recordings of a family of voices are made.

    Args:
        section: of params.yaml, for messages.
        seed: of all that is drawn; other seeds draw independently.
        seconds: mean length of an utterance.
        voice: of a speaker in a language, as the text of an espeak-ng voice file.
        text: in a language, of at least so many characters.
        record: speech (samples,) float32 at SAMPLE_RATE as a recording of the same shape.
    """

    section: str
    seed: int | str
    seconds: float
    voice: Callable[[Speaker, str], str]
    text: Callable[[str, int, np.random.Generator], str]
    record: Callable[[np.ndarray, np.random.Generator], np.ndarray]


def gender_of(index: int) -> str:
    """Women and men take turns."""
    return "fm"[index % 2]


def synthesise(recipe: Recipe, languages: list[str], everyone: list[Speaker], folder: Path) -> Listing:
    """Write the recordings under `folder`, SPEAKER/LANGUAGE/NUMBER.wav, and list them.

    Speakers that are there are kept, so that a killed run can be resumed.

    Args:
        languages: all that anybody may speak.

    Raises:
        LaspaError: a language that CLDR or espeak-ng does not know, or a process that died.
    """
    known = espeak.languages()
    for language in languages:
        try:
            recipe.text(language, 1, np.random.default_rng())
        except LaspaError as error:
            raise LaspaError(f"params.yaml: {recipe.section} has {error}") from None
        if language not in known:
            raise LaspaError(
                f"params.yaml: {recipe.section} has the language {language!r}, which espeak-ng does not "
                f"speak; it speaks {', '.join(sorted(known))}"
            )
    folder.mkdir(parents=True, exist_ok=True)
    _remove_half_written(folder)  # left by a run that was killed
    missing = [speaker for speaker in everyone if not (folder / speaker.name).exists()]
    made = _each_in_a_process(recipe, missing, folder, available_cores())
    for _ in progress(made, len(missing), "synthesise", unit="speaker"):
        pass
    rows = [
        (f"{speaker.name}/{language}/{number:03d}.wav", speaker.name, language, speaker.gender, speaker.split)
        for speaker in everyone
        for language in speaker.languages
        for number in range(speaker.utterances)
    ]
    return Listing(pd.DataFrame(rows, columns=INDEX_COLUMNS))


def _each_in_a_process(
    recipe: Recipe, missing: list[Speaker], folder: Path, workers: int
) -> Iterator[Speaker]:
    """Make each speaker in a fresh process, `workers` at a time; yields each when it is done.

    Not a pool: multiprocessing's hangs when a worker dies, concurrent.futures' cannot say which one died.
    """
    context = get_context("fork")
    waiting = missing[::-1]
    running: dict[Any, tuple[Any, Connection, Speaker]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                speaker, (ours, theirs) = waiting.pop(), context.Pipe(duplex=False)
                process = context.Process(target=_child, args=(theirs, recipe, speaker, folder))
                process.start()
                theirs.close()
                running[process.sentinel] = process, ours, speaker
            for sentinel in wait(list(running)):
                process, ours, speaker = running.pop(sentinel)
                process.join()
                if process.exitcode == FAILED:
                    raise ours.recv()
                if process.exitcode:
                    raise LaspaError(
                        f"espeak-ng: the process that made speaker {speaker.name} died (status "
                        f"{process.exitcode}), speaking {', '.join(speaker.languages)}; run again, and if "
                        f"it stays, take one of these out of {recipe.section} in params.yaml"
                    )
                yield speaker
    finally:
        for process, _, _ in running.values():
            process.terminate()
            process.join()
        _remove_half_written(folder)


def _remove_half_written(folder: Path) -> None:
    for half_written in folder.glob(".*.tmp"):
        shutil.rmtree(half_written, ignore_errors=True)


def _child(theirs: Connection, recipe: Recipe, speaker: Speaker, folder: Path) -> None:
    try:
        _make_speaker(recipe, speaker, folder)
    except BaseException as error:  # Ctrl-C too: the parent reports it once
        theirs.send(error)
        sys.exit(FAILED)


def _make_speaker(recipe: Recipe, speaker: Speaker, folder: Path) -> None:
    synthesiser = espeak.Espeak()
    with TemporaryDirectory() as voices, atomic_path(folder / speaker.name) as target:
        for language in speaker.languages:
            (target / language).mkdir(parents=True)
            voice_file = Path(voices) / language
            voice_file.write_text(recipe.voice(speaker, language))
            for number in range(speaker.utterances):
                draw = generator_for(recipe.seed, "utterance", speaker.name, language, number)
                samples = _utterance(synthesiser, voice_file, language, recipe, draw)
                encoded = io.BytesIO()  # written by Python, which reports a full disk
                soundfile.write(encoded, samples, SAMPLE_RATE, "PCM_16", format="WAV")
                (target / language / f"{number:03d}.wav").write_bytes(encoded.getbuffer())


def _utterance(
    synthesiser: espeak.Espeak, voice_file: Path, language: str, recipe: Recipe, draw: np.random.Generator
) -> np.ndarray:
    seconds = max(SECONDS_AT_LEAST, recipe.seconds * np.exp(LENGTH_SPREAD * draw.normal()))
    text = recipe.text(language, int(seconds * CHARACTERS_PER_SECOND), draw)
    speech = synthesiser.say(text, voice_file, seed=int(draw.integers(2**31)))
    speech = soxr.resample(speech, synthesiser.sample_rate, SAMPLE_RATE)[: int(seconds * SAMPLE_RATE)]
    return recipe.record(speech, draw)
