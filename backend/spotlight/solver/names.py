"""How kernels and shapes of a region are called. Loads no torch."""

from __future__ import annotations

from typing import Literal, cast

from backend.core.arrays import check_choice

Kernel = Literal["gaussian", "squared_distance"]
KERNELS: tuple[Kernel, ...] = ("gaussian", "squared_distance")
PRECISIONS = ("spherical", "diagonal", "full")


def check_kernel(value: object) -> Kernel:
    """The kernel of that name, or an error that lists them."""
    return cast(Kernel, check_choice("kernel", value, KERNELS))
