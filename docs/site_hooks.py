"""What the site changes in the pages under docs/: help texts are added, links that lead elsewhere removed."""

import argparse
import os
import re
from typing import Any

from laspa.cli.main import command_parser

OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./[^)]+\)")
COMMANDS = "<!-- commands -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """MkDocs calls this with each page before it is rendered."""
    if COMMANDS in markdown:
        markdown = markdown.replace(COMMANDS, _commands(command_parser()))
    return OUTSIDE.sub(r"\1", markdown)


def _commands(parser: argparse.ArgumentParser) -> str:
    """A section for each command that does something, with its help text."""
    os.environ["COLUMNS"] = "90"  # the width that argparse wraps at
    actions = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    children = [_commands(child) for action in actions for child in action.choices.values()]
    if actions and actions[0].required:
        return "\n".join(children)
    return "\n".join([f"## {parser.prog}\n\n```text\n{parser.format_help()}```\n", *children])
