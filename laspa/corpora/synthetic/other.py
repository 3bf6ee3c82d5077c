"""The other family of the embedded corpora: test speakers alone, made by another recipe than the first.

A model is tested on it, never trained or tuned. Other than in the first family, espeak-ng's Klatt synthesiser
speaks, with one of three glottal sources; a language moves the whole vocal tract, the damping, the pitch range,
the tempo and the rhythm of its speakers more than single formants; texts and channels are others.
docs/corpora.md describes both.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from laspa.corpora.corpus import CC0, Corpus, Listing
from laspa.corpora.synthetic.other_channel import record
from laspa.corpora.synthetic.synthesis import Recipe, Speaker, gender_of, synthesise
from laspa.corpora.synthetic.text import dates_and_quantities
from laspa.corpora.synthetic.voices import generator_for
from laspa.params import SyntheticOther

SOURCES = (3, 4, 5)  # espeak-ng's sampled glottal waves; 1 and 2 have next to no low frequencies
FORMANTS = 5  # that the Klatt synthesiser takes from a voice file, from the first on
INTONATIONS = 4  # sets of espeak-ng's intonation tunes
# Usual lengths of syllables by stress, from unstressed to the end of a clause; 200 is neutral (espeak-ng's scale).
STRESS_LENGTHS = np.array([182, 140, 220, 220, 220, 240, 260, 280])
STRESS_LEVELS = "12 12 14 14 14 15 15 14"  # the usual ones less 3 dB: sources 4 and 5 would be clipped

# A voice is a row of logarithms against espeak-ng's usual voice, `stress` apart: 0 makes all syllables
# equally long, 1 is usual.
NAMES = ("pitch", "range", "tempo", "stress", "tract", *["formant"] * FORMANTS, *["width"] * FORMANTS)
COLUMN = np.array(NAMES)
# Limits of a speaker's voice, all equally likely, for women and men; our choice.
LIMITS = {
    "pitch": {"f": (np.log(150), np.log(260)), "m": (np.log(80), np.log(150))},  # Hz
    "range": (np.log(0.25), np.log(0.9)),  # of the upper over the lower pitch, less 1
    "tempo": (np.log(0.85), np.log(1.2)),
    "stress": (0.6, 1.2),
    "tract": {"f": (0.04, 0.2), "m": (-0.1, 0.06)},  # all formants together
    "formant": (-0.08, 0.08),
    "width": (-0.5, 0.5),
}
# Standard deviations of the offset that speakers of a language share, and of one speaker in one language.
SHARED = {
    "pitch": 0.05,
    "range": 0.3,
    "tempo": 0.1,
    "stress": 0.3,
    "tract": 0.03,
    "formant": 0.015,
    "width": 0.2,
}
PERSONAL = {
    "pitch": 0.05,
    "range": 0.15,
    "tempo": 0.05,
    "stress": 0.1,
    "tract": 0.015,
    "formant": 0.02,
    "width": 0.1,
}


def speakers(options: SyntheticOther) -> Iterator[Speaker]:
    """Everyone: women and men in turn, each with languages of their own, all equally likely."""
    for index in range(options.speakers):
        draw = generator_for(_seed(options), "languages", index)
        chosen = draw.permutation(len(options.languages))[: options.languages_per_speaker]
        languages = tuple(options.languages[place] for place in chosen)
        yield Speaker(f"test{index:04d}", gender_of(index), "test", languages, options.utterances)


def speaker_row(seed: str, name: str, gender: str) -> np.ndarray:
    """(NAMES,) a speaker's voice before a language changes it."""
    draw = generator_for(seed, "speaker", name)
    limits = [LIMITS[kind] for kind in NAMES]
    return np.array([draw.uniform(*(each[gender] if isinstance(each, dict) else each)) for each in limits])


def row_in(row: np.ndarray, seed: str, name: str, language: str) -> np.ndarray:
    """A speaker's row in `language`: with the offset of all its speakers, and one of their own."""
    for deviations, names in ((SHARED, ("language", language)), (PERSONAL, ("own", name, language))):
        draw = generator_for(seed, *names)
        row = row + np.array([deviations[kind] for kind in NAMES]) * draw.normal(size=len(NAMES))
    return row


def voice_file(seed: str, speaker: Speaker, language: str) -> str:
    """The text of an espeak-ng voice file."""
    usual = generator_for(seed, "source", speaker.name)
    source, flutter, consonants = usual.choice(SOURCES), usual.integers(0, 10), usual.integers(60, 141)
    tunes = 1 + generator_for(seed, "tunes", language).integers(INTONATIONS)
    row = row_in(speaker_row(seed, speaker.name, speaker.gender), seed, speaker.name, language)
    value = {kind: np.exp(row[COLUMN == kind]) for kind in dict.fromkeys(NAMES)}
    pitch, tempo = value["pitch"][0], 100 * value["tempo"][0]
    stress = max(0.0, row[COLUMN == "stress"][0])
    lengths = " ".join(f"{length:.0f}" for length in 200 * (STRESS_LENGTHS / 200) ** stress)
    frequencies, widths = 100 * value["tract"] * value["formant"], 100 * value["width"]
    return (
        f"name laspa\nlanguage {language}\ngender {'female' if speaker.gender == 'f' else 'male'}\n"
        f"klatt {source}\npitch {pitch:.0f} {pitch * (1 + value['range'][0]):.0f}\nintonation {tunes}\n"
        f"flutter {flutter}\nconsonants {consonants} {consonants}\nspeed {tempo:.0f}\nstressLength {lengths}\n"
        f"stressAmp {STRESS_LEVELS}\n"
        + "".join(
            f"formant {number} {frequency:.0f} 100 {width:.0f}\n"
            for number, (frequency, width) in enumerate(zip(frequencies, widths, strict=True), start=1)
        )
    )


def make(options: SyntheticOther, folder: Path) -> Listing:
    """Write the recordings under `folder` and list them; raises as `synthesise` does."""
    seed = _seed(options)
    recipe = Recipe(
        section="synthetic_other",
        seed=seed,
        seconds=options.seconds,
        voice=lambda speaker, language: voice_file(seed, speaker, language),
        text=dates_and_quantities,
        record=record,
    )
    return synthesise(recipe, options.languages, list(speakers(options)), folder)


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
