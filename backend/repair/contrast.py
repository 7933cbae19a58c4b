"""Words for failures without an image-text model: what wrong examples have more often than right ones.

The user's own words, values and notes are the candidate contexts. They are found on one half of the
examples and tested on the other, against right examples of the same label: a context that is as
frequent among these explains nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special, stats

from backend.core.arrays import as_numpy
from backend.core.errors import InputError
from backend.core.parts import deal
from backend.core.statistics import adjust_p

EXPLAINS = "more frequent among failures"
ALIKE = "as frequent among right examples: explains nothing"
NOT_SHOWN = "not shown on held-out failures"
TOO_FEW = "too few held-out failures"
ANY_LABEL = ""
"""Stands for all labels together, each compared with its own right examples."""
FEWEST = 10
"""Held-out failures of a label below which nothing is said."""
LEAST = 3
"""Failures of the half that finds which must have a context."""
MOST = 5
LEVEL = 0.05
ALMOST = 0.8
"""A context that shares so much with an earlier one of its label (Jaccard) says the same."""

Rows = NDArray[np.int64]
_COLUMNS = (
    "label", "context", "seed_wrong", "seed_p", "n_wrong", "n_right", "with_wrong", "with_right",
    "wrong_share", "right_share", "ratio", "p", "p_adjusted", "explained", "verdict",
)  # fmt: skip


def contrast_failures(
    candidates: Mapping[str, Any],
    labels: Any,
    wrong: Any,
    *,
    key: str = "",
    most: int = MOST,
) -> pd.DataFrame:
    """Contexts that failures have more often than right examples of the same label.

    Parameters
    ----------
    candidates : mapping of context to int array
        Rows that have it, each once: texts with a word, examples with a value.
    labels : array-like of shape (n,)
        Names or codes.
    wrong : bool array-like of shape (n,)
    key : str
        Decides which half of each label's failures and right examples finds: a bundle's digest.
    most : int
        Contexts tested for each label, from 1.

    Returns
    -------
    DataFrame
        One line per context tested, labels in order, ``ANY_LABEL`` first; within a label those found
        surest first. ``label``, ``context``; ``seed_wrong`` (failures of the half that finds which
        have it) and ``seed_p``; of the held-out half ``n_wrong``, ``n_right``, ``with_wrong``,
        ``with_right``, the shares ``wrong_share`` and ``right_share`` (for ``ANY_LABEL`` weighted to
        the labels of the failures), their ``ratio`` (NaN over 0); ``p`` (one-sided) and
        ``p_adjusted`` over all lines; ``explained``: of the held-out failures those that would not be
        there if examples with the context failed as often as the others of their label, below 0
        never; ``verdict``.

    Raises
    ------
    InputError
        If lengths differ, ``most`` is below 1, or a candidate names a row that is not there.

    Notes
    -----
    Of a label p is Fisher's exact test, one-sided. Of all labels together it is that of Mantel and
    Haenszel, with labels as strata and a continuity correction. What is tested is chosen by p on
    the other half, at most .05 there, so p on this half pays for the lines of the table and for
    nothing else.

    References
    ----------
    After the contrast of sentences in LADDER (2024), with words, notes and values in their place;
    Mantel, Haenszel, JNCI 22 (1959).
    """
    labels, wrong = np.asarray(as_numpy(labels)), np.asarray(as_numpy(wrong))
    n = len(labels)
    if wrong.shape != (n,) or wrong.dtype != bool:
        raise InputError(f"wrong must be true or false per label: got shape {wrong.shape} for {n}.")
    if most < 1:
        raise InputError(f"most must be 1 or more: got {most}.")
    if not n or not wrong.any() or wrong.all() or not candidates:
        return pd.DataFrame(columns=list(_COLUMNS))
    names, codes = np.unique(labels, return_inverse=True)
    held = deal(n, key=f"contrast {key}", shares=(1, 1), labels=2 * codes + wrong) == 1
    cells = 4 * codes + 2 * wrong + held
    texts = list(candidates)
    counts = np.empty((len(texts), len(names), 2, 2))
    for line, text in zip(counts, texts, strict=True):
        rows = np.asarray(candidates[text], dtype=np.int64)
        if len(rows) and not 0 <= rows.min() <= rows.max() < n:
            raise InputError(f"candidate {text[:60]!r} names rows outside 0 to {n - 1}.")
        line[:] = np.bincount(cells[rows], minlength=4 * len(names)).reshape(line.shape)
    sizes = np.bincount(cells, minlength=4 * len(names)).reshape(len(names), 2, 2)
    lines: list[dict[str, Any]] = []
    for at in (None, *range(len(names))):
        if at is None and len(names) == 1:
            continue
        own = slice(None) if at is None else slice(at, at + 1)
        found = _p(counts[:, own, :, 0], sizes[own, :, 0])
        enough = (counts[:, own, 1, 0].sum(axis=1) >= LEAST) & (found <= LEVEL)
        order = np.flatnonzero(enough)[np.argsort(found[enough], kind="stable")]
        inside = np.ones(n, bool) if at is None else codes == at
        for one in _apart(order, texts, candidates, inside, most):
            lines.append(
                {
                    "label": ANY_LABEL if at is None else str(names[at]),
                    "context": texts[one],
                    "seed_wrong": int(counts[one, own, 1, 0].sum()),
                    "seed_p": float(found[one]),
                    **_held_out(counts[one, own, :, 1], sizes[own, :, 1]),
                }
            )
    return _judged(pd.DataFrame(lines, columns=list(_COLUMNS[:-1])))


def contrast_members(
    members: Sequence[Any], within: Sequence[Any], labels: Any, wrong: Any, held: Any
) -> pd.DataFrame:
    """What held-out examples say of contexts that were chosen on the others, one line each.

    Parameters
    ----------
    members : sequence of int array
        Rows that have the context.
    within : sequence
        The label of each: only its examples count.
    labels : array-like of shape (n,)
    wrong, held : bool array-like of shape (n,)
        Who fails, and who had no part in choosing.

    Returns
    -------
    DataFrame
        The columns of ``contrast_failures`` from ``n_wrong`` on, in the order given; p is Fisher's exact
        test, adjusted over all lines.

    Raises
    ------
    InputError
        If lengths differ.
    """
    labels, wrong, held = (np.asarray(as_numpy(one)) for one in (labels, wrong, held))
    if not len(members) == len(within):
        raise InputError(f"within must be one per context: got {len(within)} for {len(members)}.")
    if not labels.shape == wrong.shape == held.shape:
        raise InputError(
            f"labels, wrong and held must be one per example: got {len(labels)}, {len(wrong)} and "
            f"{len(held)}."
        )
    lines = []
    for rows, label in zip(members, within, strict=True):
        own = held & (labels == label)
        rows = np.asarray(rows, np.int64)
        having = np.bincount(wrong[rows[own[rows]]], minlength=2).astype(float)
        lines.append(_held_out(having[None], np.bincount(wrong[own], minlength=2)[None]))
    return _judged(pd.DataFrame(lines, columns=list(_COLUMNS[4:-1])))


def _judged(table: pd.DataFrame) -> pd.DataFrame:
    """Lines with p adjusted over all of them, and the verdict of each."""
    table["p_adjusted"] = adjust_p(table["p"].to_numpy(np.float64))
    table["verdict"] = [
        _verdict(*line)
        for line in zip(
            table["n_wrong"],
            table["wrong_share"],
            table["right_share"],
            table["p_adjusted"],
            strict=True,
        )
    ]
    return table


def _p(having: NDArray[np.float64], sizes: NDArray[Any]) -> NDArray[np.float64]:
    """One-sided p that the wrong ones have each of these more often.

    ``having`` (contexts, labels, right | wrong) and ``sizes`` (labels, right | wrong) are counts.
    """
    k, both = having[..., 1], having.sum(axis=-1)
    n_wrong, total = sizes[:, 1], sizes.sum(axis=1)
    if len(sizes) == 1:
        return np.asarray(
            stats.hypergeom.sf(k[:, 0] - 1, total[0], both[:, 0], n_wrong[0]), np.float64
        )
    some = np.maximum(total, 2)
    expected = both * n_wrong / some
    spread = expected * (total - n_wrong) / some * (total - both) / (some - 1)
    above, spread = (k - expected).sum(axis=1), spread.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (above - 0.5) / np.sqrt(spread)
    return np.where(spread > 0, special.ndtr(-np.where(spread > 0, z, 0.0)), 1.0)


def _held_out(having: NDArray[np.float64], sizes: NDArray[Any]) -> dict[str, Any]:
    """What held-out examples say of one context: counts by label and right | wrong."""
    n_right, n_wrong = sizes[:, 0].astype(float), sizes[:, 1].astype(float)
    right, wrong = having[:, 0], having[:, 1]
    total = n_wrong.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(n_right > 0, right / n_right, np.nan)
        rest = (n_wrong - wrong) / (n_wrong - wrong + n_right - right)  # failing without it
    counted = (n_wrong > 0) & (n_right > 0)
    weight = np.where(counted, n_wrong, 0.0)
    base = float(weight @ np.nan_to_num(shares) / weight.sum()) if weight.any() else float("nan")
    mine = float(wrong.sum() / total) if total else float("nan")
    saved = wrong - (wrong + right) * np.nan_to_num(rest)
    return {
        "n_wrong": int(total),
        "n_right": int(n_right.sum()),
        "with_wrong": int(wrong.sum()),
        "with_right": int(right.sum()),
        "wrong_share": mine,
        "right_share": base,
        "ratio": mine / base if base > 0 else float("nan"),
        "p": float(_p(having[None], sizes)[0]),
        "explained": float(np.maximum(saved, 0.0).sum()),
    }


def _apart(
    order: Rows,
    texts: list[str],
    candidates: Mapping[str, Any],
    inside: NDArray[np.bool_],
    most: int,
) -> list[int]:
    """The first of these, without those that hold nearly the same examples as an earlier one."""
    kept: list[int] = []
    held: list[set[int]] = []
    for one in order[: 20 * most].tolist():
        rows = np.asarray(candidates[texts[one]], np.int64)
        mine = set(rows[inside[rows]].tolist())
        if any(len(mine & other) > ALMOST * len(mine | other) for other in held):
            continue
        kept.append(one)
        held.append(mine)
        if len(kept) == most:
            break
    return kept


def _verdict(n_wrong: int, wrong_share: float, right_share: float, p: float) -> str:
    if n_wrong < FEWEST:
        return TOO_FEW
    if wrong_share <= right_share:
        return ALIKE
    return EXPLAINS if p <= LEVEL else NOT_SHOWN


def absent_combinations(
    columns: Mapping[str, Any], wrong: Any, *, least: float = 5.0, most: int = 10
) -> pd.DataFrame:
    """Pairs of values that no example has although each alone is frequent, and how neighbours fail.

    Parameters
    ----------
    columns : mapping of name to array-like of shape (n,)
        Columns of few values; missing ones (None, NaN, empty text) belong to no pair.
    wrong : bool array-like of shape (n,)
    least : float
        Examples a pair would have if its columns were independent, below which its absence is no
        news.
    most : int

    Returns
    -------
    DataFrame
        ``first``, ``first_value``, ``second``, ``second_value``, ``expected`` (examples, if the
        columns were independent), ``n_neighbours`` and ``neighbours_wrong`` (examples that have one
        of the two values, and the share of them that fails), ``others_wrong`` (of all others). Pairs
        whose neighbours fail most first. The cause of their failing is not shown by it: a model
        cannot be measured where there is nothing.

    References
    ----------
    After HiBug2 (2025), arXiv:2501.16751, which names the combination by a language model.
    """
    wrong = np.asarray(as_numpy(wrong), bool)
    held = {name: _values(values, len(wrong)) for name, values in columns.items()}
    lines = []
    names = list(held)
    for at, first in enumerate(names):
        for second in names[at + 1 :]:
            (one, own), (two, other) = held[first], held[second]
            known = (one >= 0) & (two >= 0)
            if not known.any():
                continue
            grid = np.zeros((len(own), len(other)))
            np.add.at(grid, (one[known], two[known]), 1)
            expected = grid.sum(1, keepdims=True) * grid.sum(0, keepdims=True) / known.sum()
            for row, column in np.argwhere((grid == 0) & (expected >= least)):
                near = (one == row) | (two == column)
                if near.all():
                    continue
                lines.append(
                    (
                        first,
                        own[row],
                        second,
                        other[column],
                        float(expected[row, column]),
                        int(near.sum()),
                        float(wrong[near].mean()),
                        float(wrong[~near].mean()),
                    )
                )
    table = pd.DataFrame(
        lines,
        columns=[
            "first", "first_value", "second", "second_value", "expected", "n_neighbours",
            "neighbours_wrong", "others_wrong",
        ],
    )  # fmt: skip
    worst = table.sort_values("neighbours_wrong", ascending=False, kind="stable")
    return worst.head(most).reset_index(drop=True)


def _values(values: Any, n: int) -> tuple[Rows, list[str]]:
    """Codes of a column, -1 where it has no value, and the values as text."""
    column = pd.Series(np.asarray(as_numpy(values), dtype=object))
    if len(column) != n:
        raise InputError(f"columns must have one value per example: got {len(column)} for {n}.")
    column = column.where(column.astype(str) != "")
    codes, found = pd.factorize(column)
    return codes.astype(np.int64), [str(one) for one in found]
