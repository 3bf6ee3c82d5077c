"""The embedded corpus: multilingual speakers, synthesised when needed; the same seed gives the same bytes.

Every speaker is a parametric voice of espeak-ng that changes with the language, as people's voices
do; docs/corpora.md describes how. The recording channel (level, spectral tilt, band, reverberation and
noise) is drawn for each utterance: two of a speaker would share it otherwise, not only the voice.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy import fft

from laspa.audio.reading import SAMPLE_RATE
from laspa.corpora.corpus import CC0, Corpus, Listing
from laspa.corpora.synthetic.synthesis import Recipe, Speaker, gender_of, synthesise
from laspa.corpora.synthetic.text import phrase
from laspa.corpora.synthetic.voices import generator_for, speaker_voice, voice_in
from laspa.params.corpora import Synthetic

ROOM_SECONDS = 0.25  # length of an impulse response
LOWEST_HZ = 20.0  # below it the gain is constant
DB_PER_OCTAVE = 20 * np.log10(2)  # of an amplitude that is proportional to frequency
REFERENCE_HZ = 1000.0  # where the spectral tilt leaves the level alone


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
        gender = gender_of(place // count + bilingual)
        yield Speaker(f"train{index:04d}", gender, "train", spoken, options.train_utterances)
    for split, number in (("dev", options.dev_speakers), ("test", options.test_speakers)):
        for index in range(number):
            draw = generator_for(options.seed, "languages", split, index)
            chosen = [seen[i] for i in draw.permutation(count)[: options.languages_per_speaker]]
            if split == "test" and unseen:
                chosen[-1] = unseen[index // 2 % len(unseen)]
            name = f"{split}{index:04d}"
            yield Speaker(name, gender_of(index), split, tuple(chosen), options.eval_utterances)


def record(speech: np.ndarray, strength: float, generator: np.random.Generator) -> np.ndarray:
    """`speech: (samples,)` float32 at 16 kHz as a random microphone in a random room records it; same shape.

    `strength` scales every effect; at 0 the level is set, and the band is 60–7800 Hz. Ranges are ours.
    """
    size = fft.next_fast_len(len(speech) + int(SAMPLE_RATE * ROOM_SECONDS), real=True)
    hertz = np.maximum(fft.rfftfreq(size, 1 / SAMPLE_RATE), LOWEST_HZ).astype(np.float32)
    spectrum = fft.rfft(speech, size) * fft.rfft(_room(strength, generator), size)
    heard = fft.irfft(spectrum * _microphone(hertz, strength, generator), size)[: len(speech)]
    colour = (hertz / REFERENCE_HZ) ** -generator.uniform(0, 1)
    noise = fft.irfft(colour * generator.standard_normal(2 * len(hertz), np.float32).view(np.complex64), size)
    noise_db = -generator.uniform(15, 40)
    heard = heard + strength * _unit(noise[: len(speech)]) * heard.std() * 10 ** (noise_db / 20)
    level_db = generator.uniform(-30, -18)
    return (_unit(heard) * 10 ** (level_db / 20)).clip(-1, 1)


def _unit(samples: np.ndarray) -> np.ndarray:
    return samples / samples.std()


def _microphone(hertz: np.ndarray, strength: float, generator: np.random.Generator) -> np.ndarray:
    """Gain at each frequency: a tilt in dB per octave, a high-pass and a steeper low-pass."""
    tilt_db = strength * generator.normal(0, 1.5)
    low, high = 60 + strength * generator.uniform(0, 120), 7800 - strength * generator.uniform(0, 2500)
    below, above = np.square(low / hertz), np.square(hertz / high)
    band = 1 / np.sqrt((1 + np.square(below)) * (1 + np.square(above * above * above)))
    return (hertz / REFERENCE_HZ) ** np.float32(tilt_db / DB_PER_OCTAVE) * band


def _room(strength: float, generator: np.random.Generator) -> np.ndarray:
    """Impulse response: a direct path, and after 2 ms a tail of noise, down by 60 dB in 0.1 to 0.4 s."""
    length = int(SAMPLE_RATE * ROOM_SECONDS)
    seconds = np.arange(length) / SAMPLE_RATE
    tail = generator.normal(size=length) * 10 ** (-3 * seconds / generator.uniform(0.1, 0.4))
    tail[: SAMPLE_RATE // 500] = 0
    direct_to_tail_db = generator.uniform(8, 25)
    tail *= strength * 10 ** (-direct_to_tail_db / 20) / np.sqrt((tail**2).sum())
    tail[0] = 1.0
    return tail.astype(np.float32)


def recipe(options: Synthetic) -> Recipe:
    """The voices, texts and channels of this family."""

    def voice(speaker: Speaker, language: str) -> str:
        usual = speaker_voice(options.seed, speaker.name, speaker.gender)
        shifts = options.language_shift, options.personal_shift
        return voice_in(usual, options.seed, speaker.name, language, *shifts).file(language)

    return Recipe(
        section="synthetic",
        seed=options.seed,
        seconds=options.seconds,
        voice=voice,
        text=phrase,
        record=lambda speech, draw: record(speech, options.channel, draw),
    )


def make(options: Synthetic, folder: Path) -> Listing:
    """Write the recordings under `folder` and list them; raises as `synthesise` does."""
    languages = [*options.languages, *options.unseen_languages]
    return synthesise(recipe(options), languages, list(speakers(options)), folder)


CORPUS = Corpus(
    name="synthetic",
    title="The embedded corpus",
    licence=CC0,
    citation="laspa, docs/corpora.md; voices by espeak-ng, names out of the Unicode CLDR",
    list_recordings=lambda params, _, folder: make(params.synthetic, folder),
)
