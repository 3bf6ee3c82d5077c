"""The embedded corpus: multilingual speakers, synthesised when needed; the same seed gives the same bytes.

Every speaker is a parametric voice of espeak-ng that changes with the language, as people's voices
do; docs/corpora.md describes how.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from laspa.audio.reading import SAMPLE_RATE
from laspa.corpora.corpus import CC0, Corpus, Listing
from laspa.corpora.synthetic.channel import record
from laspa.corpora.synthetic.synthesis import Recipe, Speaker, gender_of, synthesise
from laspa.corpora.synthetic.text import phrase
from laspa.corpora.synthetic.voices import generator_for, speaker_voice, voice_in
from laspa.params import Synthetic


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


def recipe(options: Synthetic) -> Recipe:
    """The voices, texts and channels of this family."""

    def voice(speaker: Speaker, language: str) -> str:
        usual = speaker_voice(options.seed, speaker.name, speaker.gender)
        shifts = options.language_shift, options.personal_shift
        return voice_in(usual, options.seed, speaker.name, language, *shifts).file(language)

    def recorded(speech: np.ndarray, draw: np.random.Generator) -> np.ndarray:
        return record(speech, SAMPLE_RATE, options.channel, draw)

    return Recipe("synthetic", options.seed, options.seconds, voice, phrase, recorded)


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
