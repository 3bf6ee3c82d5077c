"""Log-mels of the last run, kept so that the next one computes only what is new.

A log-mel is decided by its recording's bytes, what is done to these, the mel settings, and the code
and libraries that compute it. Under the digest of all of that it is found again, whatever its
utterance is called and wherever it stands in the manifest.
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

import pyarrow as pa
import pyarrow.parquet as pq

from laspa.features import store as features
from laspa.features.settings import mel_settings
from laspa.files import atomic_path
from laspa.params import Features

# Of this package, and those it computes with: a change of any may change a value.
CODE = (
    "audio/augmentation",
    "audio/decoders",
    "audio/generated_noise",
    "audio/reading",
    "audio/reverberation",
    "features/mel",
    "features/settings",
    "features/store",
    "features/torchaudio_shim",
)
LIBRARIES = ("av", "G722", "numpy", "scipy", "soundfile", "soxr", "torch", "torchaudio")
INDEX = "index.parquet"
DIGEST_KEY = b"laspa.computed_by"


class Place(NamedTuple):
    """Where a kept log-mel lies."""

    shard: Path
    group: int
    row: int


@cache
def computed_by(settings: Features) -> str:
    """SHA-256 of everything but the recording that decides a log-mel."""
    parts = [json.dumps(mel_settings(settings), sort_keys=True)]
    parts += [f"{library} {_version(library)}" for library in LIBRARIES]
    texts = [(Path(__file__).parents[1] / f"{name}.py").read_bytes() for name in CODE]
    return hashlib.sha256(b"\0".join([*(part.encode() for part in parts), *texts])).hexdigest()


def keep(folder: Path, keys: Sequence[str], settings: Features, kept: Path) -> None:
    """Put the shards of `folder` into `kept` as hard links, in place of what was there.

    Args:
        keys: of the utterances, in the shards' order; equal keys have equal log-mels.
    """
    shards = sorted(folder.glob("part-*.parquet"))
    with atomic_path(kept) as temporary:
        temporary.mkdir()
        for shard in shards:
            try:
                os.link(shard, temporary / shard.name)
            except OSError:  # a file system without hard links
                shutil.copyfile(shard, temporary / shard.name)
        schema = pa.schema(
            [("key", pa.string()), ("shard", pa.int32()), ("row", pa.int32())],
            metadata={DIGEST_KEY: computed_by(settings).encode()},
        )
        size = settings.shard_utterances
        columns = [list(keys), [i // size for i in range(len(keys))], [i % size for i in range(len(keys))]]
        pq.write_table(pa.table(columns, schema=schema), temporary / INDEX)


def places(kept: Path, settings: Features) -> dict[str, Place]:
    """The log-mels in `kept` by key; none where other settings, code or libraries made them."""
    try:
        index = pq.read_table(kept / INDEX)
    except (OSError, pa.ArrowInvalid):
        return {}
    if index.schema.metadata[DIGEST_KEY].decode() != computed_by(settings):
        return {}
    found = {}
    for key, shard, row in zip(*(index[name].to_pylist() for name in ("key", "shard", "row")), strict=True):
        group, inside = divmod(row, features.ROWS_PER_GROUP)
        found[key] = Place(kept / features.shard_name(shard), group, inside)
    return found


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:  # the decoders are extras
        return "none"
