"""What must hold of the manifest and of the features, as Great Expectations suites.

Each suite looks at one table: the manifest itself, or one that is counted from it (one row per
speaker, recording or split), so that a failure names the rows to mend.
"""

from dataclasses import dataclass
from typing import Any

import great_expectations.expectations as gxe
import numpy as np
import pandas as pd
from great_expectations.expectations.expectation import Expectation

from laspa.audio.decoders import RATES
from laspa.audio.reading import SAMPLE_RATE
from laspa.corpora.catalogue import declared_by_params
from laspa.corpora.disk import without_suffix
from laspa.corpora.size import compare_sizes
from laspa.features.mel_statistics import SILENT_STD
from laspa.features.settings import mel_settings, num_frames
from laspa.manifest.build import SPLITS
from laspa.manifest.language_codes import iso_639_3
from laspa.params import Params
from laspa.trials.splits import OTHER, OUT_OF_CORPUS, rows_of_split

TEXT_COLUMNS = ("utterance_id", "speaker", "language", "gender", "corpus", "split", "path")
LEVELS = ("mean", "std", "min", "max")
STATISTICS = (*LEVELS, "non_finite")
MANIFEST_TYPES = dict.fromkeys(TEXT_COLUMNS, "str")
MANIFEST_TYPES |= {"sample_rate": "int32", "num_samples": "int64", "sha256": "str"}
FEATURE_TYPES = {"utterance_id": "str", "num_frames": "int32"} | dict.fromkeys(STATISTICS, "float64")
FEATURE_TYPES |= {"silent": "bool"}
MAX_SECONDS = 3_600.0  # an hour in one utterance is a recording that was never cut (our choice)
MEAN_TOLERANCE = 0.01  # nepers, of a mean that is 0 but for half precision
STD_RANGE = (SILENT_STD, 12.0)  # nepers; speech has 1 to 4, with digital silence around it 9 (our choice)
NEPERS_PER_DECIBEL = np.log(10) / 10  # of energies
LEVEL_RANGE = (-30.0, 30.0)  # nepers around the mean: the log floor is 18 below full scale (our choice)
RESAMPLED_FRAMES = 1  # a resampled recording may be a sample longer or shorter

Check = tuple[str, type[Expectation], dict[str, Any]]  # remedy, kind of expectation and its arguments
Checks = dict[str, Check]  # by what must hold, in the words that a user reads


@dataclass(frozen=True)
class Table:
    """A suite and what it looks at; the columns in `key` tell a user which row is meant."""

    name: str
    rows: pd.DataFrame
    key: list[str]
    checks: Checks

    def expectations(self) -> list[Expectation]:
        """The suite's expectations, in order."""
        return [
            kind(description=what, notes=remedy, **arguments)
            for what, (remedy, kind, arguments) in self.checks.items()
        ]


def manifest_tables(manifest: pd.DataFrame, params: Params) -> list[Table]:
    """Suites over the manifest and what is counted from it; only its columns where some are missing."""
    columns = _columns("manifest", manifest, MANIFEST_TYPES)
    if list(manifest.columns) != list(MANIFEST_TYPES):
        return [columns]
    return [
        columns,
        _utterances(manifest, params),
        _speakers(manifest),
        _recordings(manifest),
        _splits(manifest, params),
        _languages(manifest, params),
        *_corpora(manifest),
    ]


def feature_tables(
    aggregates: pd.DataFrame, settings: dict[str, Any], manifest: pd.DataFrame, params: Params
) -> list[Table]:
    """Suites over `laspa.features.mel_statistics` and the settings stored beside the mels."""
    return [
        _columns("features", aggregates, FEATURE_TYPES),
        _mels(aggregates, manifest, params),
        _counts(aggregates, manifest),
        _settings(settings, params),
    ]


def _columns(name: str, rows: pd.DataFrame, types: dict[str, str]) -> Table:
    remedy = f"run dvc repro {name}"
    order = (remedy, gxe.ExpectTableColumnsToMatchOrderedList, {"column_list": list(types)})
    checks: Checks = {"the columns are those agreed, in their order": order}
    for column, kind in types.items():
        if column in rows:
            arguments = {"column": column, "type_": kind}
            checks[f"{column} is of type {kind}"] = (remedy, gxe.ExpectColumnValuesToBeOfType, arguments)
    return Table(f"{name}_columns", rows, ["utterance_id"], checks)


