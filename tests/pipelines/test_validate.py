"""The data checks: what each expectation catches, what a user is told, what is written."""

import html
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from laspa.corpora.size import compare_sizes
from laspa.errors import LaspaError
from laspa.features.mel_statistics import utterance_statistics
from laspa.features.settings import mel_settings, num_frames
from laspa.features.store import FeatureStore, UtteranceMel, write_shard
from laspa.params import Params, load_params, with_overrides
from pipelines import validate
from pipelines.checks.expectations import Table, feature_tables, manifest_tables

ROOT = Path(__file__).parents[2]
SAMPLES = 16_000


@pytest.fixture
def params() -> Params:
    changes = {
        "corpus": "synthetic",
        "synthetic.train_speakers": 3,
        "synthetic.dev_speakers": 2,
        "synthetic.test_speakers": 2,
        "synthetic.languages": ["en", "de"],
        "synthetic.unseen_languages": ["fi"],
        "synthetic.languages_per_speaker": 2,
    }
    return with_overrides(load_params(ROOT / "params.yaml"), changes)


@pytest.fixture
def manifest() -> pd.DataFrame:
    rows = []
    for split, speakers in (("dev", 2), ("test", 2), ("train", 3)):
        for index in range(speakers):
            for language in ("de", "en", "fi") if split == "test" else ("de", "en"):
                speaker = f"{split}{index}"
                name = f"{speaker}/{language}/0"
                rows.append([name, speaker, language, "fm"[index % 2], "synthetic", split, f"{name}.wav"])
    names = ["utterance_id", "speaker", "language", "gender", "corpus", "split", "path"]
    table = pd.DataFrame(rows, columns=names)
    table["sample_rate"] = np.int32(SAMPLES)
    table["num_samples"] = np.arange(SAMPLES, SAMPLES + len(table), dtype=np.int64)
    table["sha256"] = [f"{index:064x}" for index in range(len(table))]
    return table


def mels(manifest: pd.DataFrame, params: Params) -> list[UtteranceMel]:
    rng = np.random.default_rng(0)
    rows = []
    for name, samples in manifest[["utterance_id", "num_samples"]].values:
        mel = rng.standard_normal((num_frames(samples, params.features), params.features.num_mels))
        rows.append(UtteranceMel(name, (mel - mel.mean(axis=0)).astype(np.float16)))
    return rows


def failing(tables: list[Table], tmp_path: Path) -> tuple[list[str], str]:
    """The expectations that fail, by table and column, and the message."""
    name = tables[0].name.split("_")[0]
    outcomes = validate.validate(name, tables, tmp_path / "results", tmp_path / "pages")
    failed = [outcome for outcome in outcomes if not outcome.success]
    names = [f"{outcome.suite}: {outcome.description}" for outcome in failed]
    return names, validate.explain(failed, len(outcomes))


def change(table: pd.DataFrame, row: int, column: str, value: object) -> None:
    table.loc[row, column] = value


