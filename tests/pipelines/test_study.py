"""What the page of the comparison on the full budget says of each choice."""

import json
import re
from pathlib import Path

from laspa.files import read_json
from laspa.params.loading import read_yaml
from pipelines.studies.study_page import choice_changes

ROOT = Path(__file__).parents[2]


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
