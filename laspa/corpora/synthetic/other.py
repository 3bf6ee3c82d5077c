"""The other family of the embedded corpora: test speakers alone, made by another recipe than the first.

A model is tested on it, never trained or tuned. espeak-ng's Klatt synthesiser speaks, from one of three
glottal waves; a language moves vocal tract, damping, pitch range, tempo and rhythm of its speakers more than
single formants; texts and channels are others. docs/corpora.md describes both families.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy import fft

from laspa.audio.generated_noise import coloured_noise
from laspa.audio.reading import SAMPLE_RATE
from laspa.audio.reverberation import room_response
from laspa.corpora.corpus import CC0, Corpus, Listing
from laspa.corpora.synthetic.synthesis import Recipe, Speaker, gender_of, synthesise
from laspa.corpora.synthetic.text import dates_and_quantities
from laspa.corpora.synthetic.voices import generator_for
from laspa.params.corpora import SyntheticOther

SOURCES = (3, 4, 5)  # espeak-ng's sampled glottal waves; 1 and 2 have next to no low frequencies
INTONATIONS = 4  # sets of espeak-ng's intonation tunes
# Syllables from unstressed to the last of a clause: usual lengths, of which 200 is neutral, and levels. The
# levels are 3 dB below the usual ones, at which sources 4 and 5 are clipped.
STRESS_LENGTHS = np.array([182, 140, 220, 220, 220, 240, 260, 280])
STRESS_LEVELS = "12 12 14 14 14 15 15 14"

# What of a voice is drawn, as logarithms: pitch in Hz, range (the upper over the lower pitch, less 1), tempo,
# tract (all formant frequencies together), each formant's frequency and width. stress is no logarithm: at 0
# all syllables are equally long, 1 is usual.
SIZES = {"pitch": 1, "range": 1, "tempo": 1, "stress": 1, "tract": 1, "frequency": 5, "width": 5}
# Limits between which a speaker's voice is drawn, for women and men; our choice.
LIMITS = {
    "pitch": {"f": (np.log(150), np.log(260)), "m": (np.log(80), np.log(150))},
    "range": dict.fromkeys("fm", (np.log(0.25), np.log(0.9))),
    "tempo": dict.fromkeys("fm", (np.log(0.85), np.log(1.2))),
    "stress": dict.fromkeys("fm", (0.6, 1.2)),
    "tract": {"f": (0.04, 0.2), "m": (-0.1, 0.06)},
    "frequency": dict.fromkeys("fm", (-0.08, 0.08)),
    "width": dict.fromkeys("fm", (-0.5, 0.5)),
}
# Standard deviations of the offset that speakers of a language share, and of each one's own; our choice.
SHARED = dict(zip(SIZES, (0.05, 0.3, 0.1, 0.3, 0.03, 0.015, 0.2), strict=True))
PERSONAL = dict(zip(SIZES, (0.05, 0.15, 0.05, 0.1, 0.015, 0.02, 0.1), strict=True))

# A channel, drawn for each utterance: a room by the image method, noise and hum, a band. Ranges: our choice.
SIDES = ((2.5, 5.0), (2.0, 4.0), (2.2, 3.0))  # m: from a car to a living room
WALL_DISTANCE = 0.3  # m, at least, of talker and microphone
SECONDS_TO_60_DB = (0.08, 0.3)
BANDS = ((300.0, 3400.0), (50.0, 7000.0), (150.0, 5500.0))  # Hz: telephone, wideband call, small microphone
STEEPNESS = 8  # order of the filters
RESONANCE_HZ, RESONANCE_DB, RESONANCE_OCTAVES = (800.0, 4000.0), 8.0, 0.5  # of the small microphone
MAINS_HZ, HARMONICS = (50.0, 60.0), 8
NOISE_DB, HUM_DB, LEVEL_DB = (10, 35), (20, 45), (-34, -19)  # noise and hum: below the voice
MU, STEPS = 255.0, 127  # of the telephone's companding to 8 bits, as ITU-T G.711 has it: steps of a sign

Voice = dict[str, np.ndarray]  # by name, arrays of SIZES


def speakers(options: SyntheticOther) -> Iterator[Speaker]:
    """Everyone: women and men in turn, each with languages of their own, all equally likely."""
    for index in range(options.speakers):
        draw = generator_for(_seed(options), "languages", index)
        chosen = draw.permutation(len(options.languages))[: options.languages_per_speaker]
        languages = tuple(options.languages[place] for place in chosen)
        yield Speaker(f"test{index:04d}", gender_of(index), "test", languages, options.utterances)


def speaker_voice(seed: str, name: str, gender: str) -> Voice:
    """A speaker's voice before a language changes it."""
    draw = generator_for(seed, "speaker", name)
    return {kind: draw.uniform(*LIMITS[kind][gender], size) for kind, size in SIZES.items()}


def voice_in(voice: Voice, seed: str, name: str, language: str) -> Voice:
    """A speaker's voice in `language`: with the offset of all its speakers, and one of their own."""
    for deviations, names in ((SHARED, ("language", language)), (PERSONAL, ("own", name, language))):
        draw = generator_for(seed, *names)
        voice = {kind: voice[kind] + deviations[kind] * draw.normal(size=SIZES[kind]) for kind in SIZES}
    return voice


