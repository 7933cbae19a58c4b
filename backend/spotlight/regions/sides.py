"""Rows dealt to two halves: what is found on one is judged on the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def deal(
    labels: NDArray[np.int64], groups: NDArray[np.int64] | None, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """Which rows are on the first side: half of each label, and of each group all or none.

    Parameters
    ----------
    labels : int array of shape (n,)
        Codes from 0.
    groups : int array of shape (n,) or None
        Codes from 0; rows of one group stay together.
    generator : numpy.random.Generator

    Returns
    -------
    bool array of shape (n,)
    """
    if groups is None:
        order = generator.permutation(len(labels))
        order = order[np.argsort(labels[order], kind="stable")]
        first = np.zeros(len(labels), dtype=bool)
        first[order[int(generator.integers(2)) :: 2]] = True
        return first
    # Large groups first, each to the side where its labels are short; equal ones at random.
    counts = np.bincount(groups)
    random = generator.permutation(len(counts))
    order = random[np.argsort(-counts[random], kind="stable")]
    rows = np.argsort(groups, kind="stable")
    ends = np.cumsum(counts)
    balance = np.zeros(int(labels.max()) + 1)
    total = 0
    on_first = np.zeros(len(counts), dtype=bool)
    for group in order.tolist():
        own = labels[rows[ends[group] - counts[group] : ends[group]]]
        lead = float(balance[own].sum()) or float(total)
        side = lead < 0 or (lead == 0 and bool(generator.integers(2)))
        on_first[group] = side
        np.add.at(balance, own, 1.0 if side else -1.0)
        total += len(own) if side else -len(own)
    return on_first[groups]
