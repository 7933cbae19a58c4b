"""Gaussian mixtures of many small point sets at once, for bundles with hundreds of classes.

scikit-learn spends half a millisecond of bookkeeping on each step of a fit, whatever its size: with
1000 classes of 50 examples that is minutes. Here all sets take each step together. The steps are
the same (k-means first, then expectation maximisation with full covariances).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_TOLERANCE, _MAX_STEPS, _LLOYD_STEPS = 1e-3, 100, 30
_FLOOR = 1e-6
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SmallMixture:
    """``k`` full Gaussians in ``d`` dimensions.

    Parameters
    ----------
    log_weights : float64 array of shape (k,)
    means : float64 array of shape (k, d)
    covariances : float64 array of shape (k, d, d)
    bound : float
        Mean log-likelihood of the points it was fitted to, one step before the end.
    """

    log_weights: Floats
    means: Floats
    covariances: Floats
    bound: float

    def predict(self, points: Floats) -> NDArray[np.int64]:
        """Likeliest part of each of (m, d) points; ties: the lower one."""
        joint = _features(points) @ _coefficients(self.log_weights, self.means, self.covariances)
        return joint.argmax(axis=-1).astype(np.int64)


def fit_small_mixtures(
    sets: Sequence[Floats], k: int, *, restarts: int, seed: int
) -> list[SmallMixture]:
    """The best of ``restarts`` mixtures with ``k`` parts for each point set.

    Parameters
    ----------
    sets : sequence of float64 arrays of shape (n_i, d)
        Each with at least ``k`` rows, around the origin and of size about 1.
    k : int
    restarts : int
        The one with the highest likelihood is kept; ties: the earlier.
    seed : int
        A set's result does not depend on which others it is fitted with.

    Notes
    -----
    As ``sklearn.mixture.GaussianMixture`` with its defaults and ``reg_covar=1e-6``: stops when the
    mean log-likelihood gains less than 1e-3, or after 100 steps. Starts are k-means after plain
    k-means++.
    """
    n = max(len(points) for points in sets)
    padded = np.zeros((len(sets), n, sets[0].shape[1]))
    valid = np.zeros((len(sets), n))
    for at, points in enumerate(sets):
        padded[at, : len(points)] = points
        valid[at, : len(points)] = 1.0
    padded, valid = np.repeat(padded, restarts, axis=0), np.repeat(valid, restarts, axis=0)
    draws = np.random.default_rng([seed, k]).random((restarts, k))
    starts = _k_means(padded, valid, np.tile(draws, (len(sets), 1)))
    weights, means, covariances, bounds = fit_from(padded, valid, starts)
    best = bounds.reshape(len(sets), restarts).argmax(axis=1) + restarts * np.arange(len(sets))
    return [
        SmallMixture(np.log(weights[at]), means[at], covariances[at], float(bounds[at]))
        for at in best
    ]


def fit_from(
    points: Floats, valid: Floats, shares: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """Expectation maximisation of ``b`` problems from memberships.

    Parameters
    ----------
    points : float64 array of shape (b, n, d)
    valid : float64 array of shape (b, n)
        1, or 0 for rows that only fill up.
    shares : float64 array of shape (b, n, k)
        Memberships to begin with, summing to 1 over the last axis; 0 where not valid.

    Returns
    -------
    weights (b, k), means (b, k, d), covariances (b, k, d, d), bounds (b,)
    """
    features, counts = _features(points), valid.sum(axis=1)
    d = points.shape[2]
    fitted = _maximise(features, shares, counts, d)
    bounds = np.full(len(points), -np.inf)
    active = np.arange(len(points))
    for _ in range(_MAX_STEPS):
        joint = features @ _coefficients(
            np.log(fitted[0][active]), *(f[active] for f in fitted[1:])
        )
        top = joint.max(axis=2, keepdims=True)
        shares = np.exp(joint - top)
        total = shares.sum(axis=2, keepdims=True)
        likelihood = ((top + np.log(total))[:, :, 0] * valid).sum(axis=1) / counts
        shares *= valid[:, :, None] / total
        for whole, part in zip(fitted, _maximise(features, shares, counts, d), strict=True):
            whole[active] = part
        going = np.abs(likelihood - bounds[active]) >= _TOLERANCE
        bounds[active] = likelihood
        if not going.any():
            break
        if not going.all():
            active = active[going]
            features, valid, counts = features[going], valid[going], counts[going]
    return *fitted, bounds


def _features(points: Floats) -> Floats:
    """(..., n, d * d + d + 1): products of coordinates, coordinates, 1."""
    products = points[..., :, None] * points[..., None, :]
    flat = products.reshape(*points.shape[:-1], -1)
    return np.concatenate([flat, points, np.ones((*points.shape[:-1], 1))], axis=-1)


def _coefficients(log_weights: Floats, means: Floats, covariances: Floats) -> Floats:
    """(..., d * d + d + 1, k): what features are multiplied with for log weight + log density."""
    d = means.shape[-1]
    inverses = np.linalg.inv(covariances)
    turned = np.einsum("...kde,...ke->...kd", inverses, means)
    constant = (
        log_weights
        - 0.5 * (np.linalg.slogdet(covariances)[1] + d * np.log(2 * np.pi))
        - 0.5 * (turned * means).sum(axis=-1)
    )
    flat = -0.5 * inverses.reshape(*means.shape[:-1], d * d)
    return np.swapaxes(np.concatenate([flat, turned, constant[..., None]], axis=-1), -1, -2)


def _maximise(
    features: Floats, shares: Floats, counts: Floats, d: int
) -> tuple[Floats, Floats, Floats]:
    """Weights, means and covariances from memberships."""
    sums = np.swapaxes(shares, 1, 2) @ features
    totals = sums[:, :, -1] + 10 * np.finfo(np.float64).eps
    moments = sums / totals[:, :, None]
    means = moments[:, :, d * d : -1]
    outer = means[..., :, None] * means[..., None, :]
    covariances = moments[:, :, : d * d].reshape(*means.shape, d) - outer
    return totals / counts[:, None], means, covariances + _FLOOR * np.eye(d)


def _k_means(points: Floats, valid: Floats, draws: Floats) -> Floats:
    """(b, n, k) memberships, 0 or 1, after k-means from k-means++ seeds; ``draws`` (b, k)."""
    b, n, _ = points.shape
    k = draws.shape[1]
    at = np.arange(b)
    # Rows that fill up come last.
    first = np.minimum(draws[:, 0] * valid.sum(axis=1), n - 1).astype(np.int64)
    centers = points[at, first][:, None, :]
    nearest = np.square(points - centers).sum(axis=2) * valid
    for number in range(1, k):
        reached = nearest.cumsum(axis=1)
        drawn = (reached > draws[:, number, None] * reached[:, -1:]).argmax(axis=1)
        seed = points[at, drawn][:, None, :]
        centers = np.concatenate([centers, seed], axis=1)
        nearest = np.minimum(nearest, np.square(points - seed).sum(axis=2) * valid)
    clusters = np.full((b, n), -1)
    shares = np.zeros((b, n, k))
    for _ in range(_LLOYD_STEPS):
        nearness = (
            points @ np.swapaxes(centers, 1, 2) - 0.5 * np.square(centers).sum(axis=2)[:, None, :]
        )
        before, clusters = clusters, nearness.argmax(axis=2)
        shares = (clusters[:, :, None] == np.arange(k)) * valid[:, :, None]
        if (before == clusters).all():
            break
        sizes = shares.sum(axis=1)[:, :, None]
        moved = np.swapaxes(shares, 1, 2) @ points / np.maximum(sizes, 1)
        centers = np.where(sizes > 0, moved, centers)
    return shares