def voice_file(seed: str, speaker: Speaker, language: str) -> str:
    """The text of an espeak-ng voice file."""
    usual = generator_for(seed, "source", speaker.name)
    source, flutter, consonants = usual.choice(SOURCES), usual.integers(0, 10), usual.integers(60, 141)
    tunes = 1 + generator_for(seed, "tunes", language).integers(INTONATIONS)
    voice = voice_in(speaker_voice(seed, speaker.name, speaker.gender), seed, speaker.name, language)
    pitch, span, tempo, tract = (
        float(np.exp(voice[kind][0])) for kind in ("pitch", "range", "tempo", "tract")
    )
    lengths = 200 * (STRESS_LENGTHS / 200) ** max(0.0, voice["stress"][0])
    text = (
        f"name laspa\nlanguage {language}\ngender {'female' if speaker.gender == 'f' else 'male'}\n"
        f"klatt {source}\npitch {pitch:.0f} {pitch * (1 + span):.0f}\nintonation {tunes}\n"
        f"flutter {flutter}\nconsonants {consonants} {consonants}\nspeed {100 * tempo:.0f}\n"
        f"stressLength {' '.join(f'{length:.0f}' for length in lengths)}\nstressAmp {STRESS_LEVELS}\n"
    )
    formants = 100 * tract * np.exp(voice["frequency"]), 100 * np.exp(voice["width"])
    for number, (frequency, width) in enumerate(zip(*formants, strict=True), start=1):
        text += f"formant {number} {frequency:.0f} 100 {width:.0f}\n"
    return text


def record(speech: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """`speech: (samples,)` float32 at 16 kHz as heard through a random channel; same shape, in [-1, 1]."""
    room = room_response(generator, SIDES, WALL_DISTANCE, SECONDS_TO_60_DB)
    size = fft.next_fast_len(len(speech) + len(room), real=True)
    heard = fft.irfft(fft.rfft(speech, size) * fft.rfft(room, size), size)[: len(speech)]
    hum = _hum(len(speech), generator)
    for disturbance, below in ((coloured_noise(len(speech), generator), NOISE_DB), (hum, HUM_DB)):
        heard = heard + _unit(disturbance) * heard.std() * 10 ** (-generator.uniform(*below) / 20)
    kind = int(generator.integers(len(BANDS)))
    heard = _unit(_filtered(heard, BANDS[kind], generator if kind == 2 else None))
    heard = (heard * 10 ** (generator.uniform(*LEVEL_DB) / 20)).clip(-1, 1)
    return (_companded(heard) if kind == 0 else heard).astype(np.float32)


def _unit(samples: np.ndarray) -> np.ndarray:
    return samples / samples.std()


def _hum(samples: int, generator: np.random.Generator) -> np.ndarray:
    """The mains' frequency with HARMONICS of random strengths and phases."""
    seconds, mains = np.arange(samples) / SAMPLE_RATE, generator.choice(MAINS_HZ)
    order = np.arange(1, HARMONICS + 1)
    strength, phase = generator.uniform(0, 1, HARMONICS) / order, generator.uniform(0, 2 * np.pi, HARMONICS)
    return strength @ np.sin(2 * np.pi * mains * order[:, None] * seconds + phase[:, None])


def _filtered(
    samples: np.ndarray, band: tuple[float, float], resonant: np.random.Generator | None
) -> np.ndarray:
    """Through a band with steep sides and, where a generator is given, with a resonance in it."""
    size = fft.next_fast_len(len(samples) + SAMPLE_RATE // 10, real=True)
    hertz = np.maximum(fft.rfftfreq(size, 1 / SAMPLE_RATE), 1.0)
    gain = 1 / np.sqrt((1 + (band[0] / hertz) ** STEEPNESS) * (1 + (hertz / band[1]) ** (2 * STEEPNESS)))
    if resonant is not None:
        octaves = np.log2(hertz / resonant.uniform(*RESONANCE_HZ)) / RESONANCE_OCTAVES
        gain = gain * 10 ** (resonant.uniform(0, RESONANCE_DB) / 20 * np.exp(-(octaves**2)))
    return fft.irfft(fft.rfft(samples, size) * gain, size)[: len(samples)]


def _companded(samples: np.ndarray) -> np.ndarray:
    """In steps of a logarithmic scale and back: y = sign(x) ln(1 + μ|x|) / ln(1 + μ)."""
    scale = np.log1p(MU)
    steps = np.rint(STEPS * np.sign(samples) * np.log1p(MU * np.abs(samples)) / scale) / STEPS
    return np.sign(steps) * np.expm1(np.abs(steps) * scale) / MU


def recipe(options: SyntheticOther) -> Recipe:
    """The voices, texts and channels of this family."""
    seed = _seed(options)
    return Recipe(
        section="synthetic_other",
        seed=seed,
        seconds=options.seconds,
        voice=lambda speaker, language: voice_file(seed, speaker, language),
        text=dates_and_quantities,
        record=record,
    )


def make(options: SyntheticOther, folder: Path) -> Listing:
    """Write the recordings under `folder` and list them; raises as `synthesise` does."""
    return synthesise(recipe(options), options.languages, list(speakers(options)), folder)


def _seed(options: SyntheticOther) -> str:
    """Apart from that of the first family, whatever the number."""
    return f"other family {options.seed}"


CORPUS = Corpus(
    name="synthetic_other",
    title="The other embedded family of voices",
    licence=CC0,
    citation="laspa, docs/corpora.md; voices by espeak-ng, dates and units out of the Unicode CLDR",
    list_recordings=lambda params, _, folder: make(params.synthetic_other, folder),
)
