"""Stage system of studies/backbones: one system over one backbone, each seed on the study's budget, on test.

Usage: python -m pipelines.backbones ENCODER SYSTEM [--device DEVICE] [--smallest]
"""

import argparse
from pathlib import Path

import torch

from laspa.errors import LaspaError
from laspa.models.laspa import Laspa, added_parameters_percent
from laspa.params import Params, load_params, with_overrides
from pipelines import stage
from pipelines.systems import DEV_LOOKS, measure_seeds, on_budget, with_seeds

DATA, STUDY = Path("data"), Path("studies/backbones")
MOST_ADDED = 1.16  # per cent of the base model's parameters that the prefix-tuners of the paper add


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipelines.backbones", description=__doc__)
    parser.add_argument("encoder")
    parser.add_argument("system")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], help="instead of train.device")
    parser.add_argument("--smallest", action="store_true", help="one seed, one epoch, in its own folder")
    options = parser.parse_args()
    params = over_backbone(load_params(stage.PARAMS_FILE), options.encoder, options.system)
    check_added(params)
    if options.device:
        params = with_overrides(params, {"train.device": options.device})
    seeds, results = params.backbones.seeds, STUDY / "systems"
    if options.smallest:
        params = with_overrides(params, {"train.epochs": 1})
        seeds, results = seeds[:1], STUDY / "smallest"
    name = f"{options.encoder}-{options.system}"
    measure_seeds(name, "backbones", with_seeds(params, seeds), DATA, results)


def over_backbone(params: Params, encoder: str, system: str) -> Params:
    """The params of a system over a backbone, on the study's budget."""
    study = params.backbones
    changes = {"model.speaker_encoder": encoder, "train.epochs": study.epochs}
    changes |= {"train.dev_every": max(1, study.epochs // DEV_LOOKS)}
    changes |= {"train.crop_seconds": study.crop_seconds, "train.precision": study.precision}
    return with_overrides(on_budget(params, system), changes)


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


if __name__ == "__main__":
    stage.run(main)
