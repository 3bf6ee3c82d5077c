"""Log-mels of the last run, kept so that the next one computes only what is new.

A log-mel depends on its recording's bytes, the augmentation, the mel settings, and the code and libraries
that compute it. It is found again by these, whatever the utterance's name and place in the manifest.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from laspa.features import store
from laspa.features.settings import mel_settings
from laspa.files import atomic_path
from laspa.params import Features

# Libraries that may change the value of a log-mel.
LIBRARIES = ("av", "G722", "numpy", "scipy", "soundfile", "soxr", "torch", "torchaudio")
INDEX = "index.parquet"
DIGEST_KEY = b"laspa.computed_by"


class CachedMel(NamedTuple):
    """Where a log-mel of the last run is stored."""

    shard: Path
    group: int
    row: int


@cache
def computation_digest(settings: Features) -> str:
    """SHA-256 of everything that decides a log-mel except the recording and its augmentation."""
    texts = [json.dumps(mel_settings(settings), sort_keys=True)]
    texts += [f"{library} {_version(library)}" for library in LIBRARIES]
    rooms = (Path(__file__).parents[1] / room for room in ("audio", "features"))
    texts += [file.read_text(encoding="utf-8") for room in rooms for file in sorted(room.glob("*.py"))]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def fill_cache(cache_folder: Path, shards: Path, keys: Sequence[str], settings: Features) -> None:
    """Replace what is in `cache_folder` by hard links to the shards in the folder `shards`.

    Args:
        keys: of the utterances, in the shards' order; equal keys have equal log-mels.
    """
    with atomic_path(cache_folder) as temporary:
        temporary.mkdir()
        for shard in sorted(shards.glob("part-*.parquet")):
            try:
                os.link(shard, temporary / shard.name)
            except OSError:  # a file system without hard links
                shutil.copyfile(shard, temporary / shard.name)
        schema = pa.schema(
            [("key", pa.string()), ("shard", pa.int32()), ("row", pa.int32())],
            metadata={DIGEST_KEY: computation_digest(settings).encode()},
        )
        numbers, rows = np.divmod(np.arange(len(keys), dtype=np.int32), settings.shard_utterances)
        pq.write_table(pa.table([list(keys), numbers, rows], schema=schema), temporary / INDEX)


def read_cache(cache_folder: Path, settings: Features) -> dict[str, CachedMel]:
    """The log-mels of the last run by key; none where other settings, code or libraries made them."""
    try:
        index = pq.read_table(cache_folder / INDEX)
    except (OSError, pa.ArrowInvalid):
        return {}
    if index.schema.metadata[DIGEST_KEY].decode() != computation_digest(settings):
        return {}
    return {
        key: CachedMel(cache_folder / store.shard_name(shard), *divmod(row, store.ROWS_PER_GROUP))
        for key, shard, row in zip(*(column.to_pylist() for column in index.columns), strict=True)
    }


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:  # the decoders are extras
        return "none"
