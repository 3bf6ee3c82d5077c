"""What must hold of the manifest and of the features, as Great Expectations suites.

Each suite looks at one table: the manifest itself, or one that is counted from it (a row a
speaker, a recording, a split), so that a failure names the rows to mend.
"""

from dataclasses import dataclass
from typing import Any

import great_expectations.expectations as gxe
import numpy as np
import pandas as pd
from great_expectations.expectations.expectation import Expectation

from laspa.audio.reading import SAMPLE_RATE
from laspa.corpora.size import compare_sizes
from laspa.features.settings import mel_settings, num_frames
from laspa.manifest.language_codes import iso_639_3
from laspa.params import Params

MANIFEST_TYPES = {
    "utterance_id": "str",
    "speaker": "str",
    "language": "str",
    "gender": "str",
    "corpus": "str",
    "split": "str",
    "path": "str",
    "sample_rate": "int32",
    "num_samples": "int64",
    "sha256": "str",
}
FEATURE_TYPES = {
    "utterance_id": "str",
    "num_frames": "int32",
    "mean": "float64",
    "std": "float64",
    "min": "float64",
    "max": "float64",
    "non_finite": "float64",
    "silent": "bool",
}
SPLITS = ["train", "dev", "test"]
SAMPLE_RATES = (8_000, 192_000)  # Hz, telephone to studio: anything else is a damaged header (our choice)
MAX_SECONDS = 3_600.0  # an hour in one utterance is a recording that was never cut (our choice)
MEAN_TOLERANCE = 0.01  # nepers, of a mean that is 0 but for half precision
STD_RANGE = (0.05, 12.0)  # nepers; speech has 1 to 4, up to 9 with digital silence around it (our choice)
LEVEL_RANGE = (-30.0, 30.0)  # nepers around the mean: the log floor is 18 below full scale (our choice)
RESAMPLED_FRAMES = 1  # a resampled recording may be a sample longer or shorter


@dataclass(frozen=True)
class Table:
    """A suite and what it looks at; the columns in `key` tell a user which row is meant."""

    name: str
    rows: pd.DataFrame
    key: list[str]
    expectations: list[Expectation]


def manifest_tables(manifest: pd.DataFrame, params: Params) -> list[Table]:
    """Suites over the manifest and what is counted from it; only its columns where some are missing."""
    columns = _columns("manifest", manifest, MANIFEST_TYPES, "run dvc repro manifest")
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
        _columns("features", aggregates, FEATURE_TYPES, "run dvc repro features"),
        _mels(aggregates, manifest, params),
        _counts(aggregates, manifest),
        _settings(settings, params),
    ]


def _expect(kind: type[Expectation], what: str, remedy: str, **arguments: Any) -> Expectation:
    return kind(description=what, notes=remedy, **arguments)


def _columns(name: str, rows: pd.DataFrame, types: dict[str, str], remedy: str) -> Table:
    expectations = [
        _expect(
            gxe.ExpectTableColumnsToMatchOrderedList,
            "the columns are those agreed, in their order",
            remedy,
            column_list=list(types),
        )
    ]
    expectations += [
        _expect(
            gxe.ExpectColumnValuesToBeOfType, f"{column} is of type {kind}", remedy, column=column, type_=kind
        )
        for column, kind in types.items()
        if column in rows
    ]
    return Table(f"{name}_columns", rows, ["utterance_id"], expectations)


