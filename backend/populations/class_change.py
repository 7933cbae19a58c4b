"""Which classes lose or gain more than the average under compression."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.statistics import adjust_p
from backend.populations.encode import Codes, check_populations


def class_change(baseline: Any, compressed: Any, labels: Any) -> pd.DataFrame:
    """Recall of every class before and after compression, tested against the average change.

    The recall of a class is divided among models; subtracting the mean top-1 accuracy of the
    model's own population leaves what the class lost beyond everybody. A two-sided Welch t-test
    (unequal variances) compares those numbers, baseline first.

    Parameters
    ----------
    baseline, compressed : array-like of shape (m, n)
        Predicted labels, one row per model; the numbers of models may differ.
    labels : array-like of shape (n,)
        True labels.

    Returns
    -------
    DataFrame
        One row per class that occurs in labels or predictions, in sorted order. ``label``; ``n``
        examples; ``baseline_recall`` and ``compressed_recall``, means over models in [0, 1];
        ``change``, their difference, compressed less baseline; ``normalized_change``, the same less
        the change of mean accuracy, with its Welch 95 % interval ``normalized_low`` and
        ``normalized_high`` over models; ``t``, positive when the class lost more than the average;
        ``df``; ``p``, uncorrected as in the source; ``p_adjusted`` (Benjamini-Hochberg, our
        addition).

        A class without examples is NaN throughout. The test is NaN with fewer than two models in
        a population, or when recalls vary in neither.

    Raises
    ------
    InputError
        If a population has no models, lengths differ, numbers meet names, or values are missing.

    References
    ----------
    Hooker et al., What Do Compressed Deep Neural Networks Forget?, 2019, arXiv:1911.05248.
    """
    encoded = check_populations(labels, baseline=baseline, compressed=compressed)
    first, second, truth = encoded.parts
    count = np.bincount(truth, minlength=len(encoded.names))
    hits = [_hits(codes, truth, len(count)) for codes in (first, second)]
    with np.errstate(divide="ignore", invalid="ignore"):
        recall, other = (own.mean(0) / count for own in hits)
        # Variances of whole numbers are exactly 0 where all models agree.
        spread, other_spread = (
            own.var(0, ddof=1) / count**2 / len(own)
            if len(own) > 1
            else np.full(len(count), np.nan)
            for own in hits
        )
        change = other - recall
        accuracy_change = hits[1].sum(1).mean() / len(truth) - hits[0].sum(1).mean() / len(truth)
        normalized = change - accuracy_change
        variance = spread + other_spread
        t = np.where(variance > 0, -normalized / np.sqrt(variance), np.nan)
        df = variance**2 / (spread**2 / (len(first) - 1) + other_spread**2 / (len(second) - 1))
    p = _two_sided(t, df)
    half = welch_half_width(variance, df)
    return pd.DataFrame(
        {
            "label": encoded.names,
            "n": count,
            "baseline_recall": recall,
            "compressed_recall": other,
            "change": change,
            "normalized_change": normalized,
            "normalized_low": normalized - half,
            "normalized_high": normalized + half,
            "t": t,
            "df": np.where(np.isnan(t), np.nan, df),
            "p": p,
            "p_adjusted": adjust_p(p),
        }
    )


def _hits(codes: Codes, truth: Codes, n_classes: int) -> NDArray[np.float64]:
    """Examples of each class that each model gets right, (m, C)."""
    rows = [np.bincount(truth[model == truth], minlength=n_classes) for model in codes]
    return np.array(rows, dtype=np.float64)


def _two_sided(t: NDArray[np.float64], df: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probability of a Student t beyond ``abs(t)`` on either side; NaN where t is."""
    from scipy.special import stdtr  # half a second to import

    held = ~np.isnan(t)
    p = np.full(len(t), np.nan)
    p[held] = 2 * stdtr(df[held], -np.abs(t[held]))
    return p


def welch_half_width(variance: Any, df: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half a 95 % Welch interval; 0 where nothing varies, NaN where it is not defined."""
    from scipy.special import stdtrit

    held = np.isfinite(variance) & np.isfinite(df) & (variance > 0)
    half = np.where(variance == 0, 0.0, np.nan)
    half[held] = stdtrit(df[held], 0.975) * np.sqrt(variance[held])
    return half
