"""`Recogniser`: a trained model that is asked about recordings."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from laspa.audio.decoders import MissingDecoder
from laspa.audio.reading import SAMPLE_RATE
from laspa.audio.speech import DETECTORS, FRAME, speech_of
from laspa.audio.streaming import Channel, Recording, array_recording, mono_blocks, open_recording, pieces
from laspa.errors import LaspaError
from laspa.recogniser.decision import (
    ANY,
    CALIBRATION_FILE,
    MIN_SPEECH,
    Decision,
    PairDecision,
    decision_of,
    pair_heard,
    probability,
    read_decision,
)
from laspa.recogniser.runtime import Runtime, open_runtime

if TYPE_CHECKING:
    from laspa.backend import saving

WINDOW = 30.0  # seconds of speech embedded at once; a longer recording's windows are of equal length

Source = str | Path | np.ndarray | Recording


class Language(NamedTuple):
    """The language that the model hears, and its posterior."""

    code: str
    posterior: float


class Utterance(NamedTuple):
    """What the model hears in one recording.

    embedding: (D,) float32 of unit length. language: None where the model has no language head.
    seconds: of speech.
    """

    embedding: np.ndarray
    language: Language | None
    seconds: float


@dataclass(frozen=True)
class Verification:
    """Whether two recordings are of one speaker.

    score: cosine of the two embeddings, or that of a backend.
    log_likelihood_ratio: natural logarithm; None without calibration.
    probability: that it is one speaker, if `prior` was the probability before listening.
    same: score > threshold. languages: heard in each recording. languages_heard: whether ratio and threshold
        are those for pairs in the same language, in different ones, or in any (laspa/recogniser/decision.py).
    recorded_otherwise: whether each recording is probably none like those that the backend was learnt of.
    """

    score: float
    log_likelihood_ratio: float | None
    probability: float | None
    prior: float
    same: bool
    threshold: float
    languages: tuple[Language | None, Language | None]
    languages_heard: str | None
    recorded_otherwise: tuple[bool, bool] = (False, False)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        heard = [one and one._asdict() for one in self.languages]
        return asdict(self) | {"languages": heard}


class Recogniser:
    """Embeds and compares recordings. Use `Recogniser.load`."""

    def __init__(self, runtime: Runtime, correction: "saving.Backend | None" = None) -> None:
        self.runtime, self.correction = runtime, correction

    @classmethod
    def load(
        cls,
        source: str | Path,
        device: str = "auto",
        threads: int | None = None,
        front_end: str | None = None,
        backend: str | Path | None = None,
    ) -> "Recogniser":
        """A model's folder, such as data/model, or an ONNX file: of `laspa export`, which needs no torch, or
        of another toolkit.

        Args:
            device: auto (a GPU where there is one), cpu or cuda.
            threads: of the model on a CPU; by default all cores. torch then has them in the whole process.
            front_end: what an ONNX file of another toolkit reads, if it has no metadata of sherpa-onnx: a
                name of `laspa.features.front_ends.FRONT_ENDS`, or waveform.
            backend: a file of `laspa backend fit`; scores, calibration and thresholds are then of it.

        Raises:
            LaspaError: no such model, a damaged one, one of another laspa, or one of unknown front end; a
                backend of another model.
        """
        model = open_runtime(str(source), device, threads, front_end)
        if backend is None:
            return cls(model)
        from laspa.backend.saving import load_backend  # here: it imports scikit-learn

        learnt = load_backend(Path(backend))
        learnt.check_recogniser(backend, model.digest, model.dim, str(source))
        return cls(model, learnt)

    @property
    def digest(self) -> str:
        """SHA-256 of the model's weights: only embeddings of the same digest can be compared."""
        return self.runtime.digest

    def embed(
        self,
        source: Source | Sequence[Source],
        sample_rate: int | None = None,
        channel: Channel = None,
        vad: str = "energy",
    ) -> np.ndarray:
        """Embeddings of unit length: (D,) float32 of one recording, (N, D) of a list.

        Args:
            source: a file; an array, (samples,) or (samples, channels), with `sample_rate`; a `Recording`;
                or a list.
            sample_rate: of arrays, Hz.
            channel: which one to hear, from 1, or "mix" for their mean; by default the mean of channels that
                hold the same sound, and others are refused.
            vad: what leaves out silence: energy, silero (extra `vad`), or none.

        Raises:
            LaspaError: as `hear`.
        """
        if isinstance(source, (str, Path, np.ndarray, Recording)):
            return self.hear(source, sample_rate, channel, vad).embedding
        if not len(source):
            raise LaspaError("embed: an empty list; give at least one recording")
        return np.stack([self.hear(one, sample_rate, channel, vad).embedding for one in source])

    def hear(
        self, source: Source, sample_rate: int | None = None, channel: Channel = None, vad: str = "energy"
    ) -> Utterance:
        """A recording's embedding, language and seconds of speech; arguments as of `embed`.

        Speech longer than `WINDOW` seconds is cut into as few equal windows as possible. The result is the
        mean of the windows' embeddings, each scaled to unit length first, and the mean of their posteriors
        (our choice). Memory does not grow with the recording.

        Raises:
            LaspaError: a recording that is missing, empty, damaged, cut short, silent, not finite, with less
                than `MIN_SPEECH` seconds of speech, or with channels that differ and no `channel`.
        """
        if vad not in DETECTORS:
            raise LaspaError(f"vad is {vad!r}; {', '.join(DETECTORS)} are known")
        if isinstance(source, np.ndarray):
            recording = array_recording(source, sample_rate)
        else:
            recording = source if isinstance(source, Recording) else open_recording(source)
        try:
            return self._heard(recording, channel, vad)
        except MissingDecoder:
            raise
        except LaspaError as error:
            if recording.name in str(error):
                raise
            raise LaspaError(f"{recording.name}: {error}") from None

    def _heard(self, recording: Recording, channel: Channel, vad: str) -> Utterance:
        blocks = mono_blocks(recording, channel)
        total = sum(len(block) for block in blocks())
        speech = DETECTORS[vad](blocks)
        seconds = min(int(speech.sum()) * FRAME, total) / SAMPLE_RATE
        if seconds < MIN_SPEECH:
            keep = (
                "" if vad == "none" or total < MIN_SPEECH * SAMPLE_RATE else ", or keep silence by --vad none"
            )
            raise LaspaError(
                f"{seconds:.2f} s of speech in {total / SAMPLE_RATE:.2f} s, at least {MIN_SPEECH:g} s are "
                f"needed; give a longer recording{keep}"
            )
        samples = round(seconds * SAMPLE_RATE)
        windows = -(-samples // round(WINDOW * SAMPLE_RATE))
        heard = [
            self.runtime.encode(window)
            for window in pieces(speech_of(blocks(), speech), -(-samples // windows))
        ]
        embedding = _unit(np.mean([_unit(one.embedding) for one in heard], axis=0))
        posteriors = [one.posterior for one in heard if one.posterior is not None]
        return Utterance(embedding, self._language(posteriors, embedding), seconds)

    def _language(self, posteriors: list[np.ndarray], embedding: np.ndarray) -> Language | None:
        """By the backend where there is one, since its scores depend on it."""
        if self.correction is not None:
            told = self.correction.language(embedding)
            return None if told is None else Language(*told)
        if not posteriors:
            return None
        posterior = np.mean(posteriors, axis=0)
        best = int(posterior.argmax())
        return Language(self.runtime.languages[best], float(posterior[best]))

    @cached_property
    def decision(self) -> Decision | None:
        """The calibration and thresholds of the backend, else of the model's folder; None without."""
        runtime, learnt = self.runtime, self.correction
        if learnt is not None:
            if learnt.decision is None or learnt.calibration is None:
                return None
            pair = PairDecision(ANY, learnt.calibration, learnt.decision["thresholds"])
            return Decision(learnt.path, {ANY: pair})
        if runtime.calibration is not None:
            return decision_of(runtime.calibration, runtime.folder, runtime.digest)
        return read_decision(runtime.folder, runtime.digest)

    def scores(self, one: np.ndarray, others: np.ndarray) -> np.ndarray:
        """(n,) of an embedding (D,) with each of others (n, D): cosines, or scores of the backend."""
        return others @ one if self.correction is None else self.correction.scores(one, others)

    def recorded_otherwise(self, heard: Utterance) -> bool:
        """Whether a recording is probably none like those that the backend was learnt of; without one, no."""
        return self.correction is not None and self.correction.recorded_otherwise(heard.embedding)

    def verify(
        self,
        first: Source,
        second: Source,
        threshold: float | None = None,
        far: float | None = None,
        prior: float = 0.5,
        sample_rate: int | None = None,
        channel: Channel = None,
        vad: str = "energy",
    ) -> Verification:
        """Whether two recordings are of one speaker.

        Args:
            threshold: of the score; by default that with equal error rates on dev, for the languages heard.
            far: take the threshold with this rate of false acceptances on dev instead, such as 0.01.
            prior: probability that it is one speaker before listening, between 0 and 1.
            sample_rate, channel, vad: as of `embed`.

        Raises:
            LaspaError: as `hear`; a model without calibration and no `threshold`; an unknown `far`; a
                `threshold` that is not finite, or a `prior` that is no probability.
        """
        if not 0 < prior < 1:
            raise LaspaError(f"prior is {prior:g}; give a probability above 0 and below 1")
        if threshold is not None and not math.isfinite(threshold):
            raise LaspaError(f"threshold is {threshold:g}; give a finite number")
        decision = self.decision
        if decision is None and threshold is None:
            lacks = f"{self.runtime.folder}: has no {CALIBRATION_FILE}"
            remedy = "make it (stage model), learn a backend (laspa backend fit)"
            if self.correction is not None:
                lacks = f"{self.correction.path}: has no calibration"
                remedy = "fit it on more speakers"
            raise LaspaError(
                f"{lacks}, so there is no threshold and no probability; {remedy}, or give a threshold of "
                "your own by --threshold"
            )
        name = decision.name(far) if decision else ""
        one, other = (self.hear(side, sample_rate, channel, vad) for side in (first, second))
        score = float(self.scores(one.embedding, other.embedding[None])[0])
        pair = None if decision is None else decision.of(_languages_heard(one.language, other.language))
        ratio = None if pair is None else float(pair.calibration(np.asarray(score)))
        if threshold is None:
            assert pair is not None  # without a decision there is a threshold
            threshold = pair.thresholds[name]
        return Verification(
            score=score,
            log_likelihood_ratio=ratio,
            probability=None if ratio is None else probability(ratio, prior),
            prior=prior,
            same=score > threshold,
            threshold=threshold,
            languages=(one.language, other.language),
            languages_heard=None if pair is None else pair.heard,
            recorded_otherwise=(self.recorded_otherwise(one), self.recorded_otherwise(other)),
        )


def _languages_heard(one: Language | None, other: Language | None) -> str:
    if one is None or other is None:
        return ANY
    return str(pair_heard(one.code == other.code, min(one.posterior, other.posterior)))


def _unit(vector: np.ndarray) -> np.ndarray:
    return (vector / np.linalg.norm(vector)).astype(np.float32)
