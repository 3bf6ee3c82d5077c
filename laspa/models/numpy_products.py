"""torch's products of float32 matrices by numpy, where the same bytes are wanted on every processor.

The one branch of MKL that computes alike on processors of all makers takes 2.5 times as long as OpenBLAS's
kernels for AVX2, which numpy brings along and which compute alike too. Training LASPA takes 0.6 times as long
with them, which is what it takes with MKL's fastest branch (docs/reproducibility.md).
"""

import os
import warnings

import numpy as np
import torch
from torch import Tensor

from laspa.arithmetic import PORTABLE

_CPU = torch._C.DispatchKeySet(torch._C.DispatchKey.CPU)
_torch_mm = torch.library.get_kernel("aten::mm", "CPU")
_torch_addmm = torch.library.get_kernel("aten::addmm", "CPU")
_overrides = torch.library.Library("aten", "IMPL")  # holds as long as it is referenced


def use_numpy_products() -> None:
    """Let numpy multiply torch's float32 matrices on a CPU, if this process has the portable switches."""
    if os.environ.get("MKL_CBWR") != PORTABLE["MKL_CBWR"]:
        return
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # that there was a kernel before
        _overrides.impl("mm", _mm, "CPU", allow_override=True)
        _overrides.impl("addmm", _addmm, "CPU", allow_override=True)


def _mm(left: Tensor, right: Tensor) -> Tensor:
    """(n, k) · (k, m) → (n, m)."""
    if left.dtype != torch.float32:
        product: Tensor = _torch_mm.call_boxed(_CPU, left, right)
        return product
    product = left.new_empty((left.shape[0], right.shape[1]))
    with np.errstate(all="ignore"):  # training looks for what is not finite itself
        np.matmul(left.detach().numpy(), right.detach().numpy(), out=product.numpy())
    return product


def _addmm(bias: Tensor, left: Tensor, right: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    if left.dtype != torch.float32 or beta != 1 or alpha != 1:
        added: Tensor = _torch_addmm.call_boxed(_CPU, bias, left, right, beta=beta, alpha=alpha)
        return added
    return _mm(left, right).add_(bias)
