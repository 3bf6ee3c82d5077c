"""The manifest: one row per utterance, checked by decoding it; each speaker is in one split."""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from laspa.audio.quality import check_audio
from laspa.errors import LaspaError
from laspa.files import atomic_path
from laspa.manifest.tables import COPY
from laspa.params.data import Manifest
from laspa.progress import progress
from laspa.text import composed

SPLITS = ("train", "dev", "test")
FILES_AT_A_TIME = 4096  # given to the pool, which keeps a record of each, and kept on disk as one piece
CHECKED = ["sample_rate", "num_samples", "sha256", "problem", "clipped", "notes"]  # what is found of a file
CLIPPED_SHARE = 0.001  # of the samples at full scale: from here on a recording is reported (our choice)
SHOWN = 10  # bad files in an error; data/skipped.csv has all of them, if they are skipped


def build_manifest(
    index: pd.DataFrame,
    corpus: str,
    options: Manifest,
    locate: Callable[[str], Path],
    workers: int,
    partial: Path,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The manifest and the files left out of it.

    Args:
        index: columns path, speaker, language, gender, split and, if corpora are joined, corpus.
        corpus: the corpus of all recordings, if the index has no such column.
        locate: gives the file of a path in the index.
        workers: files decoded at a time.
        partial: a folder for what was found so far: a killed run resumes, and a file that was mended is
            looked at again. Remove it once the manifest is written.

    Returns:
        the manifest, by utterance_id, and (path, reason) of what was skipped.

    Raises:
        LaspaError: bad files if `on_bad_audio` is fail, a speaker or recording in two splits, or a split
            without speakers.
    """
    checks = _checked(index["path"].tolist(), options, locate, workers, partial)
    table = pd.concat([index.reset_index(drop=True), checks], axis=1)
    _find_copies(table)
    bad = table[(table["problem"] != "") & ~table["copy"]]
    _warn(table)
    if len(bad) and options.on_bad_audio == "fail":
        first = bad[["path", "problem"]].head(SHOWN).to_numpy()
        shown = "\n".join(f"  {locate(path)}: {problem}" for path, problem in first)
        more = f"\n  and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        raise LaspaError(
            f"{len(bad)} of {len(table)} recordings cannot be used:\n{shown}{more}\n"
            "repair or remove them, or set manifest.on_bad_audio to skip in params.yaml"
        )
    good = table[table["problem"] == ""].copy()
    if good.empty:
        raise LaspaError(
            f"none of {len(table)} recordings can be used; the first: {bad['problem'].iloc[0]}; repair or "
            "replace them"
        )
    prefix = good["speaker"] + "/" + good["language"] + "/"
    good["utterance_id"] = prefix + good["path"].map(lambda path: composed(Path(path).stem))
    twice = good["utterance_id"].duplicated(keep=False)
    good.loc[twice, "utterance_id"] = prefix[twice] + good.loc[twice, "path"]
    if "corpus" not in good:
        good["corpus"] = corpus
    good["gender"] = good["gender"].where(good["gender"] != "", None)
    free = good["split"] == ""
    if free.any():
        good.loc[free, "split"] = _random_splits(good.loc[free, "speaker"], options)
    if set(good["split"]) == {"train", "test"}:
        # The official lists have train and test only: dev speakers are taken from train.
        drawn = _random_splits(good.loc[good["split"] == "train", "speaker"], options)
        good.loc[drawn.index[drawn == "dev"], "split"] = "dev"
    _check_splits(good, locate)
    columns = ["utterance_id", "speaker", "language", "gender", "corpus", "split"]
    columns += ["path", "sample_rate", "num_samples", "sha256"]
    good = good[columns].astype({"sample_rate": "int32", "num_samples": "int64"})
    skipped = table.loc[table["problem"] != "", ["path", "problem"]].rename(columns={"problem": "reason"})
    return good.sort_values("utterance_id", ignore_index=True), skipped


def _checked(
    paths: list[str], options: Manifest, locate: Callable[[str], Path], workers: int, partial: Path
) -> pd.DataFrame:
    """CHECKED of each file."""

    def check(name: str) -> tuple[Any, ...]:
        path = locate(name)
        try:
            content = path.read_bytes()
        except OSError as error:
            return 0, 0, "", f"cannot be read ({error.strerror})", 0.0, ()
        info = check_audio(path, content, options.min_seconds)
        sha256 = hashlib.sha256(content).hexdigest()
        return info.sample_rate, info.num_samples, sha256, info.problem, info.clipped, info.notes

    tables = []

    def files(pool: ThreadPoolExecutor) -> Iterator[None]:
        """Yields once for each file that was looked at, in this run or the one that it resumes."""
        for start in range(0, len(paths), FILES_AT_A_TIME):
            batch = paths[start : start + FILES_AT_A_TIME]
            kept = partial / f"{_state(batch, options, locate)}.parquet"
            if not kept.exists():
                rows = []
                for row in pool.map(check, batch):
                    rows.append(row)
                    yield
                with atomic_path(kept) as temporary:
                    pd.DataFrame(rows, columns=CHECKED).to_parquet(temporary, index=False)
            else:
                yield from (None for _ in batch)
            tables.append(pd.read_parquet(kept))

    # Decoding and hashing happen outside Python's lock, so threads are enough.
    with ThreadPoolExecutor(workers) as pool:
        for _ in progress(files(pool), len(paths), "check audio", unit="file"):
            pass
    return pd.concat(tables, ignore_index=True)


def _state(paths: list[str], options: Manifest, locate: Callable[[str], Path]) -> str:
    """SHA-256 of names, sizes and times of change of files, and of the code and option that judge them."""
    found = hashlib.sha256(f"{options.min_seconds}".encode())
    for module in sorted(Path(__file__).parents[1].glob("audio/*.py")):
        found.update(module.read_bytes())
    for path in paths:
        file = locate(path)
        state = file.stat() if file.exists() else None
        found.update(f"{path}\t{state and (state.st_size, state.st_mtime_ns)}\n".encode())
    return found.hexdigest()


def _find_copies(table: pd.DataFrame) -> None:
    """Write into `problem` which recordings have another's bytes, and into `copy` which of them are no fault.

    Of one speaker, language and split the first is kept. Else nobody knows which label is right: none is.
    """
    good = table[table["problem"] == ""].sort_values("path")
    again = good[good["sha256"].duplicated(keep=False)]
    table["copy"] = False
    for _, rows in again.groupby("sha256"):
        first, *others = rows.index
        if (rows[["speaker", "language", "split"]].nunique() > 1).any():
            for row in rows.index:
                other = rows.loc[others[0] if row == first else first]
                split = f" in {other['split']}" if other["split"] else ""
                table.loc[row, "problem"] = (
                    f"the same bytes as {other['path']}, of speaker {other['speaker']} in "
                    f"{other['language']}{split}"
                )
        else:
            table.loc[others, "problem"] = COPY + rows.loc[first, "path"]
            table.loc[others, "copy"] = True


def _warn(table: pd.DataFrame) -> None:
    """Clipped recordings, wrong headers, several channels and copies are common; the user is told."""
    for note in sorted({note for notes in table["notes"] for note in notes}):
        noted = table.loc[table["notes"].map(lambda notes, note=note: note in notes), "path"]
        print(f"{len(noted)} of {len(table)} recordings have {note}; such as {noted.iloc[0]}")
    copies = table.loc[table["copy"], "path"]
    if len(copies):
        print(
            f"{len(copies)} of {len(table)} recordings are copies of others, byte by byte, such as "
            f"{copies.iloc[0]}; they are left out"
        )
    clipped = table[table["clipped"] >= CLIPPED_SHARE].sort_values("clipped", ascending=False)
    if len(clipped):
        print(
            f"{len(clipped)} of {len(table)} recordings have {CLIPPED_SHARE:.1%} or more of their samples at "
            f"full scale and may be clipped, most of all {clipped['path'].iloc[0]} "
            f"({clipped['clipped'].iloc[0]:.1%}); they are kept"
        )


def _random_splits(speakers: pd.Series, options: Manifest) -> pd.Series:
    """A split for every speaker, by seed; trials need two speakers in dev and in test."""
    shuffled = np.random.default_rng(options.split_seed).permutation(sorted(speakers.unique()))
    dev, test = (max(2, round(share * len(shuffled))) for share in (options.dev_share, options.test_share))
    splits = ["dev"] * dev + ["test"] * test + ["train"] * len(shuffled)
    return speakers.map(dict(zip(shuffled, splits, strict=False)))


def _check_splits(table: pd.DataFrame, locate: Callable[[str], Path]) -> None:
    unknown = set(table["split"]) - set(SPLITS)
    if unknown:
        raise LaspaError(
            f"data/raw/index.csv: split {sorted(unknown)[0]!r} should be one of {', '.join(SPLITS)}"
        )
    speakers = table.groupby("split")["speaker"].nunique()
    for split in SPLITS:
        if speakers.get(split, 0) < 2:
            raise LaspaError(
                f"split {split} has {speakers.get(split, 0)} speaker(s), 2 or more are needed; "
                "give more speakers, or change manifest.dev_share and manifest.test_share"
            )
    crossing = table.groupby("speaker")["split"].nunique()
    if (crossing > 1).any():
        rows = table[table["speaker"] == crossing.index[crossing > 1][0]]
        one, other = (locate(path) for path in rows.drop_duplicates("split")["path"].iloc[:2])
        raise LaspaError(
            f"the same speaker is in {' and '.join(sorted(rows['split'].unique()))}: {one} and {other}; a "
            "speaker belongs to one split, correct the corpus's splits or names of speakers"
        )
