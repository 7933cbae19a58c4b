"""A positive class with a score: rates of every group at a threshold, ranking and calibration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from backend.core.arrays import as_numpy, check_vector
from backend.core.errors import InputError
from backend.core.statistics import average_precision
from backend.populations.audit import confusion, rate_intervals
from backend.populations.cells import attribute_cells

CALIBRATION_BINS = 15
STEPS = 100
"""Thresholds of a curve, equally far apart from 0 to 1, are one more."""
CURVES = ("tpr", "fpr", "fnr", "tnr", "ppv", "fdr", "error", "called")
_Z = 1.959963984540054


def rates_at(
    scores: Any,
    positives: Any,
    attributes: Mapping[str, Any],
    *,
    threshold: float,
    order: int = 1,
    min_n: int = 30,
) -> pd.DataFrame:
    """Rates of everybody and every group when a score from the threshold up means positive.

    Parameters
    ----------
    scores : array-like of shape (n,)
        Probability of the positive class, in [0, 1].
    positives : bool array-like of shape (n,)
        Whether each example is of the positive class.
    attributes, order, min_n
        As in ``audit``.
    threshold : float
        In [0, 1].

    Returns
    -------
    DataFrame
        As ``audit`` with the intervals of ``rate_intervals``, and ``called``: the share of the
        group that is called positive; NaN of nobody.

    Raises
    ------
    InputError
        If lengths differ, a score or the threshold is outside [0, 1], or there are too many groups.
    """
    values, truth = _checked(scores, positives)
    if not 0 <= threshold <= 1:
        raise InputError(f"threshold must be in [0, 1]: got {threshold}.")
    table = confusion(truth, values >= threshold, attributes, order=order, min_n=min_n)
    wide = table.join(rate_intervals(table).drop(columns=["error_low", "error_high"]))
    return wide.assign(called=(wide["tp"] + wide["fp"]) / wide["n"].where(wide["n"] > 0))


def threshold_curves(
    scores: Any, positives: Any, attributes: Mapping[str, Any], *, order: int = 1
) -> pd.DataFrame:
    """The rates of ``rates_at`` at a hundred and one thresholds from 0 to 1.

    Returns
    -------
    DataFrame
        ``group``, ``threshold`` and the rates of ``CURVES``; NaN where one is undefined.
    """
    values, truth = _checked(scores, positives)
    steps = np.arange(STEPS + 1) / STEPS
    reached = np.searchsorted(steps, values, side="right") - 1  # the last threshold it reaches
    tables = []
    for cells in attribute_cells(attributes, len(values), order):
        size = (len(cells.names), STEPS + 1)
        place = cells.codes * size[1] + reached
        said = [
            np.bincount(place[mask], minlength=size[0] * size[1]).reshape(size)[:, ::-1]
            .cumsum(axis=1)[:, ::-1].astype(float)
            for mask in (truth, ~truth)
        ]  # fmt: skip
        tp, fp = said
        p, n = tp[:, :1], fp[:, :1]  # at the threshold 0 everybody is called positive
        with np.errstate(invalid="ignore", divide="ignore"):
            rates = {
                "tpr": tp / p, "fpr": fp / n, "fnr": (p - tp) / p, "tnr": (n - fp) / n,
                "ppv": tp / (tp + fp), "fdr": fp / (tp + fp),
                "error": (p - tp + fp) / (p + n), "called": (tp + fp) / (p + n),
            }  # fmt: skip
        tables.append(
            pd.DataFrame(
                {
                    "group": np.repeat(np.asarray(cells.names, dtype=object), size[1]),
                    "threshold": np.tile(steps, size[0]),
                    **{name: rate.ravel() for name, rate in rates.items()},
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


@dataclass(frozen=True)
class ThresholdLine:
    """One rate of one group at every threshold."""

    group: str
    thresholds: NDArray[np.float64] = field(repr=False)
    values: NDArray[np.float64] = field(repr=False)


def curve_lines(
    curves: pd.DataFrame, rate: str, attribute: str, *, most: int
) -> list[ThresholdLine]:
    """The rate of everybody and of the values of one attribute, at most ``most`` lines."""
    width = STEPS + 1
    named = curves["group"].iloc[::width].to_numpy(dtype=str)
    held = [at for at, name in enumerate(named) if at == 0 or name.startswith(f"{attribute}=")]
    return [
        ThresholdLine(
            str(curves["group"].iloc[start]),
            curves["threshold"].to_numpy()[start : start + width],
            curves[rate].to_numpy(dtype=float)[start : start + width],
        )
        for start in (at * width for at in held[:most])
    ]


def rates_of_threshold(curves: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """The rates of every group at the threshold of the curves that is next to this one."""
    step = round(float(np.clip(threshold, 0, 1)) * STEPS)
    return curves.iloc[step :: STEPS + 1].reset_index(drop=True)


def score_quality(
    scores: Any,
    positives: Any,
    attributes: Mapping[str, Any],
    *,
    order: int = 1,
    min_n: int = 30,
    bins: int = CALIBRATION_BINS,
) -> pd.DataFrame:
    """How well a score ranks the positive class within each group, and how far it is calibrated.

    Parameters
    ----------
    scores, positives, attributes, order, min_n
        As in ``rates_at``.
    bins : int
        Of equal width, for the calibration.

    Returns
    -------
    DataFrame
        ``group``, ``n``, ``n_positive``; ``auc``, the share of pairs of a positive and a negative
        that are ranked right (ties half), with DeLong's 95 % interval ``auc_low`` and ``auc_high``;
        ``average_precision`` beside ``prevalence``, what a random ranking gets;
        ``calibration_error``, the expected calibration error: over bins of the score, the mean of
        |share of positives - mean score| weighted by how many are in the bin; ``mean_score``;
        ``small``. NaN where a group lacks positives or negatives (AUC), positives (average
        precision) or anybody.

    References
    ----------
    DeLong, DeLong, Clarke-Pearson, Biometrics 44 (1988); Guo et al., On Calibration of Modern
    Neural Networks, ICML 2017, arXiv:1706.04599, equation 3, with 15 bins.
    """
    values, truth = _checked(scores, positives)
    if bins < 1:
        raise InputError(f"bins must be 1 or more: got {bins}.")
    rows = []
    for cells in attribute_cells(attributes, len(values), order):
        by_group = np.argsort(cells.codes, kind="stable")
        starts = np.searchsorted(cells.codes[by_group], np.arange(len(cells.names) + 1))
        for at, name in enumerate(cells.names):
            own = by_group[starts[at] : starts[at + 1]]
            rows.append((name, *_quality(values[own], truth[own], bins), len(own) < min_n))
    columns = ["group", "n", "n_positive", "auc", "auc_low", "auc_high", "average_precision"]
    columns += ["prevalence", "calibration_error", "mean_score", "small"]
    return pd.DataFrame(rows, columns=columns)


def _quality(values: NDArray[np.float64], truth: NDArray[np.bool_], bins: int) -> tuple[float, ...]:
    n, positives = len(values), int(truth.sum())
    if n == 0:
        return (0, 0, *[float("nan")] * 7)
    return (
        n,
        positives,
        *_auc(values, truth),
        average_precision(values, truth),
        positives / n,
        _calibration_error(values, truth, bins),
        float(values.mean()),
    )


def _auc(values: NDArray[np.float64], truth: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Area under the ROC curve with DeLong's interval, by ranks."""
    m, n = int(truth.sum()), int((~truth).sum())
    if not m or not n:
        return (float("nan"),) * 3
    together = rankdata(values)
    # For every positive the share of negatives below it, for every negative that of positives above.
    above = (together[truth] - rankdata(values[truth])) / n
    below = 1 - (together[~truth] - rankdata(values[~truth])) / m
    area = float(above.mean())
    if m < 2 or n < 2:
        return area, float("nan"), float("nan")
    half = _Z * float(np.sqrt(above.var(ddof=1) / m + below.var(ddof=1) / n))
    return area, max(0.0, area - half), min(1.0, area + half)


def _calibration_error(values: NDArray[np.float64], truth: NDArray[np.bool_], bins: int) -> float:
    place = np.minimum((values * bins).astype(np.int64), bins - 1)
    apart = np.bincount(place, truth.astype(float) - values, minlength=bins)
    return float(np.abs(apart).sum() / len(values))


def _checked(scores: Any, positives: Any) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    values, truth = check_vector("scores", scores), as_numpy(positives)
    if truth.dtype != bool or truth.shape != values.shape:
        raise InputError(
            f"positives must be booleans, one per score: got {truth.dtype} of shape {truth.shape} "
            f"and {len(values)} scores."
        )
    if values.min() < -1e-6 or values.max() > 1 + 1e-6:
        raise InputError(
            f"scores must be probabilities in [0, 1]: got {values.min():.6g} to {values.max():.6g}."
        )
    return np.clip(values, 0, 1), truth
