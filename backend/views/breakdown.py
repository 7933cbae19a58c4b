"""Where in the columns the examples of a view are: bars of numbers, and confusions."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from backend.bundle import Bundle
from backend.core.bars import Bars, count_bars
from backend.core.errors import InputError
from backend.rules import read_column
from backend.rules.write import joined, value_rule
from backend.views.resolve import Looked


def column_bars(bundle: Bundle, looked: Looked, column: str) -> Bars | None:
    """A column of numbers as bars: ``all`` examples, those ``filtered`` and those ``selected``.

    None where no example has a finite value.
    """
    found = read_column(bundle, column)
    if found.kind != "number":
        raise InputError(f"bars need a column of numbers: {column!r} is {found.kind}.")
    values = np.where(found.known, found.values.astype(np.float64), np.nan)
    if not np.isfinite(values).any():
        return None
    selected = np.zeros(bundle.n, dtype=bool)
    selected[looked.selected] = True
    parts = {"all": np.ones(bundle.n, dtype=bool), "filtered": looked.shown, "selected": selected}
    return count_bars(values, parts)


def brushed_range(one: float, other: float) -> tuple[float, float]:
    """The ends of a range that was drawn by hand, lower first: no finer than a thousandth of it.

    Of a drawing -118.24368 to -118.1022 it makes -118.2437 to -118.1022; three digits of the numbers
    themselves would make both the same.
    """
    low, high = sorted((one, other))
    width = high - low
    if not (math.isfinite(width) and width > 0):
        return low, high
    digits = 3 - math.floor(math.log10(width))
    return round(low, digits), round(high, digits)


def confusion_table(bundle: Bundle, looked: Looked, *, mistakes: bool) -> pd.DataFrame | None:
    """How often each label that the filters show got each prediction.

    Parameters
    ----------
    mistakes : bool
        Leave out what is right.

    Returns
    -------
    DataFrame or None
        ``label`` and ``prediction`` by name, ``examples``, their ``mean_loss``, and ``shade``, the
        logarithm of 1 + examples over the largest such one, in (0, 1]. Most frequent pair first;
        ties go to the lower label, then prediction. None without classes.
    """
    codes, said, names = bundle.label_codes, bundle.prediction_codes, bundle.class_names
    if codes is None or said is None or names is None:
        return None
    kept = looked.shown & (codes != said) if mistakes else looked.shown
    pairs = codes[kept] * len(names) + said[kept]
    found, inverse, counts = np.unique(pairs, return_inverse=True, return_counts=True)
    sums = np.bincount(inverse, bundle.losses[kept], minlength=len(found))
    heights = np.log1p(counts)
    called = np.asarray(names, dtype=object)
    table = pd.DataFrame(
        {
            "label": called[found // len(names)],
            "prediction": called[found % len(names)],
            "examples": counts,
            "mean_loss": sums / counts,
            "shade": heights / max(float(heights.max(initial=0.0)), 1e-9),
        }
    )
    return table.sort_values("examples", ascending=False, kind="stable").reset_index(drop=True)


def pair_rule(label: str, prediction: str) -> str:
    """The rule for one cell of a confusion matrix."""
    return joined([value_rule("label", label), value_rule("prediction", prediction)])
