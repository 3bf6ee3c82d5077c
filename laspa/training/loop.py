"""Training: one function that reads from top to bottom, for every system of the comparison."""

import math
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from laspa.errors import LaspaError
from laspa.files import wait_for
from laspa.models.device import check_precision
from laspa.models.laspa import Laspa
from laspa.models.saving import load_body, read_tensors, restore_state, save_state
from laspa.params import Params
from laspa.progress import progress
from laspa.training.batches import Batch, TrainingSet, batches, draw, prefetched
from laspa.training.processes import ONE_PROCESS, Processes, share_norms
from laspa.training.watch import out_of_range

CHECK_EVERY = 50  # steps between looks at the loss: each look makes a GPU wait
SHOWN_UTTERANCES = 3  # of a batch that an error names
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": torch.optim.AdamW,
    "sgd": partial(torch.optim.SGD, momentum=0.9, nesterov=True),
}

Record = dict[str, Any]


@dataclass
class Trained:
    """A model with the weights of its best epoch, those of its last, and the record of every epoch."""

    model: Laspa
    last: dict[str, Tensor]
    history: list[Record]
    best_epoch: int


def train(
    params: Params,
    data: TrainingSet,
    device: torch.device,
    dev_eer: Callable[[Laspa], dict[str, float]],
    on_epoch: Callable[[Record], None],
    state_file: Path,
    processes: Processes = ONE_PROCESS,
) -> Trained:
    """Train one system.

    All random numbers depend on (seed, epoch), so a killed run resumes from its last whole epoch and ends
    with the same weights as a run that was not killed.

    Args:
        data: the train split, or this process's part of it.
        dev_eer: EERs on the dev trials by name; the first one chooses the best epoch.
        on_epoch: called with each epoch's record; a resumed run starts with those of earlier epochs.
        state_file: where the first process keeps the training state between epochs.
        processes: those that call this function with the same params, each on its part of the data.

    Raises:
        LaspaError: a loss term that is not finite; the message names term, epoch and step. A model to
            start from that does not fit. A precision that the device does not compute in.
    """
    options = params.train
    precision = getattr(torch, options.precision)
    check_precision(precision, device)
    torch.manual_seed(params.seed)
    torch.set_num_threads(options.threads)
    if options.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # as cuBLAS asks for it
        torch.use_deterministic_algorithms(True)
    model = Laspa(params, data.num_mels, len(data.speakers), len(data.languages)).to(device)
    if options.resume == "weights-only":
        load_body(Path(options.weights_from), model)
    frozen = [part for name in options.freeze if (part := getattr(model, name)) is not None]
    for part in frozen:
        part.requires_grad_(False)
    share_norms(model, processes)
    forward = torch.compile(model) if options.compile else model
    optimizer = OPTIMIZERS[options.optimizer](
        layers_by_rate(model, options.layer_decay),
        lr=options.learning_rate,
        weight_decay=options.weight_decay,
        fused=True,
    )
    scaler = torch.amp.GradScaler(device.type, enabled=precision == torch.float16)

    weights: dict[str, float] = params.loss_weights.model_dump()
    history: list[Record] = []
    best = _weights(model)
    state_file.parent.mkdir(parents=True, exist_ok=True)
    state = processes.from_first(lambda: read_tensors(state_file) if state_file.exists() else None)
    if state is not None:
        tensors, meta = state
        best = restore_state(tensors, model, optimizer, state_file)
        scaler.load_state_dict(meta["scaler"])
        history = meta["history"]
        for record in history:
            on_epoch(record)

    for phase, settings in phases(params).items():
        options = settings.train
        done = [record for record in history if record["phase"] == phase]
        if phase == "fine_tune" and not done:
            model.load_state_dict(best)
        while len(done) < options.epochs and not stalled(done, options.patience):
            number, epoch = len(done) + 1, len(history) + 1
            drawn, epoch_batches = _draw_epoch(data, settings, epoch, device, processes)
            steps = len(drawn)
            seen: list[Tensor] = []
            gradients: dict[str, Tensor] = {}
            flow: dict[str, Tensor] = {}
            norm = torch.zeros((), device=device)
            kind = "epoch" if phase == "train" else "fine-tuning epoch"
            label = f"{params.system}, {kind} {number}/{options.epochs}"
            model.train()
            for part in frozen:
                part.eval()  # batch normalisation keeps its statistics
            optimizer.zero_grad()
            for step, batch in enumerate(progress(epoch_batches, steps, label, unit="batch"), start=1):
                share = ((number - 1) * steps + step) / (options.epochs * steps)
                rate = options.learning_rate * learning_rate_factor(
                    share, options.warmup_share, options.schedule, options.final_rate
                )
                margin = settings.aam_margin * min(1.0, share / max(options.margin_warmup_share, 1e-9))
                for group in optimizer.param_groups:
                    group["lr"] = rate * group["share"]

                batch = batch.to(device)
                with torch.autocast(device.type, precision, enabled=precision != torch.float32):
                    output = forward(batch.mel)
                    # Losses across the batch need the embeddings of all processes.
                    output.speaker = processes.gathered(output.speaker)
                    if output.language is not None:
                        output.language = processes.gathered(output.language)
                    speaker, language = processes.gathered(batch.speaker), processes.gathered(batch.language)
                    terms = model.loss_terms(output, batch.mel, speaker, language, margin)
                weighted = {name: weights[name] * value for name, value in terms.items()}
                loss = sum(weighted.values(), torch.zeros((), device=device))
                if step == steps and not options.compile:  # a compiled graph allows one backward pass only
                    gradients, flow = _gradient_norms(weighted, model, output.keys or {}, processes)

                before = (step - 1) // options.accumulate * options.accumulate
                together = min(options.accumulate, steps - before)  # batches of this step of the optimiser
                scaler.scale(loss / together).backward()
                if step % options.accumulate == 0 or step == steps:
                    processes.mean(one.grad for one in model.parameters() if one.grad is not None)
                    scaler.unscale_(optimizer)
                    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), options.clip_norm)
                    if scaler.is_enabled():  # it skips a step that overflows, and lowers its scale
                        norm = torch.where(norm.isfinite(), norm, 0.0)
                    scaler.step(optimizer)
                    scaler.update()
                    optimizer.zero_grad()
                if model.centring is not None:
                    model.centring.follow(output.speaker, language)

                watched = {"loss": loss, **terms, "grad_norm": norm} | model.prefix_mass(output)
                seen.append(torch.stack([value.detach() for value in watched.values()]))
                if step % CHECK_EVERY == 0 or step == steps:
                    processes.mean(seen[step - 1 - (step - 1) % CHECK_EVERY :])
                    _stop_if_not_finite(list(watched), seen, epoch, data, drawn)

            means = dict(zip(watched, torch.stack(seen).mean(dim=0).tolist(), strict=True))
            measured = number == options.epochs or number % options.dev_every == 0
            record = {
                "epoch": epoch,
                "phase": phase,
                **{name: means.get(name) for name in ("loss", *weights, "grad_norm")},
                "weighted": {name: weights[name] * means[name] for name in terms},
                "gradient": {name: float(value) for name, value in gradients.items()},
                "margin": margin,
                "learning_rate": rate,
                "attention": {name: means[name] for name in ("speaker", "language") if name in means},
                "flow": {name: float(value) for name, value in flow.items()},
                "dev": processes.from_first(lambda: dev_eer(model)) if measured else {},
            }
            said = {name for earlier in history for name in earlier.get("warnings", ())}
            wrong = out_of_range(record, params)
            record["warnings"] = {name: text for name, text in wrong.items() if name not in said}
            history.append(record)
            done.append(record)
            if measured and best_record(history) is record:
                best = _weights(model)
            if processes.rank == 0:
                for name, text in record["warnings"].items():
                    print(f"warning: epoch {epoch}: {name}: {text}", file=sys.stderr, flush=True)
                meta = {"history": history, "scaler": scaler.state_dict()}
                wait_for(state_file.parent)
                save_state(state_file, model, best, optimizer, meta)
            on_epoch(record)

    last = _weights(model)
    model.load_state_dict(best)
    return Trained(model, last, history, best_record(history)["epoch"])


