"""Parametric voices for espeak-ng, and how they change with the language.

The sizes of the language effect are chosen so that a public recogniser loses as much across
languages on these voices as on a real bilingual person (docs/corpora.md).
"""

import hashlib
from dataclasses import dataclass, replace

import numpy as np

FORMANTS = 6

# Standard deviations of log pitch, log formant frequency, and formant height in percentage points:
# shared by all speakers of a language, and of one speaker in one language.
SHARED_SHIFT = (0.06, 0.03, 18.0)
PERSONAL_SHIFT = (0.06, 0.02, 10.0)


@dataclass(frozen=True)
class Voice:
    """pitch: Hz; intonation: upper over lower pitch; frequency, height, width: (formants,), 1 is usual."""

    gender: str
    pitch: float
    intonation: float
    frequency: np.ndarray
    height: np.ndarray
    width: np.ndarray
    breath: int
    roughness: int
    flutter: int
    speed: int

    def moved(
        self, shift: tuple[float, float, float], strength: float, generator: np.random.Generator
    ) -> "Voice":
        """This voice with a random offset of pitch, formant frequencies and heights."""
        pitch, frequency, height = shift
        return replace(
            self,
            pitch=self.pitch * np.exp(strength * pitch * generator.normal()),
            frequency=self.frequency * np.exp(strength * frequency * generator.normal(size=FORMANTS)),
            height=self.height + strength * height / 100 * generator.normal(size=FORMANTS),
        )

    def file(self, language: str) -> str:
        """The text of an espeak-ng voice file."""
        text = (
            f"name laspa\nlanguage {language}\ngender {'female' if self.gender == 'f' else 'male'}\n"
            f"pitch {self.pitch:.0f} {self.pitch * self.intonation:.0f}\n"
            f"roughness {self.roughness}\nflutter {self.flutter}\nspeed {self.speed}\n"
        )
        if self.breath:
            text += "breath" + f" {self.breath}" * 8 + "\n"
        for index in range(FORMANTS):
            frequency, height, width = (100 * x[index] for x in (self.frequency, self.height, self.width))
            text += f"formant {index} {frequency:.0f} {max(height, 5):.0f} {width:.0f}\n"
        return text


def generator_for(*names: object) -> np.random.Generator:
    """A random generator that depends on `names` alone, so that one voice does not depend on the others."""
    digest = hashlib.sha256("/".join(map(str, names)).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))


def speaker_voice(seed: int, speaker: str, gender: str) -> Voice:
    """The voice of a speaker before the language changes it. Ranges: our choice, by ear and measurement."""
    draw = generator_for(seed, "speaker", speaker)
    tract = np.exp(0.05 * draw.normal()) * (1.12 if gender == "f" else 0.98)
    return Voice(
        gender=gender,
        pitch=(185 if gender == "f" else 95) * np.exp(0.14 * draw.normal()),
        intonation=draw.uniform(1.2, 1.6),
        frequency=tract * np.exp(0.04 * draw.normal(size=FORMANTS)),
        height=np.clip(1 + 0.25 * draw.normal(size=FORMANTS), 0.4, 1.6),
        width=np.clip(1 + 0.2 * draw.normal(size=FORMANTS), 0.5, 1.8),
        breath=int(draw.choice([0, 0, 2, 5, 9])),
        roughness=int(draw.integers(0, 5)),
        flutter=int(draw.integers(0, 7)),
        speed=int(draw.integers(85, 120)),
    )


def voice_in(voice: Voice, seed: int, speaker: str, language: str, shared: float, personal: float) -> Voice:
    """The speaker's voice in `language`: with the offset of all its speakers, and one of their own."""
    moved = voice.moved(SHARED_SHIFT, shared, generator_for(seed, "language", language))
    own = generator_for(seed, "speaker in language", speaker, language)
    return moved.moved(PERSONAL_SHIFT, personal, own)
