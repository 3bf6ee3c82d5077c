"""The train split with its augmented copies: which there are, and the table that lists them."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from laspa.augmentation import Source, draw_change, sources_of
from laspa.extraction import Utterance
from laspa.params import Features
from laspa.sections import Augment


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
