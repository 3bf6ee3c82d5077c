"""What each study trains: its budgets and changes, and that tuners stay small."""

import shutil
from pathlib import Path

import pytest

from laspa.errors import LaspaError
from laspa.files import read_json, write_json
from laspa.params import load_params, with_overrides
from pipelines.studies import table
from pipelines.studies.run import PLANS, check_added

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml")


@pytest.mark.parametrize("encoder", PARAMS.backbones.encoders)
@pytest.mark.parametrize("system", PARAMS.backbones.systems)
def test_tuners_add_at_most_the_papers_share_by_default(encoder: str, system: str) -> None:
    (plan,) = PLANS["backbones"](PARAMS, f"{encoder}-{system}").values()
    run = plan.params
    epochs = PARAMS.backbones.epochs[encoder]
    assert (run.model.speaker_encoder, run.train.epochs, run.train.dev_every) == (
        encoder,
        epochs,
        epochs // 4,
    )
    assert (run.train.crop_seconds, run.train.precision) == (0.75, "float32")


def test_larger_tuners_are_refused_by_name() -> None:
    run = PLANS["backbones"](PARAMS, "redimnet_b0-laspa")["redimnet_b0-laspa"].params
    with pytest.raises(
        LaspaError, match=r"add \d\.\d\d % to redimnet_b0, more than the 1\.16 % of the paper"
    ):
        check_added(with_overrides(run, {"model.attention_dim": 64}))


def test_a_backbone_without_epochs_is_refused_by_name() -> None:
    with pytest.raises(LaspaError, match=r"backbones\.epochs is 'tdnn' but should be one of resnet34_s, "):
        PLANS["backbones"](PARAMS, "tdnn-laspa")


def test_backbones_that_were_measured_before_stay_on_the_same_corpus_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["table", "backbones"])
    monkeypatch.setattr(table, "MANIFEST", tmp_path / "manifest")
    table.MANIFEST.write_text("the corpus", encoding="utf-8")
    rates = {part: {"all": {"eer": 0.2}} for part in ("conditions", "seen", "unseen")}
    pair_norm = {"conditions": {"all": {"eer": 0.15}}}
    known = dict.fromkeys(table.KEPT, 1) | {"seed": 1, "pair_norm": pair_norm} | rates
    folder = Path("studies/backbones/systems")

    def systems() -> dict[str, list[float]]:
        table.main()
        found = read_json(Path("studies/backbones.json"))["systems"]
        return {name: one["unseen"]["all"]["values"] for name, one in found.items()}

    write_json(folder / "a-baseline/seed-1.json", known)
    write_json(folder / "a-laspa/seed-1.json", known)
    assert systems() == {"a-baseline": [0.2], "a-laspa": [0.2]}
    shutil.rmtree(folder / "a-laspa")
    assert "other" not in read_json(Path("studies/backbones.json"))["systems"]["a-baseline"]
    other = {"conditions": {"all": {"eer": 0.3, "min_dcf_01": 1.0}}, "pair_norm": pair_norm}
    new = {"unseen": {"all": {"eer": 0.1}}, "other": other}
    write_json(folder / "a-baseline/seed-1.json", known | new)
    assert systems() == {"a-baseline": [0.1], "a-laspa": [0.2]}
    found = read_json(Path("studies/backbones.json"))["systems"]["a-baseline"]
    eers = {part: found[part]["all"]["values"] for part in ("pair_norm", "other", "other_pair_norm")}
    assert eers == {"pair_norm": [0.15], "other": [0.3], "other_pair_norm": [0.15]}
    assert "min_dcf_01" not in found["other"]["all"]  # the EER alone
    table.MANIFEST.write_text("another corpus", encoding="utf-8")
    assert systems() == {"a-baseline": [0.1]}


def test_a_reading_has_its_changes_and_the_studys_budget() -> None:
    plan = PLANS["replication"](PARAMS, "distance_detached")["distance_detached"]
    run = plan.params
    assert (run.model.mapc, run.loss_weights.mapc, run.train.warp) == ("distance", 4.0, 0)
    assert (run.train.epochs, run.train.dev_every, plan.split) == (8, 2, "dev")
    assert (run.model.keys, run.model.content_dim) == ("pooled", 0)


def test_the_ceiling_is_the_baseline_on_another_corpus() -> None:
    ceiling, baseline = (
        PLANS["results"](PARAMS, place)[place.removeprefix("systems.")]
        for place in ("ceiling", "systems.baseline")
    )
    changed = baseline.params.synthetic.model_copy(update={"bilingual_share": 1.0, "train_utterances": 10})
    assert ceiling.params == baseline.params.model_copy(update={"synthetic": changed})
    assert ceiling.data == Path("studies/results/ceiling/data")
    assert baseline.data == Path("data")
    assert (baseline.params.train.epochs, baseline.params.train.dev_every) == (48, 12)
    assert (baseline.seeds, baseline.split) == ([1, 2, 3], "test")


def test_choices_have_a_budget_of_their_own() -> None:
    plan = PLANS["results"](PARAMS, "choices.laspa_mapc_2")["laspa_mapc_2"]
    run = plan.params
    assert (run.train.epochs, run.train.dev_every, run.loss_weights.mapc) == (8, 8, 2.0)
    assert (plan.folder, plan.split) == ("choices", "dev")


def test_a_cell_changes_the_tuners_alone() -> None:
    plan = PLANS["prefix_heads"](PARAMS, "prefix-0-heads-4")["prefix-0-heads-4"]
    run = plan.params
    assert (run.prefix_len, run.num_heads, run.train.epochs, plan.folder) == (0, 4, 24, "cells")
    with pytest.raises(LaspaError, match="should be prefix-LENGTH-heads-NUMBER"):
        PLANS["prefix_heads"](PARAMS, "0-4")
