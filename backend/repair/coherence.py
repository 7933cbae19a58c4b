"""Whether the members of a group lie together: coherence as a number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.arrays import as_numpy
from backend.core.errors import InputError
from backend.core.sampling import random_rows

POOL = 4_000
"""Examples among which neighbours are looked for; of more, a sample."""
NEIGHBOURS = 10
DRAWS = 199


@dataclass(frozen=True)
class Coherence:
    """How far members of a group are each other's neighbours.

    Attributes
    ----------
    value : float
        Mean share, in [0, 1], of a member's nearest neighbours that are members; NaN below two
        members.
    expected : float
        The same of random groups of as many examples of the same labels, on average.
    p : float
        Share of these random groups, the group itself counted, that lie as close together.
    n : int
        Members looked at.
    """

    value: float
    expected: float
    p: float
    n: int


def coherence(
    embeddings: Any,
    members: Any,
    *,
    labels: Any = None,
    k: int = NEIGHBOURS,
    draws: int = DRAWS,
    seed: int = 0,
) -> Coherence:
    """Mean degree inside a group on the nearest-neighbour graph, beside random groups of its labels.

    Parameters
    ----------
    embeddings : array-like of shape (n, d)
    members : int array-like of shape (m,)
        Rows, each once.
    labels : array-like of shape (n,), optional
        Random groups have as many examples of each label as the group has. Without labels they are of
        anybody.
    k : int
        Neighbours, from 1.
    draws : int
        Random groups, from 1.
    seed : int

    Returns
    -------
    Coherence

    Raises
    ------
    InputError
        If a member does not exist, or k or draws is below 1.

    Notes
    -----
    Neighbours are looked for among at most 4 000 examples: up to a quarter of them members, the others
    drawn at random. Distances are Euclidean; which of equally near ones counts is left open.

    References
    ----------
    After arXiv:2501.19032, which compares the degree inside a group with random groups of its size;
    that these have its labels is ours.
    """
    embeddings = embeddings if hasattr(embeddings, "shape") else np.asarray(embeddings)
    n = len(embeddings)
    rows = np.unique(np.asarray(as_numpy(members), np.int64))
    if len(rows) and not 0 <= rows[0] <= rows[-1] < n:
        raise InputError(f"members must be rows from 0 to {n - 1}: got {rows[0]} to {rows[-1]}.")
    for name, number in (("k", k), ("draws", draws)):
        if number < 1:
            raise InputError(f"{name} must be 1 or more: got {number}.")
    rows = np.sort(random_rows(n, POOL // 4, seed=seed, among=rows))
    nan = float("nan")
    if len(rows) < 2:
        return Coherence(nan, nan, nan, len(rows))
    others = random_rows(n, POOL - len(rows), seed=seed, among=np.setdiff1d(np.arange(n), rows))
    pool = np.sort(np.concatenate([rows, others]))
    codes = np.zeros(len(pool), np.int64)
    if labels is not None:
        codes = np.unique(np.asarray(as_numpy(labels))[pool], return_inverse=True)[1]
    near = _graph(np.asarray(embeddings[pool], np.float32), min(k, len(pool) - 1))
    inside = np.isin(pool, rows)
    value = float(inside[near[inside]].mean())
    rng = np.random.default_rng(seed)
    wanted = np.bincount(codes[inside])
    by_label = [np.flatnonzero(codes == code) for code in range(len(wanted))]
    found = np.empty(draws)
    for draw in range(draws):
        drawn = np.zeros(len(pool), bool)
        for own, size in zip(by_label, wanted, strict=True):
            drawn[rng.permutation(own)[:size]] = True
        found[draw] = drawn[near[drawn]].mean()
    p = (1 + int((found >= value).sum())) / (1 + draws)
    return Coherence(value, float(found.mean()), p, len(rows))


def _graph(x: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """The ``k`` nearest rows of each row, (n, k), itself left out."""
    x = x - x.mean(axis=0)
    squares = np.einsum("ij,ij->i", x, x)
    near = np.empty((len(x), k), np.int64)
    for start in range(0, len(x), 512):
        block = slice(start, start + 512)
        apart = squares[block, None] + squares - 2 * (x[block] @ x.T)
        at = np.arange(len(apart))
        apart[at, start + at] = np.inf
        near[block] = np.argpartition(apart, k - 1, axis=1)[:, :k]
    return near
