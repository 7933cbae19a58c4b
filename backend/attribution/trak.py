"""TRAK: which training examples pushed a prediction up or down, from projected gradients.

For each checkpoint, with ``G`` (n_train, k) the projected gradients of the training margins:
``Phi = G (G^T G + regularizer I)^-1``, and ``Phi g(z)`` is what each training example does to the
margin of target ``z``. Memory maps are welcome: training rows are read in blocks, once per block of
targets.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.linalg.lapack import dpocon

from backend.attribution.checks import (
    Floats,
    check_features,
    check_out,
    check_share_of_one,
)
from backend.core.arrays import as_numpy, check_choice, check_finite
from backend.core.blocks import row_blocks
from backend.core.errors import InputError
from backend.core.progress import Progress, ignore_progress, share_of

STRENGTH = 0.1
"""Regulariser of our own rankings, as a share of the mean diagonal of the Gram matrix."""
WORST_CONDITION = 1e12
"""Of a Gram matrix that is still solved."""
MOST_OF_ROWS = 4
"""Features are few enough where there are this many training examples for each."""

_SOLVED_VALUES = 2**24  # of the targets of one block, all checkpoints together: 128 MB

AVERAGES = ("product_of_means", "mean_of_products")


def default_regularizer(train_features: Any, *, strength: float = STRENGTH) -> Floats:
    """A regulariser for each checkpoint: a tenth of the mean diagonal of its Gram matrix.

    Without one, two random projections rank the training examples so differently that a single
    ranking is mostly noise; worst where there are about as many features as training examples.

    Parameters
    ----------
    train_features : array-like of shape (t, n_train, k)
    strength : float
        Share of the mean diagonal, 0 or more.

    Returns
    -------
    float64 array of shape (t,)
        In the units of the Gram matrix; for ``regularizer`` of ``trak_scores``.

    Raises
    ------
    InputError
        If the features are not finite numbers of that shape, or the strength is negative.
    """
    features = check_features("train_features", train_features, "n_train")
    if not 0 <= strength < np.inf:
        raise InputError(f"strength must be 0 or more: got {strength}.")
    t, _, k = features.shape
    diagonals = np.zeros(t)
    for checkpoint, rows in enumerate(features):
        for _, block in row_blocks(rows):
            diagonals[checkpoint] += np.square(block, dtype=np.float64).sum() / k
    return strength * diagonals


def trak_scores(
    train_features: Any,
    target_features: Any,
    train_residuals: Any,
    *,
    regularizer: Any = 0.0,
    average: str = "product_of_means",
    out: NDArray[Any] | None = None,
    progress: Progress = ignore_progress,
) -> NDArray[Any]:
    """What each training example does to the margin of each target: positive raises it.

    Parameters
    ----------
    train_features : array-like of shape (t, n_train, k)
        Projected gradients of the margin at each checkpoint, of the training examples.
    target_features : array-like of shape (t, n, k)
        Of the targets, with the same projection. Scores are linear in them: the mean over a group
        gives what a training example does to the group.
    train_residuals : array-like of shape (t, n_train)
        1 less the probability of the true class, of the training examples; in [0, 1].
    regularizer : float or array-like of shape (t,)
        Added to the diagonal of the Gram matrix, 0 or more. The default is the paper's 0, for many
        more examples than features; ``default_regularizer`` gives one that makes a ranking repeat
        under another projection.
    average : {"product_of_means", "mean_of_products"}
        Over checkpoints: the mean of ``Phi g`` times the mean residual (the paper and its library),
        or the mean of their products (as D3M words it).
    out : float array of shape (n_train, n), optional
        Where to write the scores, a writeable memory map for instance.
    progress : Progress

    Returns
    -------
    float64 array of shape (n_train, n), or ``out``
        Solved in float64 whatever the features are.

    Raises
    ------
    InputError
        If shapes differ, a number is not finite or out of its range, there are more features than
        training examples and no regulariser, or the Gram matrix is singular or its condition above
        1e12.

    References
    ----------
    Park, Georgiev, Ilyas, Leclerc, Madry, TRAK: Attributing Model Behavior at Scale, ICML 2023,
    arXiv:2303.14186, section 3. Soft-thresholding, which its library leaves out, is left out.
    """
    train = check_features("train_features", train_features, "n_train")
    targets = check_features("target_features", target_features, "n")
    check_choice("average", average, AVERAGES)
    t, n_train, k = train.shape
    if targets.shape[0] != t or targets.shape[2] != k:
        raise InputError(
            f"train_features and target_features must have the same checkpoints and features: got "
            f"shapes {train.shape} and {targets.shape}."
        )
    residuals = np.asarray(as_numpy(train_residuals), np.float64)
    if residuals.shape != (t, n_train):
        raise InputError(
            f"train_residuals must be (t, n_train) = ({t}, {n_train}): got shape {residuals.shape}."
        )
    check_finite("train_residuals", residuals)
    residuals = check_share_of_one("train_residuals", residuals)
    added = check_regularizer(regularizer, t)
    scores = check_out(out, (n_train, targets.shape[1]))
    factors = [
        gram_factor(rows, float(one), share_of(progress, 0.5 * at / t, 0.5 * (at + 1) / t))
        for at, (rows, one) in enumerate(zip(train, added, strict=True))
    ]
    product = average == "product_of_means"
    weights = np.broadcast_to(residuals.mean(axis=0), residuals.shape) if product else residuals
    blocks = list(_target_blocks(targets.shape[1], t * k))
    for place, (start, stop) in enumerate(blocks):
        solved = [
            cho_solve(factor, rows[start:stop].T.astype(np.float64)) / t
            for factor, rows in zip(factors, targets, strict=True)
        ]
        later = share_of(
            progress, 0.5 + 0.5 * place / len(blocks), 0.5 + 0.5 * (place + 1) / len(blocks)
        )
        _fill(scores[:, start:stop], train, solved, weights, later)
    progress(1.0, "Scores are made.")
    return scores


def check_regularizer(value: Any, t: int) -> Floats:
    """One number per checkpoint, 0 or more, of one number or as many as there are checkpoints."""
    added = np.asarray(as_numpy(value), np.float64)
    if added.shape not in ((), (t,)) or not np.isfinite(added).all() or (added < 0).any():
        raise InputError(
            f"regularizer must be a number of 0 or more, or {t} of them, one per checkpoint: got "
            f"{value!r}."
        )
    return np.broadcast_to(added, (t,))


def gram_factor(
    features: NDArray[Any], regularizer: float, progress: Progress = ignore_progress
) -> tuple[Floats, bool]:
    """Cholesky factor of ``G^T G + regularizer I`` of features (n, k), as ``cho_solve`` takes it.

    Raises
    ------
    InputError
        If it is singular, or its condition (1-norm, as LAPACK estimates it) exceeds 1e12.
    """
    n, k = features.shape
    if k > n and regularizer == 0:
        raise _singular(f"there are {k} features and only {n} training examples", n)
    gram = np.zeros((k, k))
    for start, block in row_blocks(features):
        exact = block.astype(np.float64, copy=False)
        gram += exact.T @ exact
        progress(start / n, "Reading the features of the training examples")
    return factor_of(gram, regularizer, n)


def factor_of(gram: Floats, regularizer: float, n: int) -> tuple[Floats, bool]:
    """Cholesky factor of a Gram matrix over n examples with its regulariser, if it is sound."""
    gram[np.diag_indices_from(gram)] += regularizer
    norm = float(np.abs(gram).sum(axis=0).max())
    try:
        factor, lower = cho_factor(gram, lower=True)
    except LinAlgError as error:
        raise _singular("the Gram matrix of the training features is singular", n) from error
    inverse, _ = dpocon(factor, norm, uplo="L")
    if not inverse * WORST_CONDITION >= 1:
        told = f"{1 / inverse:.1e}" if inverse > 0 else "infinite"
        raise _singular(
            f"the condition of the Gram matrix of the training features is {told}, above "
            f"{WORST_CONDITION:.0e}",
            n,
        )
    return factor, lower


def _singular(what: str, n: int) -> InputError:
    return InputError(
        f"{what}: scores would be rounding errors. Project to fewer features (at most a quarter of "
        f"the training examples, here {max(1, n // MOST_OF_ROWS)}), or give a regularizer above 0, "
        "such as default_regularizer(train_features)."
    )


def _target_blocks(n: int, per_target: int) -> Iterator[tuple[int, int]]:
    step = max(1, _SOLVED_VALUES // per_target)
    for start in range(0, n, step):
        yield start, min(start + step, n)


def _fill(
    scores: NDArray[Any],
    train: NDArray[Any],
    solved: list[Floats],
    weights: Floats,
    progress: Progress,
) -> None:
    """Write ``sum_m weights_m (G_m solved_m)`` in blocks of training examples."""
    n_train, k = train.shape[1:]
    step = max(1, 2**22 // max(k, scores.shape[1]))
    for start in range(0, n_train, step):
        progress(start / n_train, "Scoring the training examples")
        rows = slice(start, start + step)
        part = np.zeros((len(train[0, rows]), scores.shape[1]))
        for features, right, weight in zip(train, solved, weights, strict=True):
            part += weight[rows, None] * (features[rows].astype(np.float64) @ right)
        scores[rows] = part