# What is done to the manifest, the expectations that then fail, and what the message says of the rows.
DAMAGE: dict[str, tuple[Callable[[pd.DataFrame], object], list[str], str]] = {
    "an id twice": (
        lambda table: change(table, 1, "utterance_id", "dev0/de/0"),
        ["manifest_utterances: utterance ids are unique"],
        "2 of 16 rows: utterance_id dev0/de/0",
    ),
    "a speaker in two splits": (
        lambda table: change(table, 0, "split", "train"),
        [
            "manifest_speakers: a speaker stands in one split only",
            "manifest_splits: each split has as many speakers as declared",
        ],
        "1 of 7 rows: speaker dev0, which dev, train (splits=2)",
    ),
    "a recording in two splits": (
        lambda table: change(table, 0, "sha256", f"{15:064x}"),
        [
            "manifest_recordings: no recording stands in two splits",
            "manifest_recordings: no recording belongs to two speakers",
            "manifest_recordings: no recording stands there twice",
        ],
        "1 of 15 rows: utterances dev0/de/0, train2/en/0 (splits=2)",
    ),
    "one recording twice": (
        lambda table: change(table, 1, "sha256", table["sha256"][0]),
        ["manifest_recordings: no recording stands there twice"],
        "(times=2.0)",
    ),
    "one name in two formats": (
        lambda table: change(table, 1, "path", table["path"][0].replace(".wav", ".m4a")),
        ["manifest_utterances: no recording stands there in two formats"],
        "2 of 16 rows: utterance_id dev0/de/0",
    ),
    "an unseen language in training": (
        lambda table: change(table, 15, "language", "fi"),
        ["manifest_languages: languages are as declared, the unseen ones in the test split alone"],
        "1 of 8 rows: split train, language fi (allowed=False)",
    ),
    "too short": (
        lambda table: change(table, 2, "num_samples", 1600),
        ["manifest_utterances: an utterance lasts 0.5 to 3600 seconds"],
        "1 of 16 rows: utterance_id dev1/de/0 (seconds=0.1)",
    ),
    "a wild sample rate": (
        lambda table: change(table, 2, "sample_rate", 1600),
        ["manifest_utterances: the sample rate lies between 8000 and 192000 Hz"],
        "utterance_id dev1/de/0 (sample_rate=1600)",
    ),
    "an unknown gender code and a path outside": (
        lambda table: (change(table, 3, "gender", "x"), change(table, 4, "path", "a/../../b.wav")),
        [
            "manifest_utterances: the gender is f, m or unknown",
            "manifest_utterances: paths are relative and stay inside the corpus",
            "manifest_speakers: a speaker has one gender at most",
        ],
        "utterance_id dev1/en/0 (gender=x)",
    ),
    "no speaker": (
        lambda table: change(table, 3, "speaker", None),
        ["manifest_utterances: speaker is given"],
        "1 of 16 rows: utterance_id dev1/en/0 (speaker=missing)",
    ),
    "a split without speakers": (
        lambda table: table.drop(index=table.index[table["split"] == "dev"]),
        [
            "manifest_splits: each split has two speakers or more",
            "manifest_splits: each split has as many speakers as declared",
        ],
        "1 of 3 rows: split dev (speakers=0)",
    ),
}


def test_a_good_manifest_holds(manifest: pd.DataFrame, params: Params, tmp_path: Path) -> None:
    assert failing(manifest_tables(manifest, params), tmp_path)[0] == []
    manifest["gender"] = pd.Series([None] * len(manifest), dtype="str")
    assert failing(manifest_tables(manifest, params), tmp_path)[0] == []


def test_the_other_family_is_counted_by_itself(
    manifest: pd.DataFrame, params: Params, tmp_path: Path
) -> None:
    others = manifest[manifest["split"] == "test"].assign(corpus="synthetic_other")
    for column in ("utterance_id", "speaker", "path"):
        others[column] = "other-" + others[column]
    others["sha256"] = [f"{index:064x}" for index in range(100, 100 + len(others))]
    manifest = pd.concat([manifest, others], ignore_index=True)
    changes = {"corpus": ["synthetic", "synthetic_other"], "synthetic_other.languages": ["de", "en", "fi"]}
    params = with_overrides(params, changes | {"synthetic_other.speakers": 3})
    names, message = failing(manifest_tables(manifest, params), tmp_path)  # a speaker is missing
    assert names == ["manifest_splits: each split has as many speakers as declared"]
    assert "1 of 4 rows: split other (declared=3, speakers=2" in message
    change(manifest, manifest.index[-1], "language", "fr")
    params = with_overrides(params, {"synthetic_other.speakers": 2})
    names, message = failing(manifest_tables(manifest, params), tmp_path)
    assert names == ["manifest_languages: languages are as declared, the unseen ones in the test split alone"]
    assert "split other, language fr (allowed=False)" in message


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_to_the_manifest_is_found(
    name: str, manifest: pd.DataFrame, params: Params, tmp_path: Path
) -> None:
    damage, expected, rows = DAMAGE[name]
    damaged = damage(manifest)
    manifest = damaged if isinstance(damaged, pd.DataFrame) else manifest
    names, message = failing(manifest_tables(manifest, params), tmp_path)
    assert names == expected
    assert rows in message
    assert message.count("remedy: ") == len(expected)
    assert "reports/data_docs/index.html" in message


def test_missing_columns_and_wrong_types_are_found(
    manifest: pd.DataFrame, params: Params, tmp_path: Path
) -> None:
    wrong = manifest.drop(columns="speaker").astype({"sample_rate": "int64"})
    names, message = failing(manifest_tables(wrong, params), tmp_path)
    assert names == [
        "manifest_columns: the columns are those agreed, in their order",
        "manifest_columns: sample_rate is of type int32",
    ]
    assert "found: int64" in message


def whole_corpus(speakers: int, per_speaker: int, seconds: float) -> pd.DataFrame:
    """As many utterances of each speaker of TidyVoiceX, in 40 languages, by turns."""
    count = speakers * per_speaker
    return pd.DataFrame(
        {
            "corpus": "tidyvoice",
            "speaker": [f"id{number % speakers}" for number in range(count)],
            "language": [f"l{number % 40}" for number in range(count)],
            "sample_rate": SAMPLES,
            "num_samples": int(seconds * SAMPLES),
        }
    )


