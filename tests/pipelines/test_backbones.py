"""The studies on dev and over the backbones: their budgets, and that tuners stay small."""

from pathlib import Path

import pytest

from laspa.errors import LaspaError
from laspa.params import load_params, with_overrides
from pipelines.backbones import check_added, over_backbone
from pipelines.replicate import reading

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml")


@pytest.mark.parametrize("encoder", PARAMS.backbones.encoders)
@pytest.mark.parametrize("system", PARAMS.backbones.systems)
def test_tuners_add_at_most_the_papers_share_by_default(encoder: str, system: str) -> None:
    run = over_backbone(PARAMS, encoder, system)
    check_added(run)
    assert (run.model.speaker_encoder, run.train.epochs, run.train.dev_every) == (encoder, 8, 2)
    assert (run.train.crop_seconds, run.train.precision) == (0.75, "bfloat16")


def test_larger_tuners_are_refused_by_name() -> None:
    run = with_overrides(over_backbone(PARAMS, "redimnet_b0", "laspa"), {"model.attention_dim": 64})
    with pytest.raises(
        LaspaError, match=r"add \d\.\d\d % to redimnet_b0, more than the 1\.16 % of the paper"
    ):
        check_added(run)


def test_a_reading_has_its_changes_and_the_studys_budget() -> None:
    run = reading(PARAMS, "distance_detached")
    assert (run.model.mapc, run.loss_weights.mapc, run.train.warp) == ("distance", 4.0, 0)
    assert (run.train.epochs, run.train.dev_every) == (8, 2)
    assert (run.model.keys, run.model.content_dim) == ("pooled", 0)
