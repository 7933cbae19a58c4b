"""Regions as arrays and numbers, for a file or a cache."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.spotlight.membership import effective_size
from backend.spotlight.outcome import Outcome
from backend.spotlight.regions.result import Regions


def region_arrays(found: Regions) -> dict[str, NDArray[Any]]:
    """What a page or a script needs of the regions, one row per region.

    scores and weights (r, n) float32, centers (r, d), precisions (r,) of round stand-ins, roots
    (r, d, q) float32 of the exact ones, shift (d,) and reach () from where and to where far rows are
    drawn in before these measure them, members (r, max) rows strongest first, padded with -1, and
    numbers (r,) under the names they have in ``Regions``; first_half (n,).
    """
    longest = max((len(rows) for rows in found.members), default=0)
    members = np.full((len(found), longest), -1, np.int64)
    for line, rows in zip(members, found.members, strict=True):
        line[: len(rows)] = rows
    return {
        "scores": found.scores.astype(np.float32),
        "weights": found.weights.astype(np.float32),
        "centers": found.centers,
        "precisions": found.round_precisions,
        "roots": found.roots.astype(np.float32),
        "shift": found.shift,
        "reach": np.array(found.reach),
        "members": members,
        "held_out_losses": found.held_out_losses,
        "p_values": found.p_values,
        "weighted_losses": found.weighted_losses,
        "total_weights": found.total_weights,
        "first_half": found.first_half,
    }


def region_facts(found: Regions, losses: NDArray[np.floating[Any]]) -> list[dict[str, Any]]:
    """The numbers shown beside each region: sizes in examples, losses raw but for held-out ones."""
    facts = []
    for at, rows in enumerate(found.members):
        facts.append(
            {
                "scope": found.scopes[at],
                "labels": [str(label) for label in found.scope_labels[at]],
                "bound": bool(found.scope_labels[at]),
                "size": float(found.sizes[at]),
                "n_members": len(rows),
                "member_loss": float(losses[rows].mean()) if len(rows) else None,
                "base_loss": found.mean_loss,
                "total_weight": float(found.total_weights[at]),
                "effective_size": effective_size(found.weights[at]),
                "weighted_loss": float(found.weighted_losses[at]),
                "held_out_loss": float(found.held_out_losses[at]),
                "held_out_error": float(found.held_out_errors[at]),
                "held_out_base": float(found.held_out_bases[at]),
                "held_out_size": float(found.held_out_sizes[at]),
                "loss_cap": found.loss_cap,
                "p_value": float(found.p_values[at]),
                "z_value": float(found.z_values[at]),
                "objective": float(found.held_out_losses[at] - found.held_out_errors[at]),
                "outcome": Outcome(
                    "converged",
                    "Found on one half of the examples, judged on the other.",
                    0,
                    "binding",
                ).to_dict(),
            }
        )
    return facts
