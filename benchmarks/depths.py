"""A trained baseline trained further, encoder frozen or fine-tuned, beside pair norm without training.

python benchmarks/depths.py [--seeds 1 2 3]

Run it in a checkout whose pipeline has run, with the environment variables of laspa/arithmetic.py. Each
starts from the trained baseline, and the last epoch is measured on test and on `other`. It writes
benchmarks/depths.json and prints the table of docs/adapting.md.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from people import eers

from laspa.evaluation.embedding import embed_speakers
from laspa.evaluation.split import Split, load_split, score_trials
from laspa.evaluation.system import pair_norm_rates
from laspa.files import write_json
from laspa.models.laspa import Laspa
from laspa.models.saving import load_model
from laspa.params import Params, load_params, with_overrides
from laspa.training.loop import train
from laspa.training.run import load_training_data

DATA, BODY, RESULT = Path("data"), Path("data/trained/baseline"), Path("benchmarks/depths.json")
EPOCHS, CPU = 4, torch.device("cpu")
CONDITIONS = ("all", "cross_same")
# Each: its row of the table, a system of params.yaml, and what it changes.
SYSTEMS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "frozen": (
        "LASPA's tuners and heads on fused embeddings, encoder frozen",
        "laspa",
        {"train.freeze": ["speaker_encoder"], "model.heads": "fused"},
    ),
    "laspa": ("fine-tuned with LASPA's losses, `layer_decay` 0.8", "laspa", {"train.layer_decay": 0.8}),
    "baseline": ("fine-tuned as the baseline, `layer_decay` 0.8", "baseline", {"train.layer_decay": 0.8}),
}


def rates(model: Laspa, split: Split) -> tuple[dict[str, float], np.ndarray]:
    """EER by condition, by cosine, and the embeddings."""
    ids, trials = split.features.utterance_ids, split.trials
    vectors = embed_speakers(model, split.features, ids, CPU)
    scores = score_trials(trials, split.name, ids, vectors)
    return eers(scores, trials.labels(), trials.relations["same_language"]), vectors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    options = parser.parse_args()
    params = load_params(Path("params.yaml"))
    splits = {name: load_split(DATA, name) for name in ("test", "other")}
    data = load_training_data(DATA).train
    start = {"train.resume": "weights-only", "train.weights_from": str(BODY), "train.fine_tune.epochs": 0}
    start |= {"train.epochs": EPOCHS, "train.dev_every": EPOCHS}
    found: dict[str, dict[str, dict[str, list[float]]]] = {}

    def keep(name: str, place: str, measured: dict[str, float]) -> None:
        row = found.setdefault(name, {}).setdefault(place, {})
        for condition in CONDITIONS:
            row.setdefault(condition, []).append(measured[condition])

    before = load_model(BODY)[0]
    for place, split in splits.items():
        measured, vectors = rates(before, split)
        keep("baseline before", place, measured)
        normed = pair_norm_rates(split, split.features.utterance_ids, vectors, params.evaluate)["conditions"]
        keep("pair norm", place, {name: normed[name]["eer"] for name in CONDITIONS})
    for name, (_, system, changes) in SYSTEMS.items():
        for seed in options.seeds:
            run: Params = with_overrides(params.resolve(system), start | changes | {"seed": seed})
            with TemporaryDirectory() as states:
                done = train(run, data, CPU, lambda _: {"eer": 1.0}, lambda _: None, Path(states) / "state")
            done.model.load_state_dict(done.last)
            for place, split in splits.items():
                keep(name, place, rates(done.model, split)[0])
    write_json(RESULT, found)
    titles = {"baseline before": "baseline", **{name: row[0] for name, row in SYSTEMS.items()}}
    for name, title in (titles | {"pair norm": "baseline with pair norm, nothing trained"}).items():
        cells = []
        for place in splits:
            for condition in CONDITIONS:
                values = 100 * np.array(found[name][place][condition])
                spread = f" ({values.min():.1f}–{values.max():.1f})" if len(values) > 1 else ""
                cells.append(f"{values.mean():.1f}{spread}")
        print(f"| {' | '.join([title, *cells])} |")


if __name__ == "__main__":
    main()
