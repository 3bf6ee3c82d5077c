"""One system of one study, trained with each seed, measured and written to studies/STUDY.

Usage: python -m pipelines.studies.run STUDY NAME [--device DEVICE] [--smallest]
NAME is what STUDY varies: a system (ablation, replication), prefix-LENGTH-heads-NUMBER (prefix_heads),
ENCODER-SYSTEM (backbones), a place in the section `study` of params.yaml (results), or a corpus (shifts).
"""

import argparse
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from laspa.errors import LaspaError
from laspa.evaluation.diagnostics import gradient_norms, mapc_by_batch_size
from laspa.evaluation.embedding import Embeddings
from laspa.evaluation.probes import disentanglement
from laspa.evaluation.split import Split
from laspa.models.laspa import Laspa, added_parameters_percent
from laspa.models.losses import distance_correlation
from laspa.params import Params, load_params, with_overrides
from laspa.params.messages import unknown_choice
from laspa.training.batches import TrainingSet, batches
from pipelines import stage
from pipelines.studies.measure import DEV_LOOKS, Inspection, measure_seeds, on_budget, with_seeds

STUDIES = Path("studies")
CEILING = "ceiling"  # its data are made by pipelines.studies.corpus_params and the pipeline's stages
MOST_ADDED = 1.16  # per cent of the base model's parameters that the prefix-tuners of the paper add
GRADIENT_BATCH = 64  # training utterances whose gradients are measured
# Of the study shifts: LASPA with and without both switches, on corpora that two cores learn in minutes.
SHIFTS_EPOCHS = 12
CENTRED, WARPED = {"model.centring": "language"}, {"train.warp": 0.04, "train.bend": 0.015}
SHIFTS: dict[str, tuple[str, dict[str, Any]]] = {
    "baseline": ("baseline", {}),
    "laspa": ("laspa", {}),
    "centred": ("laspa", CENTRED),
    "warped": ("laspa", WARPED),
    "centred and warped": ("laspa", CENTRED | WARPED),
}


@dataclass(frozen=True)
class Plan:
    """A system to measure: its params and seeds, and where in the study's folder its results go."""

    params: Params
    seeds: list[int]
    folder: str = "systems"
    data: Path = Path("data")
    split: str = "test"
    inspect: Inspection | None = None


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipelines.studies.run", description=__doc__)
    parser.add_argument("study", choices=PLANS)
    parser.add_argument("name")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], help="instead of train.device")
    parser.add_argument("--smallest", action="store_true", help="one seed, one epoch, in the folder smallest")
    options = parser.parse_args()
    plans = PLANS[options.study](load_params(stage.PARAMS_FILE), options.name)
    kind = f"shifts-{options.name}" if options.study == "shifts" else options.study  # corpora apart
    for name, plan in plans.items():
        if options.device:
            plan = replace(plan, params=with_overrides(plan.params, {"train.device": options.device}))
        if options.smallest:
            smaller = with_overrides(plan.params, {"train.epochs": 1})
            plan = replace(plan, params=smaller, seeds=plan.seeds[:1], folder="smallest")
        runs, results = with_seeds(plan.params, plan.seeds), STUDIES / options.study / plan.folder
        measure_seeds(name, kind, runs, plan.data, results, plan.split, plan.inspect)
    if options.study == "shifts":
        shutil.rmtree(_corpus(options.name))


def _ablation(params: Params, name: str) -> dict[str, Plan]:
    return {name: Plan(on_budget(params, name), params.ablate.seeds)}


def _prefix_heads(params: Params, name: str) -> dict[str, Plan]:
    """LASPA as published, but for its prefix-tuners, on dev."""
    if not (size := re.fullmatch(r"prefix-(\d+)-heads-(\d+)", name)):
        raise LaspaError(f"prefix_heads: {name} should be prefix-LENGTH-heads-NUMBER, two whole numbers")
    changes = {"prefix_len": int(size[1]), "num_heads": int(size[2])}
    run = with_overrides(on_budget(params, "laspa"), changes)
    return {name: Plan(run, params.ablate.seeds, "cells", split="dev")}


def _replication(params: Params, name: str) -> dict[str, Plan]:
    """One reading of LASPA, measured on dev in every way that we know."""
    study = params.replication
    if name not in study.systems:
        raise LaspaError(unknown_choice("replication.systems", name, study.systems))
    system = with_overrides(on_budget(params, study.systems[name].system), study.systems[name].changes)
    run = with_overrides(system, _epochs(study.epochs))
    return {name: Plan(run, study.seeds, split="dev", inspect=inspect)}


