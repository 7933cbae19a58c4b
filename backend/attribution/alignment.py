"""What each training example does to the groups that a model serves worst (D3M)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.attribution.checks import (
    Floats,
    check_attribution,
    check_losses,
    check_values,
    ordered_codes,
)
from backend.core.arrays import check_choice
from backend.core.blocks import row_blocks
from backend.core.errors import InputError

WEIGHTINGS = ("softmax", "linear")


@dataclass(frozen=True)
class GroupAlignment:
    """Training examples by what they do to groups of targets.

    Attributes
    ----------
    scores : float64 array of shape (n_train,)
        Higher helps. Negative: the example lowers the margins of the groups with a high loss.
    keep : bool array of shape (n_train,)
        Scores of 0 or more.
    names : tuple of length G
        The groups, sorted where they can be.
    counts : int64 array of shape (G,)
        Targets of each.
    weights : float64 array of shape (G,)
        With which the groups' mean attributions are added.
    group_losses : float64 array of shape (G,)
        Mean loss of each, in the units of the losses.
    notes : tuple of str
        What a reader has to know: one group only, nothing to remove.
    """

    scores: Floats
    keep: NDArray[np.bool_]
    names: tuple[Any, ...]
    counts: NDArray[np.int64]
    weights: Floats
    group_losses: Floats
    notes: tuple[str, ...] = ()


def group_alignment(
    attribution: Any,
    groups: Any,
    losses: Any,
    *,
    beta: float = 1.0,
    weighting: str = "softmax",
    names: Sequence[Any] | None = None,
) -> GroupAlignment:
    """Score each training example by what it does to the groups, the worst counting most.

    ``scores_i = sum_g weight_g mean over targets z of g (attribution_iz)``.

    Parameters
    ----------
    attribution : array-like of shape (n_train, n)
        Positive: the training example raises the margin of the target. May be a memory map.
    groups : array-like of shape (n,)
        Group of each target: anything hashable, none missing.
    losses : array-like of shape (n,) or (m, n)
        Of the targets; the mean is taken where they are of m models.
    beta : float
        0 or more. Weights are the soft-max of ``beta`` times the groups' mean losses: at 0 all
        groups count alike, at infinity only the worst, ties shared.
    weighting : {"softmax", "linear"}
        ``linear`` takes mean loss over number of groups, as the released code does.
    names : sequence, optional
        Groups there must be, in this order; one without targets is an error. By default those that
        occur.

    Returns
    -------
    GroupAlignment

    Raises
    ------
    InputError
        If shapes differ, a number is not finite, a group is missing, has no target or is not among
        ``names``, ``beta`` is negative, or it is given with ``linear`` weights, which have none.

    References
    ----------
    Jain, Hamidieh et al., Improving Subgroup Robustness via Data Selection, NeurIPS 2024,
    arXiv:2406.16846, section 4, equation 3.
    """
    scores = check_attribution(attribution)
    n = scores.shape[1]
    values = check_values("groups", groups, n, "target")
    loss = check_losses(losses, n)
    check_choice("weighting", weighting, WEIGHTINGS)
    if not beta >= 0:
        raise InputError(f"beta must be 0 or more: got {beta}.")
    if weighting == "linear" and beta != 1.0:
        raise InputError(f"beta is of the soft-max: linear weights have none, got {beta}.")
    known, codes = ordered_codes(values)
    if names is not None:
        known, codes = _as_named(list(names), known, codes)
    counts = np.bincount(codes, minlength=len(known))
    if not counts.all():
        empty = known[int(np.flatnonzero(counts == 0)[0])]
        raise InputError(
            f"every group needs a target: group {empty!r} has none. Leave it out, or add examples."
        )
    group_losses = np.bincount(codes, weights=loss, minlength=len(known)) / counts
    weights = group_weights(group_losses, beta=beta, weighting=weighting)
    found = weighted_columns(scores, (weights / counts)[codes])
    keep = found >= 0
    notes = []
    if len(known) < 2:
        notes.append("There is one group only: scores say what helps it, not what evens groups.")
    if keep.all():
        notes.append("No training example has a negative score: nothing would be removed.")
    return GroupAlignment(found, keep, tuple(known), counts, weights, group_losses, tuple(notes))


def group_weights(group_losses: Floats, *, beta: float = 1.0, weighting: str = "softmax") -> Floats:
    """Weight of each group by its mean loss; see ``group_alignment``."""
    if weighting == "linear":
        return group_losses / len(group_losses)
    above = group_losses - group_losses.max()
    if np.isinf(beta):
        worst = (above == 0).astype(np.float64)
        return worst / worst.sum()
    powers = np.exp(beta * above)
    return np.asarray(powers / powers.sum())


def weighted_columns(attribution: NDArray[Any], weights: Floats) -> Floats:
    """``attribution @ weights`` in float64, read in blocks of training examples."""
    found = np.empty(len(attribution))
    for start, block in row_blocks(attribution):
        found[start : start + len(block)] = block.astype(np.float64) @ weights
    return found


def _as_named(
    names: list[Any], known: list[Any], codes: NDArray[np.int64]
) -> tuple[list[Any], NDArray[np.int64]]:
    place = {name: at for at, name in enumerate(names)}
    if len(place) < len(names):
        raise InputError(f"names must differ from one another: got {names}.")
    if strange := [one for one in known if one not in place]:
        raise InputError(f"groups must be among names: {strange[0]!r} is not in {names}.")
    return names, np.array([place[one] for one in known], np.int64)[codes]
