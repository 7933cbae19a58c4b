"""Numeric columns in a group beside its baseline: means, shift, and how often chance shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.errors import InputError
from backend.core.statistics import adjust_p
from backend.describe.bins import numbers_of
from backend.describe.chance import rank_sum_p
from backend.describe.comparison import Comparison, compare_with


@dataclass(frozen=True)
class WeightedSummary:
    """A numeric column inside a weighted group and in its baseline.

    Attributes
    ----------
    group_mean, base_mean : float
        ``sum w v / sum w`` and the mean of the baseline (the plain one for all examples), both over
        the examples that have a value; NaN when none of them carries weight.
    base_sd : float
        Standard deviation in the baseline, population form; 0 when constant.
    shift : float
        ``(group_mean - base_mean) / base_sd``; NaN when the column is constant.
    n, n_missing : int
        Examples with and without a value.
    p : float
        That members and others have values alike: Wilcoxon's rank-sum test, two-sided, inside each
        label for the baseline ``same label``. NaN when one side is empty or the column constant.
    """

    group_mean: float
    base_mean: float
    base_sd: float
    shift: float
    n: int
    n_missing: int
    p: float = float("nan")


def weighted_summary(
    values: Any,
    weights: Any,
    *,
    members: Any = None,
    baseline: str = "all",
    labels: Any = None,
) -> WeightedSummary:
    """Mean of a numeric column under the weights, beside that of its baseline.

    NaN is a missing value. Refuses a column without any value, text, and infinite numbers.
    ``members``, ``baseline`` and ``labels`` are those of ``compare_with``.
    """
    numbers = numbers_of(values)
    comparison = compare_with(
        weights, members=members, baseline=baseline, labels=labels, n=len(numbers), of="value"
    )
    return summarize(numbers, comparison)


def summarize(numbers: NDArray[np.float64], comparison: Comparison) -> WeightedSummary:
    """``weighted_summary`` of float64 numbers for a comparison that is made already."""
    present = ~np.isnan(numbers)
    if not present.any():
        raise InputError(f"values must hold a number: all {len(numbers)} are missing.")
    known = numbers[present]
    group = _mean(known, comparison.shares[present])
    base = comparison.base[present]
    mean = _mean(known, base)
    sd = float(np.sqrt(_mean((known - mean) ** 2, base)))
    return WeightedSummary(
        group,
        mean,
        sd,
        (group - mean) / sd if sd > 0 else float("nan"),
        int(present.sum()),
        int((~present).sum()),
        rank_sum_p(numbers, comparison.members, comparison.strata),
    )


def _mean(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    total = float(weights.sum())
    if total <= 0:
        return float("nan")
    if np.ptp(values) == 0:
        return float(values[0])  # a weighted sum would differ in its last digit
    return float(weights @ values / total)


def summary_table(
    columns: Mapping[str, NDArray[np.float64]], comparison: Comparison
) -> pd.DataFrame:
    """Every numeric column, largest shift first.

    Returns
    -------
    DataFrame
        ``column``, the fields of ``WeightedSummary``, and ``p_adjusted`` (Benjamini-Hochberg over
        the columns). Undefined shifts last, ties in column order. Columns without any value are
        left out.
    """
    rows = [
        {"column": name, **asdict(summarize(numbers, comparison))}
        for name, numbers in columns.items()
        if not np.isnan(numbers).all()
    ]
    names = ["column", *WeightedSummary.__dataclass_fields__]
    table = pd.DataFrame(rows, columns=names)
    table["p_adjusted"] = adjust_p(table["p"].to_numpy(dtype=np.float64))
    size = table["shift"].astype(np.float64).abs().round(12).fillna(-1.0)
    return table.iloc[np.argsort(-size.to_numpy(), kind="stable")].reset_index(drop=True)
