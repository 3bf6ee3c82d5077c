"""A square root that rounds alike on every processor."""

from torch import Tensor


def square_root(x: Tensor) -> Tensor:
    """√x as x · 1/√x, for x > 0, of any shape.

    torch.sqrt is MKL's on a CPU: with the switches of laspa.arithmetic too, it begins with an approximation
    that each processor's maker has chosen.
    """
    return x * x.rsqrt()
