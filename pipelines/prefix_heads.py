"""LASPA with one prefix length and one number of heads, on the ablation's budget, measured on dev.

Usage: python -m pipelines.prefix_heads PREFIX_LEN NUM_HEADS
"""

import sys
from pathlib import Path

from laspa.errors import LaspaError
from laspa.params import load_params, with_overrides
from pipelines import stage
from pipelines.systems import measure_seeds, on_budget, with_seeds

SYSTEM = "laspa"  # as published: only the prefix-tuners differ
DATA, CELLS = Path("data"), Path("studies/prefix_heads/cells")


def main() -> None:
    if len(sys.argv) != 3 or not all(text.isdecimal() for text in sys.argv[1:]):
        raise LaspaError("usage: python -m pipelines.prefix_heads PREFIX_LEN NUM_HEADS, two whole numbers")
    prefix, heads = map(int, sys.argv[1:])
    params = load_params(stage.PARAMS_FILE)
    run = with_overrides(on_budget(params, SYSTEM), {"prefix_len": prefix, "num_heads": heads})
    runs = with_seeds(run, params.ablate.seeds)
    measure_seeds(f"prefix-{prefix}-heads-{heads}", "prefix_heads", runs, DATA, CELLS, split="dev")


if __name__ == "__main__":
    stage.run(main)
