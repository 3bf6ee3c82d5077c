"""Several processes that train one model: what they exchange to compute what one process would."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """The `size` processes of a `group` of torch.distributed, of which this one has the number `rank`.

    A batch has `parts` equal parts (0: one a process), each drawn from a part of the train split. Each
    process holds equally many, so that a batch is the same with fewer processes; its loss is their mean.
    """

    rank: int = 0
    size: int = 1
    parts: int = 0
    group: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", self.parts or self.size)

    @property
    def own(self) -> range:
        """The parts of every batch that this process holds."""
        each = self.parts // self.size
        return range(self.rank * each, (self.rank + 1) * each)

    def gathered(self, rows: Tensor) -> Tensor:
        """The rows of all processes in the order of their ranks, with gradient: (size · rows, …)."""
        if self.size == 1:
            return rows
        everyone = rows.new_zeros(self.size, *rows.shape)
        everyone[self.rank] = rows
        return self.total(everyone).flatten(0, 1)

    def total(self, x: Tensor) -> Tensor:
        """The sum over the processes. The gradient is that of the sum of all processes' losses."""
        result: Tensor = _Total.apply(x, self.group)
        return result

    def mean(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its mean over the processes, all in one exchange; without gradient."""
        if self.size == 1:
            return
        kept = list(tensors)
        flat = torch.cat([tensor.flatten() for tensor in kept])
        dist.all_reduce(flat, group=self.group)
        for tensor, mean in zip(kept, (flat / self.size).split([t.numel() for t in kept]), strict=True):
            tensor.copy_(mean.view_as(tensor))

    def from_first(self, make: Callable[[], T]) -> T:
        """What `make` returns in the first process, given to all; only the first calls it."""
        if self.size == 1:
            return make()
        box: list[Any] = [make() if self.rank == 0 else None]
        dist.broadcast_object_list(box, group=self.group)
        return box[0]


ONE_PROCESS = Processes()


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Any) -> Tensor:
        result, ctx.group = x.clone(), group
        dist.all_reduce(result, group=group)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        result = gradients[0].contiguous().clone()
        dist.all_reduce(result, group=ctx.group)
        return result, None


class SharedNorm(_BatchNorm):
    """Batch normalisation by the mean and variance of the whole batch, over all processes.

    torch.nn.SyncBatchNorm does the same on GPUs only; this one runs on CPUs too, in single precision.
    """

    def __init__(self, norm: _BatchNorm, processes: Processes) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        self._parameters, self._buffers = norm._parameters, norm._buffers
        self.processes = processes

    def forward(self, input: Tensor) -> Tensor:
        """`(batch, channels, …)`, equally many in each process → the same shape."""
        if not self.training:
            return super().forward(input)
        with torch.autocast(input.device.type, enabled=False):
            x, size, total = input.float(), self.processes.size, self.processes.total
            axes = [axis for axis in range(x.ndim) if axis != 1]
            shape = [1, -1] + [1] * (x.ndim - 2)
            mean = total(x.mean(dim=axes)) / size
            centred = x - mean.view(shape)
            variance = total(centred.square().mean(dim=axes)) / size
            self._follow(mean.detach(), variance.detach(), size * x.numel() // x.shape[1])
            scale = (variance + self.eps).rsqrt()
            if self.affine:
                scale = scale * self.weight
            result = centred * scale.view(shape)
            if self.affine:
                result = result + self.bias.view(shape)
        return result.to(input.dtype)

    def _follow(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Move the running statistics as torch does: by the unbiased variance."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        self.get_buffer("num_batches_tracked").add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * count / max(count - 1, 1), self.momentum)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions."""


def share_norms(model: nn.Module, processes: Processes) -> None:
    """Replace every batch normalisation in `model` by one over the whole batch; its parameters stay."""
    if processes.size == 1:
        return
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, _BatchNorm) and not isinstance(child, SharedNorm):
                setattr(parent, name, SharedNorm(child, processes))
