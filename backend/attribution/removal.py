"""Which training examples to leave out, and what that takes from whom. Nothing is deleted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.attribution.checks import check_values, ordered_codes
from backend.core.arrays import check_vector
from backend.core.errors import InputError
from backend.core.groups import SMALL


@dataclass(frozen=True)
class Removal:
    """Training examples that are suggested for removal.

    Attributes
    ----------
    rows : int64 array
        What would be removed, the most harmful first; ties by the lower row.
    keep : bool array of shape (n_train,)
    n_train : int
    classes : DataFrame or None
        ``class``, ``n``, ``removed``, ``share`` (fraction of the class), where labels were given.
    """

    rows: NDArray[np.int64]
    keep: NDArray[np.bool_]
    n_train: int
    classes: pd.DataFrame | None


def remove_harmful(scores: Any, k: int | None = None, *, labels: Any = None) -> Removal:
    """The training examples with negative scores, or the ``k`` with the lowest.

    Parameters
    ----------
    scores : array-like of shape (n_train,)
        As of ``group_alignment``: negative harms.
    k : int, optional
        How many to remove, 1 to n_train - 1, whatever their sign; ties go to the lower row. By
        default all with a score below 0, perhaps none.
    labels : array-like of shape (n_train,), optional
        Classes of the training examples: a removal that would leave one of them empty is refused.

    Returns
    -------
    Removal

    Raises
    ------
    InputError
        If shapes differ, a score is not finite, ``k`` is out of range, or a class would be emptied.
    """
    values = check_vector("scores", scores)
    order = np.argsort(values, kind="stable")
    if k is None:
        rows = order[: int((values < 0).sum())]
    else:
        if isinstance(k, bool) or int(k) != k or not 1 <= k < len(values):
            raise InputError(f"k must be a whole number from 1 to {len(values) - 1}: got {k!r}.")
        rows = order[: int(k)]
    return removal_of(rows, len(values), labels)


def removal_of(rows: NDArray[np.int64], n_train: int, labels: Any = None) -> Removal:
    """The removal of these rows, in this order, and what it takes from each class.

    Raises
    ------
    InputError
        If nothing, or nothing of a class, would be left.
    """
    keep = np.ones(n_train, bool)
    keep[rows] = False
    if not keep.any():
        raise InputError("every training example would be removed: remove fewer.")
    classes = None
    if labels is not None:
        classes = taken_from(keep, labels)
        if emptied := classes["class"][classes["removed"] == classes["n"]].tolist():
            raise InputError(
                f"class {emptied[0]!r} would lose all its training examples, {len(rows)} of "
                f"{n_train} being removed. Remove fewer: choose k, or search for it."
            )
    return Removal(rows.astype(np.int64), keep, n_train, classes)


def taken_from(keep: NDArray[np.bool_], labels: Any) -> pd.DataFrame:
    """What a removal takes from each class: ``class``, ``n``, ``removed``, ``share``."""
    names, codes = ordered_codes(check_values("labels", labels, len(keep), "training example"))
    counts = np.bincount(codes, minlength=len(names))
    removed = np.bincount(codes[~keep], minlength=len(names))
    return pd.DataFrame(
        {"class": names, "n": counts, "removed": removed, "share": removed / counts}
    )


def search_removal(
    scores: Any,
    measure: Callable[[NDArray[np.bool_]], float],
    *,
    candidates: Sequence[int],
    labels: Any = None,
) -> tuple[Removal | None, pd.DataFrame]:
    """The number to remove whose retraining does best on validation, nothing removed included.

    Parameters
    ----------
    scores : array-like of shape (n_train,)
    measure : callable
        From ``keep`` (n_train,) to a number to be large, the worst-group accuracy on validation for
        instance: trains a model. What is reported afterwards belongs on examples that had no part.
    candidates : sequence of int
        Numbers to try besides none; a number that would empty a class is left out.
    labels : array-like of shape (n_train,), optional

    Returns
    -------
    removal : Removal or None
        The best, the smaller number in a tie; None where removing nothing is best.
    tried : DataFrame
        ``removed``, ``measure`` (NaN where the number was left out), ascending.

    Raises
    ------
    InputError
        As ``remove_harmful``, or if ``measure`` gives NaN.
    """
    values = check_vector("scores", scores)
    tried: list[tuple[int, float]] = []
    best: tuple[float, Removal | None] | None = None
    for k in [0, *sorted(set(candidates) - {0})]:
        try:
            removal = remove_harmful(values, k, labels=labels) if k else None
        except InputError:
            if labels is None or not 1 <= k < len(values):
                raise
            tried.append((k, float("nan")))
            continue
        value = float(measure(np.ones(len(values), bool) if removal is None else removal.keep))
        if np.isnan(value):
            raise InputError(f"measure must give a number: got NaN with {k} examples removed.")
        tried.append((k, value))
        if best is None or value > best[0]:
            best = value, removal
    assert best is not None  # nothing removed is always tried
    return best[1], pd.DataFrame(tried, columns=["removed", "measure"])


def mean_alignment(
    scores: Any, labels: Any, annotations: Any = None, *, min_n: int = SMALL
) -> pd.DataFrame:
    """Mean score of each training subpopulation, the most harmful first.

    Parameters
    ----------
    scores : array-like of shape (n_train,)
        As of ``group_alignment``.
    labels : array-like of shape (n_train,)
    annotations : array-like of shape (n_train,), optional
        What subpopulations differ in besides the label; by default they are the labels.
    min_n : int
        Below this many examples a row is marked small.

    Returns
    -------
    DataFrame
        ``label``, ``annotation`` (where given), ``n``, ``mean``, ``negative`` (share of scores
        below 0), ``small``. Combinations that do not occur come last, their numbers NaN.

    Raises
    ------
    InputError
        If shapes differ, a score is not finite, or a value is missing.

    References
    ----------
    Jain, Hamidieh et al. 2024, arXiv:2406.16846, figure 4.
    """
    values = check_vector("scores", scores)
    n = len(values)
    names, codes = ordered_codes(check_values("labels", labels, n, "training example"))
    kinds: list[Any] = [None]
    if annotations is not None:
        given = check_values("annotations", annotations, n, "training example")
        kinds, own = ordered_codes(given)
        codes = codes * len(kinds) + own
    cells = len(names) * len(kinds)
    counts = np.bincount(codes, minlength=cells)
    with np.errstate(invalid="ignore"):
        means = np.bincount(codes, weights=values, minlength=cells) / counts
        negative = np.bincount(codes[values < 0], minlength=cells) / counts
    table = pd.DataFrame({"label": np.repeat(np.array(names, dtype=object), len(kinds))})
    if annotations is not None:
        table["annotation"] = np.tile(np.array(kinds, dtype=object), len(names))
    table = table.assign(n=counts, mean=means, negative=negative, small=counts < min_n)
    return table.sort_values("mean", kind="stable", na_position="last", ignore_index=True)
