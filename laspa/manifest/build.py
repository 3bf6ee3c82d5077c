"""The manifest: one row per utterance, checked by decoding it; each speaker is in one split."""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from laspa.audio.quality import check_audio
from laspa.errors import LaspaError
from laspa.files import atomic_path
from laspa.params import Manifest
from laspa.progress import progress

SPLITS = ("train", "dev", "test")
FILES_AT_A_TIME = 4096  # given to the pool, which keeps a record of each, and kept on disk as one piece
CHECKED = ["sample_rate", "num_samples", "sha256", "problem", "clipped"]  # what is found of a file
CHECKING = ("decoders", "quality", "reading", "truncation")  # of laspa.audio: they decide it
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
    bad = table[table["problem"] != ""]
    _warn_of_clipping(table)
    if len(bad) and options.on_bad_audio == "fail":
        shown = "\n".join(
            f"  {locate(path)}: {problem}" for path, problem in bad[["path", "problem"]].head(SHOWN).values
        )
        more = f"\n  and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        raise LaspaError(
            f"{len(bad)} of {len(table)} recordings cannot be used:\n{shown}{more}\n"
            "repair or remove them, or set manifest.on_bad_audio to skip in params.yaml"
        )
    good = table[table["problem"] == ""].copy()
    prefix = good["speaker"] + "/" + good["language"] + "/"
    good["utterance_id"] = prefix + good["path"].map(lambda path: Path(path).stem)
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
        shuffled, dev, _ = _shuffled(good.loc[good["split"] == "train", "speaker"], options)
        good.loc[good["speaker"].isin(shuffled[:dev]), "split"] = "dev"
    _check_splits(good, locate)
    columns = ["utterance_id", "speaker", "language", "gender", "corpus", "split"]
    columns += ["path", "sample_rate", "num_samples", "sha256"]
    good = good[columns].astype({"sample_rate": "int32", "num_samples": "int64"})
    skipped = bad[["path", "problem"]].rename(columns={"problem": "reason"})
    return good.sort_values("utterance_id", ignore_index=True), skipped


def _checked(
    paths: list[str], options: Manifest, locate: Callable[[str], Path], workers: int, partial: Path
) -> pd.DataFrame:
    """CHECKED of each file."""

    def check(name: str) -> tuple[int, int, str, str, float]:
        path = locate(name)
        try:
            content = path.read_bytes()
        except OSError as error:
            return 0, 0, "", f"cannot be read ({error.strerror})", 0.0
        info = check_audio(path, content, options.min_seconds)
        sha256 = hashlib.sha256(content).hexdigest()
        return info.sample_rate, info.num_samples, sha256, info.problem, info.clipped

    tables = [pd.DataFrame(columns=CHECKED)] if not paths else []

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
    audio = Path(__file__).parents[1] / "audio"
    found = hashlib.sha256(f"{options.min_seconds}".encode())
    for name in CHECKING:
        found.update((audio / f"{name}.py").read_bytes())
    for path in paths:
        file = locate(path)
        state = file.stat() if file.exists() else None
        found.update(f"{path}\t{state and (state.st_size, state.st_mtime_ns)}\n".encode())
    return found.hexdigest()


def _warn_of_clipping(table: pd.DataFrame) -> None:
    """Clipped recordings are common, so they are kept; the user is told about them."""
    clipped = table[table["clipped"] >= CLIPPED_SHARE].sort_values("clipped", ascending=False)
    if len(clipped):
        print(
            f"{len(clipped)} of {len(table)} recordings have {CLIPPED_SHARE:.1%} or more of their samples at "
            f"full scale and may be clipped, most of all {clipped['path'].iloc[0]} "
            f"({clipped['clipped'].iloc[0]:.1%}); they are kept"
        )


def _shuffled(speakers: pd.Series, options: Manifest) -> tuple[np.ndarray, int, int]:
    """The speakers in random order, by seed, and how many are for dev and for test; trials need two."""
    names = np.array(sorted(speakers.unique()))
    dev, test = (max(2, round(share * len(names))) for share in (options.dev_share, options.test_share))
    return np.random.default_rng(options.split_seed).permutation(names), dev, test


def _random_splits(speakers: pd.Series, options: Manifest) -> pd.Series:
    """A split for every speaker."""
    shuffled, dev, test = _shuffled(speakers, options)
    split_of = dict.fromkeys(shuffled[dev + test :], "train")
    split_of |= dict.fromkeys(shuffled[:dev], "dev") | dict.fromkeys(shuffled[dev : dev + test], "test")
    return speakers.map(split_of)


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
    for column, name in (("speaker", "speaker"), ("sha256", "recording")):
        crossing = table.groupby(column)["split"].nunique()
        if (crossing > 1).any():
            rows = table[table[column] == crossing.index[crossing > 1][0]]
            one, other = (locate(path) for path in rows.drop_duplicates("split")["path"].iloc[:2])
            remedy = "the corpus's splits" + (" or names of speakers" if name == "speaker" else "")
            raise LaspaError(
                f"the same {name} is in {' and '.join(sorted(rows['split'].unique()))}: {one} and "
                f"{other}; a {name} belongs to one split, correct {remedy}"
            )
