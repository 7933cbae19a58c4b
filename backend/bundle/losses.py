"""Losses and predictions for evaluations that come without them, and the sentences that say so."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.bundle.entry import blocks


def cross_entropy_of_probabilities(
    probabilities: NDArray[np.floating], codes: NDArray[np.int64]
) -> tuple[NDArray[np.float64], int]:
    """``-log p`` of the labelled class in nats, and how many ``p`` had to be clipped.

    Probabilities are clipped from below at the smallest positive normal number of their own
    precision, so a loss is always finite: at most 87.3 for float32.

    Parameters
    ----------
    probabilities : float array of shape (n, C)
    codes : int array of shape (n,)
        Column of the labelled class.
    """
    own = np.asarray(probabilities[np.arange(len(codes)), codes])
    floor = float(np.finfo(own.dtype).tiny)
    own = own.astype(np.float64)
    clipped = int((own < floor).sum())
    return -np.log(np.clip(own, floor, 1.0)), clipped


def cross_entropy_of_logits(
    logits: NDArray[np.floating], codes: NDArray[np.int64]
) -> NDArray[np.float64]:
    """``logsumexp(z) - z[label]`` in nats, in float64 and without overflow."""
    parts = []
    done = 0
    for block in blocks(logits):
        rows = block.astype(np.float64)
        rows -= rows.max(axis=1, keepdims=True)
        own = rows[np.arange(len(rows)), codes[done : done + len(rows)]]
        parts.append(np.log(np.exp(rows).sum(axis=1)) - own)
        done += len(rows)
    return np.concatenate(parts)


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probabilities of each row of logits, in float64 and without overflow."""
    rows = logits.astype(np.float64)
    powers = np.exp(rows - rows.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def most_likely(scores: NDArray[np.floating]) -> NDArray[np.int64]:
    """Column of the largest score in each row; a tie goes to the lower column."""
    return np.concatenate([block.argmax(axis=1) for block in blocks(scores)]).astype(np.int64)


def codes_of(
    values: NDArray[np.generic], names: tuple[str, ...]
) -> tuple[NDArray[np.int64], int | None]:
    """Position of each label in ``names``, and the first row that has none.

    Text is looked up by name. Whole numbers are looked up by name too when every name is a whole
    number (classes 3 and 8, say); otherwise they are positions.
    """
    by_name = values.dtype.kind == "U" or all_whole(names)
    if by_name:
        position = {name: code for code, name in enumerate(names)}
        distinct, inverse = np.unique(values, return_inverse=True)
        found = np.array([position.get(str(value), -1) for value in distinct.tolist()], np.int64)
        codes = found[inverse].reshape(values.shape)
    else:
        codes = values.astype(np.int64)
    outside = (codes < 0) | (codes >= len(names))
    if outside.any():
        return codes, int(np.argwhere(outside)[0][-1])
    return codes, None


def all_whole(names: tuple[str, ...]) -> bool:
    """Whether every class is called by a whole number."""
    return all(name.removeprefix("-").isdecimal() for name in names)


def values_of(
    codes: NDArray[np.int64], names: tuple[str, ...], *, as_text: bool
) -> NDArray[np.generic]:
    """Class codes in the words the labels use: names, or the whole numbers classes are called by."""
    if as_text:
        return np.asarray(names, dtype=np.str_)[codes]
    if all_whole(names):
        return np.asarray([int(name) for name in names], dtype=np.int64)[codes]
    return codes
