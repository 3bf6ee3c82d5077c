"""`laspa corpus plan`, `fetch` and `check`; their options are described in laspa/cli/main.py."""

import argparse
import difflib
import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from laspa.audio.noise_folders import noise_folder
from laspa.corpora.catalogue import CORPORA
from laspa.corpora.check import compare
from laspa.corpora.corpus import Source
from laspa.corpora.download.corpora import downloads, fetch_corpus, plan_corpus
from laspa.corpora.musan import MUSAN, RIRS_NOISES
from laspa.corpora.prepare import prepare
from laspa.corpora.voxceleb import VOXCELEB1, VOXCELEB2, with_archives
from laspa.errors import LaspaError
from laspa.files import in_bytes
from laspa.manifest.index import locator, read_index
from laspa.params import Download, load_params, with_overrides
from laspa.progress import progress
from laspa.recogniser.recogniser import Recogniser
from laspa.redaction import address_without_credentials

NOISES = {corpus.name: corpus for corpus in (MUSAN, RIRS_NOISES)}
FETCHED = {name: corpus for name, corpus in CORPORA.items() if corpus.is_fetched} | NOISES
UNKNOWN = "unknown until first fetch"


def plan(options: argparse.Namespace) -> None:
    """Print what is known of a corpus's files, without using the network."""
    corpus, settings, root = _chosen(options)
    states, whole = plan_corpus(corpus, settings, root)
    folder = downloads(corpus, settings, root)
    accepted = "accepted" if corpus.name in settings.accept_licences else "not accepted yet"
    print(f"{corpus.name}: {corpus.licence.name}, {corpus.licence.url} ({accepted})")
    print(f"cite     {corpus.citation}")
    print(f"into     {folder}")
    for state in states:
        size = UNKNOWN if state.size is None else f"{state.size:,} bytes"
        print(f"{state.where:<8} {state.file.address}\n{'':<8} size {size}; checksum {state.checksum}")
        for mirror in state.file.mirrors:
            print(f"{'':<8} or {address_without_credentials(mirror)}")
    if not whole:
        for pattern in corpus.announced:
            print(f"missing  {pattern}\n{'':<8} how many, sizes and checksums {UNKNOWN}")
    missing = [state.size for state in states if state.where == "missing"]
    total = in_bytes(sum(size or 0 for size in missing))
    more = "" if whole and None not in missing else ", and what is unknown"
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    print(f"to fetch {total}{more}; {in_bytes(shutil.disk_usage(existing).free)} free on that disk")


def fetch(options: argparse.Namespace) -> None:
    """Fetch and unpack a corpus, and print where it is."""
    corpus, settings, root = _chosen(options)
    folder = fetch_corpus(corpus, settings, root)
    if corpus.name in NOISES:
        folder = noise_folder(corpus.name, folder)
    if folder.exists():
        print(f"{corpus.name} is in {folder}")
    else:  # VoxCeleb, whose archives everybody has from elsewhere
        print(
            f"the lists of {corpus.name} are in {folder.parent}; of its recordings nothing was fetched: set "
            f"{corpus.name}.archives in params.yaml to the address of its archives, or {corpus.name}.path to "
            "the folder that holds them"
        )


def check(options: argparse.Namespace) -> None:
    """Print the cosines of a corpus's voices within a language, across languages, and to other voices."""
    params, root = load_params(options.params), Path(options.params).parent
    if options.name not in CORPORA:
        raise LaspaError(f"{options.name}: not a corpus; {', '.join(CORPORA)} are")
    with TemporaryDirectory() as folder:
        raw = Path(folder)
        prepare(with_overrides(params, {"corpus": options.name}), root, raw)
        index = read_index(raw)
        paths = [*map(locator(raw, root), index["path"])]
        recogniser = Recogniser.load(options.model)
        files = progress(paths, len(paths), "embed", unit="file")
        vectors = np.stack([recogniser.embed(path, vad="none") for path in files])
    found = compare(vectors, index["speaker"], index["language"])
    if options.json:
        print(json.dumps({name: row._asdict() for name, row in found.items()}, indent=2))
        return
    print(f"{len(paths)} recordings of {options.name}; cosine, its standard deviation over pairs, pairs")
    for name, row in found.items():
        print(f"{name:<40} {row.mean:6.3f} ± {row.deviation:.3f} {row.pairs:>9,}")


def _chosen(options: argparse.Namespace) -> tuple[Source, Download, Path]:
    """The corpus, the section download, and the project's root: the folder of the params."""
    if options.name not in FETCHED:
        near = difflib.get_close_matches(options.name, FETCHED, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise LaspaError(f"{options.name}: not a corpus that is fetched, {', '.join(FETCHED)} are{hint}")
    params, corpus = load_params(options.params), FETCHED[options.name]
    if corpus in (VOXCELEB1, VOXCELEB2):
        corpus = with_archives(corpus, getattr(params, corpus.name).archives)
    return corpus, params.download, Path(options.params).parent
