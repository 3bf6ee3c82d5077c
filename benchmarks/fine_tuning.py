"""What others report to help fine-tuning, as prototypes: each against plain fine-tuning on the same budget.

python benchmarks/fine_tuning.py [--systems plain lora] [--seeds 1 2 3] [--runs FOLDER]

Run it in a checkout whose pipeline has run, with the environment variables of laspa/arithmetic.py. It starts
from the trained baseline with new heads, and the last epoch is measured on dev and on `other`. It writes
benchmarks/fine_tuning.json and prints the table of docs/adapting.md. What pays on dev would go into laspa/.
"""

import argparse
import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

import laspa.training.loop as loop
from laspa.evaluation.embedding import embed_speakers
from laspa.evaluation.error_rates import eer
from laspa.evaluation.evaluate import condition_masks
from laspa.evaluation.intervals import percentile_interval, resampled_rates
from laspa.evaluation.metadata import Metadata, manifest_metadata
from laspa.evaluation.probes import trained_language_probe
from laspa.evaluation.scores import length_normalised
from laspa.evaluation.split import Split, load_split, score_trials
from laspa.files import write_json
from laspa.models.laspa import Laspa, Output
from laspa.models.losses import reverse_gradient
from laspa.models.saving import load_body
from laspa.params import load_params, with_overrides
from laspa.training.batches import TrainingSet, batches_per_epoch, draw
from laspa.training.run import load_training_data

DATA, BODY, RESULT = Path("data"), Path("data/trained/baseline"), Path("benchmarks/fine_tuning.json")
EPOCHS, BATCH, RESAMPLES = 4, 64, 300
CPU = torch.device("cpu")
EACH = 4  # utterances of a speaker in an episode, half of them for the prototype
POOL, HARD = 400_000, 0.1  # pairs drawn, and the share of the hardest of each condition
ANCHORED_LENGTH = 10.0
STEEPNESS = 10.0  # of the curriculum (Ganin and Lempitsky, 2015)

# What each changes. `plain` is what the others are compared with.
SYSTEMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "held": {"held": True},
    "lora": {"rank": 8},
    "lora_anchored": {"rank": 8, "dual": True, "anchored": 0.1, "nll": 0.5},
    "anchored": {"anchored": 0.1, "nll": 0.5},
    "adversary": {"adversary": 0.1},
    "curriculum": {"adversary": 0.1, "curriculum": True},
    "lproto": {"proto": 1.0, "one_language": True},
    "proto": {"proto": 1.0, "one_language": False},
    "sphereface2": {"sphereface2": True, "margin": 0.2},
    "hard_pairs": {"pairs": 1.0},
}


