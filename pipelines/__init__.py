"""The stages of dvc.yaml: each reads typed params, calls laspa, writes its outputs, tracks."""

from pathlib import Path

from laspa.arithmetic import use_arithmetic

use_arithmetic(Path("params.yaml"))  # here, because each stage imports this before it loads numpy and torch
