"""A public recogniser trained further on a few bilingual people, and scored on others.

python benchmarks/people.py MODEL RECORDINGS [--splits 6] [--systems plain lora …]

MODEL is a folder of `laspa import`, RECORDINGS has a manifest.csv of path, speaker and language. In each
split seven speakers are trained on and the others are the trials; the last epoch counts, by cosine and with
pair norm, whose background are the seven. Finished splits are kept under data/.partial/people. Writes
benchmarks/people.json, which docs/adapting.md shows.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fine_tuning import LowRank

import laspa.training.loop as loop
from laspa.evaluation.embedding import embed_speakers
from laspa.evaluation.error_rates import eer
from laspa.evaluation.pair_norm import background, pair_norm
from laspa.evaluation.scores import cosine_scores, length_normalised
from laspa.features.extraction import Utterance, extract
from laspa.features.settings import mel_params
from laspa.features.store import FeatureStore
from laspa.files import read_json, write_json
from laspa.manifest.tables import read_labels
from laspa.models.laspa import Laspa
from laspa.models.saving import load_body, load_model
from laspa.params import Params, load_params, with_overrides
from laspa.training.batches import TrainingSet, training_set
from laspa.trials.conditions import CONDITIONS

TRAINED, RANK, EPOCHS = 7, 4, 8  # our choice, not tuned
SHOWN = ("all", "cross_same", "cross_cross", "same_same")
CPU, RUNS = torch.device("cpu"), Path("data/.partial/people")
CHANGES: dict[str, Any] = {
    "train.epochs": EPOCHS,
    "train.dev_every": EPOCHS,
    "train.batch_size": 28,
    "train.crop_seconds": 1.0,
    "train.fine_tune.epochs": 0,
    "train.resume": "weights-only",
    "aam_margin": 0.2,
    "model.speaker_encoder": "campplus",
    "model.language_encoder": "tdnn_small",
}
# With ten times the rates, in one split, `plain` and `lora` lost more.
GENTLE = {"train.learning_rate": 1e-5, "train.layer_decay": 0.8}
SYSTEMS: dict[str, tuple[str, dict[str, Any]]] = {
    "held": ("baseline", GENTLE),  # batch normalisation keeps its statistics
    "plain": ("baseline", GENTLE),
    "lora": ("baseline", {"train.learning_rate": 1e-4}),
    "frozen": (
        "laspa",
        {"train.learning_rate": 1e-3, "train.freeze": ["speaker_encoder"], "model.heads": "fused"},
    ),
}


def trained(params: Params, name: str, body: Path, data: TrainingSet, state: Path) -> Laspa:
    """The model of one of SYSTEMS after EPOCHS; `lora` trains nothing but low-rank parts of the layers."""

    class Adapted(Laspa):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            load_body(body, self)
            if name == "lora":
                self.speaker_encoder = LowRank(self.speaker_encoder, RANK)

        def train(self, mode: bool = True) -> Laspa:
            super().train(mode)
            if name == "held":
                self.speaker_encoder.eval()
            return self

    loop.Laspa, loop.load_body = Adapted, lambda *_: None  # type: ignore
    done = loop.train(params, data, CPU, lambda _: {"eer": 1.0}, lambda _: None, state)
    done.model.load_state_dict(done.last)
    state.unlink()
    return done.model


def rates(
    vectors: np.ndarray, speakers: np.ndarray, languages: np.ndarray, mine: np.ndarray
) -> dict[str, Any]:
    """EER of the speakers that are not `mine`, by condition, by cosine and with pair norm."""
    test, unit = np.flatnonzero(~mine), length_normalised(vectors)
    a, b = test[np.stack(np.triu_indices(len(test), 1))]
    target, same = speakers[a] == speakers[b], languages[a] == languages[b]
    others = background(unit[mine], languages[mine], speakers[mine])
    scores = {
        "cosine": cosine_scores(unit, a, b),
        "pair norm": pair_norm(unit, languages, speakers, a, b, others),
    }
    return {name: eers(one, target, same) for name, one in scores.items()}


def eers(scores: np.ndarray, target: np.ndarray, same: np.ndarray) -> dict[str, float]:
    """EER by condition; `target` and `same`, (trials,), say whether speakers and languages are one."""
    masks = {name: CONDITIONS[name].mask(target, same) for name in SHOWN}
    return {name: eer(scores[part & target], scores[part & ~target]) for name, part in masks.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("recordings", type=Path)
    parser.add_argument("--splits", type=int, default=6)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=[*SYSTEMS])
    options = parser.parse_args()
    config = read_json(options.model / "config.json")
    columns = ("path", "speaker", "language")
    table = read_labels(options.recordings / "manifest.csv", columns).to_pandas()
    table["utterance_id"] = table["path"]
    ids, speakers = table["utterance_id"].tolist(), table["speaker"].to_numpy(str)
    utterances = [Utterance(path, options.recordings / path, path) for path in ids]
    extract(utterances, mel_params(config["features"]["settings"]), RUNS / "features", RUNS / "unfinished")
    features = FeatureStore(RUNS / "features")
    plain = embed_speakers(load_model(options.model)[0], features, ids, CPU)
    found: dict[str, Any] = {}
    for seed in range(options.splits):
        chosen = np.random.default_rng(seed).permutation(np.unique(speakers))[:TRAINED]
        mine = np.isin(speakers, chosen)
        own = FeatureStore(RUNS / "features", table["utterance_id"][mine].tolist())
        for name in ["as it is", *options.systems]:
            file = RUNS / f"{name}-{seed}.json"
            if not file.exists():
                vectors = plain
                if name != "as it is":
                    system, changes = SYSTEMS[name]
                    changes = CHANGES | changes | {"seed": seed + 1, "train.weights_from": str(options.model)}
                    params = with_overrides(load_params(Path("params.yaml")).resolve(system), changes)
                    data, state = training_set(own, table[mine]), RUNS / f"{name}-{seed}.state"
                    model = trained(params, name, options.model, data, state)
                    vectors = embed_speakers(model, features, ids, CPU)
                write_json(file, rates(vectors, speakers, table["language"].to_numpy(str), mine))
            for scoring, by_condition in read_json(file).items():
                for condition, rate in by_condition.items():
                    found.setdefault(name, {}).setdefault(scoring, {}).setdefault(condition, []).append(rate)
    write_json(Path("benchmarks/people.json"), found)
    for name, scorings in found.items():
        for scoring, conditions in scorings.items():
            means = (f"{condition} {100 * np.mean(one):.2f}" for condition, one in conditions.items())
            print(f"{name:10}{scoring:10}", *means)


if __name__ == "__main__":
    main()
