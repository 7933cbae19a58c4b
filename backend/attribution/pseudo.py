"""Groups where nobody labelled any: within each class, the tail of attributions that does worse."""

from __future__ import annotations

from collections.abc import Mapping
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
from backend.core.arrays import as_numpy, check_choice
from backend.core.blocks import row_blocks
from backend.core.errors import InputError

SHARE = 0.35
"""Of a class that is its pseudo-group."""
FEWEST = 10
"""Targets of a class that has two groups."""
N_COMPONENTS = 5
SPLITS = ("tail", "zero")

_DIRECT = 2048
_FLAT = 1e-12


@dataclass(frozen=True)
class PseudoGroups:
    """Two groups in each class, by one component of its attributions.

    Attributes
    ----------
    groups : int64 array of shape (n,)
        1: the pseudo-group, the end of its class where the model does worse; 0: the rest.
    projections : float64 array of shape (n,)
        Place of each target along the component of its class, the class's mean at 0; its sign is
        that which makes the largest magnitude positive.
    classes : tuple of length C
    components : int64 array of shape (C,)
        Which component of each class was taken, the widest being 0.
    explained : float64 array of shape (C, at most 5)
        Shares of the variance of the class's attributions, by component; NaN beyond as many as
        there are, and for a class of one group.
    low_end : bool array of shape (C,)
        Whether the pseudo-group is the low end of ``projections``.
    notes : tuple of str
        Classes that stay one group, and why.
    """

    groups: NDArray[np.int64]
    projections: Floats
    classes: tuple[Any, ...]
    components: NDArray[np.int64]
    explained: Floats
    low_end: NDArray[np.bool_]
    notes: tuple[str, ...] = ()


def pseudo_groups(
    attribution: Any, labels: Any, correct: Any, losses: Any = None, *, share: float = SHARE
) -> NDArray[np.int64]:
    """1 for the worse tail of each class along its first component of attributions, else 0.

    Parameters
    ----------
    attribution : array-like of shape (n_train, n)
        May be a memory map. Any array whose columns have the same inner products will do.
    labels : array-like of shape (n,)
        Class of each target.
    correct : array-like of bool, shape (n,)
        Whether the model is right about it.
    losses : array-like of shape (n,) or (m, n), optional
        Decide where both ends are equally often right.
    share : float
        Of each class that is its pseudo-group, in (0, 1): ``floor(share n + .5)`` targets, at
        least one.

    Returns
    -------
    int64 array of shape (n,)
        With ``class x {pseudo, rest}`` as groups of ``group_alignment`` this is Auto-D3M. A class
        with fewer than 10 targets, or whose attributions are all the same, is one group of 0.

    Raises
    ------
    InputError
        If shapes differ, a number is not finite, or the share is out of range.

    References
    ----------
    Jain, Hamidieh et al. 2024, arXiv:2406.16846, section 4 and figure 7. Which end is the worse is
    a choice made here: lower accuracy, then higher mean loss, then the low end.
    """
    return pseudo_components(attribution, labels, correct, losses, share=share).groups


def pseudo_components(
    attribution: Any,
    labels: Any,
    correct: Any,
    losses: Any = None,
    *,
    share: float = SHARE,
    component: int | Mapping[Any, int] = 0,
    split: str = "tail",
    unit_rows: bool = False,
) -> PseudoGroups:
    """The same with everything that is shown of it, and with the choice of another component.

    Parameters
    ----------
    attribution, labels, correct, losses, share
        As for ``pseudo_groups``.
    component : int or {class: int}
        Which component, the widest being 0, of all classes or of each; 0 where a class is not named.
    split : {"tail", "zero"}
        ``zero`` takes all targets on the worse side of 0, as the released code does; ``share`` is
        not used then.
    unit_rows : bool
        Scale each target's attributions to unit norm first, as the released code does.

    Returns
    -------
    PseudoGroups

    Raises
    ------
    InputError
        As ``pseudo_groups``, or if a component does not exist.
    """
    scores = check_attribution(attribution)
    n = scores.shape[1]
    names, codes = ordered_codes(check_values("labels", labels, n, "target"))
    right = as_numpy(correct)
    if right.shape != (n,) or not np.isin(right, (0, 1)).all():
        raise InputError(f"correct must be true or false for each of {n} targets.")
    loss = None if losses is None else check_losses(losses, n)
    if not 0 < share < 1:
        raise InputError(f"share must be in (0, 1): got {share}.")
    check_choice("split", split, SPLITS)
    chosen = _chosen(component, names)
    groups, projections = np.zeros(n, np.int64), np.zeros(n)
    explained = np.full((len(names), N_COMPONENTS), np.nan)
    low_end = np.zeros(len(names), bool)
    notes = []
    for code, name in enumerate(names):
        rows = np.flatnonzero(codes == code)
        if len(rows) < FEWEST:
            notes.append(
                f"class {name!r} has {len(rows)} targets, fewer than {FEWEST}: it stays one group."
            )
            continue
        places, shares = _components(scores, rows, chosen[code] + 1, unit_rows)
        if not shares[0] > 0:
            notes.append(f"class {name!r} has the same attributions everywhere: one group.")
            continue
        explained[code, : len(shares)] = shares[:N_COMPONENTS]
        if chosen[code] >= len(shares) or not shares[chosen[code]] > _FLAT:
            raise InputError(
                f"class {name!r} has no component {chosen[code]}: it has "
                f"{int((shares > _FLAT).sum())}, numbered from 0."
            )
        along = places[:, chosen[code]]
        projections[rows] = along
        ends = _zero_ends(along) if split == "zero" else _tails(along, share)
        low_end[code] = _low_is_worse(*ends, right[rows], None if loss is None else loss[rows])
        groups[rows[ends[0] if low_end[code] else ends[1]]] = 1
    return PseudoGroups(groups, projections, tuple(names), chosen, explained, low_end, tuple(notes))


