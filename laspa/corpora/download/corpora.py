"""Fetching a corpus: its licence first, then lists, then archives, then unpacking."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from laspa.corpora.corpus import RemoteFile, Source
from laspa.corpora.download.archives import extract
from laspa.corpora.download.fetch import CHECKSUMS, FileState, fetch, plan
from laspa.errors import LaspaError
from laspa.params import Download

UNPACKED = "unpacked"


def fetch_corpus(corpus: Source, options: Download, root: Path) -> Path:
    """Fetch and unpack all of a corpus; what is there is neither fetched nor unpacked again.

    Args:
        root: of the project: `options.folder` is relative to it, and checksums are pinned in it.

    Returns:
        the folder of the unpacked archives. An archive at PATH in the corpus is unpacked in PATH's
        folder; archives that are unpacked may be deleted.

    Raises:
        LaspaError: a licence that is not accepted, or what `fetch` and `extract` raise.
    """
    folder = fetch_lists(corpus, options, root)
    archives = [parts for parts in corpus.archives(folder) if not _unpacked(folder, parts).exists()]
    fetch([part for parts in archives for part in parts], folder, root / CHECKSUMS, options, corpus.name)
    for parts in archives:
        extract([folder / part.path for part in parts], _unpacked(folder, parts))
    return folder / UNPACKED


def fetch_lists(corpus: Source, options: Download, root: Path) -> Path:
    """Fetch a corpus's lists, once its licence is accepted in params.yaml; the folder they are in.

    Raises:
        LaspaError: a licence that is not accepted, or what `fetch` raises.
    """
    if corpus.name not in options.accept_licences:
        accepted = ", ".join([*options.accept_licences, corpus.name])
        raise LaspaError(
            f"{corpus.name} comes under {corpus.licence.name}, {corpus.licence.url}; read it and, if you "
            f"accept it, set download.accept_licences to [{accepted}] in params.yaml"
        )
    print(f"{corpus.name}: {corpus.licence.name}, {corpus.licence.url}; please cite {corpus.citation}")
    folder = downloads(corpus, options, root)
    fetch(corpus.lists, folder, root / CHECKSUMS, options, corpus.name)
    return folder


def plan_corpus(corpus: Source, options: Download, root: Path) -> tuple[list[FileState], bool]:
    """Each file with what is known about it, and whether that is all of them; nothing is fetched."""
    folder = downloads(corpus, options, root)
    states = plan(corpus.lists, folder, root / CHECKSUMS)
    if any(one.where == "missing" for one in states):
        return states, False
    for parts in corpus.archives(folder):
        found = plan(parts, folder, root / CHECKSUMS)
        if _unpacked(folder, parts).exists():
            found = [replace(state, where="unpacked") for state in found]
        states += found
    return states, True


def downloads(corpus: Source, options: Download, root: Path) -> Path:
    """The folder of a corpus's files: not in DVC's cache, shared by all experiments."""
    return root / options.folder / corpus.name


def _unpacked(folder: Path, parts: Sequence[RemoteFile]) -> Path:
    return folder / UNPACKED / Path(parts[0].path).parent
