"""The parts that rows are dealt to: what finds, what chooses, and what is kept aside to measure.

Who is dealt where follows from a key, the labels and the groups alone, never from a loss and never
from a seed that somebody could draw again until the numbers please. The bits come from SHA-256 and
PCG64 as they are, so the parts stay the same from one version of numpy to the next.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.errors import InputError

SHARES = (1, 2)
"""One row in three is kept aside."""
FEWEST_ROWS = 20
"""Fewer rows are not split."""

Codes = NDArray[np.int64]


def kept_aside(n: int, *, key: str, labels: Any = None, groups: Any = None) -> NDArray[np.bool_]:
    """Which rows are kept aside: they find and choose nothing, and say what is printed.

    Parameters
    ----------
    n : int
        Number of rows.
    key : str
        What the rows are: the digest of a bundle. Other keys keep other rows aside.
    labels : int array-like of shape (n,), optional
        Codes of any size; a third of each label is kept aside, to within one row.
    groups : int array-like of shape (n,), optional
        Rows of one code stay together, so a third of a label can be had less exactly. Codes below
        0 stand for no group: such a row goes alone.

    Returns
    -------
    bool array of shape (n,)
        No row where there are fewer than 20.

    Raises
    ------
    InputError
        If labels or groups are not one whole number per row.
    """
    if n < FEWEST_ROWS:
        return np.zeros(n, dtype=bool)
    parts = deal(n, key=f"kept aside {key}", shares=SHARES, labels=labels, groups=groups)
    return parts == 0


def bundle_aside(bundle: Any, groups: str | None = None) -> NDArray[np.bool_]:
    """The rows of a bundle that are kept aside; the same wherever and whenever it is asked.

    Parameters
    ----------
    bundle : Bundle
        Labels count where they are classes; the targets of a regression do not.
    groups : str, optional
        A column whose rows of one value stay together. Rows without a value go alone.

    Returns
    -------
    bool array of shape (n,)

    Raises
    ------
    InputError
        If the bundle has no such column.
    """
    codes = None if groups is None else group_codes(bundle, groups)
    return kept_aside(bundle.n, key=bundle.content, labels=bundle.label_codes, groups=codes)


def group_codes(bundle: Any, groups: str) -> Codes:
    """Number of each row's value in a column of the bundle, from 0; -1 where it has none.

    Raises
    ------
    InputError
        If the bundle has no such column; names those there are.
    """
    if groups not in bundle.examples.columns:
        known = ", ".join(map(str, bundle.examples.columns))
        raise InputError(f"groups must be a column of the bundle: got {groups!r}. It has {known}.")
    column = bundle.examples[groups]
    if column.dtype.kind not in "biuf":
        column = column.where(column.astype(str) != "")  # a missing text is the empty one
    return pd.factorize(column)[0].astype(np.int64)


def deal(
    n: int, *, key: str | int, shares: Sequence[int], labels: Any = None, groups: Any = None
) -> Codes:
    """Deal rows to parts, evenly within each label and with groups whole.

    Parameters
    ----------
    n : int
        Number of rows.
    key : str or int
        Decides what is left to the lot: one key, one deal. A seed is a key.
    shares : sequence of int
        Shares of the parts, in whole numbers: ``(1, 2)`` is a third and two thirds.
    labels, groups : int array-like of shape (n,), optional
        As for ``kept_aside``.

    Returns
    -------
    int array of shape (n,)
        Number of each row's part, from 0. Without groups each part holds its share of every label
        to within one row, and the first its share of all rows.

    Raises
    ------
    InputError
        If a share is not a whole number above 0, or labels or groups are not one per row.

    Notes
    -----
    Rows are dealt to equal portions, of which a part has as many as its share says. Groups go by
    size, the largest first, each to a portion where its labels are short; the portions are alike,
    so every row has the same chance of a part, whatever the size of its group. Rows that go alone
    fill up what is missing.
    """
    if not len(shares) or any(isinstance(s, bool) or int(s) != s or s < 1 for s in shares):
        raise InputError(f"shares must be whole numbers above 0: got {list(shares)}.")
    if n == 0:
        return np.zeros(0, dtype=np.int64)
    label = np.zeros(n, np.int64) if labels is None else _codes("labels", labels, n)
    if label.min() < 0 or label.max() > n:
        label = np.unique(label, return_inverse=True)[1]
    group = np.full(n, -1) if groups is None else _codes("groups", groups, n)
    seed = int.from_bytes(hashlib.sha256(str(key).encode()).digest(), "big")
    portions = _Portions(
        sum(map(int, shares)), int(label.max()) + 1, np.random.PCG64(np.random.SeedSequence(seed))
    )
    dealt = np.zeros(n, dtype=np.int64)
    alone = group < 0
    if not alone.all():
        rows = np.flatnonzero(~alone)
        number = np.unique(group[rows], return_inverse=True)[1]
        sizes = np.bincount(number)
        rows = rows[np.argsort(number, kind="stable")]
        starts = np.cumsum(sizes) - sizes
        dealt[rows] = np.repeat(_whole(label[rows], starts, sizes, portions), sizes)
        alone[rows[starts[sizes == 1]]] = True
    rows = np.flatnonzero(alone)
    dealt[rows] = portions.take(label[rows], 1)
    return np.repeat(np.arange(len(shares)), shares)[dealt]


def _codes(name: str, given: Any, n: int) -> Codes:
    codes = np.asarray(given)
    if codes.shape != (n,) or codes.dtype.kind not in "biu":
        raise InputError(
            f"{name} must be one whole number per row: got shape {codes.shape} and dtype "
            f"{codes.dtype} for {n} rows."
        )
    return codes.astype(np.int64)


def _whole(labels: Codes, starts: Codes, sizes: Codes, portions: _Portions) -> Codes:
    """Portion of each group of two rows or more, the largest first; of equal ones by the lot.

    The labels are those of the rows, group after group.
    """
    taken = np.zeros(len(sizes), dtype=np.int64)
    pure = np.maximum.reduceat(labels, starts) == np.minimum.reduceat(labels, starts)
    order = np.lexsort((portions.lots(len(sizes)), -sizes))
    order = order[sizes[order] > 1]
    for alike in np.split(order, np.flatnonzero(np.diff(sizes[order])) + 1):
        mixed, even = alike[~pure[alike]], alike[pure[alike]]
        own = [labels[a : a + n].tolist() for a, n in zip(starts[mixed], sizes[mixed], strict=True)]
        taken[mixed] = portions.take_mixed(own)
        if len(even):
            taken[even] = portions.take(labels[starts[even]], int(sizes[even[0]]))
    return taken


class _Portions:
    """How many rows of each label the portions have got, and which of them is next."""

    def __init__(self, count: int, n_labels: int, bits: np.random.PCG64):
        self.rows = np.zeros((n_labels, count))
        self.bits = bits

    def lots(self, count: int) -> NDArray[np.float64]:
        """Numbers in [0, 1), from the upper 53 bits of each raw draw."""
        return np.asarray((self.bits.random_raw(count) >> np.uint64(11)) * 2.0**-53, np.float64)

    def take_mixed(self, groups: list[list[int]]) -> list[int]:
        """Portion of each of these groups, given by the labels of its rows.

        The one with the fewest rows of these labels, then of all; then the lot decides.
        """
        rows, totals = self.rows.tolist(), self.rows.sum(axis=0).tolist()
        taken = []
        for own, lot in zip(groups, self.lots(len(groups)).tolist(), strict=True):
            score = [
                (sum(one), total)
                for *one, total in zip(*(rows[at] for at in own), totals, strict=True)
            ]
            least = min(score)
            tied = [at for at, value in enumerate(score) if value == least]
            portion = tied[int(lot * len(tied))]
            for at in own:
                rows[at][portion] += 1
            totals[portion] += len(own)
            taken.append(portion)
        self.rows = np.array(rows)
        return taken

    def take(self, labels: Codes, size: int) -> Codes:
        """Portion of each of these groups of one size that have one label each.

        They even out what the portions have, as water finds its level. What is due is no whole
        number: it is rounded along the portions of a label, from where the label before ended.
        """
        counts = np.bincount(labels, minlength=len(self.rows))
        have = self.rows / size
        ranked = np.sort(have, axis=1)
        levels = (counts[:, None] + np.cumsum(ranked, axis=1)) / np.arange(1, have.shape[1] + 1)
        due = np.maximum(levels.min(axis=1, keepdims=True) - have, 0.0)
        offset = (np.cumsum(due[:, 0]) - due[:, 0] + self.lots(1)) % 1.0
        ends = np.floor(np.cumsum(due, axis=1) + offset[:, None])
        ends[:, -1] = counts  # exactly, whatever was rounded
        numbers = np.diff(np.minimum(ends, counts[:, None]), axis=1, prepend=0.0).astype(np.int64)
        self.rows += size * numbers
        # One sort: by label, and by the lot within it.
        width = np.uint64(len(counts).bit_length())
        drawn = self.bits.random_raw(len(labels)) >> width
        order = np.argsort(labels.astype(np.uint64) << (np.uint64(64) - width) | drawn)
        taken = np.empty(len(labels), dtype=np.int64)
        taken[order] = np.repeat(np.tile(np.arange(have.shape[1]), len(counts)), numbers.ravel())
        return taken