@pytest.mark.parametrize(
    ("speakers", "per_speaker", "seconds", "unfit"),
    [
        # 4,474 speakers and 457 hours are published: 18.4 s of each of 20 utterances a speaker.
        (4474, 20, 18.4, []),
        (4474, 20, 16.0, ["hours"]),
        (100, 20, 18.4, []),  # a part of it: nothing is said of its hours
        (4475, 20, 18.4, ["speakers"]),
    ],
)
def test_a_corpus_is_held_against_what_its_publisher_says(
    speakers: int, per_speaker: int, seconds: float, unfit: list[str]
) -> None:
    table = compare_sizes(whole_corpus(speakers, per_speaker, seconds))
    assert table.loc[~table["fits"], "number"].tolist() == unfit
    assert set(table["number"]) >= {"speakers", "languages"}
    assert ("hours" in set(table["number"])) == (speakers == 4474)


def test_a_corpus_of_too_many_languages_fails_with_both_numbers(
    manifest: pd.DataFrame, params: Params, tmp_path: Path
) -> None:
    manifest["corpus"] = "nisp"
    manifest["language"] = ["eng", "hin", "kan", "mal", "tam", "tel", "fra", "deu"] * 2
    other = params.model_copy(update={"corpus": "nisp"})
    names, message = failing(manifest_tables(manifest, other), tmp_path)
    assert names == [
        "manifest_corpora: a corpus holds what its publisher says, a part of it no more than that"
    ]
    assert "1 of 2 rows: corpus nisp, number languages, found 8" in message
    assert "published 6" in message
    assert "remedy: unpack its archives again" in message


def test_languages_of_a_folder_are_iso_codes(manifest: pd.DataFrame, params: Params, tmp_path: Path) -> None:
    other = params.model_copy(update={"corpus": "folder"})
    manifest["language"] = ["bn", "yue", "cmn", "uk"] * 4
    assert failing(manifest_tables(manifest, other), tmp_path)[0] == []
    manifest.loc[5, "language"] = "klingonish"
    names, message = failing(manifest_tables(manifest, other), tmp_path)
    assert names == ["manifest_languages: languages are ISO 639 codes"]
    assert "split test, language klingonish" in message


def test_decibels_have_the_limits_of_nepers(manifest: pd.DataFrame, params: Params, tmp_path: Path) -> None:
    params = with_overrides(params, {"features.kind": "speechbrain"})
    loud = [UtteranceMel(one.utterance_id, one.mel * np.float16(15)) for one in mels(manifest, params)]
    write_shard(tmp_path / "good" / "part-00000.parquet", iter(loud), mel_settings(params.features))
    good = FeatureStore(tmp_path / "good")
    tables = feature_tables(utterance_statistics(good), good.settings, manifest, params)
    assert failing(tables, tmp_path)[0] == []


def test_good_features_hold_and_damaged_ones_are_named(
    manifest: pd.DataFrame, params: Params, tmp_path: Path
) -> None:
    rows = mels(manifest, params)
    settings = mel_settings(params.features)
    write_shard(tmp_path / "good" / "part-00000.parquet", iter(rows), settings)
    good = FeatureStore(tmp_path / "good")
    tables = feature_tables(utterance_statistics(good), good.settings, manifest, params)
    assert failing(tables, tmp_path)[0] == []

    rows[0].mel[3, 5] = np.nan
    rows[1] = UtteranceMel(rows[1].utterance_id, np.zeros_like(rows[1].mel))
    rows[2] = UtteranceMel(rows[2].utterance_id, rows[2].mel[:-4])
    rows[3] = UtteranceMel(rows[3].utterance_id, rows[3].mel + np.float16(1))
    rows[4] = UtteranceMel("nobody", rows[4].mel)
    settings["hop_ms"] = 20.0
    write_shard(tmp_path / "bad" / "part-00000.parquet", iter(rows), settings)
    bad = FeatureStore(tmp_path / "bad")
    names, message = failing(
        feature_tables(utterance_statistics(bad), bad.settings, manifest, params), tmp_path
    )
    assert names == [
        "features_mels: there are as many frames as the manifest's samples give",
        "features_mels: all values are finite",
        "features_mels: no utterance is silent",
        "features_mels: each utterance has mean zero",
        "features_mels: the spread lies between 0.05 and 12",
        "features_counts: every utterance of the manifest has features",
        "features_counts: every utterance with features stands in the manifest",
        "features_settings: the mels were made with the settings of params.yaml",
    ]
    assert "utterance_id dev1/de/0 (frames_off=-4)" in message
    assert "utterance_id dev0/en/0 (silent=True)" in message
    assert "setting hop_ms (stored=20.0, wanted=10.0)" in message