def phases(params: Params) -> dict[str, Params]:
    """The params of each phase of a run: training, then large-margin fine-tuning where asked for."""
    fine = params.train.fine_tune
    if not fine.epochs:
        return {"train": params}
    changes = fine.model_dump(exclude={"aam_margin"}) | {"warmup_share": 0.0, "margin_warmup_share": 0.0}
    options = params.train.model_copy(update=changes)
    return {
        "train": params,
        "fine_tune": params.model_copy(update={"train": options, "aam_margin": fine.aam_margin}),
    }


def layers_by_rate(model: Laspa, decay: float) -> list[dict[str, Any]]:
    """The trained parameters as groups of the optimiser, each with its share of the learning rate.

    The last layer of the speaker encoder, and all that is not of it, have the whole rate, and each layer
    before has `decay` times that of the next one (ULMFiT; Howard and Ruder, 2018). With 1 there is one group.
    """
    layers: dict[str, list[nn.Parameter]] = {"": []}
    for name, value in model.named_parameters():
        if value.requires_grad:
            of_encoder = decay < 1 and name.startswith("speaker_encoder.")
            module = name.rpartition(".")[0]
            layers.setdefault(".".join(module.split(".")[:3]) if of_encoder else "", []).append(value)
    rest, *encoder = layers.values()
    shares = [1.0, *(decay**behind for behind in reversed(range(len(encoder))))]
    return [{"params": one, "share": share} for one, share in zip([rest, *encoder], shares, strict=True)]


