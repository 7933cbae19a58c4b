"""What can be seen of a loader and of a model's first answers before hours go into the rest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.collect.errors import CollectError

SAMPLERS = {
    "WeightedRandomSampler": "draws examples with replacement: some come twice, others not at all",
    "RandomSampler": "shuffles: rows are in the order in which they came",
    "SubsetRandomSampler": "shuffles: rows are in the order in which they came",
    "DistributedSampler": "gives this process its share of the examples only",
}
"""Samplers of torch that do not give every example in order, and what they do instead."""
RANDOM = "random"
"""What ``allow`` holds where outputs may change from call to call."""
DIFFERENCE = 1e-3
"""Largest difference of two calls, as a share of the largest output, that is taken for rounding."""


def told_of_loader(loader: Any, what: str, ordered: Iterable[str]) -> list[str]:
    """Sentences on a loader that does not give every example once and in order.

    Parameters
    ----------
    loader : iterable
    what : str
        What it is called in sentences.
    ordered : iterable of str
        Options that are in the order of the data set, which a shuffling loader does not keep.

    Raises
    ------
    CollectError
        If it shuffles, and there are such options.
    """
    notes = []
    batches = getattr(loader, "batch_sampler", None)
    sampler = getattr(batches, "sampler", None) or getattr(loader, "sampler", None)
    kinds = [kind.__name__ for kind in type(sampler).__mro__]
    found = next((name for name in SAMPLERS if name in kinds), None)
    if found is not None:
        given = list(ordered)
        if given:
            raise CollectError(
                f"{what} must give every example once and in order, since {', '.join(given)} "
                f"{'has' if len(given) == 1 else 'have'} one row for each: its {found} "
                f"{SAMPLERS[found]}. Make it with shuffle=False."
            )
        notes.append(f"{what}: its {found} {SAMPLERS[found]}.")
    if getattr(loader, "drop_last", False) or getattr(batches, "drop_last", False):
        size, data = getattr(batches, "batch_size", None), getattr(loader, "dataset", None)
        try:
            left = len(data) % size  # type: ignore[arg-type, operator]
        except TypeError:
            left = 1
        if left:
            notes.append(f"{what}: drop_last leaves out the examples of the last batch ({left}).")
    return notes


def length_of(loader: Any) -> int | None:
    """How many batches come, where the loader knows."""
    try:
        return len(loader)
    except TypeError:
        return None


def check_repeats(
    first: NDArray[Any], second: NDArray[Any], what: str, allow: Iterable[str]
) -> str | None:
    """A sentence where two calls with one batch differ by more than rounding.

    Raises
    ------
    CollectError
        If they do, and ``allow`` does not hold ``"random"``.
    """
    if first.shape != second.shape or first.dtype.kind not in "fiu":
        return None
    one, other = first.astype(np.float64), second.astype(np.float64)
    known = np.isfinite(one) & np.isfinite(other)
    largest = np.abs(np.where(known, one, 0)).max(initial=0)
    gap = np.abs(np.where(known, one - other, 0)).max(initial=0)
    if gap <= DIFFERENCE * largest:
        return None
    problem = (
        f"the model gives other {what} for the same batch when it is asked twice (by {gap:.3g})"
    )
    if RANDOM not in allow:
        raise CollectError(
            f"{problem}: dropout is left on, or a layer draws random numbers. Switch it off, or say "
            f"allow=['{RANDOM}'] to collect one draw."
        )
    return f"{problem}: what is here is one draw."