def test_aggregates_by_hand(tmp_path: Path, params: Params) -> None:
    settings = mel_settings(params.features) | {"num_mels": 2}
    mel = np.array([[1, 3], [-1, np.inf]], dtype=np.float16)
    write_shard(
        tmp_path / "part-00000.parquet",
        iter([UtteranceMel("a", mel), UtteranceMel("b", mel * np.nan)]),
        settings,
    )
    table = utterance_statistics(FeatureStore(tmp_path))
    assert table.loc[0].to_dict() == {
        "utterance_id": "a",
        "num_frames": 2,
        "mean": pytest.approx(1.0),
        "std": pytest.approx((8 / 3) ** 0.5),
        "min": -1.0,
        "max": 3.0,
        "non_finite": 0.25,
        "silent": False,
    }
    assert table.loc[1, ["mean", "non_finite", "silent"]].tolist() == [0.0, 1.0, True]


def test_the_summary_is_the_same_from_run_to_run_and_the_pages_need_no_network(
    manifest: pd.DataFrame, params: Params, tmp_path: Path
) -> None:
    tables = manifest_tables(manifest, params)
    summaries = [
        json.dumps(
            validate.summary(validate.validate("manifest", tables, tmp_path / place, tmp_path / "pages"))
        )
        for place in ("one", "two")
    ]
    assert summaries[0] == summaries[1]
    assert not re.search(r"\d{4}-\d\d-\d\d|\d{8}T", summaries[0])
    assert json.loads(summaries[0])["tables"]["manifest_utterances"]["rows"] == 16
    assert [path.name for path in (tmp_path / "pages").rglob("*")] == ["index.html"]
    page = (tmp_path / "pages" / "index.html").read_text(encoding="utf-8")
    assert not re.search(r'<script|<link(?! rel="icon" href="data:,">)|<img|url\(|src=', page)
    links = re.findall(r'<a href="#(manifest_\w+)"', page)
    assert links == [table.name for table in tables]
    assert all(f'<section id="{link}"' in page for link in links)
    # Every expectation stands there with its result, what was found, and the remedy.
    for table in tables:
        for what, (remedy, kind, _) in table.checks.items():
            name = re.sub(r"(?<!^)([A-Z])", r"_\1", kind.__name__).lower()
            assert f">{what}<small>{name}</small>" in html.unescape(page)
            assert f"<td>{remedy}</td>" in html.unescape(page)
    assert page.count(">holds</strong>") == len(tables) + sum(len(table.checks) for table in tables)
    assert ">fails</strong>" not in page
    assert "<td>0 of 16 rows</td>" in page


def test_both_validations_share_one_site_and_replace_their_own_results(
    manifest: pd.DataFrame, params: Params, tmp_path: Path
) -> None:
    columns, *_ = manifest_tables(manifest, params)
    first, *_ = columns.checks.items()
    other = Table("features_columns", columns.rows, columns.key, dict([first]))
    for name, table in (("manifest", columns), ("features", other), ("manifest", columns)):
        validate.validate(name, [table], tmp_path / "results", tmp_path / "pages")
    index = (tmp_path / "pages" / "index.html").read_text(encoding="utf-8")
    assert re.findall(r">(\w+_columns)</a>", index) == ["manifest_columns", "features_columns"]
    assert {path.name for path in (tmp_path / "results").iterdir()} == {"features.json", "manifest.json"}


def test_the_stage_fails_with_the_page_there_and_no_summary(
    manifest: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "params.yaml").write_text(
        (ROOT / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8"
    )
    manifest.to_parquet("data/manifest.parquet")
    monkeypatch.setattr("sys.argv", ["validate", "manifest"])
    with pytest.raises(LaspaError, match="as many speakers as declared"):
        validate.main()
    index = (tmp_path / "reports/data_docs/index.html").read_text(encoding="utf-8")
    assert "split train (declared=240, speakers=3)" in index
    assert "remedy: run dvc repro download" in index
    assert ">fails</strong>" in index
    assert not (tmp_path / "data/validation").exists()
    monkeypatch.setattr("sys.argv", ["validate", "trials"])
    with pytest.raises(LaspaError, match="choose manifest or features"):
        validate.main()
