"""Switches that make numpy, torch and their libraries compute alike on every x86-64 processor with AVX2.

Each library chooses its code by the processor's features, MKL by its maker too, and other code rounds
otherwise. The switches are environment variables that a library reads when it is loaded. This module loads
none.
"""

import os
import re
import sys
from pathlib import Path

PORTABLE = {
    "ATEN_CPU_CAPABILITY": "avx2",  # torch's own kernels
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # convolutions and LSTMs
    "MKL_CBWR": "COMPATIBLE",  # matrix products: the one branch that Intel means for other makers' processors
    "OPENBLAS_CORETYPE": "Haswell",  # numpy's and scipy's products and decompositions
    "OPENBLAS_NUM_THREADS": "1",  # threads that share a product may sum it in another order
    # What numpy calls features beyond AVX2: up to version 2.3 each by its name, from 2.4 on in groups.
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 "
    "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR",
}
NATIVE = re.compile(r"^ +arithmetic: *native\b", re.MULTILINE)


def use_arithmetic(params_file: Path) -> None:
    """Set the switches, unless `train.arithmetic` in `params_file` is native; without that file too.

    Variables that are set already stay. Nothing happens where numpy is loaded: some switches would then act
    and some would not.
    """
    text = params_file.read_text(encoding="utf-8", errors="replace") if params_file.is_file() else ""
    if not NATIVE.search(text) and "numpy" not in sys.modules:
        for name, value in PORTABLE.items():
            os.environ.setdefault(name, value)


def switches() -> dict[str, str]:
    """Those of this process, for processes that do not inherit its environment."""
    return {name: os.environ[name] for name in PORTABLE if name in os.environ}


def is_portable() -> bool:
    """Whether convolutions keep to the instructions that all these processors have."""
    return os.environ.get("ONEDNN_MAX_CPU_ISA") == PORTABLE["ONEDNN_MAX_CPU_ISA"]
