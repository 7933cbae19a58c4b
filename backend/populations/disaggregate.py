"""Does compression raise error rates more for some subgroups than for others?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from backend.populations.cells import Cells, attribute_cells, positive_mask
from backend.populations.encode import check_populations

METRICS = ("error", "fpr", "fnr")


def disaggregate(
    baseline: Any,
    compressed: Any,
    labels: Any,
    attributes: Mapping[str, Any],
    *,
    positive: Any = 1,
    order: int = 2,
) -> pd.DataFrame:
    """Error, false positive and false negative rates of two populations, per subgroup.

    Each rate is averaged over the models of a population first; the difference is taken between
    those averages.

    Parameters
    ----------
    baseline, compressed : array-like of shape (m, n)
        Predicted labels, one row per model.
    labels : array-like of shape (n,)
        True labels. With more than two classes fpr and fnr are those of the positive class against
        the rest, and error counts every wrong label.
    attributes : {name: array-like of shape (n,)}
        Categories; a missing value is the level "unknown".
    positive : label
        The positive class.
    order : int
        Attributes combined at most: 1, 2 or 3.

    Returns
    -------
    DataFrame
        Three rows per group, "all" first: ``group`` ("all", "sex=F", "sex=F & age=old"), ``n``,
        ``n_positive``, ``metric`` ("error", "fpr", "fnr"), ``baseline`` and ``compressed`` in
        [0, 1], ``difference`` (compressed less baseline) with its Welch 95 % interval
        ``difference_low`` and ``difference_high`` over models (our addition; NaN with fewer than
        two models in a population), and ``difference_percent``, the difference in
        percent of the baseline. NaN: a rate in a group without examples, negatives (fpr) or
        positives (fnr), and the percentage of a baseline rate of 0. Combinations nobody belongs to
        are listed with n = 0.

    Raises
    ------
    InputError
        If a population has no models, lengths differ, the positive class does not occur, or there
        are too many groups.

    References
    ----------
    Hooker et al., Characterising Bias in Compressed Models, 2020, arXiv:2010.03058, table 3.
    """
    encoded = check_populations(labels, baseline=baseline, compressed=compressed)
    truth = encoded.parts[2]
    is_positive = positive_mask(encoded.names, positive)
    positives = is_positive[truth]
    erred = []  # per population and metric: which model errs so on which example, (m, n)
    for codes in encoded.parts[:2]:
        said = is_positive[codes]
        erred.append({"error": codes != truth, "fpr": said & ~positives, "fnr": ~said & positives})
    tables: list[pd.DataFrame] = []
    for cells in attribute_cells(attributes, len(truth), order):
        n, n_positive = cells.total(), cells.total(positives)
        outof = {"error": n, "fpr": n - n_positive, "fnr": n_positive}
        for rank, metric in enumerate(METRICS):
            with np.errstate(divide="ignore", invalid="ignore"):
                rates = [_rates(one[metric], cells, outof[metric]) for one in erred]
                before, after = (rate.mean(0) for rate in rates)
                percent = 100 * (after - before) / before
                half = _half_width(*rates)
            tables.append(
                pd.DataFrame(
                    {
                        "group": cells.names,
                        "n": n,
                        "n_positive": n_positive,
                        "metric": metric,
                        "baseline": before,
                        "compressed": after,
                        "difference": after - before,
                        "difference_low": after - before - half,
                        "difference_high": after - before + half,
                        "difference_percent": np.where(before > 0, percent, np.nan),
                        "rank": rank,
                        "block": len(tables) // len(METRICS),
                        "place": np.arange(len(n)),
                    }
                )
            )
    table = pd.concat(tables).sort_values(["block", "place", "rank"], kind="stable")
    return table.drop(columns=["block", "place", "rank"]).reset_index(drop=True)


def _rates(erred: NDArray[np.bool_], cells: Cells, outof: NDArray[np.int64]) -> NDArray[np.float64]:
    """Rate of each model in each group, (m, groups); NaN where there is nothing to err on."""
    return np.array([cells.total(own) for own in erred]) / outof


def _half_width(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half a Welch 95 % interval of the difference of two means over rows."""
    if len(first) < 2 or len(second) < 2:
        return np.full(first.shape[1], np.nan)
    parts = [rates.var(0, ddof=1) / len(rates) for rates in (first, second)]
    variance = parts[0] + parts[1]
    # Models that all agree leave rounding, not spread.
    flat = (np.ptp(first, axis=0) == 0) & (np.ptp(second, axis=0) == 0)
    df = variance**2 / (parts[0] ** 2 / (len(first) - 1) + parts[1] ** 2 / (len(second) - 1))
    return np.where(flat, 0.0, stdtrit(df, 0.975) * np.sqrt(variance))
