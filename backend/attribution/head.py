"""A last layer fitted anew, for bundles that do not say what the model answered in training."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from backend.attribution.checks import Floats, check_codes
from backend.core.arrays import check_matrix
from backend.core.blocks import row_blocks
from backend.core.errors import InputError

PENALTY = 1.0
_STEPS = 500


@dataclass(frozen=True)
class Head:
    """A softmax layer on standardised embeddings.

    Attributes
    ----------
    weights : float64 array of shape (d, C)
    biases : float64 array of shape (C,)
        -inf for classes without a training example.
    mean, scale : float64 arrays of shape (d,)
        What embeddings are standardised with.
    steps : int
        Of the fit.
    converged : bool
    """

    weights: Floats
    biases: Floats
    mean: Floats
    scale: Floats
    steps: int
    converged: bool

    def probabilities(self, embeddings: Any) -> Floats:
        """Softmax of the layer, (n, C)."""
        inputs = check_matrix("embeddings", embeddings)
        if inputs.shape[1] != len(self.mean):
            raise InputError(
                f"embeddings must have {len(self.mean)} dimensions, as those of the training "
                f"examples: got {inputs.shape[1]}."
            )
        found = np.empty((len(inputs), len(self.biases)))
        for start, block in row_blocks(inputs):
            standard = (block.astype(np.float64) - self.mean) / self.scale
            found[start : start + len(block)] = softmax(
                standard @ self.weights + self.biases, axis=1
            )
        return found


def refit_head(embeddings: Any, labels: Any, n_classes: int, *, penalty: float = PENALTY) -> Head:
    """Logistic regression of the labels on the embeddings, as a last layer would have been trained.

    Parameters
    ----------
    embeddings : array-like of shape (n_train, d)
    labels : array-like of int, shape (n_train,)
    n_classes : int
        Two or more.
    penalty : float
        Half of it times the squared weights is added to the sum of the cross-entropies; above 0.

    Returns
    -------
    Head

    Raises
    ------
    InputError
        If shapes differ, a number is not finite, fewer than two classes occur, or the penalty is
        not above 0.
    """
    inputs = check_matrix("embeddings", embeddings)
    if n_classes < 2:
        raise InputError(f"n_classes must be 2 or more: got {n_classes}.")
    codes = check_codes("labels", labels, len(inputs), n_classes)
    if not 0 < penalty < np.inf:
        raise InputError(f"penalty must be above 0: got {penalty}.")
    present = np.unique(codes)
    if len(present) < 2:
        raise InputError("labels must hold two classes or more: all training examples have one.")
    mean, scale = _moments(inputs)
    standard = ((inputs - mean) / scale).astype(np.float32)
    # Imported where it is needed: whoever only shows results does not wait for it.
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1 / penalty, max_iter=_STEPS, tol=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not converged is said in the result
        model.fit(standard, codes)
    weights = np.zeros((inputs.shape[1], n_classes))
    biases = np.full(n_classes, -np.inf)
    if len(present) == 2:  # one row of coefficients: the odds of the second class
        weights[:, present[1]] = model.coef_[0]
        biases[present] = 0.0, model.intercept_[0]
    else:
        weights[:, present], biases[present] = model.coef_.T, model.intercept_
    steps = int(np.max(model.n_iter_))
    return Head(weights, biases, mean, scale, steps, steps < _STEPS)


def _moments(inputs: NDArray[Any]) -> tuple[Floats, Floats]:
    n, d = inputs.shape
    total, squares = np.zeros(d), np.zeros(d)
    for _, block in row_blocks(inputs):
        total += block.sum(axis=0, dtype=np.float64)
    mean = total / n
    for _, block in row_blocks(inputs):
        squares += np.square(block - mean).sum(axis=0)
    deviation = np.sqrt(squares / n)
    return mean, np.where(deviation > 0, deviation, 1.0)
