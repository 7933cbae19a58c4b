"""Failures split in two: those that a repair may look at, and those that only judge it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.arrays import as_numpy
from backend.core.errors import InputError

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class FailureSplit:
    """The wrong examples in two parts; a model is right on none of either, by construction.

    Attributes
    ----------
    seed : int array of shape (s,)
        Rows that a repair is made from, ascending.
    heldout : int array of shape (h,)
        Rows that are only evaluated, ascending.
    """

    seed: Rows
    heldout: Rows


def split_failures(labels: Any, predictions: Any, *, seed: int = 0) -> FailureSplit:
    """Split what a model gets wrong into a seed part and a heldout part, class by class.

    Parameters
    ----------
    labels, predictions : array-like of shape (n,)
        Codes or names, of one kind.
    seed : int
        Of the shuffling.

    Returns
    -------
    FailureSplit
        Of the ``n_c`` failures of a class ``ceil(n_c / 2)`` are seed: a class with one failure has
        none held out, and without failures both parts are empty.

    Raises
    ------
    InputError
        If there is not one prediction per label, or there are no examples.

    References
    ----------
    Chegini, Feizi 2023, arXiv:2312.05464, section 4, who split in half;
    that each class is split by itself is ours.

    Examples
    --------
    >>> parts = split_failures([0, 0, 0, 1, 1], [1, 1, 1, 0, 1])
    >>> len(parts.seed), len(parts.heldout)
    (3, 1)
    """
    labels, predictions = np.asarray(as_numpy(labels)), np.asarray(as_numpy(predictions))
    if labels.ndim != 1 or labels.shape != predictions.shape or not len(labels):
        raise InputError(
            "labels and predictions must be one per example, for one example or more: got shapes "
            f"{labels.shape} and {predictions.shape}."
        )
    kinds = {"text" if one.dtype.kind in "UO" else "number" for one in (labels, predictions)}
    if len(kinds) > 1:
        raise InputError(
            "labels and predictions must both be codes or both be names: got "
            f"{labels.dtype} and {predictions.dtype}."
        )
    rng = np.random.default_rng(seed)
    failed = np.flatnonzero(labels != predictions)
    taken = []
    for label in np.unique(labels[failed]):
        own = rng.permutation(failed[labels[failed] == label])
        taken.append(own[: (len(own) + 1) // 2])
    chosen = np.sort(np.concatenate(taken)) if taken else failed
    return FailureSplit(chosen, np.setdiff1d(failed, chosen))
