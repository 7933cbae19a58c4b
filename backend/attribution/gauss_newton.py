"""Influence of training examples through the last layer, with its exact Gauss-Newton matrix.

No projection and no ensemble: the matrix has (C - 1) (d + 1) rows, few for a last layer. Removing
training example i moves the layer by ``H^-1 grad loss_i``, so what its presence does to the margin of
target z is ``- grad margin_z . H^-1 grad loss_i``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve

from backend.attribution.checks import Codes, Floats, check_out
from backend.attribution.last_layer import (
    check_layer_inputs,
    class_contrasts,
    loss_contrasts,
    margin_contrasts,
    outer,
    with_bias,
)
from backend.attribution.trak import factor_of
from backend.core.errors import InputError
from backend.core.progress import Progress, ignore_progress, share_of

DAMPING = 0.01
"""Added to the diagonal, as a share of its mean."""
MOST_PARAMETERS = 8192
"""Rows of the largest Gauss-Newton matrix that is solved: 512 MB."""

_STEP = 2**21


@dataclass(frozen=True)
class GaussNewton:
    """The last layer as its training examples determine it.

    Attributes
    ----------
    embeddings : float array of shape (n_train, d)
    contrasts : float64 array of shape (n_train, C - 1)
        Gradient of each training loss with respect to the logits, in contrasts of the classes.
    factor : tuple
        Cholesky factor of the damped Gauss-Newton matrix.
    damping : float
        What was added to its diagonal.
    bias : bool
    """

    embeddings: NDArray[Any]
    contrasts: Floats
    factor: tuple[Floats, bool]
    damping: float
    bias: bool

    @classmethod
    def of(
        cls,
        train_embeddings: Any,
        train_probabilities: Any,
        train_labels: Any,
        *,
        damping: float = DAMPING,
        bias: bool = True,
        progress: Progress = ignore_progress,
    ) -> GaussNewton:
        """Read the training examples and factor the matrix; see ``gauss_newton_influence``."""
        inputs, chances, codes = check_layer_inputs(
            "train", train_embeddings, train_probabilities, train_labels
        )
        if not 0 <= damping < np.inf:
            raise InputError(f"damping must be 0 or more: got {damping}.")
        size = (chances.shape[1] - 1) * (inputs.shape[1] + bias)
        if size > MOST_PARAMETERS:
            raise InputError(
                f"the last layer has {size} parameters, more than the {MOST_PARAMETERS} that are "
                "solved exactly. Use trak_scores on last_layer_features with k, which projects "
                "them, or fewer dimensions of the embeddings."
            )
        matrix = _gauss_newton(inputs, chances, bias, progress)
        added = damping * float(np.trace(matrix)) / size
        factor = factor_of(matrix, added, len(inputs))
        return cls(inputs, loss_contrasts(chances, codes), factor, added, bias)

    def solved(self, gradients: Floats) -> Floats:
        """``H^-1`` times gradients (m, p) of the layer, (m, p)."""
        return np.asarray(cho_solve(self.factor, gradients.T)).T

    def scores(
        self,
        gradients: Floats,
        out: NDArray[Any] | None = None,
        progress: Progress = ignore_progress,
    ) -> NDArray[Any]:
        """What each training example does to quantities with these gradients (m, p): (n_train, m).

        Linear in the gradients: the mean gradient of a group gives what is done to its mean.
        """
        n_train, m = len(self.embeddings), len(gradients)
        scores = check_out(out, (n_train, m))
        solved = self.solved(gradients)
        step = max(1, _STEP // max(solved.shape[1], m))
        for start in range(0, n_train, step):
            progress(start / n_train, "Scoring the training examples")
            rows = slice(start, start + step)
            own = outer(self.contrasts[rows], with_bias(self.embeddings[rows], self.bias))
            scores[rows] = -(own @ solved.T)
        return scores


def gauss_newton_influence(
    train_embeddings: Any,
    train_probabilities: Any,
    train_labels: Any,
    target_embeddings: Any,
    target_probabilities: Any,
    target_labels: Any,
    *,
    damping: float = DAMPING,
    bias: bool = True,
    out: NDArray[Any] | None = None,
    progress: Progress = ignore_progress,
) -> NDArray[Any]:
    """What each training example does, through the last layer, to the margin of each target.

    Parameters
    ----------
    train_embeddings, target_embeddings : array-like of shape (n_train, d) and (n, d)
        Inputs of the last layer.
    train_probabilities, target_probabilities : array-like of shape (n_train, C) and (n, C)
        Softmax of its outputs.
    train_labels, target_labels : array-like of int, shape (n_train,) and (n,)
        True classes, as columns.
    damping : float
        Added to the diagonal of the matrix, as a share of its mean; 0 or more. It stands for the
        weight decay of training, and for what early stopping left undone.
    bias : bool
        Whether the layer has a bias that was trained.
    out : float array of shape (n_train, n), optional
        Where to write the scores, a writeable memory map for instance.
    progress : Progress

    Returns
    -------
    float64 array of shape (n_train, n), or ``out``
        In units of the margin, a logarithm of odds: positive raises it.

    Raises
    ------
    InputError
        If shapes differ, a number is not finite or out of range, the matrix is singular or has more
        than 8192 rows.

    References
    ----------
    Koh, Liang, Understanding Black-box Predictions via Influence Functions, ICML 2017,
    arXiv:1703.04730, with the Gauss-Newton matrix for the Hessian, which for a last layer with
    cross-entropy is the same.
    """
    layer = GaussNewton.of(
        train_embeddings,
        train_probabilities,
        train_labels,
        damping=damping,
        bias=bias,
        progress=share_of(progress, 0, 0.4),
    )
    inputs, chances, codes = check_layer_inputs(
        "target", target_embeddings, target_probabilities, target_labels
    )
    train_shape = (layer.embeddings.shape[1], layer.contrasts.shape[1] + 1)
    if (inputs.shape[1], chances.shape[1]) != train_shape:
        raise InputError(
            f"training and target examples must have the same dimensions and classes: got "
            f"{train_shape[0]} dimensions and {train_shape[1]} classes in training, "
            f"{inputs.shape[1]} and {chances.shape[1]} in the targets."
        )
    scores = check_out(out, (len(layer.embeddings), len(inputs)))
    contrasts = margin_contrasts(chances, codes)
    step = max(1, 8 * _STEP // len(layer.factor[0]))
    for start in range(0, len(inputs), step):
        rows = slice(start, start + step)
        gradients = outer(contrasts[rows], with_bias(inputs[rows], bias))
        low, high = (0.4 + 0.6 * min(at / len(inputs), 1.0) for at in (start, start + step))
        layer.scores(gradients, scores[:, rows], share_of(progress, low, high))
    progress(1.0, "Scores are made.")
    return scores


def margin_gradients_of(
    embeddings: NDArray[Any], probabilities: NDArray[Any], labels: Codes, *, bias: bool
) -> Floats:
    """Gradients (n, p) of the margins with respect to the layer, of inputs that were checked."""
    return outer(margin_contrasts(probabilities, labels), with_bias(embeddings, bias))


def _gauss_newton(
    inputs: NDArray[Any], probabilities: NDArray[Any], bias: bool, progress: Progress
) -> Floats:
    """``sum_i (diag p_i - p_i p_i^T) (x) x_i x_i^T`` in contrasts of the classes, (p, p)."""
    # diag(p) gives one (d, d) matrix per class, p p^T one product of the wide outer rows.
    basis = class_contrasts(probabilities.shape[1])
    n_classes, pairs = basis.shape
    width = inputs.shape[1] + bias
    own = np.zeros((n_classes, width, width))
    matrix = np.zeros((pairs * width, pairs * width))
    step = max(1, _STEP // (pairs * width))
    for start in range(0, len(inputs), step):
        progress(start / len(inputs), "Reading the training examples")
        rows = slice(start, start + step)
        held, chances = with_bias(inputs[rows], bias), probabilities[rows].astype(np.float64)
        wide = outer(chances @ basis, held)
        matrix -= wide.T @ wide
        for c in range(n_classes):
            own[c] += held.T @ (chances[:, c, None] * held)
    each = np.einsum("ca,cb,cij->aibj", basis, basis, own, optimize=True)
    return matrix + each.reshape(matrix.shape)
