"""Accuracy of the group that a model serves worst, beside the mean over groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.arrays import as_numpy
from backend.core.errors import InputError
from backend.core.statistics import UNDEFINED, Interval, wilson_interval
from backend.populations.cells import Cells, attribute_cells

LABEL = "label"
_Z = 1.959963984540054


@dataclass(frozen=True)
class GroupAccuracies:
    """Accuracy of every label within every value of some attributes.

    Attributes
    ----------
    table : DataFrame
        One row per group somebody is in: ``group``, ``n``, ``accuracy`` with its Wilson 95 %
        interval ``low`` and ``high``, ``small``; lowest accuracy first, small groups last.
    worst : Interval
        Of the lowest accuracy among groups that are not small (among all, where all are).
    worst_group, worst_n : str, int
        Which group that is; a tie goes to the one listed first.
    held_out : Interval
        The same without the choice: the lowest group of one half of the examples, measured on the
        other half. NaN where it has nobody there.
    held_out_group, held_out_n : str, int
    balanced : Interval
        Mean of the accuracies of all groups, each counting once, with a normal 95 % interval.
    overall : Interval
        Accuracy of everybody, Wilson's interval.
    """

    table: pd.DataFrame
    worst: Interval
    worst_group: str
    worst_n: int
    held_out: Interval
    held_out_group: str
    held_out_n: int
    balanced: Interval
    overall: Interval


def group_accuracies(
    labels: Any,
    predictions: Any,
    attributes: Mapping[str, Any],
    *,
    min_n: int = 30,
    seed: int = 0,
) -> GroupAccuracies:
    """Worst-group and balanced accuracy over each label within each value of the attributes.

    Parameters
    ----------
    labels, predictions : array-like of shape (n,)
        Class numbers or names.
    attributes : {name: array-like of shape (n,)}
        Categories, at most two, which combine; a missing value is the level "unknown". None gives
        the accuracy of each label.
    min_n : int
        Groups of fewer examples are ``small``: they cannot be the worst while others are there.
    seed : int
        Deals the examples of each group into two halves.

    Returns
    -------
    GroupAccuracies

    Raises
    ------
    InputError
        If lengths differ, there are no examples, or more than two attributes are combined.

    Notes
    -----
    The lowest of many accuracies is low by chance, too: ``held_out`` chooses and measures on
    different examples. The interval of the balanced accuracy adds up the variances of the groups,
    each with one success and one failure more, so that a group of one counts as uncertain.

    References
    ----------
    Sagawa et al., Distributionally Robust Neural Networks, ICLR 2020, arXiv:1911.08731; Jain,
    Hamidieh et al. 2024, arXiv:2406.16846, for both numbers side by side.
    """
    truth, said = as_numpy(labels), as_numpy(predictions)
    if truth.ndim != 1 or truth.shape != said.shape or len(truth) == 0:
        raise InputError(
            f"labels and predictions must be one per example: got shapes {truth.shape} and "
            f"{said.shape}."
        )
    if len(attributes) > 2:
        raise InputError(
            f"at most two attributes are combined with the label: got {len(attributes)}."
        )
    right = truth == said
    cells = _groups(truth, attributes)
    held, n = cells.total(right), cells.total()
    table = _table(cells.names, held, n, min_n)
    first = table.iloc[0]
    half = _halves(cells.codes, seed)
    other = _table(cells.names, cells.total(right & half), cells.total(half), (min_n + 1) // 2)
    chosen = cells.names.index(other["group"].iloc[0])
    inside = ~half & (cells.codes == chosen)
    return GroupAccuracies(
        table=table,
        worst=Interval(*(float(first[name]) for name in ("accuracy", "low", "high"))),
        worst_group=str(first["group"]),
        worst_n=int(first["n"]),
        held_out=_share(int(right[inside].sum()), int(inside.sum())),
        held_out_group=cells.names[chosen],
        held_out_n=int(inside.sum()),
        balanced=_balanced(held[n > 0], n[n > 0]),
        overall=_share(int(right.sum()), len(right)),
    )


def _groups(truth: NDArray[Any], attributes: Mapping[str, Any]) -> Cells:
    """The finest cells: every label within every combination of the attributes."""
    name = LABEL
    while name in attributes:  # an attribute may be called so
        name = f"true {name}"
    every = {name: truth.astype(object), **attributes}
    return list(attribute_cells(every, len(truth), len(every)))[-1]


def _table(
    names: list[str], held: NDArray[np.int64], n: NDArray[np.int64], min_n: int
) -> pd.DataFrame:
    low, high = wilson_interval(held, n)
    table = pd.DataFrame(
        {
            "group": names,
            "n": n,
            "accuracy": held / np.maximum(n, 1),
            "low": low,
            "high": high,
            "small": n < min_n,
        }
    )
    table = table[table["n"] > 0]
    return table.sort_values(["small", "accuracy"], kind="stable", ignore_index=True)


def _halves(codes: NDArray[np.int64], seed: int) -> NDArray[np.bool_]:
    """One half of every group, by lot; the odd one goes to the half that chooses."""
    lot = np.random.default_rng(seed).permutation(len(codes))
    order = lot[np.argsort(codes[lot], kind="stable")]
    starts = np.searchsorted(codes[order], codes[order])
    half = np.zeros(len(codes), dtype=bool)
    half[order] = (np.arange(len(codes)) - starts) % 2 == 0
    return half


def _share(count: int, n: int) -> Interval:
    if n == 0:
        return UNDEFINED
    low, high = wilson_interval(count, n)
    return Interval(count / n, float(low), float(high))


def _balanced(held: NDArray[np.int64], n: NDArray[np.int64]) -> Interval:
    value = float((held / n).mean())
    shrunk = (held + 1) / (n + 2)
    half = _Z * float(np.sqrt((shrunk * (1 - shrunk) / (n + 2)).sum())) / len(n)
    return Interval(value, max(0.0, value - half), min(1.0, value + half))
