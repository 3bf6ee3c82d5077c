"""Training: one function that reads from top to bottom, for every system of the comparison."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from laspa.checkpoint import load_state, save_state
from laspa.data import TrainingSet, batches, batches_per_epoch
from laspa.errors import LaspaError
from laspa.models.laspa import Laspa
from laspa.params import Params
from laspa.progress import progress

CHECK_EVERY = 50  # steps between looks at the loss: each look makes a GPU wait

Record = dict[str, Any]


@dataclass
class Trained:
    """A model with the weights of its best epoch, and the record of every epoch."""

    model: Laspa
    history: list[Record]
    best_epoch: int


def train(
    params: Params,
    data: TrainingSet,
    device: torch.device,
    dev_eer: Callable[[Laspa], dict[str, float]],
    on_epoch: Callable[[Record], None],
    state_file: Path,
) -> Trained:
    """Train one system.

    Whatever is random is drawn from (seed, epoch), so a run that is killed goes on from its last
    whole epoch and ends with the same weights as one that was not.

    Args:
        data: the train split.
        dev_eer: EERs on the dev trials by name; the first one chooses the best epoch.
        on_epoch: called with each epoch's record, of earlier epochs too when a run goes on.
        state_file: where the training state is kept between epochs.

    Raises:
        LaspaError: a loss term that is not finite; the message names term, epoch and step.
    """
    options = params.train
    torch.manual_seed(params.seed)
    torch.set_num_threads(options.threads)
    model = Laspa(params, data.num_mels, len(data.speakers), len(data.languages)).to(device)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay, fused=True
    )
    steps_per_epoch = batches_per_epoch(data, options.batch_size)
    total_steps = options.epochs * steps_per_epoch
    crop_frames = max(1, round(options.crop_seconds * data.frames_per_second))

    heard_in = data.heard_in().to(device)

    history: list[Record] = []
    best = {name: value.clone() for name, value in model.state_dict().items()}
    if state_file.exists():
        best, meta = load_state(state_file, model, optimizer)
        history = meta["history"]
        for record in history:
            on_epoch(record)

    for epoch in range(len(history) + 1, options.epochs + 1):
        model.train()
        generator = np.random.default_rng([params.seed, epoch])
        epoch_batches = batches(data, options.batch_size, crop_frames, generator, options.warp, options.bend)
        seen: list[Tensor] = []
        label = f"epoch {epoch}/{options.epochs}"
        for step, batch in enumerate(progress(epoch_batches, steps_per_epoch, label, unit="batch"), start=1):
            done = (epoch - 1) * steps_per_epoch + step
            rate = options.learning_rate * learning_rate_factor(done / total_steps, options.warmup_share)
            margin = params.aam_margin * min(1.0, done / total_steps / max(options.margin_warmup_share, 1e-9))
            for group in optimizer.param_groups:
                group["lr"] = rate
            batch = batch.to(device)
            output = model(batch.mel)
            competitors = heard_in[batch.language] if options.compete == "language" else None
            terms = model.loss_terms(output, batch.mel, batch.speaker, batch.language, margin, competitors)
            loss = sum(getattr(params.loss_weights, name) * value for name, value in terms.items())
            optimizer.zero_grad()
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), options.clip_norm)
            optimizer.step()
            watched = {"loss": loss, **terms, "grad_norm": norm} | model.prefix_mass(output)
            if model.centring is not None:
                model.centring.follow(output.speaker, batch.language)
            seen.append(torch.stack([value.detach() for value in watched.values()]))
            if step % CHECK_EVERY == 0 or step == steps_per_epoch:
                _stop_if_not_finite(list(watched), seen, epoch)
        means = dict(zip(watched, torch.stack(seen).mean(dim=0).tolist(), strict=True))
        history.append(_record(epoch, means, margin, rate, dev_eer(model)))
        if best_record(history) is history[-1]:
            best = {name: value.clone() for name, value in model.state_dict().items()}
        save_state(state_file, model, best, optimizer, {"history": history})
        on_epoch(history[-1])

    model.load_state_dict(best)
    return Trained(model, history, best_record(history)["epoch"])


def learning_rate_factor(progress_share: float, warmup_share: float) -> float:
    """Linear warm-up, then half a cosine down to zero: the share of the peak rate at a share of all steps."""
    if progress_share < warmup_share:
        return progress_share / warmup_share
    return 0.5 * (1 + math.cos(math.pi * (progress_share - warmup_share) / max(1 - warmup_share, 1e-9)))


def best_record(history: list[Record]) -> Record:
    """The epoch with the lowest first EER on dev; the earliest of equals."""
    return min(history, key=lambda record: next(iter(record["dev"].values())))


def _stop_if_not_finite(names: list[str], seen: list[Tensor], epoch: int) -> None:
    bad = ~torch.isfinite(torch.stack(seen))
    if not bad.any():
        return
    step, column = (int(index) for index in bad.nonzero()[0])
    raise LaspaError(
        f"training: {names[column]} is {seen[step][column].item()} in epoch {epoch}, step {step + 1}; "
        "the state of the epoch before is kept. Lower train.learning_rate, aam_scale or the term's weight"
    )


def _record(epoch: int, means: dict[str, float], margin: float, rate: float, dev: dict[str, float]) -> Record:
    terms = {name: means.get(name) for name in ("loss", "aam", "nll", "mapc", "mse", "grl", "grad_norm")}
    attention = {name: means[name] for name in ("speaker", "language") if name in means}
    return {
        "epoch": epoch,
        **terms,
        "margin": margin,
        "learning_rate": rate,
        "attention": attention,
        "dev": dev,
    }
