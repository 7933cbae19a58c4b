"""What a group is compared with: everybody, examples of the same labels, or the rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.arrays import as_numpy, check_choice
from backend.core.errors import InputError
from backend.describe.shares import check_weights, effective_size, factorize

BASELINES = ("all", "same label", "rest")
ANOTHER = "another group"
"""The baseline of a comparison that ``compare_groups`` makes."""


@dataclass(frozen=True)
class Comparison:
    """A weighted group beside its baseline. Made by ``compare_with``.

    Attributes
    ----------
    baseline : str
        ``all`` examples, counted alike. ``same label``: all examples, weighted so that every label
        has the share it has in the group; what then stands out is not the labels' doing.
        ``rest``: the examples that are not members. ``another group``: the members of another.
    shares : float array of shape (n,)
        The group's weights, summing to 1.
    base : float array of shape (n,)
        The baseline's weights, summing to 1.
    members : bool array of shape (n,)
        The examples that p-values count.
    sharp : bool
        Whether the weights are equal for all members and 0 elsewhere.
    strata : int array of shape (n,)
        Code of the label inside which members are thought to be drawn; one code for ``all`` and
        ``rest``. For ``another group`` members are drawn from both groups, which have one code.
    """

    baseline: str
    shares: NDArray[np.float64] = field(repr=False)
    base: NDArray[np.float64] = field(repr=False)
    members: NDArray[np.bool_] = field(repr=False)
    sharp: bool
    strata: NDArray[np.intp] = field(repr=False)

    @property
    def n(self) -> int:
        return len(self.shares)

    @property
    def n_members(self) -> int:
        return int(self.members.sum())

    @property
    def effective_size(self) -> float:
        """Equally weighted examples that carry as much information as the group."""
        return effective_size(self.shares)


def compare_with(
    weights: Any,
    *,
    members: Any = None,
    baseline: str = "all",
    labels: Any = None,
    n: int | None = None,
    of: str = "example",
) -> Comparison:
    """A group and what it is compared with.

    Parameters
    ----------
    weights : array of shape (n,)
        Membership; not negative, with a positive sum. 0 and 1 for a group with a sharp border.
    members : int array of rows or bool array of shape (n,), optional
        The examples p-values count. By default those with a positive weight when all of these
        weigh the same, else the ``round(sum / largest)`` heaviest, ties to the lower row.
    baseline : {"all", "same label", "rest"}
    labels : array of shape (n,), optional
        Needed for ``same label``.
    n, of
        How many examples there must be, and what they are called in an error.

    Raises
    ------
    InputError
        If shapes differ, weights cannot be used, there are no members, or nothing is left to
        compare with.
    """
    check_choice("baseline", baseline, BASELINES)
    if isinstance(weights, Comparison):
        raise InputError("weights must be numbers: got a comparison. Pass it where one is asked.")
    raw = as_numpy(weights)
    shares = check_weights(raw, raw.size if n is None else n, of=of)
    held = shares > 0
    sharp = bool(np.ptp(shares[held]) <= 1e-12 * shares.max())
    inside = _heaviest(shares) if members is None else _mask(members, len(shares))
    sharp = sharp and bool((inside == held).all())
    strata = np.zeros(len(shares), dtype=np.intp)
    if baseline == "rest":
        if inside.all():
            raise InputError("every example is a member: there is no rest to compare with.")
        base = ~inside / np.count_nonzero(~inside)
    elif baseline == "same label":
        if labels is None:
            raise InputError("comparing with the same label needs labels: got none.")
        strata = factorize(labels)[0]
        if len(strata) != len(shares):
            raise InputError(
                f"labels must be one per {of}: got {len(strata)} labels and {len(shares)} {of}s."
            )
        base = (np.bincount(strata, shares) / np.bincount(strata))[strata]
    else:
        base = np.full(len(shares), 1 / len(shares))
    return Comparison(baseline, shares, base, inside, sharp, strata)


def compare_groups(first: Any, second: Any, *, n: int) -> Comparison:
    """One group beside another: what the first holds that the second does not.

    Examples in both tell nothing of a difference and count for neither. Where one group lies within
    the other it is compared with what is left of that. p-values ask how often members drawn from
    the two taken together would hold as much as those of the first do.

    Parameters
    ----------
    first, second : int array of rows or bool array of shape (n,)
        Members of each.
    n : int
        How many examples there are.

    Raises
    ------
    InputError
        If a group is empty, a row does not exist, or both have the same members.
    """
    one, other = _mask(first, n), _mask(second, n)
    if (one == other).all():
        raise InputError("both groups have the same members: there is nothing to compare.")
    members, base = one & ~other, other & ~one
    if not members.any():  # the first lies within the second
        members = one
    elif not base.any():
        base = other
    strata = np.where(members | base, 0, 1).astype(np.intp)
    return Comparison(
        ANOTHER,
        members / np.count_nonzero(members),
        base / np.count_nonzero(base),
        members,
        True,
        strata,
    )


def _heaviest(shares: NDArray[np.float64]) -> NDArray[np.bool_]:
    size = max(1, round(float(shares.sum() / shares.max()) - 1e-9))
    inside = np.zeros(len(shares), dtype=bool)
    inside[np.argsort(-shares, kind="stable")[:size]] = True
    return inside & (shares > 0)


def _mask(members: Any, n: int) -> NDArray[np.bool_]:
    given = as_numpy(members)
    if given.ndim != 1 or given.dtype.kind not in "biu":
        raise InputError(f"members must be rows or a mask: got {given.dtype} {given.shape}.")
    if given.dtype.kind == "b":
        if len(given) != n:
            raise InputError(f"members must be one per weight: got {len(given)} and {n} weights.")
        inside = given.copy()
    else:
        if len(given) and not 0 <= given.min() <= given.max() < n:
            raise InputError(f"members must be rows below {n}: got {given.min()} to {given.max()}.")
        inside = np.zeros(n, dtype=bool)
        inside[given] = True
    if not inside.any():
        raise InputError("members must not be empty: p-values count them.")
    return inside