def _utterances(manifest: pd.DataFrame, params: Params) -> Table:
    rows = manifest.assign(seconds=manifest["num_samples"] / manifest["sample_rate"])
    remedy = "mend the corpus's index, then dvc repro"
    expectations = [
        _expect(gxe.ExpectColumnValuesToNotBeNull, f"{column} is given", remedy, column=column)
        for column in MANIFEST_TYPES
        if column != "gender"
    ]
    expectations += [
        _expect(
            gxe.ExpectColumnValuesToBeUnique,
            "utterance ids are unique",
            "rename one of the recordings; ids come from speaker, language and file name",
            column="utterance_id",
        ),
        _expect(
            gxe.ExpectColumnValuesToBeInSet,
            "the split is train, dev or test",
            "use these names in the index, or leave its split empty to have speakers split by seed",
            column="split",
            value_set=SPLITS,
        ),
        _expect(
            gxe.ExpectColumnValuesToBeInSet,
            "the gender is f, m or unknown",
            "use f, m or an empty field in the index",
            column="gender",
            value_set=["f", "m"],
        ),
        _expect(
            gxe.ExpectColumnValuesToBeBetween,
            f"the sample rate lies between {SAMPLE_RATES[0]} and {SAMPLE_RATES[1]} Hz",
            "convert the recording, or remove it from the corpus",
            column="sample_rate",
            min_value=SAMPLE_RATES[0],
            max_value=SAMPLE_RATES[1],
        ),
        _expect(
            gxe.ExpectColumnValuesToBeBetween,
            f"an utterance lasts {params.manifest.min_seconds:g} to {MAX_SECONDS:g} seconds",
            "cut or remove the recording; see manifest.min_seconds and manifest.on_bad_audio",
            column="seconds",
            min_value=params.manifest.min_seconds,
            max_value=MAX_SECONDS,
        ),
        _expect(
            gxe.ExpectColumnValuesToMatchRegex,
            "the checksum is a SHA-256",
            "run dvc repro manifest",
            column="sha256",
            regex="^[0-9a-f]{64}$",
        ),
        _expect(
            gxe.ExpectColumnValuesToNotMatchRegex,
            "paths are relative and stay inside the corpus",
            "write paths relative to the corpus's folder into its index",
            column="path",
            regex=r"^/|^[A-Za-z]:|(?:^|/)\.\.(?:/|$)",
        ),
    ]
    return Table("manifest_utterances", rows, ["utterance_id"], expectations)


def _speakers(manifest: pd.DataFrame) -> Table:
    groups = manifest.groupby("speaker", sort=True)
    rows = groups.agg(
        splits=("split", "nunique"),
        which=("split", lambda values: ", ".join(sorted(set(values)))),
        genders=("gender", "nunique"),
        utterances=("utterance_id", "size"),
    ).reset_index()
    return Table(
        "manifest_speakers",
        rows,
        ["speaker", "which"],
        [
            _expect(
                gxe.ExpectColumnValuesToBeInSet,
                "a speaker stands in one split only",
                "give all of the speaker's recordings one split in the index, or leave the split empty",
                column="splits",
                value_set=[1],
            ),
            _expect(
                gxe.ExpectColumnValuesToBeBetween,
                "a speaker has one gender at most",
                "mend the gender in the index, or tell two speakers of one name apart",
                column="genders",
                max_value=1,
            ),
        ],
    )


def _recordings(manifest: pd.DataFrame) -> Table:
    """One row a distinct recording; only the first few ids of a recording that stands there often."""
    groups = manifest.groupby("sha256", sort=True)
    rows = groups.agg(
        splits=("split", "nunique"),
        speakers=("speaker", "nunique"),
        utterances=("utterance_id", lambda ids: ", ".join(ids.iloc[:3])),
    ).reset_index()
    remedy = "remove one of the two recordings: their bytes are the same"
    return Table(
        "manifest_recordings",
        rows,
        ["utterances"],
        [
            _expect(
                gxe.ExpectColumnValuesToBeBetween,
                "no recording stands in two splits",
                remedy,
                column="splits",
                max_value=1,
            ),
            _expect(
                gxe.ExpectColumnValuesToBeBetween,
                "no recording belongs to two speakers",
                remedy,
                column="speakers",
                max_value=1,
            ),
        ],
    )


def _splits(manifest: pd.DataFrame, params: Params) -> Table:
    counts = manifest.groupby("split").agg(
        speakers=("speaker", "nunique"), utterances=("utterance_id", "size")
    )
    rows = counts.reindex(SPLITS, fill_value=0).rename_axis("split").reset_index()
    expectations = [
        _expect(
            gxe.ExpectColumnValuesToBeBetween,
            "each split has two speakers or more",
            "use more speakers, or other shares in manifest.dev_share and manifest.test_share",
            column="speakers",
            min_value=2,
        )
    ]
    if params.corpora == ["synthetic"]:
        declared = params.synthetic
        rows["declared"] = [declared.train_speakers, declared.dev_speakers, declared.test_speakers]
        expectations.append(
            _expect(
                gxe.ExpectColumnPairValuesToBeEqual,
                "each split has as many speakers as synthetic declares",
                "run dvc repro download; see data/skipped.csv for recordings left out",
                column_A="speakers",
                column_B="declared",
            )
        )
    return Table("manifest_splits", rows, ["split"], expectations)


