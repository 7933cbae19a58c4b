"""Random projections to fewer dimensions, made again from their seed and never held whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 4096
"""Rows of a projection that are made at a time."""
TOKEN_DIMENSIONS = 1000
"""What the states of all tokens are projected to, as in d'Eon et al. 2021, arXiv:2107.00758."""
LEAF_DIMENSIONS = 256
"""What the leaves that an example falls into are projected to."""


def signs(seed: Sequence[int], rows: int, dimensions: int) -> NDArray[np.float32]:
    """A block of a projection, shape (rows, dimensions): +1 or -1, independent and equally likely.

    The same seed gives the same signs on every machine.
    """
    made = np.random.Generator(np.random.PCG64([int(one) for one in seed]))
    bits = np.unpackbits(np.frombuffer(made.bytes(-(-rows * dimensions // 8)), np.uint8))
    made_of = bits[: rows * dimensions].reshape(rows, dimensions).astype(np.float32)
    return np.asarray(2 * made_of - 1, dtype=np.float32)


def projected(values: Any, dimensions: int, seed: Sequence[int]) -> NDArray[np.float32]:
    """Rows (b, p) in fewer dimensions (b, dimensions), their distances kept on average.

    ``values @ P / sqrt(dimensions)``, where ``P`` (p, dimensions) holds random signs, made in blocks
    of rows. Sparse matrices are taken as well.

    References
    ----------
    Achlioptas, Database-friendly random projections, 2003, theorem 1.1.
    """
    total = np.zeros((values.shape[0], dimensions), np.float32)
    for start, block in blocks_of(values.shape[1], dimensions, seed):
        total += values[:, start : start + len(block)] @ block
    return np.asarray(total / np.sqrt(dimensions), dtype=np.float32)


def blocks_of(
    width: int, dimensions: int, seed: Sequence[int]
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """The projection of so many numbers, block by block: where each begins, and its signs."""
    for number, start in enumerate(range(0, width, BLOCK)):
        yield start, signs([*seed, number], min(BLOCK, width - start), dimensions)


def projected_tokens(
    states: NDArray[Any], mask: NDArray[Any] | None, dimensions: int, seed: int
) -> NDArray[np.float32]:
    """States (b, T, h) of tokens, concatenated and projected to (b, dimensions).

    Every place in the text has signs of its own, so what is padded, where ``mask`` (b, T) is 0,
    adds nothing, and a text has the same vector however far its batch is padded.
    """
    states = states.astype(np.float32)
    if mask is not None:
        states = states * mask[:, :, None].astype(np.float32)
    total = np.zeros((len(states), dimensions), np.float32)
    for place in range(states.shape[1]):
        if states[:, place].any():
            for start, block in blocks_of(states.shape[2], dimensions, [seed, place]):
                total += states[:, place, start : start + len(block)] @ block
    return np.asarray(total / np.sqrt(dimensions), dtype=np.float32)


def projected_leaves(leaves: NDArray[Any], dimensions: int, seed: int) -> NDArray[np.float32]:
    """Leaves (b, trees) that examples fall into, one-hot and projected to (b, dimensions).

    The inner product of two rows is about the share of trees in which both fall into one leaf.
    """
    total = np.zeros((len(leaves), dimensions), np.float32)
    for tree in range(leaves.shape[1]):
        own, places = np.unique(leaves[:, tree], return_inverse=True)
        rows = [signs([seed, tree, int(leaf)], 1, dimensions)[0] for leaf in own]
        total += np.stack(rows)[places.reshape(-1)]
    return total / np.float32(np.sqrt(dimensions * leaves.shape[1]))
