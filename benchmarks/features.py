"""Log-mels in memory, on one thread: ours beside torchaudio's MelSpectrogram and beside the FFT alone.

Usage: python benchmarks/features.py [repetitions]

The systems take turns, so that what else the machine does falls on all of them; only the ratios
mean anything. Values must agree to 1e-5.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from laspa.audio import SAMPLE_RATE
from laspa.framing import samples_per_frame, samples_per_hop, samples_per_window
from laspa.mel import mel_power
from laspa.params import load_params
from laspa.torchaudio_shim import MelSpectrogram

UTTERANCES, SECONDS = 100, 3.2
TOLERANCE = 1e-5


def main() -> None:
    """Time each system and print hours of audio a minute and the ratio to torchaudio."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    settings = load_params(Path(__file__).parents[1] / "params.yaml").features
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    lengths = rng.integers(int(SECONDS * SAMPLE_RATE * 0.5), int(SECONDS * SAMPLE_RATE * 1.5), UTTERANCES)
    signals = [torch.from_numpy(0.1 * rng.standard_normal(n, dtype=np.float32)) for n in lengths]
    size, hop = samples_per_frame(settings), samples_per_hop(settings)
    torchaudio = MelSpectrogram(
        SAMPLE_RATE,
        n_fft=size,
        win_length=samples_per_window(settings),
        hop_length=hop,
        f_min=settings.low_hz,
        f_max=settings.high_hz,
        n_mels=settings.num_mels,
        center=False,
    )
    for signal in signals:
        torch.testing.assert_close(
            mel_power(signal, settings), torchaudio(signal).T, rtol=TOLERANCE, atol=TOLERANCE
        )
    systems: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "torchaudio": torchaudio,
        "laspa": lambda signal: mel_power(signal, settings),
        "FFT alone": lambda signal: torch.fft.rfft(signal.unfold(0, size, hop)),
    }
    seconds = {name: [] for name in systems}
    for _ in range(repetitions):
        for name, system in systems.items():
            start = time.perf_counter()
            for signal in signals:
                system(signal)
            seconds[name].append(time.perf_counter() - start)
    hours = sum(lengths) / SAMPLE_RATE / 3600
    best = {name: min(taken) for name, taken in seconds.items()}
    print(f"{UTTERANCES} utterances, {hours * 60:.1f} minutes of audio, best of {repetitions}, one thread")
    for name, taken in best.items():
        ratio = best["torchaudio"] / taken
        print(f"{name:12} {hours / taken * 60:6.0f} h of audio a minute, {ratio:.2f} × torchaudio")
    print(f"laspa takes {best['laspa'] / best['FFT alone']:.2f} times the FFT alone")


if __name__ == "__main__":
    main()
