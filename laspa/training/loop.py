"""Training: one function that reads from top to bottom, for every system of the comparison."""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from laspa.errors import LaspaError
from laspa.models.laspa import Laspa, Output
from laspa.models.saving import load_body, read_tensors, restore_state, save_state
from laspa.params import Params
from laspa.progress import progress
from laspa.training.batches import TrainingSet, batches, draw, prefetched
from laspa.training.mel_augmentation import mel_change
from laspa.training.processes import ALONE, World, share_norms

CHECK_EVERY = 50  # steps between looks at the loss: each look makes a GPU wait
CROP_STREAM = 2**31  # of random numbers; those below are the processes' own
SHOWN_UTTERANCES = 3  # of a batch that an error names

Record = dict[str, Any]


@dataclass
class Trained:
    """A model with the weights of its best epoch, those of its last, and the record of every epoch."""

    model: Laspa
    last: dict[str, Tensor]
    history: list[Record]
    best_epoch: int


@dataclass(frozen=True)
class Phase:
    """Epochs with the same settings: training proper, then large-margin fine-tuning where asked for."""

    name: Literal["train", "fine_tune"]
    epochs: int
    learning_rate: float
    margin: float
    crop_seconds: float
    warmup_share: float
    margin_warmup_share: float


@dataclass
class _Loop:
    """What a step needs beside its batch."""

    params: Params
    data: TrainingSet
    device: torch.device
    world: World
    model: Laspa
    forward: Callable[[Tensor], Output]
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    heard_in: Tensor | None


def train(
    params: Params,
    data: TrainingSet,
    device: torch.device,
    dev_eer: Callable[[Laspa], dict[str, float]],
    on_epoch: Callable[[Record], None],
    state_file: Path,
    world: World = ALONE,
) -> Trained:
    """Train one system.

    Whatever is random is drawn from (seed, epoch), so a run that is killed goes on from its last
    whole epoch and ends with the same weights as one that was not.

    Args:
        data: the train split, or this process's part of it.
        dev_eer: EERs on the dev trials by name; the first one chooses the best epoch.
        on_epoch: called with each epoch's record, of earlier epochs too when a run goes on.
        state_file: where the training state is kept between epochs, by the first process.
        world: the processes that call this function with the same params, each on its part of the data.

    Raises:
        LaspaError: a loss term that is not finite; the message names term, epoch and step. A model to
            start from that does not fit.
    """
    loop = _prepare(params, data, device, world)
    model, plan = loop.model, phases(params)
    history: list[Record] = []
    best = {name: value.clone() for name, value in model.state_dict().items()}
    state = world.from_first(lambda: read_tensors(state_file) if state_file.exists() else None)
    if state is not None:
        tensors, meta = state
        best = restore_state(tensors, model, loop.optimizer, state_file)
        loop.scaler.load_state_dict(meta["scaler"])
        history = meta["history"]
        for record in history:
            on_epoch(record)

    for phase in plan:
        done = [record for record in history if record["phase"] == phase.name]
        if phase.name == "fine_tune" and not done:
            model.load_state_dict(best)
        while len(done) < phase.epochs and not stalled(done, params.train.patience):
            weights = balanced(params, history)
            record = _epoch(loop, phase, len(done) + 1, len(history) + 1, weights)
            last = len(done) + 1 == phase.epochs
            measured = last or (len(done) + 1) % params.train.dev_every == 0
            history.append(record | {"dev": world.from_first(lambda: dev_eer(model)) if measured else {}})
            done.append(history[-1])
            if measured and best_record(history) is history[-1]:
                best = {name: value.clone() for name, value in model.state_dict().items()}
            meta = {"history": history, "scaler": loop.scaler.state_dict()}
            if world.rank == 0:
                save_state(state_file, model, best, loop.optimizer, meta)
            on_epoch(history[-1])

    final = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(best)
    return Trained(model, final, history, best_record(history)["epoch"])


def phases(params: Params) -> list[Phase]:
    """The phases of a run, in order."""
    options, fine = params.train, params.train.fine_tune
    shares = options.warmup_share, options.margin_warmup_share
    first = Phase(
        "train", options.epochs, options.learning_rate, params.aam_margin, options.crop_seconds, *shares
    )
    second = Phase("fine_tune", fine.epochs, fine.learning_rate, fine.aam_margin, fine.crop_seconds, 0.0, 0.0)
    return [first, second] if fine.epochs else [first]


