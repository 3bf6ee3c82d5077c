"""The manifest: one row an utterance, each checked by decoding it, speakers in one split each."""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from laspa.audio.quality import check_audio
from laspa.errors import LaspaError
from laspa.params import Manifest
from laspa.progress import progress

SPLITS = ("train", "dev", "test")
HANDED_OVER = 4096  # files at a time: a pool keeps a record of each that waits
CLIPPED_SHARE = 0.001  # of the samples at full scale, from which on it is said (our choice)
SHOWN = 10  # bad files named in an error; all of them stand in data/skipped.csv when skipped


def build_manifest(
    index: pd.DataFrame, corpus: str, options: Manifest, locate: Callable[[str], Path], workers: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The manifest and the files left out of it.

    Args:
        index: columns path, speaker, language, gender, split and, of joined corpora, corpus.
        corpus: whose all recordings are, where the index does not say.
        locate: where a path of the index stands on disk.
        workers: files decoded at a time.

    Returns:
        the manifest, by utterance_id, and (path, reason) of what was skipped.

    Raises:
        LaspaError: bad files where `on_bad_audio` is fail, two utterances of one name, the same
            recording in two splits, or a split without speakers.
    """
    rows = list(_checked(index, options, locate, workers))
    checks = pd.DataFrame(rows, columns=["sample_rate", "num_samples", "sha256", "problem", "clipped"])
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
            "mend or remove them, or set manifest.on_bad_audio to skip in params.yaml"
        )
    good = table[table["problem"] == ""].copy()
    good["utterance_id"] = [
        "/".join((speaker, language, Path(path).stem))
        for speaker, language, path in good[["speaker", "language", "path"]].values
    ]
    twice = good[good["utterance_id"].duplicated(keep=False)]
    if len(twice):
        good.loc[twice.index, "utterance_id"] = (
            twice["speaker"] + "/" + twice["language"] + "/" + twice["path"]
        )
    if "corpus" not in good:
        good["corpus"] = corpus
    good["gender"] = good["gender"].where(good["gender"] != "", None)
    free = good["split"] == ""
    if free.any():
        good.loc[free, "split"] = _random_splits(good.loc[free, "speaker"], options)
    if set(good["split"]) == {"train", "test"}:
        good.loc[good["speaker"].isin(_dev_speakers(good, options)), "split"] = "dev"
    _check_splits(good, locate)
    columns = ["utterance_id", "speaker", "language", "gender", "corpus", "split"]
    columns += ["path", "sample_rate", "num_samples", "sha256"]
    good = good[columns].astype({"sample_rate": "int32", "num_samples": "int64"})
    skipped = bad[["path", "problem"]].rename(columns={"problem": "reason"})
    return good.sort_values("utterance_id", ignore_index=True), skipped


def _checked(
    index: pd.DataFrame, options: Manifest, locate: Callable[[str], Path], workers: int
) -> Iterator[tuple[int, int, str, str, float]]:
    def check(name: str) -> tuple[int, int, str, str, float]:
        path = locate(name)
        try:
            content = path.read_bytes()
        except OSError as error:
            return 0, 0, "", f"cannot be read ({error.strerror})", 0.0
        info = check_audio(path, content, options.min_seconds)
        sha256 = hashlib.sha256(content).hexdigest()
        return info.sample_rate, info.num_samples, sha256, info.problem, info.clipped

    paths = index["path"].tolist()
    # Decoding and hashing happen outside Python's lock, so threads are enough.
    with ThreadPoolExecutor(workers) as pool:
        batches = (paths[start : start + HANDED_OVER] for start in range(0, len(paths), HANDED_OVER))
        checked = (one for batch in batches for one in pool.map(check, batch))
        yield from progress(checked, len(paths), "check audio", unit="file")


def _warn_of_clipping(table: pd.DataFrame) -> None:
    """Clipped recordings are kept: much of what people record is; but who has many should know."""
    clipped = table[table["clipped"] >= CLIPPED_SHARE].sort_values("clipped", ascending=False)
    if len(clipped):
        print(
            f"{len(clipped)} of {len(table)} recordings have {CLIPPED_SHARE:.1%} or more of their samples at "
            f"full scale and may be clipped, most of all {clipped['path'].iloc[0]} "
            f"({clipped['clipped'].iloc[0]:.1%}); they are kept"
        )


def _random_splits(speakers: pd.Series, options: Manifest) -> pd.Series:
    """A split for every speaker, by seed; at least two speakers each, since trials need two."""
    names = np.array(sorted(speakers.unique()))
    shuffled = np.random.default_rng(options.split_seed).permutation(names)
    dev, test = (max(2, round(share * len(names))) for share in (options.dev_share, options.test_share))
    split_of = dict.fromkeys(shuffled[dev + test :], "train")
    split_of |= dict.fromkeys(shuffled[:dev], "dev") | dict.fromkeys(shuffled[dev : dev + test], "test")
    return speakers.map(split_of)


def _dev_speakers(table: pd.DataFrame, options: Manifest) -> list[str]:
    """Training speakers set aside for dev, by seed, where the official lists are of train and test alone."""
    names = np.array(sorted(table.loc[table["split"] == "train", "speaker"].unique()))
    shuffled = np.random.default_rng(options.split_seed).permutation(names)
    return list(shuffled[: max(2, round(options.dev_share * len(names)))])


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
    for what in ("speaker", "sha256"):
        crossing = table.groupby(what)["split"].nunique()
        if (crossing > 1).any():
            rows = table[table[what] == crossing.index[crossing > 1][0]]
            name = "speaker" if what == "speaker" else "recording"
            one, other = (locate(path) for path in rows.drop_duplicates("split")["path"].iloc[:2])
            remedy = "the corpus's splits" + (" or names of speakers" if name == "speaker" else "")
            raise LaspaError(
                f"the same {name} stands in {' and '.join(sorted(rows['split'].unique()))}: {one} and "
                f"{other}; a {name} belongs to one split, mend {remedy}"
            )