def _languages(manifest: pd.DataFrame, params: Params) -> Table:
    """One row a split and language; `allowed` says whether the language may stand there."""
    rows = manifest.groupby(["split", "language"]).size().rename("utterances").reset_index()
    if params.corpora == ["synthetic"]:
        seen, unseen = set(params.synthetic.languages), set(params.synthetic.unseen_languages)
        what = "languages are as synthetic declares, the unseen ones in the test split alone"
        remedy = "run dvc repro download, or mend synthetic.languages and synthetic.unseen_languages"
        pairs = zip(rows["split"], rows["language"], strict=True)
        rows["allowed"] = [
            language in (seen | unseen if split == "test" else seen) for split, language in pairs
        ]
    else:
        what = "languages are ISO 639 codes"
        remedy = "write languages as ISO 639-1 or 639-3 codes (en, bn, yue) into the corpus's index"
        rows["allowed"] = [_is_language(language) for language in rows["language"]]
    expectation = _expect(gxe.ExpectColumnValuesToBeInSet, what, remedy, column="allowed", value_set=[True])
    return Table("manifest_languages", rows, ["split", "language"], [expectation])


def _corpora(manifest: pd.DataFrame) -> list[Table]:
    """One row a corpus and number that its publisher gives; no table where none is given."""
    rows = compare_sizes(manifest.dropna(subset=["corpus", "speaker", "language"]))
    if rows.empty:
        return []
    what = "a corpus holds what its publisher says, a part of it no more than that"
    remedy = (
        "unpack its archives again, and look at data/skipped.csv; or the folder holds more than this corpus"
    )
    expectation = _expect(gxe.ExpectColumnValuesToBeInSet, what, remedy, column="fits", value_set=[True])
    return [Table("manifest_corpora", rows, ["corpus", "number", "found", "published"], [expectation])]


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
    again = "remove data/features and run dvc repro features; if it stays, look at the recording itself"
    look = "listen to the recording: it may be empty, clipped or not speech; then remove or mend it"

    def between(column: str, what: str, remedy: str, low: float, high: float) -> Expectation:
        kind = gxe.ExpectColumnValuesToBeBetween
        return _expect(kind, what, remedy, column=column, min_value=low, max_value=high)

    expectations = [
        _expect(
            gxe.ExpectColumnValuesToBeUnique, "each utterance has features once", again, column="utterance_id"
        ),
        between(
            "frames_off",
            "there are as many frames as the manifest's samples give",
            again,
            -RESAMPLED_FRAMES,
            RESAMPLED_FRAMES,
        ),
        between("non_finite", "all values are finite", again, 0, 0),
        _expect(
            gxe.ExpectColumnValuesToBeInSet,
            "no utterance is silent",
            look,
            column="silent",
            value_set=[False],
        ),
        between("mean", "each utterance has mean zero", again, -MEAN_TOLERANCE, MEAN_TOLERANCE),
        between("std", f"the spread lies between {STD_RANGE[0]:g} and {STD_RANGE[1]:g}", look, *STD_RANGE),
        between("min", f"no value lies below {LEVEL_RANGE[0]:g}", look, LEVEL_RANGE[0], 0),
        between("max", f"no value lies above {LEVEL_RANGE[1]:g}", look, 0, LEVEL_RANGE[1]),
    ]
    return Table("features_mels", rows, ["utterance_id"], expectations)


def _counts(aggregates: pd.DataFrame, manifest: pd.DataFrame) -> Table:
    """One row an utterance of either table."""
    rows = pd.DataFrame({"utterance_id": sorted({*manifest["utterance_id"], *aggregates["utterance_id"]})})
    for name, table in (("in_manifest", manifest), ("in_features", aggregates)):
        rows[name] = rows["utterance_id"].isin(table["utterance_id"])
    expectations = [
        _expect(
            gxe.ExpectColumnValuesToBeInSet, what, "run dvc repro features", column=column, value_set=[True]
        )
        for column, what in (
            ("in_features", "every utterance of the manifest has features"),
            ("in_manifest", "every utterance with features stands in the manifest"),
        )
    ]
    return Table("features_counts", rows, ["utterance_id"], expectations)


def _settings(stored: dict[str, Any], params: Params) -> Table:
    wanted = mel_settings(params.features)
    names = sorted({*stored, *wanted})
    rows = pd.DataFrame(
        {
            "setting": names,
            "stored": [str(stored.get(name)) for name in names],
            "wanted": [str(wanted.get(name)) for name in names],
        }
    )
    expectation = _expect(
        gxe.ExpectColumnPairValuesToBeEqual,
        "the mels were made with the settings of params.yaml",
        "run dvc repro features",
        column_A="stored",
        column_B="wanted",
    )
    return Table("features_settings", rows, ["setting"], [expectation])