def _backbones(params: Params, name: str) -> dict[str, Plan]:
    """A system over a backbone; larger tuners than the paper's are refused."""
    study, (encoder, _, system) = params.backbones, name.partition("-")
    if encoder not in study.epochs:
        raise LaspaError(unknown_choice("backbones.epochs", encoder, study.epochs))
    changes = {"train.crop_seconds": study.crop_seconds, "train.precision": study.precision}
    changes |= {"model.speaker_encoder": encoder} | _epochs(study.epochs[encoder])
    run = with_overrides(on_budget(params, system), changes)
    check_added(run)
    return {name: Plan(run, study.seeds)}


def _results(params: Params, place: str) -> dict[str, Plan]:
    """A system on the full budget, on test; a choice on its own budget, on dev."""
    study = params.study
    variants = study.variants()
    if place not in variants:
        raise LaspaError(unknown_choice("study", place, variants))
    system = with_overrides(
        params.resolve(variants[place].system), variants[place].changes, f"params.yaml: study.{place}"
    )
    folder, _, name = place.rpartition(".")
    if folder == "choices":
        epochs = dict.fromkeys(("train.epochs", "train.dev_every"), study.choice_epochs)
        return {name: Plan(with_overrides(system, epochs), study.seeds, folder, split="dev")}
    run = with_overrides(system, _epochs(system.train.epochs))
    data = STUDIES / "results" / CEILING / "data" if place == CEILING else Path("data")
    return {name: Plan(run, study.seeds, data=data)}


def _shifts(_params: Params, cell: str) -> dict[str, Plan]:
    """Each of SHIFTS on the small corpus that stands in a folder of its own, with its params."""
    work = _corpus(cell)
    params = load_params(work / stage.PARAMS_FILE)
    return {
        name: Plan(
            with_overrides(on_budget(params, system), changes | _epochs(SHIFTS_EPOCHS)),
            [1],
            f"cells/{cell}",
            work / "data",
        )
        for name, (system, changes) in SHIFTS.items()
    }


PLANS: dict[str, Callable[[Params, str], dict[str, Plan]]] = {
    "ablation": _ablation,
    "prefix_heads": _prefix_heads,
    "replication": _replication,
    "backbones": _backbones,
    "results": _results,
    "shifts": _shifts,
}


def _corpus(cell: str) -> Path:
    return STUDIES / "shifts/corpora" / cell


def _epochs(epochs: int) -> dict[str, Any]:
    """The changes to params for this many epochs."""
    return {"train.epochs": epochs, "train.dev_every": max(1, epochs // DEV_LOOKS)}


def check_added(params: Params) -> None:
    """Check that the prefix-tuners add no more than the paper's share.

    Raises:
        LaspaError: they do.
    """
    with torch.device("meta"):
        model = Laspa(params, params.features.num_mels, num_speakers=2, num_languages=2)
    added = added_parameters_percent(model.parameter_counts())
    if added > MOST_ADDED:
        raise LaspaError(
            f"params.yaml: the prefix-tuners add {added:.2f} % to {params.model.speaker_encoder}, more than "
            f"the {MOST_ADDED} % of the paper; lower model.attention_dim or prefix_len"
        )


def inspect(
    params: Params, model: Laspa, data: TrainingSet, dev: Split, embeddings: Embeddings
) -> dict[str, Any]:
    """What the error rates do not say: probes of both embeddings, their dependence, each term's gradients."""
    seed = params.evaluate.seed
    rows = np.linspace(0, len(data) - 1, GRADIENT_BATCH).astype(int)  # crops spread over the corpus
    frames = round(params.train.crop_seconds * data.frames_per_second)
    (batch,) = batches(data, rows[None], frames, np.random.default_rng(params.seed))
    kinds = {"speaker": embeddings.speaker, "language": embeddings.language}
    vectors = {name: values for name, values in kinds.items() if values is not None}
    found: dict[str, Any] = {
        "probe": disentanglement(vectors, embeddings.utterance_ids, dev.manifest, seed, {}),
        "gradients": gradient_norms(model, batch.mel, batch.speaker, batch.language),
    }
    if embeddings.language is not None:
        found["mapc_by_batch_size"] = mapc_by_batch_size(embeddings.speaker, embeddings.language, seed)
        both = torch.from_numpy(embeddings.speaker), torch.from_numpy(embeddings.language)
        found["distance_correlation"] = float(distance_correlation(*both))
    return found


if __name__ == "__main__":
    stage.run(main)
