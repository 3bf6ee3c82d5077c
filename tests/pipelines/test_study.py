"""The comparison on the full budget: its runs, and what its page says of each choice."""

import json
import re
from pathlib import Path

from laspa.files import read_json
from laspa.params import load_params
from laspa.params.loading import read_yaml
from pipelines.study import seed_runs
from pipelines.study_page import choice_changes

ROOT = Path(__file__).parents[2]
PARAMS = load_params(ROOT / "params.yaml")


def test_the_page_shows_what_each_choice_changes() -> None:
    changes = choice_changes(read_yaml(ROOT / "params.yaml"))
    committed = read_json(ROOT / "reports/study.json")["choices"]
    page = (ROOT / "docs/results.md").read_text(encoding="utf-8")
    for name in changes.keys() & committed.keys():  # rows of switches that left are still there
        choice = committed[name]
        assert json.dumps(changes[name], sort_keys=True) == json.dumps(choice["changes"], sort_keys=True)
        (shown,) = re.findall(rf"^\| `{name}` \| (`.*`|–) \| .* \| .* \| .* \|$", page, re.MULTILINE)
        assert shown == (
            ", ".join(f"`{key}: {value}`" for key, value in sorted(changes[name].items())) or "–"
        )
    assert len(changes.keys() & committed.keys()) > 5


def test_the_ceiling_is_the_baseline_on_another_corpus() -> None:
    ceiling, baseline = (seed_runs(PARAMS, place)[2] for place in ("ceiling", "systems.baseline"))
    changed = baseline.synthetic.model_copy(update={"bilingual_share": 1.0, "train_utterances": 10})
    assert ceiling == baseline.model_copy(update={"synthetic": changed})
    assert (baseline.seed, baseline.train.epochs, baseline.train.dev_every) == (2, 48, 12)


def test_choices_have_a_budget_of_their_own() -> None:
    run = seed_runs(PARAMS, "choices.laspa_mapc_2")[1]
    assert (run.train.epochs, run.train.dev_every, run.loss_weights.mapc) == (8, 8, 2.0)
