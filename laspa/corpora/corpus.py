"""What a corpus is: its name, licence and size, the files to fetch, and its recordings."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from laspa.manifest.index import INDEX_COLUMNS
from laspa.params import Params
from laspa.redaction import address_without_credentials


@dataclass(frozen=True)
class Licence:
    """A licence and where it can be read."""

    name: str
    url: str


CC_BY = Licence("CC BY 4.0", "https://creativecommons.org/licenses/by/4.0/")
CC0 = Licence("CC0 1.0", "https://creativecommons.org/publicdomain/zero/1.0/")


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch, and what is known about it before that.

    Args:
        url: http or https.
        path: where it goes, relative to the corpus's downloads.
        size: bytes, where known.
        checksum: `sha256:…`, `md5:…`, or `git:…` (the SHA-1 of a git blob), where its publisher gives one.
        mirrors: other addresses of the same bytes, tried in this order.
        credentials: X, if the environment variables X_USER and X_PASSWORD, or X_TOKEN, are needed.
        pin: False for a file that its publisher may change: it is fetched once and kept.
    """

    url: str
    path: str
    size: int | None = None
    checksum: str = ""
    mirrors: tuple[str, ...] = ()
    credentials: str = ""
    pin: bool = True

    @property
    def address(self) -> str:
        """`url` without credentials: the key of the file's pin."""
        return address_without_credentials(self.url)


def _no_archives(_: Path) -> list[list[RemoteFile]]:
    return []


@dataclass(frozen=True, kw_only=True)
class Source:
    """Recordings under a licence, and the files to fetch.

    Args:
        name: as in params.yaml.
        lists: small files, which may say what the archives are.
        archives: given the folder of the fetched lists, each archive's parts in their order.
        announced: what a plan says of archives before the lists are fetched.
    """

    name: str
    licence: Licence
    citation: str
    lists: tuple[RemoteFile, ...] = ()
    archives: Callable[[Path], list[list[RemoteFile]]] = _no_archives
    announced: tuple[str, ...] = ()

    @property
    def is_fetched(self) -> bool:
        """Whether there is anything to fetch."""
        return bool(self.lists) or self.archives is not _no_archives


@dataclass(frozen=True)
class Complete:
    """Size of the whole corpus, as published; None where it is not. Hours are rounded."""

    speakers: int | None = None
    languages: int | None = None
    utterances: int | None = None
    hours: float | None = None


@dataclass(frozen=True)
class Listing:
    """The recordings of a corpus.

    Args:
        rows: columns path, speaker (unique in the corpus), language (ISO 639-1 or 639-3), gender (f, m or
            empty), split (train, dev, test, or empty: the manifest splits by speaker). For recordings in
            `folders` also bytes, so that a change of size is seen. Where several corpora are in it, also
            corpus.
        folders: where recordings are that are not beside the index: a path that begins with a key is in
            the key's folder, which is relative to the project's root.
        lists: files of the official trial lists, lines of `1|0 enroll test`, by the name used in reports.
        list_parts: how many parts at the end of a recording's path, without the suffix, are its name in them.
        skip_unknown_languages: whether recordings whose language has no ISO 639 code are left out.
    """

    rows: pd.DataFrame
    folders: dict[str, str] = field(default_factory=dict)
    lists: dict[str, Path] = field(default_factory=dict)
    list_parts: int = 3
    skip_unknown_languages: bool = False


@dataclass(frozen=True, kw_only=True)
class Corpus(Source):
    """A corpus of speech, as `corpus:` in params.yaml names it.

    Args:
        list_recordings: given the params, the project's root and the corpus's folder under data/raw, where
            it may write recordings. It raises LaspaError for what is missing or wrong.
        complete: size of the whole corpus; the recordings found are compared with it.
    """

    title: str
    list_recordings: Callable[[Params, Path, Path], Listing]
    complete: Complete = Complete()


def table_of(rows: Iterable[tuple[Any, ...]]) -> pd.DataFrame:
    """Tuples (path, speaker, language, gender, split, bytes) as the rows of a `Listing`."""
    return pd.DataFrame(rows, columns=[*INDEX_COLUMNS, "bytes"])
