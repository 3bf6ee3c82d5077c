"""The embedded corpus: multilingual speakers, synthesised when needed; the same seed gives the same bytes.

Every speaker is a parametric voice of espeak-ng that changes with the language, as people's voices
do; docs/corpora.md describes how. Each speaker is made in a fresh process, in a fixed order, so
the number of cores and the other speakers change no byte.
"""

import io
import os
import shutil
import sys
from collections.abc import Iterator
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

from laspa.corpora.corpus import CC0, Corpus, Listing
from laspa.corpora.synthetic import espeak
from laspa.corpora.synthetic.channel import record
from laspa.corpora.synthetic.text import phrase, words
from laspa.corpora.synthetic.voices import generator_for, speaker_voice, voice_in
from laspa.errors import LaspaError
from laspa.files import atomic_path
from laspa.manifest.index import INDEX_COLUMNS
from laspa.params import Synthetic
from laspa.progress import progress

SAMPLE_RATE = 16_000
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


def speakers(options: Synthetic) -> Iterator[Speaker]:
    """Everyone in the corpus.

    Each language is spoken by equally many. Of the training speakers `bilingual_share` speak two.
    A dev speaker speaks `languages_per_speaker` of the seen languages. So does a test speaker, with
    an unseen language in place of the last one.
    """
    seen, unseen, count = options.languages, options.unseen_languages, len(options.languages)
    for index in range(options.train_speakers):
        draw = generator_for(options.seed, "languages", "train", index)
        # Spread evenly: speaker i is bilingual where the running count of bilinguals rises.
        so_far, with_this = (int(round(n * options.bilingual_share, 9)) for n in (index, index + 1))
        bilingual = with_this > so_far
        # Monolinguals and bilinguals take turns at the languages separately, so that every language
        # has both, and in opposite directions, so that an incomplete round of one fills the other's.
        place = so_far if bilingual else index - so_far
        first = place % count if bilingual else count - 1 - place % count
        second = (first + 1 + int(draw.integers(count - 1))) % count
        spoken = (seen[first], seen[second]) if bilingual else (seen[first],)
        gender = _gender(place // count + bilingual)
        yield Speaker(f"train{index:04d}", gender, "train", spoken, options.train_utterances)
    for split, number in (("dev", options.dev_speakers), ("test", options.test_speakers)):
        for index in range(number):
            draw = generator_for(options.seed, "languages", split, index)
            chosen = [seen[i] for i in draw.permutation(count)[: options.languages_per_speaker]]
            if split == "test" and unseen:
                chosen[-1] = unseen[index // 2 % len(unseen)]
            name = f"{split}{index:04d}"
            yield Speaker(name, _gender(index), split, tuple(chosen), options.eval_utterances)


def synthesise(options: Synthetic, folder: Path) -> Listing:
    """Write the recordings under `folder`, SPEAKER/LANGUAGE/NUMBER.wav, and list them.

    Speakers that are there are kept, so that a killed run can be resumed.

    Raises:
        LaspaError: a language that CLDR or espeak-ng does not know, or a process that died.
    """
    known = espeak.languages()
    for language in [*options.languages, *options.unseen_languages]:
        words(language)
        if language not in known:
            raise LaspaError(
                f"params.yaml: synthetic has the language {language!r}, which espeak-ng does not speak; "
                f"it speaks {', '.join(sorted(known))}"
            )
    everyone = list(speakers(options))
    folder.mkdir(parents=True, exist_ok=True)
    for half_written in folder.glob(".*.tmp"):  # left by a run that was killed
        shutil.rmtree(half_written, ignore_errors=True)
    missing = [speaker for speaker in everyone if not (folder / speaker.name).exists()]
    made = _each_in_a_process(options, missing, folder, os.cpu_count() or 1)
    for _ in progress(made, len(missing), "synthesise", unit="speaker"):
        pass
    rows = [
        (f"{speaker.name}/{language}/{number:03d}.wav", speaker.name, language, speaker.gender, speaker.split)
        for speaker in everyone
        for language in speaker.languages
        for number in range(speaker.utterances)
    ]
    return Listing(pd.DataFrame(rows, columns=INDEX_COLUMNS))


def _gender(index: int) -> str:
    return "fm"[index % 2]


def _each_in_a_process(
    options: Synthetic, missing: list[Speaker], folder: Path, workers: int
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
                process = context.Process(target=_child, args=(theirs, options, speaker, folder))
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
                        "it stays, take one of these out of synthetic in params.yaml"
                    )
                yield speaker
    finally:
        for process, _, _ in running.values():
            process.terminate()
            process.join()


def _child(theirs: Connection, options: Synthetic, speaker: Speaker, folder: Path) -> None:
    try:
        _make_speaker(options, speaker, folder)
    except BaseException as error:  # Ctrl-C too: the parent reports it once
        theirs.send(error)
        sys.exit(FAILED)


def _make_speaker(options: Synthetic, speaker: Speaker, folder: Path) -> None:
    synthesiser = espeak.Espeak()
    voice = speaker_voice(options.seed, speaker.name, speaker.gender)
    with TemporaryDirectory() as voices, atomic_path(folder / speaker.name) as target:
        for language in speaker.languages:
            (target / language).mkdir(parents=True)
            shifts = options.language_shift, options.personal_shift
            voice_file = Path(voices) / language
            voice_file.write_text(
                voice_in(voice, options.seed, speaker.name, language, *shifts).file(language)
            )
            for number in range(speaker.utterances):
                draw = generator_for(options.seed, "utterance", speaker.name, language, number)
                samples = _utterance(synthesiser, voice_file, language, options, draw)
                encoded = io.BytesIO()  # written by Python, which reports a full disk
                soundfile.write(encoded, samples, SAMPLE_RATE, "PCM_16", format="WAV")
                (target / language / f"{number:03d}.wav").write_bytes(encoded.getbuffer())


def _utterance(
    synthesiser: espeak.Espeak, voice_file: Path, language: str, options: Synthetic, draw: np.random.Generator
) -> np.ndarray:
    seconds = max(SECONDS_AT_LEAST, options.seconds * np.exp(LENGTH_SPREAD * draw.normal()))
    text = phrase(language, int(seconds * CHARACTERS_PER_SECOND), draw)
    speech = synthesiser.say(text, voice_file, seed=int(draw.integers(2**31)))
    speech = soxr.resample(speech, synthesiser.sample_rate, SAMPLE_RATE)[: int(seconds * SAMPLE_RATE)]
    return record(speech, SAMPLE_RATE, options.channel, draw)


CORPUS = Corpus(
    name="synthetic",
    title="The embedded corpus",
    licence=CC0,
    citation="laspa, docs/corpora.md; voices by espeak-ng, names out of the Unicode CLDR",
    list_recordings=lambda params, _, folder: synthesise(params.synthetic, folder),
)
