"""Features on a real Ray: the same bytes as local processes make, and errors in the same words."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from laspa.audio.augmentation import Augmentation
from laspa.errors import LaspaError
from laspa.features import extraction
from laspa.features.extraction import Utterance, extract
from laspa.params import load_params
from pipelines.ray.features import ray_engine

pytestmark = pytest.mark.services

ROOT = Path(__file__).parents[2]
SETTINGS = load_params(ROOT / "params.yaml").features.model_copy(update={"shard_utterances": 4})


@pytest.fixture
def utterances(tmp_path: Path) -> list[Utterance]:
    found = []
    for number in range(11):
        path = tmp_path / f"{number}.wav"
        signal = (3000 * np.random.default_rng(number).standard_normal(5000 + number)).astype(np.int16)
        soundfile.write(path, signal, 16_000)
        augmentation = Augmentation("noise", number, snr_db=5.0) if number % 2 else None
        found.append(Utterance(f"u{number}", path, f"sha{number}", augmentation))
    return found


def test_the_bytes_are_those_of_local_processes_and_kept_log_mels_are_used(
    utterances: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract(utterances, SETTINGS, tmp_path / "local", tmp_path / "p1", workers=1)
    monkeypatch.chdir(tmp_path)  # the project's own paths are relative
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # which a stage's workers find by the folder it starts in
    computed = extract(utterances[1:], SETTINGS, Path("ray"), Path("p2"), engine=ray_engine)
    assert computed == 10
    computed = extract(utterances, SETTINGS, Path("ray"), Path("p2"), engine=ray_engine)
    assert computed == 1
    names = [path.name for path in sorted((tmp_path / "local").iterdir())]
    assert names == [path.name for path in sorted((tmp_path / "ray").iterdir())]
    for name in names:
        assert (tmp_path / "local" / name).read_bytes() == (tmp_path / "ray" / name).read_bytes()


def test_a_bad_recording_is_named_and_finished_shards_are_kept(
    utterances: list[Utterance], tmp_path: Path
) -> None:
    soundfile.write(utterances[9].path, np.ones(300, dtype=np.int16), 16_000)
    with pytest.raises(LaspaError, match=r"utterance u9 \(.*9\.wav\): 300 samples .* needs 512"):
        extract(utterances, SETTINGS, tmp_path / "ray", tmp_path / "partial", engine=ray_engine)
    unfinished = tmp_path / "partial" / f"features-{extraction._digest(utterances, SETTINGS)[:16]}"
    assert (unfinished / "part-00000.parquet").exists()


def test_a_cluster_that_does_not_answer_is_named(
    utterances: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(LaspaError, match=r"RAY_ADDRESS is '127\.0\.0\.1:1' but no Ray cluster answers"):
        extract(utterances, SETTINGS, tmp_path / "ray", tmp_path / "partial", engine=ray_engine)
