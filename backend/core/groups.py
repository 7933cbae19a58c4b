"""A group of examples and the numbers every screen shows beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.errors import InputError

SMALL = 30
"""Groups below this many members carry a mark: their means say little."""


@dataclass(frozen=True)
class Group:
    """Examples that are looked at together.

    Attributes
    ----------
    kind : str
        ``region``, ``high loss``, ``random``, ``tag`` or ``selection``.
    rows : int array of shape (k,)
        The members, most typical first.
    weights : float array of shape (n,)
        How strongly every example belongs, in [0, 1]; 0 or 1 for groups with a sharp border.
    n_members, member_loss : int, float
        ``k`` and the members' mean loss.
    weighted_loss, total_weight, effective_size : float
        ``sum(w l) / sum(w)``, ``sum(w)`` and ``sum(w)^2 / sum(w^2)``. For a group with a sharp
        border they equal the member loss, ``k`` and ``k``.
    base_loss : float
        Mean loss of all examples.
    loss_share : float
        Sum of the members' losses over the sum of all; NaN unless all losses are 0 or more and one
        is positive.
    """

    kind: str
    rows: NDArray[np.int64]
    weights: NDArray[np.floating[Any]] = field(repr=False)
    n_members: int
    member_loss: float
    weighted_loss: float
    total_weight: float
    effective_size: float
    base_loss: float
    loss_share: float

    @property
    def small(self) -> bool:
        return self.n_members < SMALL

    @property
    def ratio(self) -> float:
        """Weighted loss as a multiple of the base loss; NaN when the base loss is not positive."""
        return self.weighted_loss / self.base_loss if self.base_loss > 0 else float("nan")


def by_loss(rows: Any, losses: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """Rows, or those of a mask (n,), highest loss first; ties go to the lower row."""
    rows = np.asarray(rows)
    rows = np.flatnonzero(rows) if rows.dtype == bool else np.sort(rows).astype(np.int64)
    return rows[np.argsort(-np.asarray(losses)[rows], kind="stable")]


def sharp_group(kind: str, rows: Any, losses: NDArray[np.floating[Any]]) -> Group:
    """The group of exactly these rows, in the given order. ``rows`` may be a mask of shape (n,)."""
    losses = np.asarray(losses, dtype=np.float64)
    rows = np.asarray(rows)
    if rows.dtype == bool:
        rows = np.flatnonzero(rows)
    rows = rows.astype(np.int64)
    if len(rows) == 0:
        raise InputError(f"a {kind} group needs at least one example: got none.")
    weights = np.zeros(len(losses), dtype=np.float32)
    weights[rows] = 1.0
    mean = float(losses[rows].mean())
    size = float(len(rows))
    return Group(
        kind,
        rows,
        weights,
        len(rows),
        mean,
        mean,
        size,
        size,
        float(losses.mean()),
        _share(losses[rows], losses),
    )


def weighted_group(kind: str, rows: Any, weights: Any, losses: NDArray[np.floating[Any]]) -> Group:
    """The group with these weights (n,) whose members are ``rows``, heaviest first."""
    losses = np.asarray(losses, dtype=np.float64)
    exact = np.asarray(weights, dtype=np.float64)
    total = float(exact.sum())
    if len(exact) != len(losses) or total <= 0:
        raise InputError(
            f"weights must be one per loss with a positive sum: got {len(exact)} weights for "
            f"{len(losses)} losses, sum {total:g}."
        )
    rows = np.asarray(rows, dtype=np.int64)
    return Group(
        kind,
        rows,
        np.asarray(weights),
        len(rows),
        float(losses[rows].mean()) if len(rows) else float("nan"),
        float(exact @ losses / total),
        total,
        float(total**2 / (exact @ exact)),
        float(losses.mean()),
        _share(losses[rows], losses),
    )


def _share(part: NDArray[np.floating[Any]], losses: NDArray[np.floating[Any]]) -> float:
    whole = float(losses.sum())
    return float(part.sum()) / whole if whole > 0 and losses.min() >= 0 else float("nan")
