"""The size of each corpus in a manifest, compared with the published size of the whole."""

from dataclasses import asdict

import pandas as pd

from laspa.corpora.catalogue import CORPORA
from laspa.corpora.corpus import Complete
from laspa.manifest.index import UNDETERMINED

# Allowed differences: publishers round, and a few recordings cannot be used (our choice).
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
    """One row per corpus and published number: corpus, number, found, published, fits.

    A part of a corpus fits if it is no larger than the whole. If all speakers are there, utterances and
    hours must be complete too, within TOLERANCE. Languages may be fewer: ISO 639-3 joins regional
    varieties that some corpora count separately.
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