def _prepare(params: Params, data: TrainingSet, device: torch.device, world: World) -> _Loop:
    options = params.train
    torch.manual_seed(params.seed)
    torch.set_num_threads(options.threads)
    if options.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # as cuBLAS asks for it
        torch.use_deterministic_algorithms(True)
    if options.precision == "float16" and device.type != "cuda":
        raise LaspaError(
            "params.yaml: train.precision is float16, which needs a GPU; choose bfloat16 or float32"
        )
    model = Laspa(params, data.num_mels, len(data.speakers), len(data.languages)).to(device)
    if options.resume == "weights-only":
        load_body(Path(options.weights_from), model)
    share_norms(model, world)
    rate, decay = options.learning_rate, options.weight_decay
    optimizer: torch.optim.Optimizer
    if options.optimizer == "adamw":
        optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay, fused=True)
    else:
        optimizer = torch.optim.SGD(
            model.parameters(), lr=rate, weight_decay=decay, momentum=0.9, nesterov=True, fused=True
        )
    heard = data.heard_in().float().to(device)
    world.mean([heard])
    return _Loop(
        params,
        data,
        device,
        world,
        model,
        torch.compile(model) if options.compile else model,
        optimizer,
        torch.amp.GradScaler(device.type, enabled=options.precision == "float16"),
        heard > 0 if options.compete == "language" else None,
    )


def _epoch(loop: _Loop, phase: Phase, number: int, epoch: int, weights: dict[str, float]) -> Record:
    """Train one epoch, the `number`th of its phase; everything of its record but the dev EERs."""
    params, options, data, world, model = loop.params, loop.params.train, loop.data, loop.world, loop.model
    generator = np.random.default_rng([params.seed, epoch, *([world.rank] if world.rank else [])])
    batch_size = options.batch_size // world.size
    drawn = draw(data, batch_size, generator, options.batch_by, options.per_speaker)
    # Drawn apart from what each process draws for itself: a batch has one length in all of them.
    spread = np.random.default_rng([params.seed, epoch, CROP_STREAM]).uniform(-1, 1, len(drawn))
    seconds = phase.crop_seconds * (1 + options.crop_spread * spread)
    crop_frames = np.maximum(1, (seconds * data.frames_per_second).round().astype(int))
    change = mel_change(options)
    epoch_batches = batches(data, drawn, crop_frames, generator, options.warp, options.bend, change)
    if loop.device.type == "cuda":
        epoch_batches = prefetched(epoch_batches)
    steps = len(drawn)
    precision = getattr(torch, options.precision)
    seen: list[Tensor] = []
    gradients: dict[str, Tensor] = {}
    norm = torch.zeros((), device=loop.device)
    label = f"{'epoch' if phase.name == 'train' else 'fine-tuning epoch'} {number}/{phase.epochs}"
    model.train()
    loop.optimizer.zero_grad()
    for step, batch in enumerate(progress(epoch_batches, steps, label, unit="batch"), start=1):
        share = ((number - 1) * steps + step) / (phase.epochs * steps)
        factor = learning_rate_factor(share, phase.warmup_share, options.schedule, options.final_rate)
        margin = phase.margin * min(1.0, share / max(phase.margin_warmup_share, 1e-9))
        for group in loop.optimizer.param_groups:
            group["lr"] = phase.learning_rate * factor
        batch = batch.to(loop.device)
        with torch.autocast(loop.device.type, precision, enabled=precision != torch.float32):
            output = _of_whole_batch(loop.forward(batch.mel), world)
            speaker, language = world.gathered(batch.speaker), world.gathered(batch.language)
            competitors = None if loop.heard_in is None else loop.heard_in[language]
            terms = model.loss_terms(output, batch.mel, speaker, language, margin, competitors)
        weighted = {name: weights[name] * value for name, value in terms.items()}
        loss = sum(weighted.values(), torch.zeros((), device=loop.device))
        if step == steps and not options.compile:  # what is compiled cannot be gone through twice
            gradients = _gradient_norms(weighted, model, world)
        before = (step - 1) // options.accumulate * options.accumulate
        loop.scaler.scale(loss / min(options.accumulate, steps - before)).backward()  # the last may be fewer
        if step % options.accumulate == 0 or step == steps:
            world.mean(one.grad for one in model.parameters() if one.grad is not None)
            loop.scaler.unscale_(loop.optimizer)
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), options.clip_norm)
            if loop.scaler.is_enabled():  # by overflowing it finds its scale: such a step is left out
                norm = torch.where(norm.isfinite(), norm, 0.0)
            loop.scaler.step(loop.optimizer)
            loop.scaler.update()
            loop.optimizer.zero_grad()
        watched = {"loss": loss, **terms, "grad_norm": norm} | model.prefix_mass(output)
        if model.centring is not None:
            model.centring.follow(output.speaker, language)
        seen.append(torch.stack([value.detach() for value in watched.values()]))
        if step % CHECK_EVERY == 0 or step == steps:
            world.mean(seen[step - 1 - (step - 1) % CHECK_EVERY :])
            _stop_if_not_finite(list(watched), seen, epoch, data, drawn)
    means = dict(zip(watched, torch.stack(seen).mean(dim=0).tolist(), strict=True))
    return {
        "epoch": epoch,
        "phase": phase.name,
        **{name: means.get(name) for name in ("loss", *weights, "grad_norm")},
        "weights": {name: weights[name] for name in terms},
        "weighted": {name: weights[name] * means[name] for name in terms},
        "gradient": {name: float(value) for name, value in gradients.items()},
        "margin": margin,
        "learning_rate": phase.learning_rate * factor,
        "attention": {name: means[name] for name in ("speaker", "language") if name in means},
    }