def _utterances(manifest: pd.DataFrame, params: Params) -> Table:
    rows = manifest.assign(
        seconds=manifest["num_samples"] / manifest["sample_rate"], name=without_suffix(manifest["path"])
    )
    shortest = params.manifest.min_seconds
    checks: Checks = {
        f"{column} is given": (
            "mend the corpus's index, then dvc repro",
            gxe.ExpectColumnValuesToNotBeNull,
            {"column": column},
        )
        for column in MANIFEST_TYPES
        if column != "gender"
    }
    checks |= {
        "utterance ids are unique": _unique(
            "rename one of the recordings; ids come from speaker, language and file name", "utterance_id"
        ),
        "the split is train, dev or test": _one_of(
            "use these names in the index, or leave its split empty to have speakers split by seed",
            "split",
            list(SPLITS),
        ),
        "the gender is f, m or unknown": _one_of(
            "use f, m or an empty field in the index", "gender", ["f", "m"]
        ),
        f"the sample rate lies between {RATES[0]} and {RATES[1]} Hz": _between(
            "convert the recording, or remove it from the corpus", "sample_rate", *RATES
        ),
        f"an utterance lasts {shortest:g} to {MAX_SECONDS:g} seconds": _between(
            "cut or remove the recording; see manifest.min_seconds and manifest.on_bad_audio",
            "seconds",
            shortest,
            MAX_SECONDS,
        ),
        "no recording stands there in two formats": _unique(
            "remove one of the two files, or list one of them", "name"
        ),
        "the checksum is a SHA-256": (
            "run dvc repro manifest",
            gxe.ExpectColumnValuesToMatchRegex,
            {"column": "sha256", "regex": "^[0-9a-f]{64}$"},
        ),
        "paths are relative and stay inside the corpus": (
            "write paths relative to the corpus's folder into its index",
            gxe.ExpectColumnValuesToNotMatchRegex,
            {"column": "path", "regex": r"^/|^[A-Za-z]:|(?:^|/)\.\.(?:/|$)"},
        ),
    }
    return Table("manifest_utterances", rows, ["utterance_id"], checks)


def _speakers(manifest: pd.DataFrame) -> Table:
    rows = manifest.groupby("speaker", sort=True).agg(
        splits=("split", "nunique"),
        which=("split", lambda values: ", ".join(sorted(set(values)))),
        genders=("gender", "nunique"),
        utterances=("utterance_id", "size"),
    )
    checks = {
        "a speaker stands in one split only": _one_of(
            "give all of the speaker's recordings one split in the index, or leave the split empty",
            "splits",
            [1],
        ),
        "a speaker has one gender at most": _between(
            "mend the gender in the index, or tell two speakers of one name apart", "genders", high=1
        ),
    }
    return Table("manifest_speakers", rows.reset_index(), ["speaker", "which"], checks)


def _recordings(manifest: pd.DataFrame) -> Table:
    """One row per distinct recording, with the first few ids of its utterances."""
    known = manifest.dropna(subset=["sha256"])
    rows = known.drop_duplicates("sha256").set_index("sha256")
    rows = pd.DataFrame({"splits": 1, "speakers": 1, "utterances": rows["utterance_id"]})
    several = known[known["sha256"].duplicated(keep=False)].groupby("sha256")  # few: to look at all is slow
    counted = several.agg(
        splits=("split", "nunique"),
        speakers=("speaker", "nunique"),
        times=("utterance_id", "size"),
        utterances=("utterance_id", lambda ids: ", ".join(ids.iloc[:3])),
    )
    rows = pd.concat([rows.drop(counted.index), counted]).sort_index()
    remedy = "remove one of the two recordings: their bytes are the same"
    checks = {
        "no recording stands in two splits": _between(remedy, "splits", high=1),
        "no recording belongs to two speakers": _between(remedy, "speakers", high=1),
        "no recording stands there twice": _between(remedy, "times", high=1),
    }
    return Table("manifest_recordings", rows.reset_index(), ["utterances"], checks)


def _splits(manifest: pd.DataFrame, params: Params) -> Table:
    parts = _parts(manifest, params)
    counts = [(name, rows["speaker"].nunique(), len(rows)) for name, rows in parts.items()]
    rows = pd.DataFrame(counts, columns=["split", "speakers", "utterances"])
    remedy = "use more speakers, or other shares in manifest.dev_share and manifest.test_share"
    checks = {"each split has two speakers or more": _between(remedy, "speakers", low=2)}
    if declared_by_params(params.corpora):
        declared = [getattr(params.synthetic, f"{split}_speakers") for split in SPLITS]
        rows["declared"] = [*declared, params.synthetic_other.speakers][: len(rows)]
        remedy = "run dvc repro download; see data/skipped.csv for recordings left out"
        checks["each split has as many speakers as declared"] = _equal(remedy, "speakers", "declared")
    return Table("manifest_splits", rows, ["split"], checks)


def _parts(manifest: pd.DataFrame, params: Params) -> dict[str, pd.DataFrame]:
    """The rows of each split and, where a corpus is only for testing models of others, of `other`."""
    names = [*SPLITS, *([OTHER] if set(params.corpora) & set(OUT_OF_CORPUS) else [])]
    return {name: rows_of_split(manifest, name) for name in names}


def _languages(manifest: pd.DataFrame, params: Params) -> Table:
    """One row per split and language; `allowed` says whether the language may stand there."""
    labelled = pd.concat([rows.assign(split=name) for name, rows in _parts(manifest, params).items()])
    rows = labelled.groupby(["split", "language"]).size().rename("utterances").reset_index()
    if declared_by_params(params.corpora):
        seen, unseen = set(params.synthetic.languages), set(params.synthetic.unseen_languages)
        what = "languages are as declared, the unseen ones in the test split alone"
        remedy = "run dvc repro download, or mend synthetic.languages and synthetic.unseen_languages"
        allowed = {
            "train": seen,
            "dev": seen,
            "test": seen | unseen,
            OTHER: {*params.synthetic_other.languages},
        }
        rows["allowed"] = [
            language in allowed[split] for split, language in rows[["split", "language"]].values
        ]
    else:
        what = "languages are ISO 639 codes"
        remedy = "write languages as ISO 639-1 or 639-3 codes (en, bn, yue) into the corpus's index"
        rows["allowed"] = [_is_language(language) for language in rows["language"]]
    checks = {what: _one_of(remedy, "allowed", [True])}
    return Table("manifest_languages", rows, ["split", "language"], checks)


