"""The device that `train.device` names."""

import torch

from laspa.errors import LaspaError


def torch_device(name: str) -> torch.device:
    """`auto` is CUDA where there is one.

    Raises:
        LaspaError: `cuda` where there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise LaspaError("params.yaml: train.device is cuda but torch sees no CUDA device; use auto or cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
