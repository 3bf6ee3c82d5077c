"""Trial lists: pairs of utterances under the language conditions, drawn from a manifest by seed."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow as pa

from laspa.errors import LaspaError
from laspa.manifest.tables import trained_languages
from laspa.params.data import Trials
from laspa.trials.lists import TrialList, rows_of
from laspa.trials.splits import rows_of_split

DRAWS = 8  # random pairs drawn for each non-target wanted, before those that do not fit are dropped
LISTED_PAIRS = 4_000_000  # of one speaker's utterances, of all speakers together: 250 MB at most (our choice)
THINNING = 1  # of random numbers: a stream of its own, so that no other draw depends on it


def generate_trials(manifest: pd.DataFrame, split: str, options: Trials) -> TrialList:
    """Trials of a split: targets and non-targets, within a language and across, `per_group` of each at most.

    The splits are those of `rows_of_split`, `other` among them.

    Targets are every pair of a speaker's utterances, thinned at random to the same number a speaker; of a
    speaker with very many pairs only a random part is looked at (`LISTED_PAIRS`), which bounds memory and
    changes no other list. Non-targets are random pairs of speakers, of one gender where genders are known
    and `same_gender` asks for it. No utterance meets itself and no pair comes twice.

    Raises:
        LaspaError: a split without targets or without non-targets.
    """
    rows = rows_of_split(manifest, split).reset_index(drop=True)
    generator = np.random.default_rng(options.seed)
    speaker = rows["speaker"].factorize()[0]
    language = rows["language"].factorize()[0]
    gender = rows["gender"].factorize()[0]
    seen = trained_languages(manifest)

    targets = _target_pairs(speaker, max(LISTED_PAIRS, DRAWS * options.per_group), options.seed)
    within = language[targets[:, 0]] == language[targets[:, 1]]
    nontargets = [
        _nontarget_pairs(speaker, language, gender, same_language, options, generator)
        for same_language in (True, False)
    ]
    groups = [targets[within], targets[~within], *nontargets]
    balanced = [_balanced(pairs, speaker, options.per_group, generator) for pairs in groups]
    if not len(targets):
        raise LaspaError(
            f"split {split} gives no targets: no speaker has two utterances; give more recordings of each, "
            "or more speakers by manifest.dev_share and manifest.test_share"
        )
    if not sum(map(len, nontargets)):
        raise LaspaError(
            f"split {split} gives no non-targets: no two speakers of one gender; set trials.same_gender to "
            "false, or use more speakers"
        )
    target = np.repeat([True, True, False, False], [len(pairs) for pairs in balanced])
    a, b = np.concatenate(balanced).T
    return _trial_list(f"split {split}", rows, a, b, target, seen)


def _trial_list(
    name: str,
    rows: pd.DataFrame,
    a: np.ndarray,
    b: np.ndarray,
    target: np.ndarray,
    seen: set[str],
    published_sha256: str = "",
) -> TrialList:
    """Trials between rows of a manifest, numbered from 0; `seen`: the languages of training."""
    used, number = np.unique(np.concatenate([a, b]), return_inverse=True)
    enroll, test = number.astype(np.int32).reshape(2, -1)
    language, gender = (rows[column].factorize()[0] for column in ("language", "gender"))
    unseen = ~rows["language"].isin(seen).to_numpy()
    known = (gender[a] >= 0) & (gender[b] >= 0)
    relations = {
        "same_language": language[a] == language[b],
        "same_gender": np.where(known, gender[a] == gender[b], None),
        "unseen_language": unseen[a] | unseen[b],
    }
    names = pa.array(rows["utterance_id"].to_numpy()[used], pa.string())
    return TrialList(name, names, enroll, test, target, relations, published_sha256=published_sha256)


def official_trials(
    name: str, listed: TrialList, manifest: pd.DataFrame, copies: Mapping[str, str] | None = None
) -> TrialList | None:
    """A publisher's list between utterances; None, and a message that says why, where it is left out.

    It is measured whole or not at all, and on speakers of the split test alone: the others were used to train
    or to choose.

    Args:
        listed: labelled trials between paths of the index.
        copies: the recording that is kept, of each that the manifest leaves out as its copy.

    Raises:
        LaspaError: a label that contradicts the manifest's speakers.
    """
    left_out = f"trial list {name} is left out"
    kept = [(copies or {}).get(path, path) for path in listed.names.to_pylist()]
    rows = rows_of(pa.array(kept, pa.string()), manifest["path"].tolist())
    missing = np.flatnonzero(rows < 0)
    if len(missing):
        print(
            f"{left_out}: {len(missing):,} of its {len(rows):,} recordings are not in the manifest, such as "
            f"{listed.names[missing[0]]}; data/skipped.csv says why"
        )
        return None
    about = manifest.iloc[rows]
    used = about.loc[about["split"] != "test", "speaker"]
    if len(used):
        print(
            f"{left_out}: {used.nunique():,} of its {about['speaker'].nunique():,} speakers are in train or "
            f"dev, such as {used.iloc[0]}; it takes a model that was trained on other people"
        )
        return None
    a, b = rows[listed.enroll], rows[listed.test]
    speaker, target = manifest["speaker"].to_numpy(), listed.labels()
    wrong = np.flatnonzero((speaker[a] == speaker[b]) != target)
    if len(wrong):
        row = int(wrong[0])
        kind = "target" if target[row] else "non-target"
        raise LaspaError(
            f"trial list {name}: {listed.pair(row)} is a {kind} trial of {speaker[a[row]]} and "
            f"{speaker[b[row]]}; mend the list or the corpus"
        )
    return _trial_list(name, manifest, a, b, target, trained_languages(manifest), listed.sha256())


def _target_pairs(speaker: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Pairs of each speaker's utterances: all of them, or a random part of some most / speakers."""
    pairs = [np.empty((0, 2), dtype=np.int64)]
    generator = np.random.default_rng([seed, THINNING])
    count = np.bincount(speaker)
    share = most // max(1, len(count))
    for mine in np.split(np.argsort(speaker, kind="stable"), np.cumsum(count)[:-1]):
        if len(mine) * (len(mine) - 1) // 2 <= share:
            first, second = np.triu_indices(len(mine), k=1)
        else:
            drawn = np.sort(generator.integers(len(mine), size=(share, 2)), axis=1)
            first, second = np.unique(drawn[drawn[:, 0] < drawn[:, 1]], axis=0).T
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
