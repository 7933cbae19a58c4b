"""Do models that look alike on held-out data differ where it matters? Underspecification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.arrays import as_numpy, check_matrix, check_vector
from backend.core.errors import InputError

Z95 = 1.959963984540054  # 97.5 % point of the normal distribution
IID = "iid"


@dataclass(frozen=True)
class StressReport:
    """An ensemble from one pipeline, compared on held-out data and on stress tests.

    Attributes
    ----------
    spread : DataFrame
        One row per metric, "iid" first: ``metric``, ``n_models``, ``mean``, ``sd`` (divisor
        M - 1), ``low``, ``high``, ``range``, ``ratio`` = sd / sd of iid (NaN when that is 0),
        ``best_model`` and ``worst_model`` (rows; ties: lower), ``regret``: the best value less
        that of the model that is best on iid.
    predictability : DataFrame
        One row per stress test: ``metric``, ``spearman`` with ``spearman_low`` and
        ``spearman_high``, ``pearson`` with ``pearson_low`` and ``pearson_high``: correlation with
        the iid metric and its 95 % interval by Fisher's z.
    between : DataFrame
        (Q, Q) Spearman correlations between stress tests, rows and columns named.
    groups : DataFrame or None
        With a group factor: ``metric``, ``f``, ``df_between``, ``df_within``: variation between
        groups over variation within them, descriptive only.
    """

    spread: pd.DataFrame
    predictability: pd.DataFrame
    between: pd.DataFrame
    groups: pd.DataFrame | None


def stress_report(iid: Any, stress: Any, groups: Any = None) -> StressReport:
    """How much models that differ only by seed differ on stress tests, and whether iid tells.

    Parameters
    ----------
    iid : array-like of shape (M,)
        Held-out metric of every model, higher is better; M of 3 or more.
    stress : DataFrame or array-like of shape (M, Q)
        Metrics on Q stress tests. Without column names they are "stress 1", "stress 2", ...
    groups : array-like of shape (M,), optional
        A factor the models share, for instance the seed of pre-training.

    Returns
    -------
    StressReport
        Correlations with a constant metric are NaN; intervals need M of 4 or more and are NaN at
        a correlation of 1 or -1. F is NaN with one group, or no two models in one, or no variation
        within groups.

    Raises
    ------
    InputError
        If there are fewer than three models, lengths differ, or a value is not finite.

    References
    ----------
    D'Amour et al., Underspecification Presents Challenges for Credibility in Modern Machine
    Learning, 2020, arXiv:2011.03395.
    """
    held_out = check_vector("iid", iid)
    if len(held_out) < 3:
        raise InputError(f"iid must come from 3 or more models: got {len(held_out)}.")
    values, names = _stress_columns(stress, len(held_out))
    spread = _spread(np.column_stack([held_out, values]), [IID, *names])
    ranks = np.column_stack([_ranks(column) for column in values.T])
    rows = []
    for name, column, ranked in zip(names, values.T, ranks.T, strict=True):
        pair = (_correlation(_ranks(held_out), ranked), _correlation(held_out, column))
        spearman, pearson = ((r, *fisher_interval(r, len(column))) for r in pair)
        rows.append((name, *spearman, *pearson))
    columns = [
        "metric",
        "spearman",
        "spearman_low",
        "spearman_high",
        "pearson",
        "pearson_low",
        "pearson_high",
    ]
    between = _correlations(ranks)
    return StressReport(
        spread=spread,
        predictability=pd.DataFrame(rows, columns=columns),
        between=pd.DataFrame(between, index=names, columns=names),
        groups=None if groups is None else _group_effects(held_out, values, names, groups),
    )


@dataclass(frozen=True)
class DeviationPca:
    """Principal components of how models deviate from their average.

    Attributes
    ----------
    explained : float array of shape (k,)
        Share of the deviation variance, largest first; sums to 1. NaN when no model deviates.
    loadings : float array of shape (k, E)
        Unit vectors over examples; the entry of largest magnitude is positive (ties: first).
    model_scores : float array of shape (M, k)
        Each model's place on each component.
    """

    explained: NDArray[np.float64]
    loadings: NDArray[np.float64]
    model_scores: NDArray[np.float64]


def deviation_pca(scores: Any) -> DeviationPca:
    """The directions in which models of one pipeline differ, example by example.

    Parameters
    ----------
    scores : array-like of shape (M, E)
        A score of every model on every example, M of 3 or more.

    Returns
    -------
    DeviationPca
        With k = min(M - 1, E) components.

    Raises
    ------
    InputError
        If there are fewer than three models, or scores are not a finite matrix.

    References
    ----------
    D'Amour et al., 2020, arXiv:2011.03395 (gendered correlations in language models).
    """
    values = check_matrix("scores", scores).astype(np.float64)
    if len(values) < 3:
        raise InputError(f"scores must come from 3 or more models: got {len(values)}.")
    deviations = values - values.mean(0)
    u, s, loadings = np.linalg.svd(deviations, full_matrices=False)
    k = min(len(values) - 1, values.shape[1])
    u, s, loadings = u[:, :k], s[:k], loadings[:k]
    largest = np.abs(loadings).argmax(1)
    sign = np.where(loadings[np.arange(k), largest] < 0, -1.0, 1.0)
    total = float((s**2).sum())
    flat = total <= (1e-15 * np.abs(values).max()) ** 2 * values.size  # rounding error, not spread
    explained = np.full(k, np.nan) if flat else s**2 / total
    return DeviationPca(explained, loadings * sign[:, None], u * s * sign)


def fisher_interval(r: float, n: int) -> tuple[float, float]:
    """95 % interval of a correlation over n pairs; NaN below four pairs and at -1 and 1."""
    if n < 4 or np.isnan(r) or abs(r) >= 1:
        return float("nan"), float("nan")
    half = Z95 / np.sqrt(n - 3)
    return float(np.tanh(np.arctanh(r) - half)), float(np.tanh(np.arctanh(r) + half))


def rank_correlation(first: Any, second: Any) -> float:
    """Spearman's correlation of two vectors, average ranks for ties; NaN when one is constant."""
    x, y = check_vector("first", first), check_vector("second", second)
    if len(x) != len(y):
        raise InputError(f"first and second must be equally long: got {len(x)} and {len(y)}.")
    return _correlation(_ranks(x), _ranks(y))


