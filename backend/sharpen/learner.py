"""The small classifier behind the answers: what an example is, never how the model did on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from backend.core.blocks import row_blocks
from backend.core.pca import principal_components
from backend.core.sampling import random_rows

DIMENSIONS = (16, 48)
"""Principal components that the classifiers see, one classifier for each."""
_SAMPLE = 8192
_WEAK = 300
_WEAK_WEIGHT = 0.03
_SPREAD = 2.0
_STEPS = 300
_FEW = 20.0

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class RankingRecipe:
    """How a version of the method makes its ranking, and whom it asks.

    Attributes
    ----------
    whiteness : float
        How far principal components are whitened: divided by this power of their deviations.
    within : bool
        Whether components are those of an example beside the mean of its label, which the label says.
    surest : float
        Share of the chosen that are the surest to belong; the others are among the least sure.
    spread : int
        Times as many of the least sure as are wanted, of which those are asked that lie far apart; 1:
        the least sure themselves.
    """

    whiteness: float
    within: bool
    surest: float
    spread: int


RECIPES = {
    1: RankingRecipe(1.0, False, 0.5, 1),
    2: RankingRecipe(0.75, True, 0.5, 1),
    3: RankingRecipe(0.75, True, 0.0, 4),
}
"""By version; answers that were given under an earlier one are ranked by it again."""
LATEST = max(RECIPES)


@dataclass(frozen=True)
class Features:
    """What the classifiers see of each example.

    Attributes
    ----------
    parts : tuple of float32 arrays of shape (n, k)
        Principal components, each part with the same total spread before means were taken off.
    labels : int64 array of shape (n,)
        Label codes, all 0 where there are none.
    prior : float64 array of shape (n,)
        Logarithm of the rank in the prior, from 0 for the last to 1 for the first; 0 outside its
        scope. The first ten differ as much as the next hundred.
    weak : int64 array
        Random rows, taken for members of nothing until somebody says otherwise.
    """

    parts: tuple[NDArray[np.float32], ...]
    labels: Rows
    prior: Floats
    weak: Rows


def principal_parts(
    embeddings: Any, *, seed: int = 0, version: int = LATEST
) -> tuple[NDArray[np.float32], ...]:
    """What the classifiers see of the embeddings: all that takes long, and the same in every round.

    Parameters
    ----------
    embeddings : array-like of shape (n, d)
    seed : int
        Of the rows that the components are found on.
    version : int
        Of the method.

    Returns
    -------
    tuple of float32 arrays of shape (n, k)
        Principal components, whitened as far as the recipe says, each part with the same total
        spread; the widest comes last.
    """
    n = len(embeddings)
    sample = np.sort(random_rows(n, _SAMPLE, seed=seed))
    found = principal_components(embeddings, max(DIMENSIONS), rows=sample, seed=seed)
    spread = found.deviations > 1e-6 * max(float(found.deviations[0]), 1e-300)
    axes, deviations = found.axes[spread], found.deviations[spread]
    white = RECIPES[version].whiteness
    parts = []
    for k in sorted({min(k, max(len(axes), 1)) for k in DIMENSIONS}):
        part = np.zeros((n, k), np.float32)
        left = np.square(deviations[:k] ** (1 - white)).sum()
        divided = deviations[:k, None] ** white * np.sqrt(left) / _SPREAD
        scaled = (axes[:k] / divided).astype(np.float32)
        if len(scaled):
            for start, block in row_blocks(embeddings):
                wide = block.astype(np.promote_types(block.dtype, np.float32), copy=False)
                centred = wide - found.mean.astype(wide.dtype)
                part[start : start + len(block)] = centred.astype(np.float32, copy=False) @ scaled.T
        parts.append(part)
    return tuple(parts)


def describe_examples(
    parts: tuple[NDArray[np.float32], ...],
    prior: Floats,
    labels: Rows | None,
    seed: int,
    version: int = LATEST,
) -> Features:
    """What the classifiers see: made from the same arguments it is always the same."""
    n, recipe = len(prior), RECIPES[version]
    if recipe.within and labels is not None:
        parts = tuple(_beside_mean(part, labels) for part in parts)
    return Features(
        parts,
        np.zeros(n, np.int64) if labels is None else labels,
        _steepened(prior),
        random_rows(n, _WEAK, seed=seed + 1),
    )


def _beside_mean(part: NDArray[np.float32], labels: Rows) -> NDArray[np.float32]:
    """Rows without the mean of their label, which is drawn to 0 where a label has few rows."""
    from scipy.sparse import csr_array

    n, counts = len(labels), np.bincount(labels)
    shares = csr_array(
        (1 / (counts[labels] + _FEW), labels, np.arange(n + 1)), shape=(n, len(counts))
    )
    means = (shares.T @ part.astype(np.float64)).astype(np.float32)
    return np.asarray(part - means[labels])


def _steepened(prior: Floats) -> Floats:
    inside = np.isfinite(prior)
    steep = np.zeros(len(prior))
    if len(prior) > 1:
        order = np.argsort(np.argsort(-prior[inside], kind="stable"), kind="stable")
        steep[inside] = 1 - np.log1p(order) / np.log1p(len(prior))
    return steep


def membership(
    features: Features, rows: Rows, answers: NDArray[np.bool_], apart: Rows
) -> tuple[Floats, Floats]:
    """How surely each example belongs: (scores, probabilities), each (n,).

    The mean log-odds of one ridge logistic regression per part of the features, fitted to the
    answers and to weak negatives of little weight, so that probabilities err upward. Before the
    first yes the prior alone decides, below what was answered.

    Parameters
    ----------
    features : Features
    rows, answers : arrays of shape (k,)
        What was answered.
    apart : int64 array
        Rows that are no weak negatives either: answered or skipped.
    """
    if not answers.any():
        return features.prior, 0.3 * features.prior
    # Imported where it is needed: pages read what was counted without it.
    from sklearn.linear_model import LogisticRegression

    weak = np.setdiff1d(features.weak, apart)
    fitted = np.concatenate([rows, weak])
    truth = np.concatenate([answers, np.zeros(len(weak), bool)])
    weights = np.concatenate([np.ones(len(rows)), np.full(len(weak), _WEAK_WEIGHT)])
    if truth.all():
        return features.prior, features.prior
    names, codes = np.unique(features.labels[fitted], return_inverse=True)
    one_hot = np.eye(len(names))[codes]
    odds = np.zeros(len(features.prior))
    for part in features.parts:
        seen = np.column_stack([part[fitted], _SPREAD * features.prior[fitted], one_hot])
        model = LogisticRegression(max_iter=_STEPS).fit(seen, truth, sample_weight=weights)
        k, slopes = part.shape[1], model.coef_[0]
        odds += part @ slopes[:k].astype(np.float32)
        odds += slopes[k] * _SPREAD * features.prior + model.intercept_[0]
        at = np.searchsorted(names, features.labels).clip(max=len(names) - 1)
        odds += np.where(names[at] == features.labels, slopes[k + 1 :][at], 0)
    odds /= len(features.parts)
    return odds, expit(odds)
