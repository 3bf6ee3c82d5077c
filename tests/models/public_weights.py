"""Random weights for a public architecture, the same for the original's code and for ours.

`tests/models/data/KIND.npz` holds the original's names and shapes, and its embeddings of `fbank()` and of its
first `SHORT` frames under these weights. They were computed by the original's code: its class is built,
`weights` of the names and shapes of its state_dict are loaded strictly, and it is called in eval mode;
ReDimNet's without `spec`, its front end. `front_ends.npz` holds each fifth frame of what the originals' front
ends make of `signal()`.
"""

import zlib

import numpy as np

SHORT = 31  # frames


def signal(samples: int = 12_345) -> np.ndarray:
    """(samples,) float32: noise that swells from silence, full scale ±1."""
    noise = np.random.default_rng(11).normal(size=samples) * np.linspace(0, 0.3, samples) ** 2
    return noise.astype(np.float32)


def fbank(frames: int = 137, mels: int = 80) -> np.ndarray:
    """(1, frames, mels) float32."""
    return np.random.default_rng(7).normal(size=(1, frames, mels)).astype(np.float32)


def weights(names: list[str], shapes: list[tuple[int, ...]]) -> dict[str, np.ndarray]:
    """One array a name, drawn from a generator seeded by the name."""
    return {name: _draw(name, shape) for name, shape in zip(names, shapes, strict=True)}


def _draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("num_batches_tracked"):
        return np.array(0)
    if len(shape) < 2:  # scales, offsets and statistics of normalisation, and biases
        positive = name.endswith(("weight", "running_var"))
        return (generator.uniform(0.5, 1.5, shape) if positive else generator.normal(0, 0.1, shape)).astype(
            np.float32
        )
    return (generator.normal(size=shape) * np.sqrt(2 / np.prod(shape[1:]))).astype(np.float32)
