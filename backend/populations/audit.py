"""Whom does one model serve worst: confusion counts and rates per subgroup and intersection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from backend.core.arrays import check_vector
from backend.core.errors import InputError
from backend.core.statistics import wilson_interval
from backend.populations.cells import EVERYBODY, attribute_cells, positive_mask
from backend.populations.encode import encode

RATES = ("accuracy", "error", "ppv", "fdr", "tpr", "fnr", "fpr", "tnr")
WORSE_WHEN_HIGH = ("error", "fdr", "fnr", "fpr")


def audit(
    labels: Any,
    predictions: Any,
    attributes: Mapping[str, Any],
    *,
    positive: Any = 1,
    order: int = 2,
    min_n: int = 30,
) -> pd.DataFrame:
    """Confusion counts and rates of everybody, of each group and of each combination of groups.

    Parameters
    ----------
    labels, predictions : array-like of shape (n,)
        Class numbers or names. With more than two classes, ``positive`` against the rest.
    attributes : {name: array-like of shape (n,)}
        Categories; a missing value is the level "unknown".
    positive : label
        The positive class.
    order : int
        Attributes combined at most: 1, 2 or 3.
    min_n : int
        Groups with fewer examples are marked ``small``.

    Returns
    -------
    DataFrame
        One row per group, "all" first, combinations nobody belongs to included: ``group``, ``n``,
        ``tp``, ``fp``, ``fn``, ``tn``; in [0, 1] ``accuracy`` (tp + tn) / n, ``error`` its
        complement, ``ppv`` tp / (tp + fp), ``fdr`` its complement, ``tpr`` tp / (tp + fn), ``fnr``
        its complement, ``fpr`` fp / (fp + tn), ``tnr`` its complement; ``error_low`` and
        ``error_high``, the Wilson 95 % interval of the error; ``small``. A rate out of nothing is
        NaN.

    Raises
    ------
    InputError
        If lengths differ, numbers meet names, the positive class does not occur, or there are too
        many groups.

    References
    ----------
    Buolamwini, Gebru, Gender Shades, 2018, table 4; standard definitions of the rates (the
    published rows called PPV and TPR behave as recall and precision).
    """
    _check_pairs(labels, predictions)
    encoded = encode(labels=labels, predictions=predictions)
    is_positive = positive_mask(encoded.names, positive)
    truth, said = (is_positive[part] for part in encoded.parts)
    return confusion(truth, said, attributes, order=order, min_n=min_n)


def confusion(
    truth: NDArray[np.bool_],
    said: NDArray[np.bool_],
    attributes: Mapping[str, Any],
    *,
    order: int = 2,
    min_n: int = 30,
) -> pd.DataFrame:
    """``audit`` of who is positive and who is called so, both bool arrays of shape (n,)."""
    tables = []
    for cells in attribute_cells(attributes, len(truth), order):
        counts = {
            "n": cells.total(),
            "tp": cells.total(truth & said),
            "fp": cells.total(~truth & said),
            "fn": cells.total(truth & ~said),
            "tn": cells.total(~truth & ~said),
        }
        tables.append(pd.DataFrame({"group": cells.names, **counts}))
    table = pd.concat(tables, ignore_index=True)
    return _with_rates(table, min_n)


def target_audit(
    labels: Any, predictions: Any, populations: Mapping[str, Any], *, min_n: int = 30
) -> pd.DataFrame:
    """The audit where the audited attribute is itself what is predicted, as gender is there.

    Inside a population (everybody, or one value of one attribute) each class takes its turn as the
    positive one, all others of that population being negative. The row of no class pools those
    tables: there ppv, tpr and accuracy are one number, and fpr is the error.

    Parameters
    ----------
    labels, predictions : array-like of shape (n,)
    populations : {name: array-like of shape (n,)}
        Attributes whose values are audited apart, for instance skin type.
    min_n : int
        As in ``audit``.

    Returns
    -------
    DataFrame
        As ``audit``, with ``class`` second: "all" for the pooled row, then each class that occurs
        in labels or predictions. In pooled rows n, tp and fp count examples; fn equals fp, and tn
        equals tp.

    References
    ----------
    Buolamwini, Gebru, Gender Shades, 2018, table 4.
    """
    _check_pairs(labels, predictions)
    encoded = encode(labels=labels, predictions=predictions)
    truth, said = encoded.parts
    tables: list[pd.DataFrame] = []
    for cells in attribute_cells(populations, len(truth), 1):
        right, wrong = cells.total(truth == said), cells.total(truth != said)
        columns: list[tuple[Any, Any, Any, Any, Any]] = [(EVERYBODY, right, wrong, wrong, right)]
        for code, name in enumerate(encoded.names.tolist()):
            own, chosen = truth == code, said == code
            columns.append(
                (
                    name,
                    cells.total(own & chosen),
                    cells.total(~own & chosen),
                    cells.total(own & ~chosen),
                    cells.total(~own & ~chosen),
                )
            )
        for rank, (name, tp, fp, fn, tn) in enumerate(columns):
            counts = {"n": cells.total(), "tp": tp, "fp": fp, "fn": fn, "tn": tn}
            place = {"block": len(tables), "place": np.arange(len(tp)), "rank": rank}
            tables.append(pd.DataFrame({"group": cells.names, "class": name, **counts, **place}))
    # Groups of one attribute stay together, each with its classes below it.
    table = pd.concat(tables, ignore_index=True)
    width = len(encoded.names) + 1
    table["block"] //= width
    table = table.sort_values(["block", "place", "rank"], kind="stable", ignore_index=True)
    return _with_rates(table.drop(columns=["block", "place", "rank"]), min_n)


def group_losses(
    losses: Any, attributes: Mapping[str, Any], *, order: int = 2, min_n: int = 30
) -> pd.DataFrame:
    """Mean loss of everybody, of each group and of each combination of groups.

    Parameters
    ----------
    losses : array-like of shape (n,)
    attributes, order, min_n
        As in ``audit``; the rows are the same.

    Returns
    -------
    DataFrame
        ``group``, ``n``, ``mean_loss`` with Student's t 95 % interval ``mean_loss_low`` and
        ``mean_loss_high`` (NaN below two examples), ``small``.
    """
    values = check_vector("losses", losses)
    tables = []
    for cells in attribute_cells(attributes, len(values), order):
        n = cells.total()
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = cells.total(values) / n
            # Squares of what is left of the mean: squares of large losses lose their digits.
            squares = cells.total((values - mean[cells.codes]) ** 2)
            half = stdtrit(np.maximum(n - 1, 1), 0.975) * np.sqrt(squares / (n - 1) / n)
        half = np.where(n > 1, half, np.nan)
        tables.append(
            pd.DataFrame(
                {
                    "group": cells.names,
                    "n": n,
                    "mean_loss": mean,
                    "mean_loss_low": mean - half,
                    "mean_loss_high": mean + half,
                    "small": n < min_n,
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def group_rows(
    attributes: Mapping[str, Any], n: int, order: int, position: int
) -> NDArray[np.int64]:
    """Rows of the examples in one group of ``audit``, by the group's position in that table.

    By position, because names of values may look alike ("a=1 & b" is a fine value).
    """
    seen = 0
    for cells in attribute_cells(attributes, n, order):
        if position < seen + len(cells.names):
            return np.flatnonzero(cells.codes == position - seen).astype(np.int64)
        seen += len(cells.names)
    raise InputError(f"there are {seen} groups: got position {position}.")


def rate_intervals(table: pd.DataFrame) -> pd.DataFrame:
    """Wilson 95 % intervals of every rate of an audit.

    Parameters
    ----------
    table : DataFrame
        From ``audit`` or ``target_audit``.

    Returns
    -------
    DataFrame
        Same rows; ``<rate>_of`` (how many examples the rate is out of), ``<rate>_low`` and
        ``<rate>_high`` for every rate; NaN where a rate is undefined.
    """
    n, tp, fp, fn, tn = (table[name].to_numpy(np.float64) for name in ("n", "tp", "fp", "fn", "tn"))
    tried = tp + fp + fn + tn
    counts = {
        "accuracy": ((tp + tn) / np.maximum(tried, 1) * n, n),
        "error": ((fp + fn) / np.maximum(tried, 1) * n, n),
        "ppv": (tp, tp + fp),
        "fdr": (fp, tp + fp),
        "tpr": (tp, tp + fn),
        "fnr": (fn, tp + fn),
        "fpr": (fp, fp + tn),
        "tnr": (tn, fp + tn),
    }
    columns: dict[str, NDArray[Any]] = {}
    for rate, (count, of) in counts.items():
        low, high = wilson_interval(np.minimum(np.round(count), of), of)
        columns |= {f"{rate}_of": of.astype(np.int64), f"{rate}_low": low, f"{rate}_high": high}
    return pd.DataFrame(columns, index=table.index)


def audit_gaps(table: pd.DataFrame) -> pd.DataFrame:
    """How far apart the best and the worst served group are, rate by rate.

    Parameters
    ----------
    table : DataFrame
        From ``audit``. Everybody ("all"), groups marked small and undefined rates take no part.

    Returns
    -------
    DataFrame
        One row per rate: ``metric``, ``best_group``, ``best``, ``worst_group``, ``worst``,
        ``gap`` (largest less smallest value), ``ratio`` (worst / best; NaN when the best is 0),
        ``n_groups`` compared. For rates of failure the best is the smallest. Ties go to the group
        listed first; with no group to compare the row is NaN.
    """
    rows = []
    for metric in RATES:
        held = table[(table["group"] != EVERYBODY) & ~table["small"] & table[metric].notna()]
        values = held[metric].to_numpy()
        if len(values) == 0:
            rows.append((metric, None, np.nan, None, np.nan, np.nan, np.nan, 0))
            continue
        sign = 1 if metric in WORSE_WHEN_HIGH else -1
        best, worst = int(np.argmin(sign * values)), int(np.argmax(sign * values))
        ratio = values[worst] / values[best] if values[best] else np.nan
        names = held["group"].to_numpy()
        gap = abs(values[worst] - values[best])
        rows.append(
            (
                metric,
                names[best],
                values[best],
                names[worst],
                values[worst],
                gap,
                ratio,
                len(values),
            )
        )
    columns = ["metric", "best_group", "best", "worst_group", "worst", "gap", "ratio", "n_groups"]
    return pd.DataFrame(rows, columns=columns)


def _with_rates(table: pd.DataFrame, min_n: int) -> pd.DataFrame:
    """Counts with the rates, the interval and the mark of small groups beside them."""
    n, tp, fp, fn, tn = (table[name].to_numpy(np.float64) for name in ("n", "tp", "fp", "fn", "tn"))
    tried = tp + fp + fn + tn  # n, or twice n where tables are pooled
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = {
            "accuracy": (tp + tn) / tried,
            "error": (fp + fn) / tried,
            "ppv": tp / (tp + fp),
            "fdr": fp / (tp + fp),
            "tpr": tp / (tp + fn),
            "fnr": fn / (tp + fn),
            "fpr": fp / (fp + tn),
            "tnr": tn / (fp + tn),
        }
    wrong = np.nan_to_num(np.round(rates["error"] * n))  # of nobody, nobody is wrong
    low, high = wilson_interval(wrong, n)
    return table.assign(**rates, error_low=low, error_high=high, small=n < min_n)


def _check_pairs(labels: Any, predictions: Any) -> None:
    if len(labels) != len(predictions) or len(labels) == 0:
        raise InputError(
            f"labels and predictions must be one per example: got {len(labels)} labels "
            f"and {len(predictions)} predictions."
        )
