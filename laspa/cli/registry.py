"""`laspa register` and `laspa promote`: MLflow's registry, through the project around the library."""

import argparse

from laspa.hooks import hook

ENTRY_POINTS, EXTRA = "laspa.registry", "pipeline"


def register(options: argparse.Namespace) -> None:
    """Enter the model of a folder as a version with the alias challenger."""
    print(hook(ENTRY_POINTS, "register", EXTRA)(options.model, options.name))


def promote(options: argparse.Namespace) -> None:
    """Compare challenger and champion, and move the alias champion if the challenger is not worse."""
    hook(ENTRY_POINTS, "promote", EXTRA)(options.name, options.margin / 100, options.force)
