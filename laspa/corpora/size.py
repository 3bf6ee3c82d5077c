"""How much of each corpus a manifest holds, beside what its publisher says of the whole."""

from dataclasses import asdict

import pandas as pd

from laspa.corpora.catalogue import CORPORA
from laspa.corpora.corpus import Complete
from laspa.manifest.index import UNDETERMINED

# Shares by which a whole corpus may differ: publishers round, a few recordings cannot be used (our choice).
TOLERANCE = {"utterances": 0.01, "hours": 0.05}


def corpus_sizes(manifest: pd.DataFrame) -> dict[str, Complete]:
    """Speakers, languages, utterances and hours of each corpus in the manifest, by name."""
    sizes = {}
    for name, rows in manifest.groupby("corpus", sort=True):
        hours = float((rows["num_samples"] / rows["sample_rate"]).sum() / 3600)
        languages = len(set(rows["language"]) - {UNDETERMINED})
        sizes[str(name)] = Complete(rows["speaker"].nunique(), languages, len(rows), hours)
    return sizes


def compare_sizes(manifest: pd.DataFrame) -> pd.DataFrame:
    """A row a corpus and number that its publisher gives: corpus, number, found, published, fits.

    A part of a corpus fits where it is no more than the whole. Where all speakers are there, utterances and
    hours have to be all there too, give or take TOLERANCE. Languages may be fewer: ISO 639-3 joins what
    some corpora tell apart by region.
    """
    rows = []
    for name, found in corpus_sizes(manifest).items():
        whole = CORPORA[name].complete if name in CORPORA else Complete()
        is_whole = found.speakers == whole.speakers
        for number, published in asdict(whole).items():
            value = getattr(found, number)
            if published is None or (number in TOLERANCE and not is_whole):
                continue
            off = abs(value - published) / published
            fits = off <= TOLERANCE[number] if number in TOLERANCE else value <= published
            rows.append((name, number, round(value, 1), published, fits))
    return pd.DataFrame(rows, columns=["corpus", "number", "found", "published", "fits"])
