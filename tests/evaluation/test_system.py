"""A model out of its corpus: the rates by condition of a list of its own, with the keys of metrics.json."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from laspa.evaluation.error_rates import eer
from laspa.evaluation.evaluate import METRICS
from laspa.evaluation.system import evaluate_other
from laspa.features.settings import mel_settings
from laspa.features.store import UtteranceMel, write_shard
from laspa.models.laspa import Laspa
from laspa.params import load_params, with_overrides
from laspa.trials.conditions import CONDITIONS
from laspa.trials.drawing import generate_trials
from laspa.trials.lists import write_list
from laspa.trials.splits import OTHER
from tests.small_training import SMALL

PARAMS = with_overrides(
    load_params(Path(__file__).parents[2] / "params.yaml").resolve("baseline"),
    SMALL | {"evaluate.bootstrap": 100},
)
CPU = torch.device("cpu")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Eight speakers of two languages that stand apart, and one for training; features are noise."""
    rows = [
        (f"s{speaker}/{language}/{take}", f"s{speaker}", language, "f", "synthetic_other", "test")
        for speaker in range(8)
        for language in ("en", "nl")
        for take in range(3)
    ]
    rows.append(("t/en/0", "t", "en", "f", "synthetic", "train"))
    columns = ["utterance_id", "speaker", "language", "gender", "corpus", "split"]
    manifest = pd.DataFrame(rows, columns=columns)
    manifest.to_parquet(tmp_path / "manifest.parquet")
    generator = np.random.default_rng(0)
    mels = generator.normal(size=(len(rows), 40, PARAMS.features.num_mels)).astype(np.float16)
    shard = map(UtteranceMel, manifest["utterance_id"], mels)
    write_shard(tmp_path / "features/part-00000.parquet", shard, mel_settings(PARAMS.features))
    (tmp_path / "trials").mkdir()
    write_list(tmp_path / "trials/other.parquet", generate_trials(manifest, OTHER, PARAMS.trials))
    return tmp_path


def test_the_rates_of_the_list_have_the_keys_of_the_metrics_and_are_those_of_its_scores(data: Path) -> None:
    torch.manual_seed(0)
    model = Laspa(PARAMS, PARAMS.features.num_mels, num_speakers=2, num_languages=2)
    metrics, trials, scores = evaluate_other(model, data, PARAMS.evaluate, CPU)[OTHER]
    assert set(metrics) == {"conditions", "omitted", "trial_list", "pair_norm"}
    assert set(metrics["conditions"]) == set(CONDITIONS)
    for rates in metrics["conditions"].values():
        assert tuple(rates) == METRICS
        assert rates["eer_low"] <= rates["eer"] <= rates["eer_high"]
    assert metrics["omitted"] == {}
    assert metrics["trial_list"]["speakers"] == 8
    target = trials.labels()
    same = trials.relations["same_language"]
    # Eight speakers with three utterances in each of two languages: 8 · 9 targets across, 8 · 2 · 3 within.
    assert metrics["conditions"]["cross_same"]["targets"] == 72
    assert metrics["conditions"]["same_same"]["targets"] == 48
    expected = eer(np.sort(scores[target & ~same]), np.sort(scores[~target & same]))
    assert metrics["conditions"]["cross_same"]["eer"] == pytest.approx(expected)


def test_corpora_without_such_a_list_give_nothing(tmp_path: Path) -> None:
    assert evaluate_other(Laspa(PARAMS, 20, 2, 2), tmp_path, PARAMS.evaluate, CPU) == {}
