"""The train split with its augmented copies: which there are, and the table that lists them."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from laspa.audio.augmentation import Ring, Source, draw_change
from laspa.audio.noise_recordings import noise_files, noise_folder
from laspa.errors import LaspaError
from laspa.features.extraction import Utterance
from laspa.params import Augment, Features

MUSAN = {"noise": "noise", "music": "music", "babble": "speech"}  # what MUSAN calls what a kind adds
ROOMS = ("simulated_rirs", "real_rirs")


def plan_copies(
    manifest: pd.DataFrame,
    paths: Sequence[Path],
    settings: Features,
    options: Augment,
    root: Path,
) -> tuple[list[Utterance], pd.DataFrame]:
    """`settings.copies` copies of each training utterance, and rows for them in the manifest's columns.

    A copy is called `UTTERANCE#NUMBER-KIND`. At another speed a voice is another: its speaker is then
    `SPEAKER#SPEED`, a class of its own.

    Args:
        paths: of the manifest's recordings, in its order.
        root: what relative folders of `options` are relative to.

    Returns:
        the copies, and the manifest's rows of them with num_samples at the manifest's rate, and `copy_of`.
    """
    train = manifest[manifest["split"] == "train"]
    columns = (train["utterance_id"], (paths[row] for row in train.index), train["sha256"], train["speaker"])
    originals = list(zip(*columns, strict=True))
    rings = sources_of(options, root, [Source(path, sha256, who) for _, path, sha256, who in originals])
    utterances, rows = [], []
    for copy in range(1, settings.copies + 1):
        for (name, path, sha256, speaker), row in zip(originals, train.to_dict("records"), strict=True):
            change = draw_change(name, speaker, copy, options, rings)
            copy_id = f"{name}#{copy}-{change.kind}"
            if change.kind == "speed":
                speaker = f"{speaker}#{change.speed:g}"
                row["num_samples"] = round(row["num_samples"] / change.speed)
            utterances.append(Utterance(copy_id, path, sha256, change))
            rows.append(row | {"utterance_id": copy_id, "speaker": speaker, "copy_of": name})
    return utterances, pd.DataFrame(rows, columns=[*manifest.columns, "copy_of"])


def sources_of(options: Augment, root: Path, training: Sequence[Source]) -> dict[str, Ring]:
    """The recordings there are for each kind that `options` asks for; none where they are made up.

    Args:
        root: what relative folders are relative to.
        training: recordings of the train split, of which babble is made where there is no MUSAN.

    Raises:
        LaspaError: a folder that is not MUSAN or RIRS_NOISES, or a part of it.
    """
    rings: dict[str, Ring] = {kind: Ring([]) for kind in options.kinds}
    if options.musan and set(MUSAN) & set(options.kinds):
        parts = _recordings("musan", root / options.musan, "augment.musan")
        rings |= {kind: Ring(parts[part]) for kind, part in MUSAN.items() if kind in options.kinds}
    elif "babble" in options.kinds:
        rings["babble"] = Ring(training)
    if options.rirs and "reverb" in options.kinds:
        parts = _recordings("rirs_noises", root / options.rirs, "augment.rirs")
        rings["reverb"] = Ring([room for part in ROOMS for room in parts[part]])
    return rings


def _recordings(name: str, folder: Path, key: str) -> dict[str, list[Source]]:
    """By part. Name and size stand for the content: hashing 11 GB a run would cost more than it is worth."""
    try:
        inner = noise_folder(name, folder)
        found = noise_files(name, inner)
    except LaspaError as error:
        raise LaspaError(f"params.yaml: {key}: {error}") from None
    return {
        part: [Source(path, f"{path.relative_to(inner)} {path.stat().st_size}") for path in paths]
        for part, paths in found.items()
    }
