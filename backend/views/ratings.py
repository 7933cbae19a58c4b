"""Averages of a recommender's films and users: what the others gave, and how many they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.bundle import Bundle

AVERAGE, COUNT = "{} average", "{} ratings"


def rating_columns(bundle: Bundle, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """What others gave to the item of each row, and what its user gave elsewhere (d'Eon et al. 2021).

    Parameters
    ----------
    bundle : Bundle
    rows : int array of shape (k,)

    Returns
    -------
    dict
        ``item average``, ``item ratings``, ``user average`` and ``user ratings``, (k,) each: the mean
        rating and the number of ratings of that item, or by that user, among the examples, and among
        the training set where it holds ``targets`` with the same columns. The row itself is not
        counted; NaN where nobody else is left. Empty where the bundle is none of ratings.
    """
    found: dict[str, NDArray[Any]] = {}
    own = np.asarray(bundle.targets, float) if bundle.targets is not None else np.empty(0)
    for meaning, column in bundle.rated_by().items():
        values, whose = own, _named(bundle.examples[column])
        if bundle.rated_in_training():
            values = np.concatenate([own, bundle.train["targets"]])
            whose = np.concatenate([whose, _named(pd.Series(bundle.train[column]))])
        codes, _ = pd.factorize(whose)
        known = codes >= 0
        counts = np.bincount(codes[known], minlength=1)
        sums = np.bincount(codes[known], weights=values[known], minlength=1)
        mine = codes[rows]
        others = np.where(mine < 0, 0, counts[mine] - 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            average = np.where(others > 0, (sums[mine] - own[rows]) / others, np.nan)
        found |= {AVERAGE.format(meaning): average, COUNT.format(meaning): others}
    return found


def first_columns(bundle: Bundle) -> list[str]:
    """The columns that a table of ratings begins with, in the paper's order; empty if it is none.

    Prediction, rating and loss, the first two columns that describe what was rated, the averages.
    """
    columns = bundle.rated_by()
    if not columns:
        return []
    others = [name for name in bundle.attributes if name not in columns.values()][:2]
    averages = [kind.format(meaning) for meaning in columns for kind in (AVERAGE, COUNT)]
    return ["prediction", "target", "loss", *others, *averages]


def _named(values: pd.Series) -> NDArray[np.object_]:
    """Whom each row is about, as text; None where that is missing."""
    text = values.astype(str).to_numpy(dtype=object)
    text[(values.isna() | (text == "")).to_numpy()] = None
    return text
