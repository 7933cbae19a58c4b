"""Counterfactual pairs: examples that differ in one attribute, and whether the answer differs too."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.arrays import as_numpy, check_vector
from backend.core.errors import InputError
from backend.core.statistics import adjust_p, mcnemar_p, mean_interval, wilson_interval
from backend.populations.cells import level_order

MOST_LEVELS = 30
"""Values of the attribute that are compared two by two."""


def counterfactual_pairs(
    pair_ids: Any,
    attribute: Any,
    predictions: Any,
    *,
    positive: Any,
    scores: Any = None,
) -> pd.DataFrame:
    """How often an answer changes when an example changes in one attribute alone.

    Parameters
    ----------
    pair_ids : array-like of shape (n,)
        What belongs together: rows of one id are versions of one example. A missing id (None, NaN,
        empty text) belongs to nothing.
    attribute : array-like of shape (n,)
        What distinguishes the versions. A missing value takes no part.
    predictions : array-like of shape (n,)
        Class numbers or names.
    positive : label
        The class that McNemar's test and the score are about.
    scores : array-like of shape (n,), optional
        Probability of the positive class.

    Returns
    -------
    DataFrame
        One row per two values of the attribute that some id has once each: ``first``, ``second``,
        ``n_pairs``; ``n_flips`` and ``flips``, the share of pairs answered differently, with
        Wilson's 95 % interval ``low`` and ``high``; ``only_first`` and ``only_second``, the pairs
        called positive on one side alone, and the exact two-sided ``p`` of McNemar of them being
        equally likely (1 where there are none), with ``p_adjusted`` over the rows
        (Benjamini-Hochberg). With scores ``change``, the mean of second less first, with Student's
        t 95 % interval ``change_low`` and ``change_high``. Ids that have a value twice are left out
        of its rows. Values in sorted order.

    Raises
    ------
    InputError
        If lengths differ, the attribute has fewer than two values or more than 30, or no id pairs
        two of them.

    References
    ----------
    McNemar, Psychometrika 12 (1947), exact form; counterfactual pairs as in Garg et al.,
    Counterfactual Fairness in Text Classification, AIES 2019, arXiv:1809.10610.
    """
    ids, levels, said = (_column(name, value) for name, value in (
        ("pair_ids", pair_ids), ("attribute", attribute), ("predictions", predictions)))  # fmt: skip
    n = len(said)
    if len(ids) != n or len(levels) != n:
        raise InputError(
            f"pair_ids, attribute and predictions must be one per example: got {len(ids)}, "
            f"{len(levels)} and {n}."
        )
    values = None if scores is None else check_vector("scores", scores, n, of="prediction")
    id_codes, _ = pd.factorize(ids)
    codes, found = pd.factorize(levels)
    if not 1 < len(found) <= MOST_LEVELS:
        raise InputError(
            f"the attribute of pairs must have 2 to {MOST_LEVELS} values: got {len(found)}."
        )
    is_positive = (said == positive).to_numpy()
    rows = []
    order = level_order(list(found))
    place = _places(id_codes, codes, len(found))
    answers = pd.factorize(said)[0]
    for one, other in combinations(order, 2):
        both = place[(place[:, one] >= 0) & (place[:, other] >= 0)]
        if not len(both):
            continue
        a, b = both[:, one], both[:, other]
        flips = int((answers[a] != answers[b]).sum())
        low, high = wilson_interval(flips, len(both))
        first = int((is_positive[a] & ~is_positive[b]).sum())
        second = int((~is_positive[a] & is_positive[b]).sum())
        row = {
            "first": str(found[one]),
            "second": str(found[other]),
            "n_pairs": len(both),
            "n_flips": flips,
            "flips": flips / len(both),
            "low": float(low),
            "high": float(high),
            "only_first": first,
            "only_second": second,
            "p": mcnemar_p(first, second),
        }
        if values is not None:
            change = mean_interval(values[b] - values[a])
            row |= {"change": change.value, "change_low": change.low, "change_high": change.high}
        rows.append(row)
    if not rows:
        raise InputError(
            "no pair_id has two values of the attribute, once each: rows that are versions of one "
            "example need the same pair_id and different values."
        )
    table = pd.DataFrame(rows)
    table.insert(table.columns.get_loc("p") + 1, "p_adjusted", adjust_p(table["p"]))
    return table


def _places(ids: NDArray[np.intp], codes: NDArray[np.intp], width: int) -> NDArray[np.int64]:
    """Row of each id (down) and value (across); -1 where there is none, or more than one."""
    known = np.flatnonzero((ids >= 0) & (codes >= 0))
    place = np.full((int(ids.max(initial=-1)) + 1, width), -1, dtype=np.int64)
    count = np.zeros(place.shape, dtype=np.int64)
    place[ids[known], codes[known]] = known
    np.add.at(count, (ids[known], codes[known]), 1)
    place[count > 1] = -1
    return place


def _column(name: str, value: Any) -> pd.Series:
    array = value.to_numpy() if isinstance(value, pd.Series | pd.Index) else as_numpy(value)
    if array.ndim != 1 or len(array) == 0:
        raise InputError(f"{name} must be one per example: got shape {array.shape}.")
    column = pd.Series(array, dtype=object)
    return column.mask(column.isna() | (column == ""))
