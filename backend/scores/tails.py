"""The two long tails of a bundle: whose confidence was followed, what is known of it, two axes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.errors import InputError
from backend.difficulty import LongTails, long_tails

EVALUATION, TRAINING = "examples", "training set"
MOST_SUBSETS = 4
"""Values of a column that are followed as subsets, the most frequent ones."""
MOST_VALUES = 12
"""A column of more values names its rows, or measures them: it says no subsets."""
MOST_POINTS = 20_000
"""Points of a chart on which a shape can be drawn; a shape holds all rows, drawn or not."""
UNTREATED, TARGETED = "none", "targeted"


@dataclass(frozen=True)
class FollowedRows:
    """Rows whose confidence over training is in the bundle.

    Attributes
    ----------
    name : str
        ``EVALUATION``: the bundle's own examples; ``TRAINING``: those of its part ``train``.
    msp : dict of {variant: (rows, epochs) array}
    columns : dict of {name: (rows,) array}
        Columns of few values, which may say what is known of a row.
    """

    name: str
    msp: Mapping[str, NDArray[Any]] = field(repr=False)
    columns: Mapping[str, NDArray[Any]] = field(repr=False)

    @property
    def n(self) -> int:
        """How many rows."""
        return len(next(iter(self.msp.values())))

    @property
    def n_cells(self) -> int:
        """How many confidences there are of them."""
        return sum(array.size for array in self.msp.values())


def followed_rows(bundle: Bundle) -> dict[str, FollowedRows]:
    """Whose confidence over training the bundle holds, by name.

    ``msp/<variant>`` is of the bundle's examples. Of the training set it is ``train/msp``, or one
    ``train/msp-<variant>`` per variant.
    """
    found = {}
    if bundle.msp:
        held = {name: bundle.examples[name].to_numpy() for name in bundle.attributes}
        found[EVALUATION] = FollowedRows(EVALUATION, dict(bundle.msp), _few_values(held))
    msp = {
        name.removeprefix("msp").lstrip("-_") or "training": array
        for name, array in bundle.train.items()
        if (name == "msp" or name.startswith(("msp-", "msp_"))) and array.ndim == 2
    }
    if msp:
        others = {
            name: array
            for name, array in bundle.train.items()
            if array.ndim == 1 and len(array) == len(next(iter(msp.values())))
        }
        found[TRAINING] = FollowedRows(TRAINING, msp, _few_values(others))
    return found


def _few_values(columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {
        name: values
        for name, values in columns.items()
        if values.dtype.kind != "f" and 1 < pd.Series(values).nunique(dropna=False) <= MOST_VALUES
    }


def known_subsets(name: str, values: NDArray[Any]) -> dict[str, NDArray[np.bool_]]:
    """The subsets that a column knows: itself where it is yes or no, else its most frequent values.

    Parameters
    ----------
    name : str
        Of the column.
    values : array of shape (n,)
    """
    if values.dtype.kind == "b":
        return {name: np.asarray(values)}
    text = pd.Series(values).astype(object)
    text = text.where(text.notna(), "").astype(str)
    if set(text) == {"0", "1"}:
        return {name: (text == "1").to_numpy()}
    frequent = [value for value in text.value_counts().index if value][:MOST_SUBSETS]
    return {value: (text == value).to_numpy() for value in sorted(frequent)}


def follow_tails(
    rows: FollowedRows, *, truth: str | None = None, share: float = 0.2, epoch: int = -1
) -> LongTails:
    """``long_tails`` of these rows, with the subsets that a column knows.

    Variants called ``none`` and ``targeted`` are those between which the gain is measured.

    Raises
    ------
    InputError
        As ``long_tails``; or if there is no such column.
    """
    if truth is not None and truth not in rows.columns:
        raise InputError(f"truth must be one of {', '.join(rows.columns)}: got {truth!r}.")
    known = None if truth is None else known_subsets(truth, rows.columns[truth])
    return long_tails(
        rows.msp, known=known, untreated=UNTREATED, targeted=TARGETED, share=share, epoch=epoch
    )


@dataclass(frozen=True)
class TwoAxes:
    """Rows between atypical and noisy: mean confidence, and what was gained or learned.

    Attributes
    ----------
    x, y : float arrays of shape (n,)
        ``y`` is the gain by targeted augmentation, else the slope over epochs.
    x_title, y_title : str
    drawn : int array
        Rows to draw: all candidates and others by lot, at most ``MOST_POINTS``.
    """

    x: NDArray[np.float64] = field(repr=False)
    y: NDArray[np.float64] = field(repr=False)
    x_title: str
    y_title: str
    drawn: NDArray[np.int64] = field(repr=False)


def two_axes(tails: LongTails, *, seed: int = 0) -> TwoAxes:
    """Mean confidence of the reference variant against the gain, or against the slope without one."""
    at = tails.variants.index(tails.reference)
    y, title = tails.slope[at], f"slope of the confidence per epoch, {tails.reference}"
    if tails.gain is not None:
        y, title = tails.gain, f"gain: mean confidence, {TARGETED} less {UNTREATED}"
    drawn = np.arange(len(y))
    if len(y) > MOST_POINTS:
        lot = np.random.default_rng(seed).permutation(len(y))
        first = np.argsort(~tails.candidates[lot], kind="stable")
        drawn = np.sort(lot[first][:MOST_POINTS])
    return TwoAxes(
        tails.auc[at],
        np.nan_to_num(y),  # one epoch has no slope
        f"mean confidence over epochs, {tails.reference}",
        title,
        drawn.astype(np.int64),
    )


@dataclass(frozen=True)
class EpochLine:
    """A number of one variant and subset, epoch by epoch.

    ``epochs`` count from 1; ``place`` is that of the subset among those of the table, "all" 0.
    """

    variant: str
    subset: str
    place: int
    epochs: NDArray[np.int64] = field(repr=False)
    values: NDArray[np.float64] = field(repr=False)


def epoch_lines(table: pd.DataFrame, measure: str) -> list[EpochLine]:
    """``curves`` or ``separation`` of the long tails as lines, in the order of the table."""
    places: dict[str, int] = {"all": 0}
    lines = []
    for (variant, subset), part in table.groupby(["variant", "subset"], sort=False):
        place = places.setdefault(str(subset), len(places))
        epochs, values = part["epoch"].to_numpy() + 1, part[measure].to_numpy(dtype=float)
        lines.append(EpochLine(str(variant), str(subset), place, epochs, values))
    return lines


def tail_table(tails: LongTails, rows: NDArray[np.int64]) -> pd.DataFrame:
    """What is known of some rows: ``row``, ``candidate``, mean confidence and slope per variant, ``gain``."""
    table: dict[str, Any] = {"row": rows, "candidate": tails.candidates[rows]}
    for at, variant in enumerate(tails.variants):
        table[f"mean confidence, {variant}"] = tails.auc[at, rows]
        table[f"slope, {variant}"] = tails.slope[at, rows]
    if tails.gain is not None:
        table["gain"] = tails.gain[rows]
    return pd.DataFrame(table)


def least_confident(tails: LongTails, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """These rows, lowest mean confidence of the reference variant first; ties by lower row."""
    held = np.sort(rows)
    auc = tails.auc[tails.variants.index(tails.reference), held]
    return held[np.argsort(auc, kind="stable")]
