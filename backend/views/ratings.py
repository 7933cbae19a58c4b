"""Averages of a recommender's films and users: what the others gave, and how many they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.bundle import Bundle

NAMES = {"item": ("item", "item_id"), "user": ("user", "user_id")}
"""Columns of the examples table that say what was rated, and who rated it."""
AVERAGE, COUNT = "{} average", "{} ratings"


def rated_by(bundle: Bundle) -> dict[str, str]:
    """The columns ``item`` and ``user`` of a bundle of ratings, by what they mean; empty without both.

    Ratings are the ``targets`` of a bundle.
    """
    columns = {name.lower(): name for name in bundle.attributes}
    found = {
        meaning: columns[one]
        for meaning, names in NAMES.items()
        for one in names[::-1]
        if one in columns
    }
    return found if bundle.targets is not None and len(found) == len(NAMES) else {}


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
    for meaning, column in rated_by(bundle).items():
        values, whose = own, bundle.examples[column].astype(str).to_numpy()
        if _in_training(bundle):
            trained = pd.Series(bundle.train[column]).astype(str).to_numpy()
            values = np.concatenate([own, bundle.train["targets"]])
            whose = np.concatenate([whose, trained])
        codes, _ = pd.factorize(whose)
        counts = np.bincount(codes)[codes[rows]] - 1
        sums = np.bincount(codes, weights=values)[codes[rows]] - own[rows]
        with np.errstate(invalid="ignore"):
            average = np.where(counts > 0, sums / counts, np.nan)
        found |= {AVERAGE.format(meaning): average, COUNT.format(meaning): counts}
    return found


def from_training(bundle: Bundle) -> bool:
    """Whether the averages count ratings of the training set."""
    return bool(rated_by(bundle)) and _in_training(bundle)


def first_columns(bundle: Bundle) -> list[str]:
    """The columns that a table of ratings begins with, in the paper's order; empty if it is none.

    Prediction, rating and loss, the first two columns that describe what was rated, the averages.
    """
    columns = rated_by(bundle)
    if not columns:
        return []
    others = [name for name in bundle.attributes if name not in columns.values()][:2]
    averages = [kind.format(meaning) for meaning in NAMES for kind in (AVERAGE, COUNT)]
    return ["prediction", "target", "loss", *others, *averages]


def _in_training(bundle: Bundle) -> bool:
    wanted = ("targets", *rated_by(bundle).values())
    return all(name in bundle.train for name in wanted)
