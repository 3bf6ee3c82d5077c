"""The table of studies/adapt, and that the study's own commands exist."""

import shlex

import yaml

from laspa.cli.main import command_parser
from pipelines.studies.table import adapt_rows
from tests.test_house import ROOT

RATES = {"first": 0.0498, "second": 0.0173, "low": -0.0549, "high": -0.0166}


def test_a_row_for_each_set_and_the_parts_that_were_allowed() -> None:
    pays = {"compared": {"all": RATES}, "pays": True, "parts": ["pair"]}
    declined = pays | {"pays": False, "parts": []}
    lines = adapt_rows({"people": {"pair": pays, "whiten": declined}}).splitlines()
    assert lines[0] == "| set | parts allowed | all | cross_cross | cross_same | same_same | used |"
    assert lines[2] == "| people | pair | 4.98 → 1.73 (−5.49 to −1.66) | – | – | – | pair |"
    assert lines[3].endswith("| no |")


def test_the_commands_of_the_study_can_be_parsed() -> None:
    stages = yaml.safe_load((ROOT / "studies/adapt/dvc.yaml").read_text(encoding="utf-8"))["stages"]
    found = []
    for stage in stages.values():
        for command in stage["cmd"].split(" && "):
            words = shlex.split(command.replace("${bootstrap}", "1000").partition(" > ")[0])
            if words[0] == "laspa":
                found.append(command_parser().parse_args(words[1:]).run)
    assert found == ["laspa.cli.models:import_model", "laspa.cli.recogniser:embed", "laspa.cli.backend:fit"]
