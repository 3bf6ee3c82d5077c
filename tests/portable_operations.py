"""Prints a digest of each operation that must not depend on the processor, as JSON; run in its own process.

The inputs are made from integers, the same everywhere. `features` as an argument: these alone.
"""

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soxr

from laspa.audio.augmentation import Augmentation, augment
from laspa.audio.reading import SAMPLE_RATE
from laspa.features.mel import log_mel
from laspa.params import load_params, with_overrides

PARAMS = load_params(Path(__file__).parents[1] / "params.yaml")
CROP_FRAMES, UTTERANCES, SPEAKERS, LANGUAGES = 120, 192, 24, 4
CHANGES = {"train.epochs": 2, "train.dev_every": 1, "train.device": "cpu", "train.threads": 1}


def digest(*arrays: np.ndarray) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(one).tobytes() for one in arrays)).hexdigest()[:16]


def integers(*shape: int, seed: int = 1) -> np.ndarray:
    """float32 multiples of 2⁻¹⁵ from −1 to 1."""
    drawn = np.random.default_rng(seed).integers(-(2**15), 2**15, shape)
    return (drawn / 2**15).astype(np.float32)


def waveform(samples: int) -> np.ndarray:
    """Noise, loud and quiet in turn."""
    return integers(samples) * np.float32(0.25) ** (np.arange(samples) // 4000 % 4).astype(np.float32)


def features() -> dict[str, Callable[[], str]]:
    """Exact whatever the switches."""
    speech = waveform(2 * SAMPLE_RATE)

    def copies(kind: str, **options: float) -> Callable[[], str]:
        return lambda: digest(log_mel(augment(speech, Augmentation(kind, 3, **options)), PARAMS.features))

    return {
        "log-mel": lambda: digest(log_mel(speech, PARAMS.features)),
        "resampling": lambda: digest(soxr.resample(waveform(88_200), 44_100, SAMPLE_RATE, quality="HQ")),
        "copy: noise": copies("noise", snr_db=5.0),
        "copy: music": copies("music", snr_db=5.0),
        "copy: reverb": copies("reverb"),
        "copy: speed": copies("speed", speed=0.9),
    }


def training() -> dict[str, Callable[[], str]]:
    import tempfile

    import torch

    from laspa.models.encoders import ENCODERS
    from laspa.training.batches import TrainingSet
    from laspa.training.loop import train
    from tests.made_up import InMemory

    frames = (4 * integers(UTTERANCES * CROP_FRAMES, 80)).astype(np.float16)
    lengths = np.full(UTTERANCES, CROP_FRAMES)
    speaker = np.arange(UTTERANCES) % SPEAKERS
    names = [f"{number:03}" for number in range(UTTERANCES)]
    classes = names[:SPEAKERS], names[:LANGUAGES]
    data = TrainingSet(InMemory(frames, lengths), speaker, speaker % LANGUAGES, *classes, 100.0, names)

    def steps(system: str) -> str:
        params = with_overrides(PARAMS, CHANGES).resolve(system)
        with tempfile.TemporaryDirectory() as folder:
            state = Path(folder) / "state"
            found = train(params, data, torch.device("cpu"), lambda _: {"eer": 0.0}, lambda _: None, state)
        return digest(*(value.numpy() for value in found.last.values()))

    def backbone(name: str) -> str:
        torch.manual_seed(1)
        encoder = ENCODERS[name](80, 32)
        mel = torch.from_numpy(4 * integers(4, 64, 80))
        embedding = encoder(mel)[0]
        embedding.square().mean().backward()
        return digest(
            embedding.detach().numpy(), *(p.grad.numpy() for p in encoder.parameters() if p.grad is not None)
        )

    steps_of = {f"steps: {system}": lambda system=system: steps(system) for system in PARAMS.compare}
    return steps_of | {
        f"backbone: {name}": lambda name=name: backbone(name) for name in ("ecapa_512", "resnet34_s")
    }


def evaluation() -> dict[str, Callable[[], str]]:
    from laspa.evaluation.as_norm import as_norm
    from laspa.evaluation.calibration import fit_calibration
    from laspa.evaluation.error_rates import cllr, eer, min_cllr
    from laspa.evaluation.intervals import percentile_interval, resampled_rates
    from laspa.evaluation.probes import language_probe, speaker_probe, variance_shares
    from laspa.evaluation.scores import cosine_scores

    utterances, speakers = 480, 48
    speaker = np.arange(utterances) % speakers
    noise, voices, offsets = np.float32(1.5), np.float32(0.5), np.float32(0.4)  # so that no rate is 0 or 1
    vectors = noise * integers(utterances, 192, seed=2) + voices * integers(speakers, 192, seed=3)[speaker]
    vectors += offsets * integers(LANGUAGES, 192, seed=4)[np.arange(utterances) // speakers % LANGUAGES]
    language = np.array(list("abcd"))[np.arange(utterances) // speakers % LANGUAGES]
    names = np.array([f"{one:02}" for one in speaker])
    one, other = np.random.default_rng(5).integers(0, utterances, (2, 8000))
    other[:2000] = (one[:2000] + speakers) % utterances
    target, everything = speaker[one] == speaker[other], np.ones(8000, dtype=bool)
    scores = cosine_scores(vectors, one, other)
    classes = scores[target], scores[~target]
    sides = names[one], names[other]
    cohort = np.array([f"c{number // 4}" for number in range(400)])

    def interval() -> str:
        drawn = resampled_rates(scores, target, sides, {"all": everything}, 200, 1)["all"]["eer"]
        return digest(np.array([eer(*classes), *percentile_interval(drawn)]))

    def calibrated() -> str:
        fitted = fit_calibration(*classes)
        ratios = fitted(classes[0]), fitted(classes[1])
        return digest(np.array([fitted.slope, fitted.offset, cllr(*ratios), min_cllr(*ratios)]))

    def plane() -> str:
        import pandas as pd

        from laspa.report.figure_data import embedding_map

        ids = [f"u{number}" for number in range(utterances)]
        embeddings = pd.DataFrame({"utterance_id": ids, "vector": list(vectors)})
        manifest = pd.DataFrame({"utterance_id": ids, "speaker": names, "language": language})
        return digest(embedding_map(embeddings, manifest).points)

    about = vectors, language, names
    return {
        "cosines": lambda: digest(scores),
        "EER and its interval": interval,
        "AS-norm": lambda: digest(
            as_norm(vectors, names, one, other, integers(400, 192, seed=6), cohort, 50)
        ),
        "calibration": calibrated,
        "logistic regression": lambda: digest(np.array(language_probe(*about, 1))),
        "perceptron": lambda: digest(np.array(language_probe(*about, 1, kind="mlp"))),
        "discriminants": lambda: digest(np.array(speaker_probe(*about, 1))),
        "variance": lambda: digest(np.array(list(variance_shares(*about).values()))),
        "t-SNE": plane,
    }


def main() -> None:
    groups = [features] if sys.argv[1:] == ["features"] else [features, training, evaluation]
    print(json.dumps({name: make() for group in groups for name, make in group().items()}))


if __name__ == "__main__":
    main()