def sampling_sd(accuracy: Any, n: int) -> NDArray[np.float64]:
    """Rough noise of an accuracy in [0, 1] measured on n examples: ``sqrt(p (1 - p) / n)``."""
    p = check_vector("accuracy", np.atleast_1d(as_numpy(accuracy)))
    if (p < 0).any() or (p > 1).any() or n < 1:
        raise InputError(f"accuracy must be in [0, 1] and n at least 1: got {p} and {n}.")
    return np.sqrt(p * (1 - p) / n)


def _spread(values: NDArray[np.float64], names: list[str]) -> pd.DataFrame:
    exact_zero = values.min(0) == values.max(0)  # rounding may leave a deviation of 1e-17
    sd = np.where(exact_zero, 0.0, values.std(0, ddof=1))
    chosen = values[int(values[:, 0].argmax())]
    return pd.DataFrame(
        {
            "metric": names,
            "n_models": len(values),
            "mean": values.mean(0),
            "sd": sd,
            "low": values.min(0),
            "high": values.max(0),
            "range": np.ptp(values, axis=0),
            "ratio": sd / sd[0] if sd[0] > 0 else np.nan,
            "best_model": values.argmax(0),
            "worst_model": values.argmin(0),
            "regret": values.max(0) - chosen,
        }
    )


def _stress_columns(stress: Any, n_models: int) -> tuple[NDArray[np.float64], list[str]]:
    names = [str(name) for name in stress.columns] if isinstance(stress, pd.DataFrame) else None
    values = check_matrix("stress", stress).astype(np.float64)
    if len(values) != n_models:
        raise InputError(
            f"stress must have one row per model: got {len(values)} rows and {n_models} models."
        )
    return values, names or [f"stress {number + 1}" for number in range(values.shape[1])]


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average ranks, from 1."""
    return pd.Series(values).rank().to_numpy(dtype=np.float64)


def _correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Pearson correlation; NaN when either is constant."""
    if first.min() == first.max() or second.min() == second.max():
        return float("nan")
    a, b = first - first.mean(), second - second.mean()
    r = float(a @ b / np.sqrt((a @ a) * (b @ b)))
    return r if abs(r) < 1 - 1e-15 else float(np.sign(r))


def _correlations(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson's correlation between every two columns, as ``_correlation`` of each pair."""
    constant = values.min(0) == values.max(0)
    centred = values - values.mean(0)
    norm = np.sqrt((centred**2).sum(0))
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (centred.T @ centred) / np.outer(norm, norm)
    r = np.where(np.abs(r) < 1 - 1e-15, r, np.sign(r))
    np.fill_diagonal(r, 1.0)
    r[constant] = np.nan
    r[:, constant] = np.nan
    return r


def _codes(groups: Any, n_models: int) -> NDArray[np.intp]:
    codes, _ = pd.factorize(pd.Series(as_numpy(groups), dtype=object), use_na_sentinel=False)
    if len(codes) != n_models:
        raise InputError(
            f"groups must be one per model: got {len(codes)} groups and {n_models} models."
        )
    return codes


def _group_effects(
    iid: NDArray[np.float64], stress: NDArray[np.float64], names: list[str], groups: Any
) -> pd.DataFrame:
    codes = _codes(groups, len(iid))
    rows = [(IID, *_f_statistic(iid, codes))]
    rows += [
        (name, *_f_statistic(column, codes)) for name, column in zip(names, stress.T, strict=True)
    ]
    return pd.DataFrame(rows, columns=["metric", "f", "df_between", "df_within"])


def _f_statistic(values: NDArray[np.float64], codes: NDArray[np.intp]) -> tuple[float, int, int]:
    """Mean square between groups over mean square within them, with its degrees of freedom."""
    count = np.bincount(codes)
    df_between, df_within = len(count) - 1, len(values) - len(count)
    if df_between == 0 or df_within == 0:
        return float("nan"), df_between, df_within
    means = np.bincount(codes, values) / count
    between = float((count * (means - values.mean()) ** 2).sum() / df_between)
    within = float(((values - means[codes]) ** 2).sum() / df_within)
    noise = (1e-15 * float(np.abs(values).max())) ** 2
    return between / within if within > noise else float("nan"), df_between, df_within
