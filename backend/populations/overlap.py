"""Do models fail on the same examples?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.arrays import as_numpy
from backend.core.errors import InputError
from backend.populations.encode import check_populations


def failure_iou(failed: Any) -> NDArray[np.float64]:
    """Overlap of the failures of every two models: examples both fail on / examples either does.

    Parameters
    ----------
    failed : bool array of shape (m, n)
        Whether model m fails on example n.

    Returns
    -------
    float array of shape (m, m)
        In [0, 1], symmetric, 1 on the diagonal; NaN where neither model fails.

    Raises
    ------
    InputError
        If ``failed`` is not a non-empty boolean (m, n) array.

    References
    ----------
    Chegini, Feizi, Identifying and Mitigating Model Failures through Few-shot CLIP-aided Diffusion
    Generation, 2023, arXiv:2312.05464.
    """
    values = _check_failed(failed)
    iou = np.full((len(values), len(values)), np.nan)
    for first, own in enumerate(values):
        for second, other in enumerate(values[: first + 1]):
            if either := int((own | other).sum()):
                iou[first, second] = iou[second, first] = int((own & other).sum()) / either
    return iou


@dataclass(frozen=True)
class SharedCounts:
    """How many examples all models fail on, and how many at least one.

    ``share`` is the one over the other; NaN where no model fails.
    """

    n_all: int
    n_any: int
    share: float


def count_shared(n_failing: Any, n_models: int) -> SharedCounts:
    """Examples that all of ``n_models`` fail on, out of how many fail on each (n,)."""
    counts = as_numpy(n_failing)
    everybody, anybody = int((counts >= n_models).sum()), int((counts > 0).sum())
    return SharedCounts(everybody, anybody, everybody / anybody if anybody else float("nan"))


def failed_rows(n_failing: Any, losses: Any, *, at_least: int) -> NDArray[np.int64]:
    """Examples that so many models fail on: most of them first, then highest loss, then lower row."""
    counts, values = as_numpy(n_failing), as_numpy(losses)
    rows = np.flatnonzero(counts >= at_least)
    return rows[np.lexsort((-values[rows], -counts[rows]))]


def disagreement(predictions: Any) -> float:
    """Share of examples two models answer differently, averaged over all pairs of models.

    Parameters
    ----------
    predictions : array-like of shape (m, n)
        Predicted labels, m of 2 or more.

    Returns
    -------
    float
        In [0, 1].
    """
    return float(np.mean(pair_disagreements(predictions)))


def pair_disagreements(predictions: Any) -> NDArray[np.float64]:
    """Share of examples answered differently, of every pair of models: shape (m (m - 1) / 2,).

    ``predictions`` are (m, n) with m of 2 or more.
    """
    (codes,) = check_populations(predictions=predictions).parts
    if len(codes) < 2:
        raise InputError(f"predictions must come from 2 or more models: got {len(codes)}.")
    pairs = [
        (codes[first] != codes[second]).mean()
        for first in range(len(codes))
        for second in range(first)
    ]
    return np.array(pairs)


def _check_failed(failed: Any) -> NDArray[np.bool_]:
    values = as_numpy(failed)
    if values.ndim != 2 or 0 in values.shape or values.dtype != bool:
        raise InputError(
            "failed must be booleans of shape (m, n), one row per model, not empty: "
            f"got {values.dtype} of shape {values.shape}."
        )
    return values


def family_overlap(iou: Any, families: Any) -> pd.DataFrame:
    """Mean overlap of failures within each family of models and between every two.

    Parameters
    ----------
    iou : array-like of shape (m, m)
        From ``failure_iou``; NaN takes no part.
    families : array-like of shape (m,)
        The family of each model, for instance its architecture or its population.

    Returns
    -------
    DataFrame
        One row per pair of families, in order of first mention: ``first``, ``second``, ``pairs``
        of different models, and ``mean_iou`` over them; NaN where there is no pair.

    Raises
    ------
    InputError
        If the shapes disagree.
    """
    values = as_numpy(iou)
    names = [str(name) for name in families]
    if values.shape != (len(names), len(names)):
        raise InputError(
            f"iou must be ({len(names)}, {len(names)}), one row per model: got {values.shape}."
        )
    order = list(dict.fromkeys(names))
    at = np.array([order.index(name) for name in names])
    rows = []
    for first, own in enumerate(order):
        for second, other in list(enumerate(order))[first:]:
            block = values[np.ix_(at == first, at == second)]
            if first == second:
                block = block[np.tril_indices(len(block), -1)]
            held = block[~np.isnan(block)]
            rows.append((own, other, block.size, held.mean() if held.size else np.nan))
    return pd.DataFrame(rows, columns=["first", "second", "pairs", "mean_iou"])
