"""What a corpus is: what it is called, under which licence, what is fetched of it, and its recordings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from laspa.params import Params

if TYPE_CHECKING:
    from laspa.corpora.download.fetched import FetchedCorpus

INDEX_COLUMNS = ["path", "speaker", "language", "gender", "split"]


@dataclass(frozen=True)
class Licence:
    """What a corpus may be used under, and where that can be read."""

    name: str
    url: str


@dataclass(frozen=True)
class Complete:
    """What a whole corpus holds, as its publisher says; None is not said, hours are rounded as there."""

    speakers: int | None = None
    languages: int | None = None
    utterances: int | None = None
    hours: float | None = None


@dataclass(frozen=True)
class OfficialList:
    """A publisher's trial list, lines of `1|0 enroll test`.

    Args:
        file: where it stands.
        parts: how many parts at the end of a recording's path, without the suffix, are its name in the list.
    """

    file: Path
    parts: int = 3


@dataclass(frozen=True)
class Listing:
    """The recordings of a corpus.

    Args:
        rows: columns path, speaker (unique in the corpus), language (ISO 639-1 or 639-3), gender (f, m or
            empty), split (train, dev, test, or empty: the manifest splits by speaker), for recordings that
            stand elsewhere, bytes: a change of size is then seen, and, where it is itself joined of several
            corpora, corpus: the name of each.
        folders: where recordings stand that are not beside the index: a path that begins with a key of it
            stands in that folder, which is relative to the project's root.
        lists: the official trial lists that are there, by the name under which they are reported.
    """

    rows: pd.DataFrame
    folders: dict[str, str] = field(default_factory=dict)
    lists: dict[str, OfficialList] = field(default_factory=dict)


@dataclass(frozen=True)
class Corpus:
    """A corpus of speech, as `corpus:` in params.yaml names it.

    Args:
        list_recordings: given the params, the project's root and the corpus's folder under data/raw, which
            it may write recordings to. It raises LaspaError for what is missing or wrong.
        fetched: what is fetched of it, where something is.
        complete: what all of it holds, to be held against what was found.
    """

    name: str
    title: str
    licence: Licence
    citation: str
    list_recordings: Callable[[Params, Path, Path], Listing]
    fetched: FetchedCorpus | None = None
    complete: Complete = Complete()