def _weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def _draw_epoch(
    data: TrainingSet, params: Params, epoch: int, device: torch.device, processes: Processes
) -> tuple[np.ndarray, Iterator[Batch]]:
    """The utterances of this process's share of an epoch's batches, (batches, share), and the batches."""
    options, drawn, made = params.train, [], []
    crop_frames = max(1, round(options.crop_seconds * data.frames_per_second))
    for part, start in zip(processes.own, data.starts, strict=True):
        generator = np.random.default_rng([params.seed, epoch, *([part] if part else [])])
        drawn.append(draw(data, options.batch_size // processes.parts, generator, start))
        made.append(batches(data, drawn[-1], crop_frames, generator, options))
    joined = (Batch(*map(torch.cat, zip(*some, strict=True))) for some in zip(*made, strict=True))
    whole = made[0] if len(made) == 1 else joined
    return np.concatenate(drawn, axis=1), prefetched(whole) if device.type == "cuda" else whole


def _gradient_norms(
    weighted: dict[str, Tensor], model: nn.Module, keys: dict[str, Tensor], processes: Processes
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Norm of each weighted term's gradient over all parameters, before clipping; and by prefix-tuner that of
    the loss's gradient for what the tuner attends to, which reaches the other encoder."""
    parameters = [one for one in model.parameters() if one.requires_grad]
    keys = {side: key for side, key in keys.items() if key.requires_grad}  # not of a frozen encoder
    norms, passed = {}, {side: torch.zeros_like(key) for side, key in keys.items()}
    for name, value in weighted.items():
        found = torch.autograd.grad(
            value, [*parameters, *keys.values()], retain_graph=True, allow_unused=True
        )
        for side, one in zip(keys, found[len(parameters) :], strict=True):
            passed[side] += 0 if one is None else one
        kept = [one.float() for one in found[: len(parameters)] if one is not None]
        processes.mean(kept)
        norms[name] = torch.stack([one.norm() for one in kept]).norm()
    squares = {side: gradient.float().square().sum() for side, gradient in passed.items()}
    if squares:
        processes.mean(squares.values())  # each has the rows of its own batch, whose loss weighs 1 / size
    return norms, {side: (square / processes.size).sqrt() for side, square in squares.items()}


def stalled(done: list[Record], patience: int) -> bool:
    """Whether the last `patience` looks at dev were all no better than an earlier one; never if 0."""
    looks = [record for record in done if record["dev"]]
    return bool(patience) and len(looks) > patience and best_record(looks) in looks[:-patience]


def learning_rate_factor(
    progress_share: float, warmup_share: float, schedule: str = "cosine", final: float = 0.0
) -> float:
    """The share of the peak rate at a share of all steps: linear warm-up, then half a cosine, or an
    exponential, down to `final`."""
    if progress_share < warmup_share:
        return progress_share / warmup_share
    share = (progress_share - warmup_share) / max(1 - warmup_share, 1e-9)
    if schedule == "exponential":
        return float(final**share)
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * share))


def best_record(history: list[Record]) -> Record:
    """The epoch with the lowest first EER on dev, of those measured there; the earliest of equals."""
    measured = (record for record in history if record["dev"])
    return min(measured, key=lambda record: next(iter(record["dev"].values())))


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
