"""From WAV files to embeddings: recordings an hour on one thread, beside SpeechBrain and our ONNX file.

Usage: python benchmarks/embedding.py [turns]; 7 by default.

SpeechBrain is not a dependency: `pip install --no-deps speechbrain hyperpyyaml sentencepiece` beside this
project. All models have random weights, and all read the same files. The systems take turns, so that other
load affects all of them; only the ratios are meaningful. Each is given its shortest time, and the
spread of its times is shown.
"""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # before torch is imported

import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import soundfile
import torch

import laspa.features.torchaudio_shim  # noqa: F401 (lets SpeechBrain import torchaudio)
from laspa import Recogniser
from laspa.features.settings import mel_settings
from laspa.features.store import digest
from laspa.models.export import export_onnx
from laspa.models.laspa import Laspa
from laspa.models.saving import save_model
from laspa.params import load_params, with_overrides

FILES, SECONDS, RATE = 40, 3.2, 16_000
TURNS = 7
MELS, DIM = 80, 192
PARAMS = Path(__file__).parents[1] / "params.yaml"
# The speaker encoder alone, as SpeechBrain's: no language encoder, no centring.
PLAIN = {"system": "baseline", "model.centring": "none", "model.embedding_dim": DIM}
AIMS = (  # what, beside what, at least how many times as fast
    ("laspa ECAPA-512", "SpeechBrain ECAPA-512", 1.3),
    ("laspa ECAPA-512, ONNX", "laspa ECAPA-512", 1.2),
    ("laspa default, ONNX", "laspa default", 1.2),
    ("laspa default, ONNX, mel in", "laspa default", 1.2),
)


def main() -> None:
    turns = int(sys.argv[1]) if len(sys.argv) > 1 else TURNS
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        paths = recordings(Path(folder))
        systems: dict[str, Callable[[str], object]] = {}
        for name, encoder in (("laspa ECAPA-512", "ecapa_512"), ("laspa default", None)):
            systems |= ours(name, encoder, Path(folder))
        if find_spec("speechbrain") is None:
            print("SpeechBrain is not installed: left out")
        else:
            systems["SpeechBrain ECAPA-512"] = speechbrain()
        taken: dict[str, list[float]] = {name: [] for name in systems}
        for turn in range(turns + 1):  # the first only warms up
            for name, system in systems.items():
                start = time.perf_counter()
                for path in paths:
                    system(path)
                if turn:
                    taken[name].append((time.perf_counter() - start) / len(paths))
    print(f"{FILES} files of {SECONDS} s, one thread, best of {turns} turns; torch {torch.__version__}")
    for name, times in taken.items():
        spread = max(times) / min(times) - 1
        print(f"{name:31} {min(times) * 1e3:7.2f} ms  {3600 / min(times):9,.0f} an hour  (to +{spread:.0%})")
    for what, beside, aim in AIMS:
        if beside in taken:
            ratio = min(taken[beside]) / min(taken[what])
            print(f"{what} / {beside}: {ratio:.2f} (aim {aim}: {'met' if ratio >= aim else 'missed'})")


def recordings(folder: Path) -> list[str]:
    """16-bit WAV files of noise whose level moves."""
    generator = np.random.default_rng(0)
    paths = [str(folder / f"{number}.wav") for number in range(FILES)]
    for path in paths:
        samples = generator.normal(size=round(SECONDS * RATE)) * 0.05
        soundfile.write(path, samples * (1 + np.sin(np.arange(len(samples)) / 3000)), RATE)
    return paths


def ours(name: str, encoder: str | None, folder: Path) -> dict[str, Callable[[str], object]]:
    """`Recogniser.embed` on torch and on onnxruntime, without a gate for silence, as SpeechBrain has none."""
    params = load_params(PARAMS)
    params = with_overrides(params, PLAIN | ({"model.speaker_encoder": encoder} if encoder else {})).resolve()
    settings = mel_settings(params.features)
    model = Laspa(params.as_system(), MELS, 2, 2).eval()
    features = {"settings": settings, "digest": digest(settings)}
    save_model(folder / name, model, features, ["a", "b"], ["de", "en"])
    export_onnx(folder / name, folder / f"{name}.onnx")
    export_onnx(folder / name, folder / f"{name}.mel.onnx", waveform=False)

    def embed(source: Path) -> Callable[[str], object]:
        recogniser = Recogniser.load(source, "cpu", threads=1)
        return lambda path: recogniser.embed(path, vad="none")

    return {
        name: embed(folder / name),
        f"{name}, ONNX": embed(folder / f"{name}.onnx"),
        f"{name}, ONNX, mel in": embed(folder / f"{name}.mel.onnx"),
    }


def speechbrain() -> Callable[[str], object]:
    """`encode_batch` of one file at a time, built as the recipe for VoxCeleb builds it."""
    from speechbrain.inference.classifiers import EncoderClassifier
    from speechbrain.lobes.features import Fbank
    from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN
    from speechbrain.processing.features import InputNormalization

    encoder = ECAPA_TDNN(
        MELS,
        lin_neurons=DIM,
        channels=[512, 512, 512, 512, 1536],
        kernel_sizes=[5, 3, 3, 3, 1],
        dilations=[1, 2, 3, 4, 1],
        attention_channels=128,
    )
    modules = {
        "compute_features": Fbank(n_mels=MELS),
        "mean_var_norm": InputNormalization(norm_type="sentence", std_norm=False),
        "embedding_model": encoder,
        "classifier": torch.nn.Identity(),
    }
    classifier = EncoderClassifier(modules=modules, hparams={"label_encoder": None})
    classifier.eval()

    def embed(path: str) -> object:
        samples, _ = soundfile.read(path, dtype="float32")
        with torch.inference_mode():
            return classifier.encode_batch(torch.from_numpy(samples)[None])

    return embed


if __name__ == "__main__":
    main()
