"""The augmented copies of a train split: which there are, their rows, and their log-mels on disk."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from laspa.features.augmented_copies import plan_copies
from laspa.features.extraction import CACHE, Utterance, extract
from laspa.features.store import FeatureStore
from laspa.manifest.tables import COPIES_FILE, read_utterances
from laspa.params import load_params
from laspa.training.batches import training_set

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml")
SETTINGS = PARAMS.features.model_copy(update={"copies": 3, "shard_utterances": 7})


@pytest.fixture
def manifest(tmp_path: Path) -> pd.DataFrame:
    rows = []
    for number in range(16):
        split, name = "dev" if number < 4 else "train", f"s{number // 2}/en/{number}"
        samples = 4000 + 100 * number
        signal = (3000 * np.random.default_rng(number).standard_normal(samples)).astype(np.int16)
        soundfile.write(tmp_path / f"{number}.wav", signal, 8000 if number == 5 else 16_000)
        rate = 8000 if number == 5 else 16_000
        rows.append((name, f"s{number // 2}", "en", split, f"{number}.wav", rate, samples, f"sha{number}"))
    columns = ["utterance_id", "speaker", "language", "split", "path", "sample_rate", "num_samples", "sha256"]
    table = pd.DataFrame(rows, columns=columns)
    table.to_parquet(tmp_path / "manifest.parquet", index=False)
    return table


def planned(manifest: pd.DataFrame, root: Path) -> tuple[list[Utterance], pd.DataFrame]:
    return plan_copies(manifest, [root / path for path in manifest["path"]], SETTINGS, PARAMS.augment, root)


def features(manifest: pd.DataFrame, root: Path, folder: str, workers: int = 1) -> int:
    paths = [root / path for path in manifest["path"]]
    originals = list(map(Utterance, manifest["utterance_id"], paths, manifest["sha256"]))
    copies, rows = planned(manifest, root)

    def write_copies(unfinished: Path) -> None:
        rows.to_parquet(unfinished / COPIES_FILE, index=False)

    return extract(
        originals + copies, SETTINGS, root / folder, root / "partial", workers, write_extra=write_copies
    )


def test_only_the_train_split_has_copies_each_with_a_row_of_its_own(
    manifest: pd.DataFrame, tmp_path: Path
) -> None:
    copies, rows = planned(manifest, tmp_path)
    assert len(copies) == len(rows) == 3 * 12
    assert [copy.utterance_id for copy in copies] == rows["utterance_id"].tolist()
    assert rows["utterance_id"].is_unique
    assert set(rows["copy_of"]) == set(manifest.loc[manifest["split"] == "train", "utterance_id"])
    assert set(rows["split"]) == {"train"}
    by_id = manifest.set_index("utterance_id")
    kinds = set()
    for copy, row in zip(copies, rows.itertuples(), strict=True):
        original = by_id.loc[row.copy_of]
        assert row.utterance_id.rsplit("-", 1)[1] == copy.augmentation.kind
        kinds.add(copy.augmentation.kind)
        assert copy.path == tmp_path / original["path"]
        speed = copy.augmentation.speed
        assert row.speaker == (original["speaker"] + (f"#{speed:g}" if speed != 1 else ""))
        assert row.num_samples == round(original["num_samples"] / speed)
    assert kinds == set(PARAMS.augment.kinds)
    assert planned(manifest, tmp_path)[0] == copies


def test_without_copies_there_is_nothing(manifest: pd.DataFrame, tmp_path: Path) -> None:
    none = SETTINGS.model_copy(update={"copies": 0})
    copies, rows = plan_copies(manifest, [Path()] * len(manifest), none, PARAMS.augment, tmp_path)
    assert not copies
    assert rows.empty


def test_their_mels_do_not_depend_on_processes_and_training_reads_them(
    manifest: pd.DataFrame, tmp_path: Path
) -> None:
    assert features(manifest, tmp_path, "one") == 16 + 36
    (tmp_path / "partial" / CACHE).rename(tmp_path / "elsewhere")
    assert features(manifest, tmp_path, "two", workers=2) == 16 + 36
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()

    utterances = read_utterances(tmp_path / "manifest.parquet", tmp_path / "one")
    assert len(utterances) == 16 + 36
    train = utterances.loc[utterances["split"] == "train", "utterance_id"].tolist()
    data = training_set(FeatureStore(tmp_path / "one", train), utterances)
    assert len(data) == 12 + 36
    perturbed = [speaker for speaker in data.speakers if "#" in speaker]
    assert perturbed
    assert {speaker.split("#")[1] for speaker in perturbed} <= {"0.9", "1.1"}
    assert {"s2", "s7"} <= set(data.speakers)
    assert data.languages == ["en"]


def test_new_utterances_leave_the_copies_of_others_but_for_babble(
    manifest: pd.DataFrame, tmp_path: Path
) -> None:
    before = {copy.utterance_id: copy.key for copy in planned(manifest[:14], tmp_path)[0]}
    after = {copy.utterance_id: copy.key for copy in planned(manifest, tmp_path)[0]}
    moved = {name for name, key in before.items() if after[name] != key}
    assert all(name.endswith("-babble") for name in moved)