def _corpora(manifest: pd.DataFrame) -> list[Table]:
    """One row per corpus and number that its publisher gives; no table where none is given."""
    rows = compare_sizes(manifest.dropna(subset=["corpus", "speaker", "language"]))
    if rows.empty:
        return []
    what = "a corpus holds what its publisher says, a part of it no more than that"
    remedy = (
        "unpack its archives again, and look at data/skipped.csv; or the folder holds more than this corpus"
    )
    checks = {what: _one_of(remedy, "fits", [True])}
    return [Table("manifest_corpora", rows, ["corpus", "number", "found", "published"], checks)]


def _is_language(code: str) -> bool:
    try:
        return bool(iso_639_3(code))
    except ValueError:
        return False


def _mels(aggregates: pd.DataFrame, manifest: pd.DataFrame, params: Params) -> Table:
    known = manifest.set_index("utterance_id").reindex(aggregates["utterance_id"])
    samples = (known["num_samples"] * (SAMPLE_RATE / known["sample_rate"])).fillna(0).round().astype(np.int64)
    expected = np.array([num_frames(count, params.features) for count in samples])
    rows = aggregates.assign(frames_off=aggregates["num_frames"].to_numpy() - expected)
    if params.features.kind == "speechbrain":  # in decibels
        rows[list(LEVELS)] *= NEPERS_PER_DECIBEL
    again = "remove data/features and run dvc repro features; if it stays, look at the recording itself"
    look = "listen to the recording: it may be empty, clipped or not speech; then remove or mend it"
    frames = (-RESAMPLED_FRAMES, RESAMPLED_FRAMES)
    checks = {
        "each utterance has features once": _unique(again, "utterance_id"),
        "there are as many frames as the manifest's samples give": _between(again, "frames_off", *frames),
        "all values are finite": _between(again, "non_finite", 0, 0),
        "no utterance is silent": _one_of(look, "silent", [False]),
        "each utterance has mean zero": _between(again, "mean", -MEAN_TOLERANCE, MEAN_TOLERANCE),
        f"the spread lies between {STD_RANGE[0]:g} and {STD_RANGE[1]:g}": _between(look, "std", *STD_RANGE),
        f"no value lies below {LEVEL_RANGE[0]:g}": _between(look, "min", LEVEL_RANGE[0], 0),
        f"no value lies above {LEVEL_RANGE[1]:g}": _between(look, "max", 0, LEVEL_RANGE[1]),
    }
    return Table("features_mels", rows, ["utterance_id"], checks)


def _counts(aggregates: pd.DataFrame, manifest: pd.DataFrame) -> Table:
    """One row per utterance of either table."""
    rows = pd.DataFrame({"utterance_id": sorted({*manifest["utterance_id"], *aggregates["utterance_id"]})})
    for name, table in (("in_manifest", manifest), ("in_features", aggregates)):
        rows[name] = rows["utterance_id"].isin(table["utterance_id"])
    remedy = "run dvc repro features"
    checks = {
        "every utterance of the manifest has features": _one_of(remedy, "in_features", [True]),
        "every utterance with features stands in the manifest": _one_of(remedy, "in_manifest", [True]),
    }
    return Table("features_counts", rows, ["utterance_id"], checks)


def _settings(stored: dict[str, Any], params: Params) -> Table:
    wanted = mel_settings(params.features)
    names = sorted({*stored, *wanted})
    sides = {"stored": stored, "wanted": wanted}
    columns = {side: [str(settings.get(name)) for name in names] for side, settings in sides.items()}
    what = "the mels were made with the settings of params.yaml"
    checks = {what: _equal("run dvc repro features", "stored", "wanted")}
    return Table("features_settings", pd.DataFrame({"setting": names} | columns), ["setting"], checks)


def _unique(remedy: str, column: str) -> Check:
    return remedy, gxe.ExpectColumnValuesToBeUnique, {"column": column}


def _one_of(remedy: str, column: str, values: list[Any]) -> Check:
    return remedy, gxe.ExpectColumnValuesToBeInSet, {"column": column, "value_set": values}


def _between(remedy: str, column: str, low: float | None = None, high: float | None = None) -> Check:
    limits = {"min_value": low, "max_value": high}
    arguments = {"column": column} | {name: limit for name, limit in limits.items() if limit is not None}
    return remedy, gxe.ExpectColumnValuesToBeBetween, arguments


def _equal(remedy: str, one: str, other: str) -> Check:
    return remedy, gxe.ExpectColumnPairValuesToBeEqual, {"column_A": one, "column_B": other}
