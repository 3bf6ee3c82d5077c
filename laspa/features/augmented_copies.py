"""Plans the augmented copies of the train split and lists them in a table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from laspa.audio.augmentation import Recording, RecordingPool, draw_augmentation
from laspa.audio.noise_folders import noise_files, noise_folder
from laspa.errors import LaspaError
from laspa.features.extraction import Utterance
from laspa.params.data import Augment, Features

MUSAN = {"noise": "noise", "music": "music", "babble": "speech"}  # kind of augmentation: folder of MUSAN
ROOMS = ("simulated_rirs", "real_rirs")


def plan_copies(
    manifest: pd.DataFrame, paths: Sequence[Path], settings: Features, options: Augment, root: Path
) -> tuple[list[Utterance], pd.DataFrame]:
    """`settings.copies` copies of each training utterance, and rows for them in the manifest's columns.

    A copy is called `UTTERANCE#NUMBER-KIND`. Another speed makes another voice: its speaker is then
    `SPEAKER#SPEED`, a class of its own.

    Args:
        paths: of the manifest's recordings, in its order.
        root: folder that relative folders in `options` are relative to.

    Returns:
        the copies, and their rows: the manifest's columns, num_samples at its rate, and `copy_of`.
    """
    train = manifest[manifest["split"] == "train"]
    originals = [
        (Recording(paths[index], row["sha256"], row["speaker"]), row)
        for index, row in zip(train.index, train.to_dict("records"), strict=True)
    ]
    pools = recording_pools(options, root, [recording for recording, _ in originals])
    utterances, rows = [], []
    for copy in range(1, settings.copies + 1):
        for (path, sha256, speaker), row in originals:
            name = row["utterance_id"]
            augmentation = draw_augmentation(name, speaker, copy, options, pools)
            changes: dict[str, Any] = {"utterance_id": f"{name}#{copy}-{augmentation.kind}", "copy_of": name}
            if augmentation.kind == "speed":
                changes["speaker"] = f"{speaker}#{augmentation.speed:g}"
                changes["num_samples"] = round(row["num_samples"] / augmentation.speed)
            utterances.append(Utterance(changes["utterance_id"], path, sha256, augmentation))
            rows.append(row | changes)
    return utterances, pd.DataFrame(rows, columns=[*manifest.columns, "copy_of"])


def recording_pools(options: Augment, root: Path, training: Sequence[Recording]) -> dict[str, RecordingPool]:
    """The recordings for each kind that `options` asks for; an empty pool where they are generated.

    Args:
        root: folder that relative folders are relative to.
        training: recordings of the train split, which babble uses without MUSAN.

    Raises:
        LaspaError: a folder that is not MUSAN or RIRS_NOISES, or lacks a part of it.
    """
    found: dict[str, Sequence[Recording]] = {"babble": training}
    if options.musan and set(MUSAN) & set(options.kinds):
        parts = _recordings("musan", root / options.musan, "augment.musan")
        found |= {kind: parts[part] for kind, part in MUSAN.items()}
    if options.rirs and "reverb" in options.kinds:
        parts = _recordings("rirs_noises", root / options.rirs, "augment.rirs")
        found["reverb"] = [room for part in ROOMS for room in parts[part]]
    return {kind: RecordingPool(found.get(kind, [])) for kind in options.kinds}


def _recordings(name: str, folder: Path, key: str) -> dict[str, list[Recording]]:
    """The corpus's recordings by part, named by path and size: hashing 11 GB in each run would take long."""
    try:
        inner = noise_folder(name, folder)
        found = noise_files(name, inner)
    except LaspaError as error:
        raise LaspaError(f"params.yaml: {key}: {error}") from None
    return {
        part: [Recording(path, f"{path.relative_to(inner)} {path.stat().st_size}") for path in paths]
        for part, paths in found.items()
    }
