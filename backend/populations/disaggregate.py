"""Does compression raise error rates more for some subgroups than for others?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from backend.populations.cells import attribute_cells, positive_mask
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
        [0, 1], ``difference`` (compressed less baseline) and ``difference_percent``, the same in
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
    shares = []  # per population and metric: the share of models that err so, (n,)
    for codes in encoded.parts[:2]:
        said = is_positive[codes]
        shares.append(
            {
                "error": (codes != truth).mean(0),
                "fpr": (said & ~positives).mean(0),
                "fnr": (~said & positives).mean(0),
            }
        )
    tables: list[pd.DataFrame] = []
    for cells in attribute_cells(attributes, len(truth), order):
        n, n_positive = cells.total(), cells.total(positives)
        outof = {"error": n, "fpr": n - n_positive, "fnr": n_positive}
        for rank, metric in enumerate(METRICS):
            with np.errstate(divide="ignore", invalid="ignore"):
                before, after = (cells.total(one[metric]) / outof[metric] for one in shares)
                percent = 100 * (after - before) / before
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
                        "difference_percent": np.where(before > 0, percent, np.nan),
                        "rank": rank,
                        "block": len(tables) // len(METRICS),
                        "place": np.arange(len(n)),
                    }
                )
            )
    table = pd.concat(tables).sort_values(["block", "place", "rank"], kind="stable")
    return table.drop(columns=["block", "place", "rank"]).reset_index(drop=True)