class LowRank(nn.Module):
    """A frozen encoder with W + BA in place of each of its matrices W (LoRA; Hu et al., 2021)."""

    def __init__(self, base: nn.Module, rank: int) -> None:
        super().__init__()
        self.base, self.stride, self.frame_dim = base.requires_grad_(False), base.stride, base.frame_dim
        self.names = [name for name, value in base.named_parameters() if value.ndim > 1]
        shapes = [base.get_parameter(name).flatten(1).shape for name in self.names]
        self.down = nn.ParameterList([torch.randn(rank, width) / width**0.5 for _, width in shapes])
        self.up = nn.ParameterList([torch.zeros(height, rank) for height, _ in shapes])

    def forward(self, mel: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        merged = {
            name: (old := self.base.get_parameter(name)) + (up @ down).view_as(old)
            for name, up, down in zip(self.names, self.up, self.down, strict=True)
        }
        return functional_call(self.base, merged, (mel, lengths))

    def train(self, mode: bool = True) -> "LowRank":
        super().train(mode)
        self.base.eval()  # batch normalisation keeps its statistics
        return self


class SphereFace2(nn.Module):
    """SphereFace2 with margin type C: a yes or no for each speaker (Han et al., ICASSP 2023)."""

    balance, power, scale = 0.7, 3, 10.0

    def __init__(self, dim: int, classes: int, margin: float) -> None:
        super().__init__()
        self.centres = nn.Parameter(nn.init.xavier_normal_(torch.empty(classes, dim)))
        z, middle = self.balance / ((1 - self.balance) * (classes - 1)), 2 * 0.5**self.power - 1
        yes, no = self.scale * (middle - margin), self.scale * (middle + margin)
        root = math.sqrt((1 - z) ** 2 + 4 * z * math.exp(yes - no))
        self.bias = nn.Parameter(torch.tensor(math.log(2 * z) - yes - math.log(1 - z + root)))

    def forward(self, embedding: Tensor, label: Tensor, margin: float, scale: float) -> Tensor:
        cosine = F.linear(F.normalize(embedding), F.normalize(self.centres))
        stretched = 2 * ((cosine + 1) / 2) ** self.power - 1
        target = F.one_hot(label, len(self.centres)).bool()
        yes = F.softplus(-self.scale * (stretched - margin) - self.bias)[target]
        no = F.softplus(self.scale * (stretched + margin) + self.bias).masked_fill(target, 0).sum(dim=1)
        return (self.balance * yes + (1 - self.balance) * no).mean()


class Tried(Laspa):
    """The baseline with one of SYSTEMS, whose term is added to AAM-softmax."""

    def __init__(self, spec: dict[str, Any], steps: int, *arguments: Any) -> None:
        super().__init__(*arguments)
        load_body(BODY, self)
        self.spec, self.steps, self.seen = spec, steps, 0
        system, _, speakers, languages = arguments
        dim = system.model.embedding_dim
        if rank := spec.get("rank"):
            if spec.get("dual"):  # the language branch is the same encoder with matrices of its own
                self.language_encoder = LowRank(copy.deepcopy(self.speaker_encoder), rank)
            self.speaker_encoder = LowRank(self.speaker_encoder, rank)
        if "sphereface2" in spec:
            self.speaker_head = SphereFace2(dim, speakers, spec["margin"])
        if "pairs" in spec:
            self.calibration = nn.Parameter(torch.tensor([10.0, -3.0]))
        if "adversary" in spec:
            self.adversary = nn.Linear(dim, languages)

    def train(self, mode: bool = True) -> "Tried":
        super().train(mode)
        if "held" in self.spec:  # batch normalisation keeps its statistics
            self.speaker_encoder.eval()
        return self

    def loss_terms(self, output: Output, *arguments: Any) -> dict[str, Tensor]:
        terms, (_, speaker, language, _) = super().loss_terms(output, *arguments), arguments
        self.seen += 1
        for name, term in (
            ("anchored", self._anchored),
            ("adversary", self._adversary),
            ("proto", self._prototypes),
            ("pairs", self._pairs),
        ):
            if name in self.spec:
                terms["aam"] = terms["aam"] + term(self.spec[name], output.speaker, speaker, language)
        return terms

    def _anchored(self, weight: float, embedding: Tensor, _: Tensor, language: Tensor) -> Tensor:
        """The classifier of language embeddings, which this term does not train (Dual-LoRA, 2604.26327).

        It reads embeddings of one length: else this grows without bound, and all embeddings become alike.
        """
        head, unit = self.language_head, F.normalize(embedding) * ANCHORED_LENGTH
        logits = F.linear(reverse_gradient(unit), head.weight.detach(), head.bias.detach())
        return weight * F.cross_entropy(logits, language)

    def _adversary(self, weight: float, embedding: Tensor, _: Tensor, language: Tensor) -> Tensor:
        if self.spec.get("curriculum"):
            weight *= 2 / (1 + math.exp(-STEEPNESS * self.seen / self.steps)) - 1
        reversed_share = embedding.detach() * (1 + weight) - weight * embedding
        return F.cross_entropy(self.adversary(reversed_share), language)

    def _prototypes(self, weight: float, embedding: Tensor, speaker: Tensor, _: Tensor) -> Tensor:
        """Cosines of half of a speaker's utterances with the means of the other halves (L-Proto)."""
        order = torch.argsort(speaker, stable=True)
        sets = F.normalize(embedding)[order].view(-1, EACH, embedding.shape[1])
        prototypes = F.normalize(sets[:, : EACH // 2].mean(dim=1))
        logits = STEEPNESS * sets[:, EACH // 2 :].flatten(0, 1) @ prototypes.T
        return weight * F.cross_entropy(logits, torch.arange(len(sets)).repeat_interleave(EACH // 2))

    def _pairs(self, weight: float, embedding: Tensor, speaker: Tensor, language: Tensor) -> Tensor:
        """Logistic loss of all pairs of the batch, each of the four conditions with the same weight."""
        unit = F.normalize(embedding)
        score = self.calibration[0] * unit @ unit.T + self.calibration[1]
        same, one = speaker[:, None] == speaker, language[:, None] == language
        upper = torch.ones_like(same).triu(1)
        kinds = [(same & one, -1), (same & ~one, -1), (~same & one, 1), (~same & ~one, 1)]
        parts = [F.softplus(sign * score[mask & upper]) for mask, sign in kinds]
        return weight * torch.stack([part.mean() for part in parts if len(part)]).mean()


def episodes(data: TrainingSet, generator: np.random.Generator, one_language: bool) -> np.ndarray:
    """Batches of EACH utterances of speakers, in one language or in any."""
    rows = []
    for _ in range(batches_per_epoch(data, BATCH)):
        chosen = np.arange(len(data))
        if one_language:
            chosen = np.flatnonzero(data.language == generator.integers(len(data.languages)))
        people = generator.permutation(np.unique(data.speaker[chosen]))[: BATCH // EACH]
        own = [generator.permutation(chosen[data.speaker[chosen] == one])[:EACH] for one in people]
        rows.append(np.concatenate(own))
    return np.array(rows)


def hard_pairs(data: TrainingSet, generator: np.random.Generator, unit: np.ndarray) -> np.ndarray:
    """Batches of as many pairs of each condition, drawn from those that the model gets most wrong."""
    a, b = generator.integers(len(data), size=(2, POOL))
    by = [np.flatnonzero(data.speaker == one) for one in range(len(data.speakers))]
    first = a[: POOL // 8]
    a = np.append(a, first)
    b = np.append(b, [generator.choice(by[data.speaker[row]]) for row in first])
    a, b = a[a != b], b[a != b]
    same, one = data.speaker[a] == data.speaker[b], data.language[a] == data.language[b]
    score = np.einsum("ij,ij->i", unit[a], unit[b])
    size, columns = (batches_per_epoch(data, BATCH), BATCH // 8), []
    for mask, sign in ((same & one, 1), (same & ~one, 1), (~same & one, -1), (~same & ~one, -1)):
        rows = np.flatnonzero(mask)
        rows = rows[np.argsort(sign * score[rows])][: int(len(rows) * HARD)]
        rows = generator.choice(rows, size=size, replace=len(rows) < np.prod(size))
        columns += [a[rows], b[rows]]
    return np.concatenate(columns, axis=1)


def fine_tune(name: str, seed: int, data: TrainingSet, folder: Path) -> Laspa:
    """The model after EPOCHS of one of SYSTEMS."""
    spec, made, mined = SYSTEMS[name], [], []
    changes = {"seed": seed, "train.epochs": EPOCHS, "train.dev_every": EPOCHS, "train.batch_size": BATCH}
    changes |= {"train.resume": "weights-only", "train.weights_from": str(BODY)}
    changes |= {"loss_weights.nll": spec.get("nll", 0.0), "aam_margin": spec.get("margin", 0.3)}
    params = with_overrides(load_params(Path("params.yaml")).resolve("baseline"), changes)

    def model(*arguments: Any) -> Tried:
        made.append(Tried(spec, EPOCHS * batches_per_epoch(data, BATCH), *arguments))
        return made[-1]

    def drawn(data: TrainingSet, size: int, generator: np.random.Generator, start: int) -> np.ndarray:
        if "proto" in spec:
            return episodes(data, generator, spec["one_language"])
        if "pairs" in spec:
            if len(mined) % 2 == 0:  # every second epoch
                unit = length_normalised(embed_speakers(made[-1], data.mels, data.utterance_ids, CPU))
            mined.append(unit if len(mined) % 2 == 0 else mined[-1])
            return hard_pairs(data, generator, mined[-1])
        return draw(data, size, generator, start)

    loop.Laspa, loop.draw, loop.load_body = model, drawn, lambda *_: None  # type: ignore[assignment]
    state = folder / f"{name}-{seed}.state"
    done = loop.train(params, data, CPU, lambda _: {"eer": 1.0}, lambda _: None, state)
    done.model.load_state_dict(done.last)
    state.unlink()
    return done.model


def compared(runs: dict[str, list[np.ndarray]], split: Split) -> dict[str, Any]:
    """EER by condition of each system, mean over seeds, and the change against `plain` with its interval."""
    trials, ids = split.trials, split.features.utterance_ids
    target, masks = trials.labels(), condition_masks(trials, Metadata())
    kept = {name: masks[name] for name in ("all", "cross_same", "same_same")}
    sides = manifest_metadata(trials, split.manifest).speakers(trials)
    found: dict[str, Any] = {}
    drawn: dict[str, list[dict[str, dict[str, np.ndarray]]]] = {}
    for name, seeds in runs.items():
        scores = [score_trials(trials, split.name, ids, one) for one in seeds]
        drawn[name] = [resampled_rates(one, target, sides, kept, RESAMPLES, 1) for one in scores]
        rates = {c: [eer(one[m & target], one[m & ~target]) for one in scores] for c, m in kept.items()}
        probes = [trained_language_probe(one, ids, split.manifest, 1, "quick").accuracy for one in seeds]
        found[name] = {"seeds": len(seeds), "eer": rates, "probe": probes, "change": {}}
        for condition in kept:
            both = zip(drawn[name], drawn["plain"], strict=False)  # seeds that both have
            gain = np.mean([one[condition]["eer"] - other[condition]["eer"] for one, other in both], axis=0)
            shared = min(len(seeds), found["plain"]["seeds"])
            means = [np.mean(found[one]["eer"][condition][:shared]) for one in (name, "plain")]
            found[name]["change"][condition] = [float(means[0] - means[1]), *percentile_interval(gain)]
    return found


def table(found: dict[str, Any]) -> str:
    """A row for each system: EER and its change against `plain`, and the probe, in per cent."""
    lines = []
    for name in found["dev"]:
        cells = [f"`{name}`"]
        for split, condition in (
            ("dev", "all"),
            ("dev", "cross_same"),
            ("dev", "same_same"),
            ("other", "all"),
        ):
            row = found[split][name]
            _, low, high = (100 * value for value in row["change"][condition])
            change = f" ({low:+.1f} to {high:+.1f})".replace("-", "−") if name != "plain" else ""
            cells.append(f"{100 * np.mean(row['eer'][condition]):.1f}{change}")
        cells.insert(4, f"{100 * np.mean(found['dev'][name]['probe']):.0f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=[*SYSTEMS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--runs", type=Path, default=Path("data/.partial/fine_tuning"))
    options = parser.parse_args()
    options.runs.mkdir(parents=True, exist_ok=True)
    splits = {name: load_split(DATA, name) for name in ("dev", "other")}
    data = load_training_data(DATA).train
    runs: dict[str, dict[str, list[np.ndarray]]] = {name: {} for name in splits}
    for seed in options.seeds:
        for name in dict.fromkeys(["plain", *options.systems]):
            file = options.runs / f"{name}-{seed}.npz"
            if not file.exists():
                model = fine_tune(name, seed, data, options.runs)
                embed: Callable[[Split], np.ndarray] = lambda one, model=model: embed_speakers(  # noqa: E731
                    model, one.features, one.features.utterance_ids, CPU
                )
                np.savez(file, **{one: embed(split) for one, split in splits.items()})
            for one in splits:
                runs[one].setdefault(name, []).append(np.load(file)[one])
    found = {one: compared(runs[one], split) for one, split in splits.items()}
    write_json(RESULT, found)
    print(table(found))


if __name__ == "__main__":
    main()
