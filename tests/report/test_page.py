"""The report page: what stands on it, that it is one deterministic file, that a browser shows all of it."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from laspa.files import write_json
from laspa.models.losses import TERMS
from laspa.report.figure_data import DET_RATES
from laspa.report.figures import DEV_MARKERS
from laspa.report.html import COLOURS
from laspa.report.page import corpora_table, plot_tables, render, split_table
from laspa.report.page_figures import page_figures
from laspa.report.results import Results, read_results
from laspa.report.summary import Summary
from laspa.report.svg import STAND_INS, file_svg
from laspa.report.text import term_abbreviation
from laspa.trials.conditions import CONDITIONS
from pipelines.result import result_text

REPOSITORY = Path(__file__).parents[2]
DVC = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))
ALL_FIGURES = {
    "result-home",
    "prefix-heads",
    "det",
    "scores",
    "languages",
    "tsne-speakers",
    "tsne-languages",
    "losses",
    "dev",
    "attention",
    "attention-profile",
    "probe",
    "reconstruction",
}
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))),
    None,
)
CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
]


@pytest.fixture(scope="module")
def page(results: Results) -> str:
    return render(results, page_figures(results))


class Reader(HTMLParser):
    """Checks that tags nest and collects what the tests ask of the page."""

    VOID = frozenset(["meta", "link", "br"])

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.figures: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag not in self.VOID:
            self.open.append(tag)
        if "id" in values:
            self.ids.append(values["id"])
        if tag == "figure":
            self.figures.append(values["id"].removeprefix("figure-"))
        self.references += values.get("aria-labelledby", "").split()
        for name in ("href", "src"):
            if name in values:
                self.links.append(values[name])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


def test_every_figure_is_there_once_with_a_text_alternative(page: str) -> None:
    reader = read(page)
    assert sorted(reader.figures) == sorted(ALL_FIGURES)
    assert len(reader.ids) == len(set(reader.ids))
    assert set(reader.references) <= set(reader.ids)
    assert page.count('role="img"') == len(ALL_FIGURES)
    assert not re.search(r"<desc[^>]*>\s*</desc>", page)


def test_the_page_needs_nothing_but_itself(page: str) -> None:
    reader = read(page)
    assert all(link.startswith(("#", "data:")) for link in reader.links)
    assert all(link[1:] in reader.ids for link in reader.links if link.startswith("#"))
    assert "<script" not in page
    assert not re.search(r"url\((?!#)|@import", page)


def test_figures_follow_the_colour_scheme(page: str) -> None:
    svg = "".join(re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL))
    assert not any(stand_in in svg for stand_in in STAND_INS.values())
    assert all(f"var(--{name})" in svg for name in COLOURS if name != "purple")
    assert "prefers-color-scheme: dark" in page


def test_the_headline_says_what_was_measured(page: str, results: Results) -> None:
    eer = results.summary["systems"]["laspa"]["conditions"]["cross_same"]["eer"]
    assert f">{100 * eer:.1f}<small>" in page
    assert results.metrics["trial_list"]["sha256"] in page
    assert "cd" * 32 in page
    assert "<code>prefix_len</code>" in page


def test_sections_are_in_the_order_in_which_they_are_read(page: str) -> None:
    order = ["conditions", "languages", "embeddings", "training", "data", "provenance", "ablation", "grid"]
    assert re.findall(r'<section id="(\w+)"', page) == order
    assert re.findall(r'<a href="#(\w+)">', page) == ["main", *order]


def test_the_table_of_equals_shows_both_places_and_what_a_difference_shows(results: Results) -> None:
    systems = json.loads(json.dumps(results.summary["systems"]))
    for name, system in systems.items():
        system["other"] = {key: system[key] for key in ("conditions", "trial_list")}
        if name != "baseline":
            worse = {"eer": 0.0448, "eer_low": 0.0019, "eer_high": 0.0808, "p_value": 0.04}
            system["difference"]["other"] = {"conditions": {"cross_same": worse, "all": worse}}
    changed = replace(results, summary=results.summary | {"systems": systems})
    figures = page_figures(changed)
    page = render(changed, figures)
    table = page[page.index('<table class="equals"') : page.index("</table>")]
    assert {"result-home", "result-other"} <= set(figures)
    assert len(re.findall(r'<th scope="rowgroup" colspan="3">', table)) == len(CONDITIONS)
    assert table.count("cross / same") == 1
    assert table.count('<th scope="row">LASPA+</th>') == len(CONDITIONS)
    assert '<span class="higher">+4.48<em>worse</em><small>+0.19 to +8.08</small></span>' in table
    assert "on other voices it is worse (EER" in page
    assert max(map(len, result_text(changed.summary).splitlines())) <= 100


def test_any_system_can_be_the_default(folder: Path, summary_of: Callable[[Path], Summary]) -> None:
    summary = summary_of(folder)
    for default in ("baseline", "laspa"):
        results = read_results(folder / "data", summary | {"default": default}, {}, {})
        page = render(results, page_figures(results))
        table = page[page.index('<table class="equals"') : page.index("</table>")]
        rows = re.findall(r'<th scope="row">([^<]+)</th>', table)
        assert rows[0] == "Baseline"
        assert set(rows) == {"Baseline", "LASPA", "LASPA+"}
        assert re.search(
            r'<p class="lead">On this corpus LASPA ', page
        )  # of it is told beside the baseline too


def test_the_data_card_names_licence_and_source(page: str) -> None:
    assert ">The embedded corpus</th>" in page
    assert "CC0 1.0 (https://creativecommons.org/publicdomain/zero/1.0/)<small>laspa, docs/corpora.md" in page


def test_prefix_lengths_say_whose_they_are_and_what_the_prefix_did(page: str, results: Results) -> None:
    assert results.prefix_heads
    table = page[page.index('id="grid"') :]
    rows = re.findall(r'<th scope="row" class="n">(\d+)</th><td class="n">(\d)</td>', table)
    assert rows == [("0", "1"), ("0", "2"), ("8", "1"), ("8", "2")]
    assert "+2.00<em>worse</em><small>+2.00 to +2.00</small>" in table
    assert "another corpus" not in table
    moved = Results(
        **{**vars(results), "prefix_heads": {**results.prefix_heads, "manifest_sha256": "ef" * 32}}
    )
    assert "another corpus" in render(moved, page_figures(moved))


def test_official_lists_are_shown_with_what_they_are(page: str, results: Results) -> None:
    assert "Official lists" not in page
    rates = {"eer": 0.0123, "eer_low": 0.01, "eer_high": 0.02, "min_dcf_01": 0.1234, "min_dcf_05": 0.0678}
    conditions = {"cross_same": rates | {"eer": 0.0456, "trials": 5}, "all": rates | {"trials": 37_611}}
    info = {"name": "voxceleb1-o", "sha256": "12ab" * 16, "trials": 37_611, "speakers": 40}
    measured = {"voxceleb1-o": {"conditions": conditions, "omitted": {}, "trial_list": info}}
    systems = results.summary["systems"] | {"laspa_plus": results.metrics | {"official": measured}}
    changed = replace(results, summary=results.summary | {"systems": systems})
    page = render(changed, page_figures(changed))
    table = page[page.index("Official lists") :]
    assert "voxceleb1-o<small>40 speakers, SHA-256 12ab12ab" in table
    assert table.index("37,611") < table.index("1.23") < table.index("0.123") < table.index("4.56")


def test_names_from_a_corpus_cannot_become_markup(results: Results) -> None:
    manifest = results.manifest.copy()
    manifest["language"] = manifest["language"].replace("en", "<script>$x_1$&")
    changed = Results(**{**vars(results), "manifest": manifest})
    page = render(changed, page_figures(changed))
    assert "<script>" not in page
    assert "&lt;script&gt;$x_1$&amp;" in page
    read(page)


def test_another_process_writes_the_same_bytes(folder: Path, page: str, results: Results) -> None:
    write_json(folder / "reports/summary.json", results.summary)
    code = (
        "import json, sys\nfrom pathlib import Path\nfrom laspa.params import load_params\n"
        "from laspa.report.page_figures import page_figures\nfrom laspa.report.page import render\n"
        "from laspa.report.prefix_heads import read_prefix_heads\n"
        "from laspa.report.results import read_results\nfrom pipelines.tracking.runs import flat_params\n"
        f"params = flat_params(load_params({str(REPOSITORY / 'params.yaml')!r}).resolve('laspa'))\n"
        "summary = json.loads(Path('reports/summary.json').read_text())\n"
        "results = read_results(Path('data'), summary, params, {'Features, digest': 'cd' * 32}, "
        "{'prefix_heads': read_prefix_heads(Path('studies/prefix_heads.json'))})\n"
        "sys.stdout.write(render(results, page_figures(results)))\n"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONHASHSEED": "7",
        "PYTHONIOENCODING": "utf-8",
    }
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, check=True
    )
    assert run.stdout.decode() == page


def test_what_a_corpus_or_system_lacks_is_left_out_and_said(
    tmp_path: Path, write_results: Callable[..., None], summary_of: Callable[[Path], Summary]
) -> None:
    write_results(tmp_path, seeds=1, speakers=4, languages=1, language_encoder=False, epochs=1, utterances=3)
    results = read_results(tmp_path / "data", summary_of(tmp_path), {}, {})
    page = render(results, page_figures(results))
    assert not {"attention", "reconstruction", "prefix-heads"} & set(read(page).figures)
    assert "Not measured yet." in page
    assert "dvc --cd studies/prefix_heads repro" in page
    assert "cross / same: no speaker speaks two languages" in page
    assert re.search(r'<p class="lead">On this corpus LASPA\+ .* over all trials', page)
    assert "no errors at these rates" in page or "det" in read(page).figures
    printed = result_text(results.summary)
    assert "cross / same left out: no speaker speaks two languages" in printed
    assert "1 seed" in printed


def test_plot_files(results: Results) -> None:
    tables = plot_tables(results)
    det = tables["det.csv"]
    assert list(det.columns) == [
        "false_acceptances",
        "cross_same",
        "same_same",
        "cross_cross",
        "same_cross",
        "all",
    ]
    assert len(det) == len(DET_RATES)
    assert np.all(np.diff(det["all"].dropna()) <= 0)
    measured = [record for record in results.train["history"] if record["dev"]]
    assert tables["dev.csv"]["epoch"].tolist() == [record["epoch"] for record in measured]
    assert tables["dev.csv"]["eer_cross_same"].tolist() == [
        record["dev"]["eer_cross_same"] for record in measured
    ]
    assert not any("dev" in column for column in tables["training.csv"])
    assert tables["training.csv"]["epoch"].dtype == pd.Series([1]).dtype
    item = page_figures(results)["result-home"]
    assert "#ffffff" in file_svg(item.figure)
    assert "var(" not in file_svg(item.figure)


def test_split_table_by_hand() -> None:
    rows = [("a", "en", "train", 16000), ("a", "fr", "train", 32000), ("b", "en", "train", 16000)]
    manifest = pd.DataFrame(rows, columns=["speaker", "language", "split", "num_samples"]).assign(
        sample_rate=16000
    )
    train, dev, test = split_table(manifest)
    assert train == {
        "split": "train",
        "speakers": 2,
        "multilingual": 1,
        "languages": ["en", "fr"],
        "utterances": 3,
        "hours": pytest.approx(4 / 3600),
    }
    assert dev["speakers"] == test["utterances"] == 0


def test_corpora_table_by_hand() -> None:
    rows = [("tidyvoice-a", "eng", "tidyvoice"), ("tidyvoice-a", "fra", "tidyvoice"), ("mine", "und", "mine")]
    manifest = pd.DataFrame(rows, columns=["speaker", "language", "corpus"])
    mine, tidy = corpora_table(manifest.assign(num_samples=16_000, sample_rate=16_000))
    counts = {"speakers": 1, "languages": 2, "utterances": 2, "hours": pytest.approx(2 / 3600)}
    assert {name: tidy[name] for name in counts} == counts
    assert (tidy["title"], tidy["of"]) == ("TidyVoiceX", 4474)  # of whom there is one
    assert "2026" in tidy["citation"]
    # Nothing is known of a corpus that is in no catalogue, and its language is not told.
    assert (mine["title"], mine["of"], mine["licence"], mine["citation"]) == ("mine", None, "", "")
    assert mine["languages"] == 0


def test_every_loss_term_that_was_trained_is_shown(results: Results) -> None:
    history = [record | dict.fromkeys(TERMS, 1.0 / record["epoch"]) for record in results.train["history"]]
    for record in history:
        record["gradient"] = dict.fromkeys(TERMS, 0.5)
    gradients = {"speaker_encoder": dict.fromkeys(TERMS, 0.25)}
    changed = replace(results, train=results.train | {"history": history}, gradients=gradients)
    figures = page_figures(changed)
    drawn = file_svg(figures["losses"].figure)
    page = render(changed, figures)
    table = page[page.index('aria-label="Gradient norms"') :]
    columns = set(plot_tables(changed)["training.csv"].columns)
    for name, term in TERMS.items():
        assert f">{term.label}</text>" in drawn
        assert f"{term.label} from 1 to 0.1" in figures["losses"].description
        assert f">{term_abbreviation(name)}</text>" in drawn  # its gradient's norm
        assert f">{term_abbreviation(name)}</th>" in table
        assert name in columns


def test_dvc_plots_the_terms_of_the_default_system() -> None:
    plots = {name: plot for entry in DVC["plots"] for name, plot in entry.items()}
    (shown,) = plots["Losses"]["y"].values()
    assert {"aam", "nll", "mapc", "mse"} <= set(shown) <= set(TERMS)
    assert list(plots["DET curves"]["y"].values()) == [list(CONDITIONS)]
    (dev,) = plots["EER on dev"]["y"].values()
    assert dev == [f"eer_{name}" for name in DEV_MARKERS]


@pytest.mark.parametrize("width", [1280, 375])
def test_a_browser_shows_all_of_it(page: str, tmp_path: Path, width: int) -> None:
    if CHROMIUM is None:
        warnings.warn(
            "Chromium is missing: the page is not looked at; apt-get install chromium", stacklevel=1
        )
        pytest.skip("Chromium is missing: the report page was not opened in a browser")
    probe = (REPOSITORY / "tests/report/probe.html").read_text(encoding="utf-8")
    content = json.dumps(page).replace("</", "<\\/")
    document = tmp_path / "probe.html"
    document.write_text(probe.replace("WIDTH", str(width)).replace("PAGE", content), encoding="utf-8")
    with tempfile.TemporaryDirectory() as profile:
        run = subprocess.run(
            [
                CHROMIUM,
                *CHROMIUM_FLAGS,
                f"--user-data-dir={profile}",
                "--window-size=1400,1000",
                "--dump-dom",
                document.as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
    title = re.search(r"<title>(.*?)</title>", run.stdout)
    assert title is not None
    assert "CONSOLE" not in run.stderr, [line for line in run.stderr.splitlines() if "CONSOLE" in line]
    seen, content_width, unreachable = title[1].split("|")
    assert set(seen.split()) == ALL_FIGURES
    assert int(content_width) <= width  # the page itself never scrolls sideways
    assert unreachable == "0"
