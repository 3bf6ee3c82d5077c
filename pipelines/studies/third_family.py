"""Stage third of studies/travel: a third family of voices, the dev set of what is to work elsewhere.

Neither `synthetic`, on which models are trained, nor `synthetic_other`, on which they are tested: voices,
offsets of the languages and channels are drawn in other ways. All figures below are our choice.
"""

from pathlib import Path

import numpy as np
from scipy import fft

from laspa.audio.generated_noise import coloured_noise
from laspa.audio.reading import SAMPLE_RATE
from laspa.corpora.synthetic.synthesis import Recipe, Speaker, gender_of, synthesise
from laspa.corpora.synthetic.text import phrase
from laspa.corpora.synthetic.voices import generator_for
from laspa.files import atomic_path
from pipelines import stage

FOLDER = Path("studies/travel/third")
SEED = "third family"
SPEAKERS, EACH, UTTERANCES, SECONDS = 24, 3, 6, 3.0
LANGUAGES = ("fr", "pl", "tr", "ta", "cs", "el", "sv", "bg")  # `synthetic` trains on the first four
TONE_HZ = (500, 1500, 3000)  # points of a voice's spectral envelope
# Of a voice, as logarithms around a usual one: how many, limits of a speaker, and standard deviations of the
# offset that speakers of a language share and of a speaker's own.
DRAWN = {
    "pitch": (1, 0.25, 0.04, 0.03),
    "range": (1, 0.5, 0.2, 0.1),
    "tempo": (1, 0.15, 0.08, 0.04),
    "tract": (1, 0.08, 0.02, 0.01),
    "formant": (4, 0.06, 0.02, 0.015),
    "width": (4, 0.3, 0.1, 0.1),
    "tone": (3, 0.35, 0.15, 0.08),
}
ROOM_SECONDS, TAIL_DB = 0.2, (6, 20)
LOW_HZ, HIGH_HZ, STEEPNESS = (50, 300), (3000, 7500), 8
RIPPLE_DB, RIPPLE_HZ = 3.0, 700  # of the microphone's response, and the spacing of its points
NOISE_DB, DRIVE, LEVEL_DB = (8, 30), (0.5, 3), (-30, -20)  # drive: how far speech is pressed into saturation


def speakers() -> list[Speaker]:
    """Everyone: women and men in turn, three languages each."""
    everyone = []
    for index in range(SPEAKERS):
        chosen = generator_for(SEED, "languages", index).permutation(LANGUAGES)[:EACH]
        name = f"third{index:03d}"
        everyone.append(Speaker(name, gender_of(index), "test", tuple(map(str, chosen)), UTTERANCES))
    return everyone


def voice_file(speaker: Speaker, language: str) -> str:
    """The text of an espeak-ng voice file: the speaker's voice, moved by the language."""
    usual = generator_for(SEED, "speaker", speaker.name)
    shared, own = (generator_for(SEED, *names) for names in (("of", language), (speaker.name, language)))
    voice = {}
    for name, (size, limit, together, alone) in DRAWN.items():
        moved = together * shared.normal(size=size) + alone * own.normal(size=size)
        voice[name] = np.exp(usual.uniform(-limit, limit, size) + moved)
    female = speaker.gender == "f"
    pitch = float((200 if female else 105) * voice["pitch"][0])
    text = (
        f"name laspa\nlanguage {language}\ngender {'female' if female else 'male'}\n"
        f"pitch {pitch:.0f} {pitch * (1 + 0.4 * voice['range'][0]):.0f}\n"
        f"speed {100 * voice['tempo'][0]:.0f}\n"
        f"voicing {usual.integers(60, 120)}\nflutter {usual.integers(0, 5)}\n"
        "tone " + " ".join(f"{hz} {130 * one:.0f}" for hz, one in zip(TONE_HZ, voice["tone"], strict=True))
    )
    tract = (1.1 if female else 0.97) * voice["tract"][0]
    for number, (frequency, width) in enumerate(zip(voice["formant"], voice["width"], strict=True), start=1):
        text += f"\nformant {number} {100 * tract * frequency:.0f} 100 {100 * width:.0f}"
    return text + "\n"


def record(speech: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """`speech: (samples,)` float32 at 16 kHz through a random channel; same shape, in [-1, 1]."""
    length = int(SAMPLE_RATE * ROOM_SECONDS)
    tail = generator.normal(size=length) * 10 ** (-3 * np.arange(length) / length)
    tail *= 10 ** (-generator.uniform(*TAIL_DB) / 20) / np.sqrt((tail**2).sum())
    tail[0] = 1.0
    heard = _through(speech, tail, generator)
    noise = coloured_noise(len(speech), generator)
    heard = heard / heard.std() + noise / noise.std() * 10 ** (-generator.uniform(*NOISE_DB) / 20)
    drive = generator.uniform(*DRIVE)
    heard = np.tanh(drive * heard / 3) / drive
    level = 10 ** (generator.uniform(*LEVEL_DB) / 20)
    return np.asarray((heard / heard.std() * level).clip(-1, 1), dtype=np.float32)


def _through(speech: np.ndarray, room: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Room, band and an uneven response."""
    size = fft.next_fast_len(len(speech) + len(room), real=True)
    hertz = np.maximum(fft.rfftfreq(size, 1 / SAMPLE_RATE), 1.0)
    low, high = generator.uniform(*LOW_HZ), generator.uniform(*HIGH_HZ)
    points = np.arange(0, SAMPLE_RATE / 2 + RIPPLE_HZ, RIPPLE_HZ)
    ripple_db = np.interp(hertz, points, generator.normal(0, RIPPLE_DB, len(points)))
    gain = 10 ** (ripple_db / 20) / np.sqrt(
        (1 + (low / hertz) ** STEEPNESS) * (1 + (hertz / high) ** (2 * STEEPNESS))
    )
    return np.asarray(fft.irfft(fft.rfft(speech, size) * fft.rfft(room, size) * gain, size)[: len(speech)])


def main() -> None:
    recipe = Recipe("third_family", SEED, SECONDS, voice_file, phrase, record)
    with atomic_path(FOLDER) as folder:
        listing = synthesise(recipe, list(LANGUAGES), speakers(), folder)
        listing.rows.to_csv(folder / "manifest.csv", index=False, lineterminator="\n")


if __name__ == "__main__":
    stage.run(main)
