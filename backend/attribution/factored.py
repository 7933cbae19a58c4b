"""Attributions as two factors: what is asked of groups needs no matrix of all pairs.

Scores of training example i and target z are ``left_i . right_z`` with few columns, whatever the
method. So the scores of a group are one product, and principal components of the attributions are
those of a small array.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, eigh

from backend.attribution.checks import (
    Codes,
    Floats,
    check_attribution,
    check_features,
    check_share_of_one,
)
from backend.attribution.gauss_newton import GaussNewton, margin_gradients_of
from backend.attribution.last_layer import outer, with_bias
from backend.attribution.trak import check_regularizer, gram_factor
from backend.core.arrays import as_numpy
from backend.core.blocks import rows_per_step
from backend.core.errors import InputError
from backend.core.progress import Progress, ignore_progress, share_of

Rows = slice | NDArray[np.int64]


@dataclass(frozen=True)
class Factored:
    """Attribution (n_train, n) as ``left @ right.T``.

    Attributes
    ----------
    n_train : int
    left : callable
        From rows of the training examples to their factors, float64 (b, r).
    right : float array of shape (n, r), or None
        Factors of the targets; None where ``left`` gives the scores themselves.
    width : int
        ``r``.
    """

    n_train: int
    left: Callable[[Rows], Floats]
    right: NDArray[Any] | None
    width: int

    @property
    def n(self) -> int:
        """Number of targets."""
        return self.width if self.right is None else len(self.right)

    def group_scores(
        self, codes: Codes, n_groups: int, progress: Progress = ignore_progress
    ) -> Floats:
        """Mean score of each training example over each group of targets, (n_train, n_groups).

        ``codes`` (n,) names the group of each target; -1 is in none. Every group has a target.
        """
        used = np.flatnonzero(codes >= 0)
        counts = np.bincount(codes[used], minlength=n_groups)
        if not counts.all():
            raise InputError(f"every group needs a target: got counts {counts.tolist()}.")
        means = np.zeros((n_groups, self.width))
        if self.right is None:
            means[codes[used], used] = 1.0
        else:
            for group in range(n_groups):
                means[group] = self.right[codes == group].sum(axis=0, dtype=np.float64)
        means /= counts[:, None]
        found = np.empty((self.n_train, n_groups))
        step = rows_per_step(self.width)
        for start in range(0, self.n_train, step):
            progress(start / self.n_train, "Scoring the training examples")
            rows = slice(start, min(start + step, self.n_train))
            found[rows] = self.left(rows) @ means.T
        return found

    def of_rows(self, rows: NDArray[np.int64]) -> Floats:
        """Scores of these training examples for every target, (k, n)."""
        left = self.left(rows)
        return left if self.right is None else np.asarray(left @ self.right.T.astype(np.float64))

    def compressed(self, progress: Progress = ignore_progress) -> NDArray[Any]:
        """An array (at most r, n) whose columns have the inner products of the attributions'.

        ``pseudo_groups`` finds the same groups in it as in the whole matrix.
        """
        if self.right is None:
            return np.concatenate([self.left(rows) for rows in self._blocks()])
        gram = np.zeros((self.width, self.width))
        for rows in self._blocks():
            progress(rows.start / self.n_train, "Reading the training examples")
            left = self.left(rows)
            gram += left.T @ left
        values, vectors = eigh(gram)
        held = values > 1e-14 * max(float(values[-1]), 0.0)
        root = vectors[:, held] * np.sqrt(values[held])
        return np.asarray((self.right @ root.astype(self.right.dtype)).T)

    def _blocks(self) -> list[slice]:
        step = rows_per_step(self.width)
        return [
            slice(start, min(start + step, self.n_train)) for start in range(0, self.n_train, step)
        ]


def factored_scores(attribution: Any) -> Factored:
    """Scores (n_train, n) that were made elsewhere."""
    scores = check_attribution(attribution)
    return Factored(
        len(scores), lambda rows: scores[rows].astype(np.float64), None, scores.shape[1]
    )


def factored_trak(
    train_features: Any,
    target_features: Any,
    train_residuals: Any,
    *,
    regularizer: Any,
    progress: Progress = ignore_progress,
) -> Factored:
    """What ``trak_scores`` would give with the product of means."""
    train = check_features("train_features", train_features, "n_train")
    targets = check_features("target_features", target_features, "n")
    t, n_train, k = train.shape
    residuals = check_share_of_one(
        "train_residuals", np.asarray(as_numpy(train_residuals), np.float64)
    )
    if targets.shape[0] != t or targets.shape[2] != k or residuals.shape != (t, n_train):
        raise InputError(
            "features and residuals must be (t, n_train, k), (t, n, k) and (t, n_train): got "
            f"{train.shape}, {targets.shape} and {residuals.shape}."
        )
    weights = residuals.mean(axis=0)
    added = check_regularizer(regularizer, t)
    right = np.empty((targets.shape[1], t * k), np.float32)
    for at, (rows, one) in enumerate(zip(train, added, strict=True)):
        factor = gram_factor(rows, float(one), share_of(progress, at / t, (at + 1) / t))
        right[:, at * k : (at + 1) * k] = cho_solve(factor, targets[at].T.astype(np.float64)).T / t

    def left(rows: Rows) -> Floats:
        parts = [features[rows].astype(np.float64) for features in train]
        return np.asarray(weights[rows, None] * np.concatenate(parts, axis=1))

    return Factored(n_train, left, right, t * k)


def factored_influence(
    layer: GaussNewton,
    target_embeddings: NDArray[Any],
    target_probabilities: NDArray[Any],
    target_labels: Codes,
    *,
    progress: Progress = ignore_progress,
) -> Factored:
    """What ``gauss_newton_influence`` would give, of targets that were checked."""
    n, width = len(target_embeddings), len(layer.factor[0])
    right = np.empty((n, width), np.float32)
    step = rows_per_step(width)
    for start in range(0, n, step):
        progress(start / n, "Reading the targets")
        rows = slice(start, start + step)
        right[rows] = layer.solved(
            margin_gradients_of(
                target_embeddings[rows],
                target_probabilities[rows],
                target_labels[rows],
                bias=layer.bias,
            )
        )

    def left(rows: Rows) -> Floats:
        held = with_bias(layer.embeddings[rows], layer.bias)
        return -outer(layer.contrasts[rows], held)

    return Factored(len(layer.embeddings), left, right, width)
