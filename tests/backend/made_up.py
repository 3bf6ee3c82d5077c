"""Made-up speakers in several languages."""

import numpy as np

from laspa.backend.parts import Speech

DIMENSION = 16


def people(
    speakers: int = 8,
    shift: float = 1.0,
    seed: int = 0,
    takes: int = 3,
    languages: tuple[str, ...] = ("en", "zh"),
) -> Speech:
    """Each speaker in each language: a voice, the language's own shift, and noise."""
    generator = np.random.default_rng(seed)
    voice = generator.normal(size=(speakers, DIMENSION))
    moved = shift * np.random.default_rng(99).normal(size=(len(languages), DIMENSION))
    cells = [(who, which) for who in range(speakers) for which in range(len(languages)) for _ in range(takes)]
    who, which = np.array(cells).T
    vectors = voice[who] + moved[which] + 0.5 * generator.normal(size=(len(who), DIMENSION))
    return Speech(vectors, np.array(languages)[which], np.array([f"s{seed}-{one:02}" for one in who]))
