"""What `laspa import` does; its options are described in laspa/cli/main.py."""

import argparse
from pathlib import Path

from laspa.models.checkpoints import import_checkpoint


def import_model(options: argparse.Namespace) -> None:
    """Make a model folder of a public recogniser's weights."""
    dim = import_checkpoint(options.kind, Path(options.file), Path(options.output))
    print(f"{options.output}: {options.kind}, embeddings of length {dim}")
