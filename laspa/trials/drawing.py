"""Trial lists: pairs of utterances under the language conditions, drawn from a manifest by seed."""

import numpy as np
import pandas as pd

from laspa.errors import LaspaError
from laspa.manifest.tables import trained_languages
from laspa.params import Trials

DRAWS = 8  # random pairs drawn for each non-target wanted, before those that do not fit are dropped


def generate_trials(manifest: pd.DataFrame, split: str, options: Trials) -> pd.DataFrame:
    """Trials of a split: targets and non-targets, within a language and across, `per_group` of each at most.

    Targets are every pair of a speaker's utterances, thinned at random to the same number a
    speaker; non-targets are random pairs of speakers, of one gender where genders are known and
    `same_gender` asks for it. No utterance meets itself and no pair comes twice.

    Raises:
        LaspaError: a split without targets or without non-targets.
    """
    rows = manifest[manifest["split"] == split].reset_index(drop=True)
    generator = np.random.default_rng(options.seed)
    speaker = rows["speaker"].factorize()[0]
    language = rows["language"].factorize()[0]
    gender = rows["gender"].factorize()[0]
    seen = trained_languages(manifest)

    targets = _target_pairs(speaker)
    within = language[targets[:, 0]] == language[targets[:, 1]]
    nontargets = [
        _nontarget_pairs(speaker, language, gender, same_language, options, generator)
        for same_language in (True, False)
    ]
    groups = []
    for group, is_target in (
        (targets[within], True),
        (targets[~within], True),
        *((n, False) for n in nontargets),
    ):
        pairs = _balanced(group, speaker, options.per_group, generator)
        groups.append(pd.DataFrame({"a": pairs[:, 0], "b": pairs[:, 1], "target": is_target}))
    if not len(targets):
        raise LaspaError(f"split {split} gives no targets: no speaker has two utterances")
    if not sum(map(len, nontargets)):
        raise LaspaError(
            f"split {split} gives no non-targets: no two speakers of one gender; see trials.same_gender"
        )
    pairs = pd.concat(groups, ignore_index=True)
    a, b = pairs["a"].to_numpy(), pairs["b"].to_numpy()
    return _trial_table(rows, a, b, pairs["target"].to_numpy(), seen)


def _trial_table(
    rows: pd.DataFrame, a: np.ndarray, b: np.ndarray, target: np.ndarray, seen: set[str]
) -> pd.DataFrame:
    """Trials between rows of a manifest, numbered from 0; `seen`: the languages of training."""
    language, gender = (rows[column].factorize()[0] for column in ("language", "gender"))
    unseen = ~rows["language"].isin(seen).to_numpy()
    known = (gender[a] >= 0) & (gender[b] >= 0)
    ids = rows["utterance_id"].to_numpy()
    return pd.DataFrame(
        {
            "enroll": ids[a],
            "test": ids[b],
            "target": target,
            "same_language": language[a] == language[b],
            "same_gender": pd.array(np.where(known, gender[a] == gender[b], None), dtype="boolean"),
            "unseen_language": unseen[a] | unseen[b],
        }
    )


def official_trials(name: str, listed: pd.DataFrame, manifest: pd.DataFrame) -> pd.DataFrame | None:
    """An official list as a trial table, `attrs` kept; None, once it is said why, where it is left out.

    It is measured whole or not at all, and on speakers of the split test alone: the others have been
    trained or chosen on.

    Args:
        listed: columns enroll and test, paths of the index, and target.

    Raises:
        LaspaError: a label that contradicts the manifest's speakers.
    """
    left_out = f"trial list {name} is left out"
    paths = pd.unique(listed[["enroll", "test"]].to_numpy().ravel())
    of_path = pd.Series(np.arange(len(manifest)), index=manifest["path"])
    missing = paths[~np.isin(paths, of_path.index)]
    if len(missing):
        print(
            f"{left_out}: {len(missing):,} of its {len(paths):,} recordings are not in the manifest, such as "
            f"{missing[0]}; data/skipped.csv says why"
        )
        return None
    about = manifest.iloc[of_path.loc[paths]]
    used = about.loc[about["split"] != "test", "speaker"]
    if len(used):
        print(
            f"{left_out}: {used.nunique():,} of its {about['speaker'].nunique():,} speakers are in train or "
            f"dev, such as {used.iloc[0]}; it takes a model that was trained on other people"
        )
        return None
    a, b = (of_path.loc[listed[side]].to_numpy() for side in ("enroll", "test"))
    speaker, target = manifest["speaker"].to_numpy(), listed["target"].to_numpy(dtype=bool)
    wrong = np.flatnonzero((speaker[a] == speaker[b]) != target)
    if len(wrong):
        row = int(wrong[0])
        enroll, test = (listed[side].iloc[row] for side in ("enroll", "test"))
        raise LaspaError(
            f"trial list {name}: {enroll} {test} is a {'target' if target[row] else 'non-target'} trial of "
            f"{speaker[a[row]]} and {speaker[b[row]]}; mend the list or the corpus"
        )
    trials = _trial_table(manifest, a, b, target, trained_languages(manifest))
    trials.attrs = dict(listed.attrs)
    return trials


def _target_pairs(speaker: np.ndarray) -> np.ndarray:
    pairs = [np.empty((0, 2), dtype=np.int64)]
    for name in np.unique(speaker):
        mine = np.flatnonzero(speaker == name)
        first, second = np.triu_indices(len(mine), k=1)
        pairs.append(np.stack([mine[first], mine[second]], axis=1))
    return np.concatenate(pairs)


def _nontarget_pairs(
    speaker: np.ndarray,
    language: np.ndarray,
    gender: np.ndarray,
    same_language: bool,
    options: Trials,
    generator: np.random.Generator,
) -> np.ndarray:
    """Random pairs of different speakers, within a language or across."""
    a = generator.integers(len(speaker), size=DRAWS * options.per_group)
    by_language = np.argsort(language, kind="stable")
    count = np.bincount(language)
    start, size = (np.cumsum(count) - count)[language[a]], count[language[a]]
    if not same_language:
        start, size = 0, len(speaker)
    b = by_language[start + (generator.random(len(a)) * size).astype(np.int64)]
    fits = (speaker[a] != speaker[b]) & ((language[a] == language[b]) == same_language)
    if options.same_gender:
        fits &= (gender[a] == gender[b]) | (gender[a] < 0) | (gender[b] < 0)
    pairs = np.unique(np.sort(np.stack([a[fits], b[fits]], axis=1), axis=1), axis=0)
    # Either may come first: trials are balanced over the speakers of the first.
    turned = generator.random(len(pairs)) < 0.5
    return np.where(turned[:, None], pairs[:, ::-1], pairs)


def _balanced(
    pairs: np.ndarray, speaker: np.ndarray, limit: int, generator: np.random.Generator
) -> np.ndarray:
    """At most `limit` pairs, as evenly over the first utterance's speaker as there are pairs; sorted."""
    if len(pairs) > limit:
        shuffled = pairs[generator.permutation(len(pairs))]
        rank = pd.Series(speaker[shuffled[:, 0]]).groupby(speaker[shuffled[:, 0]]).cumcount().to_numpy()
        pairs = shuffled[np.argsort(rank, kind="stable")[:limit]]
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
