"""Gradients with respect to the last layer, which embeddings and probabilities give without a model.

The last layer is ``logits = W [x, 1]``. The gradient of anything that depends on the logits is a
vector over classes times ``[x, 1]``, and for the margin and the cross-entropy that vector sums to 0.
So it is written in C - 1 orthonormal contrasts of the classes: nothing is lost, and the Gram matrix
is not singular for that reason.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from backend.attribution.checks import Codes, Floats, check_codes
from backend.attribution.projection import check_dimensions, sign_blocks
from backend.core.arrays import check_matrix
from backend.core.errors import InputError

_STEP = 2**21


def last_layer_features(
    embeddings: Any,
    probabilities: Any,
    labels: Any,
    *,
    k: int | None = None,
    bias: bool = True,
    seed: int = 0,
) -> Floats:
    """Gradients of the margin with respect to the last layer, projected if asked for.

    Parameters
    ----------
    embeddings : array-like of shape (n, d)
        Inputs of the last layer.
    probabilities : array-like of shape (n, C)
        Softmax of its outputs; two classes or more. A probability of 0 counts as the smallest
        positive number.
    labels : array-like of int, shape (n,)
        True classes, as columns.
    k : int, optional
        Project to so many dimensions, in seeded blocks. By default there is no projection:
        (C - 1) (d + 1) features.
    bias : bool
        Whether the layer has a bias that was trained.
    seed : int
        Of the projection: the same for training and target examples.

    Returns
    -------
    float64 array of shape (n, k) or (n, (C - 1) (d + 1))

    Raises
    ------
    InputError
        If shapes differ, there is one class, or a number is not finite.
    """
    inputs, chances, codes = check_layer_inputs("", embeddings, probabilities, labels)
    contrasts = margin_contrasts(chances, codes)
    if k is None:
        return outer(contrasts, with_bias(inputs, bias))
    projected = np.zeros((len(inputs), check_dimensions(k)))
    for start, signs in sign_blocks(contrasts.shape[1] * (inputs.shape[1] + bias), k, seed):
        _add_projected(projected, contrasts, inputs, bias, start, signs)
    return projected


def check_layer_inputs(
    of: str, embeddings: Any, probabilities: Any, labels: Any
) -> tuple[NDArray[Any], NDArray[Any], Codes]:
    """Embeddings (n, d), probabilities (n, C) and labels (n,) that belong together."""
    before = f"{of}_" if of else ""
    inputs = check_matrix(f"{before}embeddings", embeddings)
    chances = check_matrix(f"{before}probabilities", probabilities)
    if len(chances) != len(inputs):
        raise InputError(
            f"{before}probabilities must be one row per embedding: got {len(chances)} and "
            f"{len(inputs)}."
        )
    if chances.shape[1] < 2:
        raise InputError(
            f"{before}probabilities must be of two classes or more: got {chances.shape[1]}."
        )
    if (chances < 0).any() or np.abs(chances.sum(axis=1, dtype=np.float64) - 1).max() > 1e-2:
        raise InputError(f"{before}probabilities must be 0 or more and sum to 1 in every row.")
    return inputs, chances, check_codes(f"{before}labels", labels, len(inputs), chances.shape[1])


def class_contrasts(n_classes: int) -> Floats:
    """Orthonormal columns (C, C - 1) that each sum to 0 (Helmert)."""
    found = np.zeros((n_classes, n_classes - 1))
    for j in range(1, n_classes):
        found[:j, j - 1], found[j, j - 1] = 1.0, -j
        found[:, j - 1] /= np.sqrt(j * (j + 1))
    return found


def margin_contrasts(probabilities: NDArray[Any], labels: Codes) -> Floats:
    """Gradient of ``log p_y / (1 - p_y)`` with respect to the logits, in contrasts, (n, C - 1)."""
    tiny = np.finfo(np.float64).tiny
    logits = np.log(np.maximum(probabilities.astype(np.float64), tiny))
    rows = np.arange(len(labels))
    logits[rows, labels] = -np.inf
    slopes = -np.exp(log_softmax(logits, axis=1))
    slopes[rows, labels] = 1.0
    return np.asarray(slopes @ class_contrasts(slopes.shape[1]))


def loss_contrasts(probabilities: NDArray[Any], labels: Codes) -> Floats:
    """Gradient of the cross-entropy with respect to the logits, in contrasts, (n, C - 1)."""
    slopes = probabilities.astype(np.float64)
    slopes[np.arange(len(labels)), labels] -= 1.0
    return np.asarray(slopes @ class_contrasts(slopes.shape[1]))


def with_bias(inputs: NDArray[Any], bias: bool) -> Floats:
    """Inputs of the layer as float64, with a column of ones where it has a bias."""
    exact = inputs.astype(np.float64)
    return np.column_stack([exact, np.ones(len(exact))]) if bias else exact


def outer(contrasts: Floats, inputs: Floats) -> Floats:
    """Gradients (n, (C - 1) d) of the layer, contrasts first."""
    return (contrasts[:, :, None] * inputs[:, None, :]).reshape(len(inputs), -1)


def _add_projected(
    projected: Floats,
    contrasts: Floats,
    inputs: NDArray[Any],
    bias: bool,
    start: int,
    signs: Floats,
) -> None:
    """Add what rows ``start`` to ``start + len(signs)`` of the projection contribute."""
    width = inputs.shape[1] + bias
    step = max(1, _STEP // width)
    for first in range(0, len(inputs), step):
        rows = slice(first, first + step)
        held = with_bias(inputs[rows], bias)
        place = start
        while place < start + len(signs):
            direction, column = divmod(place, width)
            take = min(width - column, start + len(signs) - place)
            part = held[:, column : column + take] @ signs[place - start : place - start + take]
            projected[rows] += contrasts[rows, direction, None] * part
            place += take
