"""Corpora that are fetched from the network: licence first, then lists, then archives, then unpacked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from laspa.corpora.corpus import Licence
from laspa.corpora.download.archives import extract
from laspa.corpora.download.fetch import CHECKSUMS, FileState, RemoteFile, fetch, plan
from laspa.errors import LaspaError
from laspa.params import Download

UNPACKED = "unpacked"


@dataclass(frozen=True)
class FetchedCorpus:
    """What is fetched of a corpus, and under which licence.

    Args:
        name: as in params.yaml.
        lists: files that are small, and may say which the others are.
        archives: given the folder of the fetched lists, each archive's parts in their order.
        announced: what a plan says of archives that only the lists name.
    """

    name: str
    licence: Licence
    citation: str
    lists: tuple[RemoteFile, ...]
    archives: Callable[[Path], list[list[RemoteFile]]]
    announced: tuple[str, ...] = ()


def fetch_corpus(corpus: FetchedCorpus, options: Download, root: Path) -> Path:
    """Fetch and unpack all of a corpus; what is there already is neither fetched nor unpacked again.

    Args:
        root: of the project: `options.folder` is relative to it, and checksums are pinned in it.

    Returns:
        the folder of the unpacked archives. An archive at PATH in the corpus is unpacked in PATH's
        folder; archives that are unpacked may be deleted.

    Raises:
        LaspaError: a licence that is not accepted, or what `fetch` and `extract` raise.
    """
    accept_licence(corpus, options)
    folder = downloads(corpus, options, root)
    checksums = root / CHECKSUMS
    fetch(corpus.lists, folder, checksums, options, corpus.name)
    archives = [parts for parts in corpus.archives(folder) if not _unpacked(folder, parts).exists()]
    fetch([part for parts in archives for part in parts], folder, checksums, options, corpus.name)
    for parts in archives:
        extract([folder / part.path for part in parts], _unpacked(folder, parts))
    return folder / UNPACKED


def plan_corpus(corpus: FetchedCorpus, options: Download, root: Path) -> tuple[list[FileState], bool]:
    """Each file with what is known about it, and whether that is all of them; nothing is fetched."""
    folder = downloads(corpus, options, root)
    states = plan(corpus.lists, folder, root / CHECKSUMS)
    if any(one.where == "missing" for one in states):
        return states, False
    for parts in corpus.archives(folder):
        unpacked = _unpacked(folder, parts).exists()
        states += [
            replace(state, where="unpacked") if unpacked else state
            for state in plan(parts, folder, root / CHECKSUMS)
        ]
    return states, True


def downloads(corpus: FetchedCorpus, options: Download, root: Path) -> Path:
    """Where a corpus's files go: outside of what DVC caches, shared by all experiments."""
    return root / options.folder / corpus.name


def accept_licence(corpus: FetchedCorpus, options: Download) -> None:
    """Refuse to go on before the user has accepted the licence in params.yaml."""
    if corpus.name not in options.accept_licences:
        accepted = ", ".join([*options.accept_licences, corpus.name])
        raise LaspaError(
            f"{corpus.name} comes under {corpus.licence.name}, {corpus.licence.url}; read it and, if you "
            f"accept it, set download.accept_licences to [{accepted}] in params.yaml"
        )
    print(f"{corpus.name}: {corpus.licence.name}, {corpus.licence.url}; please cite {corpus.citation}")


def _unpacked(folder: Path, parts: Sequence[RemoteFile]) -> Path:
    return folder / UNPACKED / Path(parts[0].path).parent
