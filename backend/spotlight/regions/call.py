"""A call of ``find_regions``, checked before any work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from backend.core.arrays import as_numpy, check_matrix, check_vector
from backend.core.device import choose_device
from backend.core.errors import InputError
from backend.core.progress import Progress, ignore_progress


@dataclass(frozen=True)
class Call:
    """A checked call. ``codes`` and ``groups`` count from 0; ``names`` are the labels by code."""

    values: NDArray[Any]
    losses: NDArray[np.float64]
    codes: NDArray[np.int64] | None
    names: NDArray[Any]
    groups: NDArray[np.int64] | None
    n_regions: int
    seed: int
    device: torch.device
    progress: Progress


def check_call(
    embeddings: Any,
    losses: Any,
    *,
    labels: Any,
    groups: Any,
    n_regions: int,
    seed: int,
    device: str | torch.device,
    progress: Progress | None,
) -> Call:
    """The arguments of ``find_regions`` in one piece, or an ``InputError`` about one of them."""
    values = check_matrix("embeddings", embeddings)
    loss = check_vector("losses", losses, len(values))
    names: NDArray[Any] = np.empty(0)
    codes = dealt = None
    if labels is not None:
        names, codes = _codes("labels", labels, len(values))
    if groups is not None:
        _, dealt = _codes("groups", groups, len(values))
    for name, value, least in (("n_regions", n_regions, 1), ("seed", seed, 0)):
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if not whole or value < least:
            raise InputError(f"{name} must be a whole number of at least {least}: got {value!r}.")
    return Call(
        values,
        loss,
        codes,
        names,
        dealt,
        int(n_regions),
        int(seed),
        choose_device(device),
        progress or ignore_progress,
    )


def _codes(name: str, given: Any, n: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Distinct values in order, and the number of each row's."""
    array = as_numpy(given)
    if array.shape != (n,):
        raise InputError(
            f"{name} must be one per embedding: got shape {array.shape} and {n} embeddings."
        )
    if array.dtype.kind == "O":
        if any(value is None or value != value for value in array):
            raise InputError(f"{name} must not be missing: fill or remove rows without one.")
        kinds = {type(value) for value in array.tolist()}
        # Values of different types have no order of their own.
        array = array.astype(str) if len(kinds) > 1 or kinds == {str} else np.array(array.tolist())
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(f"{name} must not be NaN or infinite: fill or remove those rows.")
    if array.dtype.kind not in "biufUS":
        raise InputError(f"{name} must be numbers or texts: got dtype {array.dtype}.")
    names, codes = np.unique(array, return_inverse=True)
    return names, codes.astype(np.int64)
