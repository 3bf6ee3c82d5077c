"""The docs: every command in them can be parsed, every page is on the site, and the site builds."""

import itertools
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from laspa.cli.main import command_parser
from laspa.params import load_params
from tests.test_house import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:laspa|dvc|make|python|benchmarks/\w+\.sh) [^`\n]+)`")
PROGRAMS = ("laspa", "dvc", "make", "python", "benchmarks/")


def commands() -> Iterator[tuple[str, str]]:
    """(page, command) of every shell line in a code block, and of every command in the text."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for _, language, block in FENCE.findall(text):
            if language not in ("", "sh", "bash", "console"):
                continue
            for line in block.replace("\\\n", " ").splitlines():
                command = line.strip().removeprefix("$ ").partition("  #")[0].strip()
                if command.startswith(tuple(f"{name} " if name[-1] != "/" else name for name in PROGRAMS)):
                    yield page.name, command
        for command in INLINE.findall(FENCE.sub("", text)):
            yield page.name, command


COMMANDS = sorted(set(commands()))


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=[f"{a}: {b}" for a, b in COMMANDS])
def test_a_command_of_the_docs_exists(page: str, command: str) -> None:
    words = shlex.split(command)
    check = {"laspa": laspa_command, "dvc": dvc_command, "make": make_target, "python": python_file}
    check.get(words[0], script)(words)


def laspa_command(words: list[str]) -> None:
    """Its words are accepted; a command that is only named, or is shown with a "…", needs no arguments."""
    parser, rest = command_parser(), words[1:]
    choices = subcommands(parser)
    while rest and choices and rest[0] in choices:
        parser = choices[rest.pop(0)]
        choices = subcommands(parser)
    assert parser.prog != "laspa" or rest == ["--help"], f"no such command: {' '.join(words)}"
    known = {option for action in parser._actions for option in action.option_strings}
    given = {word.partition("=")[0] for word in rest if word.startswith("--")}
    assert given <= known, f"no such option: {given - known}"
    if rest and rest != ["--help"] and not re.search(r"[…|\[]", " ".join(rest)):
        command_parser().parse_args(words[1:])


def subcommands(parser) -> dict:
    return next((one.choices for one in parser._actions if getattr(one, "_name_parser_map", None)), {})


def dvc_command(words: list[str]) -> None:
    from dvc.cli import parse_args

    parse_args(words[1:])
    names = [value for flag, value in itertools.pairwise(words) if flag in ("-S", "--set-param")]
    known = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for name in set(names) - {"NAME=VALUE"}:
        section = known
        for part in name.partition("=")[0].split("."):
            assert part in section, f"params.yaml has no {name}"
            section = section[part]
    assert load_params(ROOT / "params.yaml")


def make_target(words: list[str]) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {word for word in words[1:] if "=" not in word} <= set(targets)


def python_file(words: list[str]) -> None:
    if words[1] == "-m":
        name = words[2].replace(".", "/")
        assert (ROOT / f"{name}.py").exists() or (ROOT / name).is_dir() or words[2] in ("pytest", "pip")
    elif words[1] != "-c":
        assert (ROOT / words[1]).is_file()


def script(words: list[str]) -> None:
    assert (ROOT / words[0]).is_file()


def test_commands_are_found_in_the_docs() -> None:
    assert {"make repro", "dvc exp run -S prefix_len=16"} <= {command for _, command in COMMANDS}
    assert len(COMMANDS) > 30


def test_the_site_builds_without_a_warning(tmp_path) -> None:
    pytest.importorskip("mkdocs", reason="needs pip install 'laspa[docs]'")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    pages = {path.stem for path in tmp_path.glob("*.html")}
    assert {path.stem for path in (ROOT / "docs").glob("*.md")} <= pages
    linked = re.compile(r'(?:src|href)="(https?://[^"]+)"[^>]*(?:rel="stylesheet"|></script>)')
    assert not any(linked.search(path.read_text(encoding="utf-8")) for path in Path(tmp_path).glob("*.html"))
