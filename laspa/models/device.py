"""The device that `train.device` names, and what it computes in."""

import torch

from laspa.arithmetic import is_portable
from laspa.errors import LaspaError


def torch_device(name: str) -> torch.device:
    """`auto` is CUDA where there is one.

    Raises:
        LaspaError: `cuda` where there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise LaspaError("params.yaml: train.device is cuda but torch sees no CUDA device; use auto or cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def check_precision(precision: torch.dtype, device: torch.device) -> None:
    """Check that the device itself computes in `train.precision`.

    Raises:
        LaspaError: it does not, and would be slower than in float32, if it can do it at all.
    """
    if device.type == "cuda" or precision == torch.float32:
        return
    field = f"params.yaml: train.precision is {str(precision).removeprefix('torch.')}"
    if precision == torch.float16:
        raise LaspaError(f"{field}, which needs a GPU; choose bfloat16 or float32")
    slow = "takes ten times as long as float32 or more"
    if is_portable():
        raise LaspaError(
            f"{field}, which on a CPU with train.arithmetic: portable {slow}; choose float32, or "
            "on a CPU with AVX-512 or AMX train.arithmetic: native"
        )
    if not cpu_has_bfloat16():
        raise LaspaError(f"{field}, which on this CPU, without AVX-512 or AMX, {slow}; choose float32")


def cpu_has_bfloat16() -> bool:
    """Whether oneDNN has convolutions and products in bfloat16 for this CPU; torch's own are slow."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