def _chosen(component: int | Mapping[Any, int], names: list[Any]) -> NDArray[np.int64]:
    if isinstance(component, Mapping):
        if strange := set(component) - set(names):
            raise InputError(f"component names classes there are not: {sorted(map(str, strange))}.")
        wanted = [component.get(name, 0) for name in names]
    else:
        wanted = [component] * len(names)
    for one in wanted:
        if isinstance(one, bool) or int(one) != one or not 0 <= one < N_COMPONENTS:
            raise InputError(f"component must be 0 to {N_COMPONENTS - 1}: got {one!r}.")
    return np.array(wanted, np.int64)


def _components(
    scores: NDArray[Any], rows: NDArray[np.int64], least: int, unit_rows: bool
) -> tuple[Floats, Floats]:
    """Places (n_c, k) of these targets along their components, and explained shares (k,)."""
    gram = np.zeros((len(rows), len(rows)))
    for _, block in row_blocks(scores):
        own = block[:, rows].astype(np.float64)
        gram += own.T @ own
    if unit_rows:
        norms = np.sqrt(np.diag(gram))
        norms[norms == 0] = 1.0
        gram /= norms[:, None] * norms
    scale = float(np.trace(gram))
    means = gram.mean(axis=0)
    gram += means.mean() - means - means[:, None]
    total = float(np.trace(gram))
    k = min(len(rows), max(N_COMPONENTS, least))
    if not total > _FLAT * scale:
        return np.zeros((len(rows), k)), np.zeros(k)
    values, vectors = _largest(gram, k)
    places = vectors * np.sqrt(values.clip(0))
    peaks = np.take_along_axis(places, np.abs(places).argmax(axis=0)[None], axis=0)
    return places * np.where(peaks < 0, -1.0, 1.0), values.clip(0) / total


def _largest(gram: Floats, k: int) -> tuple[Floats, Floats]:
    """The ``k`` largest eigenvalues, descending, and their vectors as columns."""
    n = len(gram)
    if n > _DIRECT:
        from scipy.sparse.linalg import eigsh

        start = np.random.default_rng(0).standard_normal(n)
        values, vectors = eigsh(gram, k=k, v0=start)
    else:
        from scipy.linalg import eigh

        values, vectors = eigh(gram, subset_by_index=(n - k, n - 1))
    order = np.argsort(-values, kind="stable")
    return values[order], vectors[:, order]


def _tails(along: Floats, share: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    size = max(1, int(np.floor(share * len(along) + 0.5)))
    return np.argsort(along, kind="stable")[:size], np.argsort(-along, kind="stable")[:size]


def _zero_ends(along: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.flatnonzero(along < 0), np.flatnonzero(along >= 0)


def _low_is_worse(
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    right: NDArray[Any],
    losses: Floats | None,
) -> bool:
    """Whether the model does worse at the low end: accuracy, then mean loss, then the low end."""
    accuracies = right[low].mean(), right[high].mean()
    if accuracies[0] != accuracies[1]:
        return bool(accuracies[0] < accuracies[1])
    if losses is not None and (a := losses[low].mean()) != (b := losses[high].mean()):
        return bool(a > b)
    return True
