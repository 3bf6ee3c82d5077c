"""Printing to terminals that cannot show every character."""

import io
import sys


def show_any_name() -> None:
    """From now on, print what the terminal's encoding lacks as \\xe9 in place of an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
