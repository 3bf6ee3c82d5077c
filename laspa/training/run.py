"""One training run: the data it reads, its name, and the dev EERs that steer it."""

import hashlib
import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from laspa.evaluation.embedding import embed_speakers
from laspa.evaluation.error_rates import eer
from laspa.evaluation.evaluate import condition_masks, with_both_classes
from laspa.evaluation.metadata import Metadata
from laspa.evaluation.probes import trained_language_probe
from laspa.evaluation.split import Split, load_split, score_trials
from laspa.features.store import FeatureStore
from laspa.files import sha256_file
from laspa.manifest.tables import COPIES_FILE, read_utterances
from laspa.models.device import torch_device
from laspa.models.laspa import Laspa
from laspa.models.losses import TERMS
from laspa.models.saving import WEIGHTS_FILE, check_body_mels
from laspa.params import SYSTEM_KEYS, Params, with_overrides
from laspa.training.batches import TrainingSet, training_set
from laspa.training.loop import Record, Trained, train
from laspa.training.processes import ONE_PROCESS, Processes

STEERING = ("cross_same", "same_same", "all")  # conditions whose EERs on dev are looked at during training

PROBE_SEED = 1  # of the halves of the dev speakers that the probe of each look is trained and tested on


@dataclass
class TrainingData:
    """Everything training reads; `digest` names its content.

    features: `settings` and `digest` of the mels.
    language_is_corpus: no corpus of several holds more than one language, so that what a language does to a
    voice cannot be told from how the corpus was recorded.
    """

    train: TrainingSet
    dev: Split
    digest: str
    features: dict[str, Any]
    language_is_corpus: bool = False


def load_training_data(data: Path, processes: Processes = ONE_PROCESS) -> TrainingData:
    """The train split with its augmented copies, or this process's parts of it, and the dev split.

    Parts are consecutive utterances, so that a process reads its own shards alone, and of equal size: the
    last one overlaps with the one before where there is a rest.
    """
    manifest = read_utterances(data / "manifest.parquet", data / "features")
    manifest = manifest[manifest["split"] == "train"]
    size = math.ceil(len(manifest) / processes.parts)
    begin = [min(part * size, len(manifest) - size) for part in processes.own]
    ids = manifest["utterance_id"].tolist()[begin[0] : begin[-1] + size]
    features = FeatureStore(data / "features", ids)
    digests = [
        features.digest,
        *(sha256_file(data / name) for name in ("manifest.parquet", "trials/dev.parquet")),
    ]
    copies = data / "features" / COPIES_FILE
    digests += [sha256_file(copies)] if copies.is_file() else []
    digest = hashlib.sha256("".join(digests).encode()).hexdigest()
    one_language_each = manifest["corpus"].nunique() > 1 and bool(
        (manifest.groupby("corpus")["language"].nunique() == 1).all()
    )
    mels = {"settings": features.settings, "digest": features.digest}
    return TrainingData(
        training_set(features, manifest, [one - begin[0] for one in begin]),
        load_split(data, "dev"),
        digest,
        mels,
        one_language_each,
    )


def state_digest(params: Params, data: TrainingData) -> str:
    """Names a training run by all that determines it, so that only the same run is gone on with."""
    what = params.model_dump(include={*SYSTEM_KEYS, "seed"})
    if params.train.resume == "weights-only":
        what["weights"] = sha256_file(Path(params.train.weights_from) / WEIGHTS_FILE)
    return hashlib.sha256((json.dumps(what, sort_keys=True) + data.digest).encode()).hexdigest()[:16]


def train_system(
    params: Params,
    data: TrainingData,
    states: Path,
    on_epoch: Callable[[Record], None] = lambda record: None,
    processes: Processes = ONE_PROCESS,
) -> Trained:
    """Train what `params` describe; an interrupted run goes on from its state in the folder `states`.

    In a corpus of one language the terms that need two are left out, and where each language is a corpus of
    its own centring is, since it would take away what tells corpora apart; both are said.
    """
    if len(data.train.languages) < 2:
        params = _without_language(params, data.train.languages[0])
    elif data.language_is_corpus and params.model.centring == "language":
        print(
            "warning: no corpus of the training speech has two languages, so that a language's mean is a "
            "corpus's; centring is off",
            file=sys.stderr,
            flush=True,
        )
        params = with_overrides(params, {"model.centring": "none"})
    if params.train.weights_from:
        check_body_mels(Path(params.train.weights_from), data.features["settings"], "data/features")
    device = torch_device(params.train.device)
    state_file = states / f"{state_digest(params, data)}.safetensors"
    trained = train(
        params,
        data.train,
        device,
        lambda model: look_at_dev(model, data.dev, device),
        on_epoch,
        state_file,
        processes,
    )
    trained.model.mel_settings = data.features["settings"]
    return trained


def _without_language(params: Params, language: str) -> Params:
    off = {
        name for name, term in TERMS.items() if term.needs_languages and getattr(params.loss_weights, name)
    }
    if off:
        text = f"warning: all training speech is in {language}; {', '.join(sorted(off))} and centring are off"
        print(text, file=sys.stderr, flush=True)
    changes: dict[str, Any] = {f"loss_weights.{name}": 0.0 for name in off}
    return with_overrides(params, changes | {"model.centring": "none"})


def look_at_dev(model: Laspa, dev: Split, device: torch.device) -> dict[str, float]:
    """EER by STEERING conditions, of which the first that the corpus can have steers training, and what a
    quick probe reads of the language, where there are several."""
    ids = dev.features.utterance_ids
    embeddings = embed_speakers(model, dev.features, ids, device)
    scores = score_trials(dev.trials, dev.name, ids, embeddings)
    target, masks = dev.trials.labels(), condition_masks(dev.trials, Metadata())
    found = {
        f"eer_{name}": eer(scores[masks[name] & target], scores[masks[name] & ~target])
        for name in with_both_classes({name: masks[name] for name in STEERING}, target)
    }
    probed = trained_language_probe(embeddings, ids, dev.manifest, PROBE_SEED, kind="quick").accuracy
    return found if probed is None else found | {"language_probe": probed}
