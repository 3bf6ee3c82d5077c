"""Numbers in README.md and docs/: they are those of the files, and a wrong one is found."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from laspa.errors import LaspaError
from laspa.files import read_json, write_json
from pipelines import docs_numbers
from pipelines.docs_numbers import BLOCK, FIGURE, NUMBER, figure, findings, look_up, pages, renewed
from pipelines.studies import study_page
from tests.test_house import ROOT


@pytest.fixture(autouse=True)
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("page", ["README.md", *sorted(f"docs/{one.name}" for one in ROOT.glob("docs/*.md"))])
def test_a_page_says_what_the_files_say(page: str) -> None:
    text = Path(page).read_text(encoding="utf-8")
    wrong = [
        (old, new)
        for old, new in zip(text.splitlines(), renewed(text).splitlines(), strict=False)
        if old != new
    ]
    assert renewed(text) == text, (
        f"run `make numbers`; the first wrong line, and as it should be: {wrong[:1]}"
    )


def test_the_results_page_says_what_its_file_says() -> None:
    page = Path("docs/results.md").read_text(encoding="utf-8")
    assert study_page.page() == page, "run `make numbers`"


def test_the_sweep_s_page_says_what_its_table_says() -> None:
    trials = pd.read_csv("reports/tune/trials.csv", index_col="trial")
    page = Path("docs/tuning.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in page.splitlines() if re.match(r"\| \d+ \| [\d.]+ % \|", line)]
    assert len(rows) == 8
    best = trials.sort_values("dev_eer").index[:8]
    assert [int(row[0]) for row in rows] == best.tolist()
    for trial, eer, *values in rows:
        found = trials.loc[int(trial)]
        assert eer.strip() == f"{100 * found['dev_eer']:.2f} %"
        assert [float(value) for value in values] == found["prefix_len":"loss_weights.mse"].tolist()


def test_the_figure_shows_the_numbers_of_the_summary() -> None:
    def labels(svg: str) -> list[str]:
        return re.findall(r"<text[^>]*>(.*?)</text>", svg)

    drawn = labels(figure())
    assert labels(FIGURE.read_text(encoding="utf-8")) == drawn, "run `make numbers`"
    systems = read_json("reports/summary.json")["systems"]
    assert f"{100 * systems['baseline']['conditions']['cross_same']['eer']:.1f}" in drawn


def test_marks_and_blocks_are_there() -> None:
    texts = [page.read_text(encoding="utf-8") for page in pages()]
    assert sum(len(NUMBER.findall(text)) for text in texts) >= 10
    assert {name for text in texts for _, name, _ in BLOCK.findall(text)} == set(docs_numbers.BLOCKS)
    lines = [line for text in texts for line in text.splitlines() if NUMBER.match(line.strip())]
    assert not lines  # Markdown would end the paragraph there
    marked = sum(len(re.findall(r"<!-- [\w/.-]+\.(?:json|yaml) ", text)) for text in texts)
    assert marked == sum(len(NUMBER.findall(text)) for text in texts), "a mark without a number after it"


def test_a_wrong_number_is_put_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_json("a.json", {"eer": {"mean": 0.1234}, "gain": -0.456, "trials": [7, 32600], "points": -0.012})
    text = (
        "EER <!-- a.json eer.mean percent -->9.99 % (<!-- a.json eer.mean whole -->?), "
        "<!-- a.json gain relative -->3 % higher, "
        "<!-- a.json points points -->+1.00, <!-- a.json trials.1 count -->1,000."
    )
    bare = re.sub(r"<!-- .*? -->", "", renewed(text))
    assert bare == "EER 12.3 % (12), 46 % lower, −1.20, 32,600."
    assert renewed(renewed(text)) == renewed(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- a.json eer.low percent -->1", r"a\.json has no eer\.low"),
        ("<!-- b.json eer percent -->1", r"b\.json: no such file"),
        ("<!-- a.json eer nicely -->1", "no such format; known are percent"),
        ("<!-- block poem -->\n<!-- end -->", "no such block; known are"),
    ],
)
def test_a_mark_that_names_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_json("a.json", {"eer": 0.1})
    with pytest.raises(LaspaError, match=message):
        renewed(text)


def test_one_command_writes_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    for name in ("README.md", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    monkeypatch.chdir(tmp_path)
    for name in (
        "reports/summary.json",
        "reports/study.json",
        "studies/travel.json",
        "studies/prefix_heads.json",
        "studies/shifts.json",
        "studies/replication.json",
        "studies/backbones.json",
        "tests/faults/summary.json",
    ):
        write_json(name, read_json(ROOT / name))
    readme = Path("README.md")
    as_it_is = readme.read_text(encoding="utf-8")
    readme.write_text(re.sub(r"(Baseline +)\d\d", r"\g<1>99", as_it_is), encoding="utf-8")
    Path("docs/results.md").write_text("old", encoding="utf-8")
    docs_numbers.main()
    assert capsys.readouterr().out.startswith("Changed  README.md\nChanged  docs/results.md\n")
    assert readme.read_text(encoding="utf-8") == as_it_is
    readme.write_text("<!-- reports/study.json nothing percent -->1", encoding="utf-8")
    with pytest.raises(LaspaError, match=r"README\.md: reports/study\.json has no nothing"):
        docs_numbers.main()


def test_each_system_beside_the_baseline_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    study = read_json("reports/study.json")
    monkeypatch.chdir(tmp_path)
    write_json("reports/study.json", study)
    told = findings().splitlines()
    assert len(told) == 3
    assert told[0].startswith("- **Real people**")
    for line in told[1:]:
        assert "LASPA+ is" in line
        assert "LASPA as published" in line


def test_people_s_numbers_are_those_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("docs").mkdir()
    Path("docs/adapting.md").write_text("| none (as it is) | 1.5 | 4.5 |\n", encoding="utf-8")
    with pytest.raises(LaspaError, match=r"docs/adapting\.md: no row that begins with `pair`"):
        findings()


def test_params_can_be_cited() -> None:
    assert look_up(Path("params.yaml"), "synthetic.languages.0") == "en"
