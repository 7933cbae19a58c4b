"""Regions as arrays and numbers, for a file or a cache."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.effects import Effect
from backend.spotlight.membership import effective_size
from backend.spotlight.outcome import Outcome
from backend.spotlight.regions.result import Regions


def region_arrays(found: Regions) -> dict[str, NDArray[Any]]:
    """What a page or a script needs of the regions, one row per region.

    scores and weights (r, n) float32, centers (r, d), precisions (r,) of round stand-ins, roots
    (r, d, q) float32 of the exact ones, shift (d,) and reach () from where and to where far rows are
    drawn in before these measure them, vectors (r, d) and cuts (r,) of directions, members (r, max)
    rows strongest first, padded with -1, also (r, max) those of the best that lies inside, and
    numbers (r,) under the names they have in ``Regions``; kept_aside (n,).
    """
    return {
        "scores": found.scores.astype(np.float32),
        "weights": found.weights.astype(np.float32),
        "centers": found.centers,
        "precisions": found.round_precisions,
        "roots": found.roots.astype(np.float32),
        "shift": found.shift,
        "reach": np.array(found.reach),
        "vectors": found.vectors,
        "cuts": found.cuts,
        "members": _padded(found.members),
        "also": _padded([np.empty(0) if one is None else one.rows for one in found.also]),
        "held_out_losses": found.held_out_losses,
        "p_values": found.p_values,
        "weighted_losses": found.weighted_losses,
        "total_weights": found.total_weights,
        "kept_aside": found.kept_aside,
    }


def _padded(lists: Any) -> NDArray[np.int64]:
    longest = max((len(rows) for rows in lists), default=0)
    out = np.full((len(lists), longest), -1, np.int64)
    for line, rows in zip(out, lists, strict=True):
        line[: len(rows)] = rows
    return out


def region_facts(found: Regions, losses: NDArray[np.floating[Any]]) -> list[dict[str, Any]]:
    """What is said beside each region: ``effect`` as ``Effect.to_dict``; sizes in examples."""
    real = found.real
    facts = []
    for at, rows in enumerate(found.members):
        inner = found.also[at]
        facts.append(
            {
                "number": at + 1,
                "kind": found.kinds[at],
                "view": found.views[at],
                "scope": found.scopes[at],
                "labels": [str(label) for label in found.scope_labels[at]],
                "bound": bool(found.scope_labels[at]),
                "inside": None if found.inside[at] < 0 else int(found.inside[at]) + 1,
                "n_members": len(rows),
                "member_loss": float(losses[rows].mean()) if len(rows) else None,
                "total_weight": float(found.total_weights[at]),
                "effective_size": effective_size(found.weights[at]),
                "weighted_loss": float(found.weighted_losses[at]),
                "effect": found.effects[at].to_dict(),
                "p": float(found.p_values[at]),
                "p_cell": _finite(found.p_cells[at]),
                "cell": bool(found.cells[at]),
                "real": bool(real[at]),
                "explained": _finite(found.explained[at]),
                "also": None if inner is None else _inner(inner.rows, inner.effect),
                "outcome": Outcome(
                    "converged",
                    "Found on one part of the examples, judged on another, measured on a third.",
                    0,
                    "binding",
                ).to_dict(),
            }
        )
    return facts


def _inner(rows: NDArray[np.int64], effect: Effect) -> dict[str, Any]:
    return {"n_members": len(rows), "effect": effect.to_dict()}


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