def balanced(params: Params, history: list[Record]) -> dict[str, float]:
    """The weights of the next epoch's loss terms.

    With `train.balance` a weight is the wanted ratio of the term's gradient norm to that of AAM-softmax, as
    both stood at the end of the epoch before: w · |∇aam| / |∇term|. So a weight means the same whatever the
    term's unit. Our choice, after gradient normalisation between tasks (Chen et al., 2018).
    """
    wanted: dict[str, float] = params.loss_weights.model_dump()
    if not params.train.balance or not history:
        return wanted
    last = history[-1]
    unit = {name: norm / last["weights"][name] for name, norm in last["gradient"].items() if norm}
    if "aam" not in unit:
        return wanted
    return {name: weight * unit["aam"] / unit.get(name, unit["aam"]) for name, weight in wanted.items()}


def _of_whole_batch(output: Output, world: World) -> Output:
    """The embeddings of all processes, which losses across the batch need; the rest is this process's own."""
    language = None if output.language is None else world.gathered(output.language)
    return replace(output, speaker=world.gathered(output.speaker), language=language)


def _gradient_norms(weighted: dict[str, Tensor], model: nn.Module, world: World) -> dict[str, Tensor]:
    """Norm of each weighted term's gradient over all parameters, as it is before clipping."""
    parameters = list(model.parameters())
    norms = {}
    for name, value in weighted.items():
        found = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
        kept = [one.float() for one in found if one is not None]
        world.mean(kept)
        norms[name] = torch.stack([one.norm() for one in kept]).norm()
    return norms


def stalled(done: list[Record], patience: int) -> bool:
    """Whether the last `patience` looks at dev have all been no better than one before; never if 0."""
    looks = [record for record in done if record["dev"]]
    return bool(patience) and len(looks) > patience and best_record(looks) in looks[:-patience]


def learning_rate_factor(
    progress_share: float, warmup_share: float, schedule: str = "cosine", final: float = 0.0
) -> float:
    """Linear warm-up, then half a cosine, or an exponential, down to `final`: the share of the peak rate at a
    share of all steps."""
    if progress_share < warmup_share:
        return progress_share / warmup_share
    share = (progress_share - warmup_share) / max(1 - warmup_share, 1e-9)
    if schedule == "exponential":
        return float(final**share)
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * share))


def best_record(history: list[Record]) -> Record:
    """The epoch with the lowest first EER on dev, of those measured there; the earliest of equals."""
    return min(
        (record for record in history if record["dev"]),
        key=lambda record: next(iter(record["dev"].values())),
    )


def _stop_if_not_finite(
    names: list[str], seen: list[Tensor], epoch: int, data: TrainingSet, drawn: np.ndarray
) -> None:
    bad = ~torch.isfinite(torch.stack(seen))
    if not bad.any():
        return
    step, column = (int(index) for index in bad.nonzero()[0])
    shown = ", ".join(data.utterance_ids[row] for row in drawn[step][:SHOWN_UTTERANCES])
    raise LaspaError(
        f"training: {names[column]} is {seen[step][column].item()} in epoch {epoch}, step {step + 1}, "
        f"whose batch of {len(drawn[step])} begins with {shown}; the state of the epoch before is kept. "
        "Lower train.learning_rate, aam_scale or the term's weight"
    )
