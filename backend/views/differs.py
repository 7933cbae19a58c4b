"""What is special about some examples: columns ranked by how they differ from the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from backend.bundle import Bundle
from backend.core.errors import InputError
from backend.core.statistics import adjust_p, mean_of
from backend.core.wording import PERCENT
from backend.rules import columns_of, read_column

MAX_VALUES = 1_000
"""Distinct values of a text column; with more it is a name of its examples, not a property."""
FEW = 5.0
"""Smallest expected count of a value in the group; rarer ones are counted together for the test."""
LEVEL = 0.05


def what_differs(bundle: Bundle, chosen: Any, against: Any = None) -> pd.DataFrame:
    """Every column by how far the chosen examples differ from the others in it.

    Parameters
    ----------
    bundle : Bundle
    chosen, against : bool arrays of shape (n,)
        Two sets; ``against`` is the rest of the bundle by default. An example in both counts as
        chosen.

    Returns
    -------
    DataFrame
        ``column``; ``kind`` (number, truth or text); ``distance`` in [0, 1]; ``here`` and
        ``elsewhere`` (means of numbers; else the value whose share differs most, with both shares);
        ``n`` and ``n_rest`` (examples with a value); ``p`` and ``p_adjusted``
        (Benjamini-Hochberg over the columns). First the columns with ``p_adjusted`` of at most
        0.05, then the others, each by distance; ties by name.

    Notes
    -----
    The distance is that of Kolmogorov and Smirnov for numbers (largest gap between the two
    cumulative shares, p from its limit law) and the total variation distance for values (half the
    sum of the gaps between shares, p from the chi-square test of homogeneity with values expected
    fewer than 5 times taken together). p does not know how the set was chosen: a set chosen by loss
    differs in loss by construction. Columns where a set has no value at all, and text that takes
    more than 1000 values or a new one for every second example, are left out.

    Raises
    ------
    InputError
        If a mask has another shape, or a set is empty.
    """
    chosen = _mask("chosen", chosen, bundle.n)
    rest = ~chosen if against is None else _mask("against", against, bundle.n) & ~chosen
    for name, mask in (("chosen", chosen), ("rest", rest)):
        if not mask.any():
            raise InputError(f"comparing needs examples on both sides: the {name} set is empty.")
    rows = []
    for name, kind in columns_of(bundle).items():
        if name in ("id", "text"):
            continue
        column = read_column(bundle, name)
        here, there = column.values[chosen & column.known], column.values[rest & column.known]
        if not len(here) or not len(there):
            continue
        found = _numbers(here, there) if kind == "number" else _values(here, there)
        if found is not None:
            rows.append(
                {"column": name, "kind": kind, **found, "n": len(here), "n_rest": len(there)}
            )
    names = ["column", "kind", "distance", "here", "elsewhere", "p", "n", "n_rest"]
    table = pd.DataFrame(rows, columns=names)
    table.insert(6, "p_adjusted", adjust_p(table["p"].to_numpy(dtype=float)))
    table["_far"] = ~(table["p_adjusted"] <= LEVEL)
    table = table.sort_values(
        ["_far", "distance", "column"], ascending=[True, False, True], kind="stable"
    )
    return table.drop(columns="_far").reset_index(drop=True)


def _numbers(here: NDArray[Any], there: NDArray[Any]) -> dict[str, Any]:
    here, there = np.sort(here.astype(np.float64)), np.sort(there.astype(np.float64))
    values = np.concatenate([here, there])
    gaps = np.searchsorted(here, values, side="right") / len(here)
    gaps -= np.searchsorted(there, values, side="right") / len(there)
    distance = float(np.abs(gaps).max())
    size = len(here) * len(there) / (len(here) + len(there))
    return {
        "distance": distance,
        "here": f"mean {mean_of(here):.3g}",
        "elsewhere": f"mean {mean_of(there):.3g}",
        "p": float(special.kolmogorov(np.sqrt(size) * distance)),
    }


def _values(here: NDArray[Any], there: NDArray[Any]) -> dict[str, Any] | None:
    names, codes = np.unique(
        np.concatenate([here.astype(str), there.astype(str)]), return_inverse=True
    )
    if len(names) > min(MAX_VALUES, len(codes) // 2):
        return None
    counts = np.stack(
        [
            np.bincount(codes[: len(here)], minlength=len(names)),
            np.bincount(codes[len(here) :], minlength=len(names)),
        ]
    ).astype(np.float64)
    shares = counts / counts.sum(axis=1, keepdims=True)
    gaps = shares[0] - shares[1]
    most = int(np.argmax(np.abs(gaps)))
    value = names[most]
    return {
        "distance": float(np.abs(gaps).sum() / 2),
        "here": f"{value}: {100 * shares[0, most]:.1f}{PERCENT}",
        "elsewhere": f"{value}: {100 * shares[1, most]:.1f}{PERCENT}",
        "p": _homogeneity(counts),
    }


def _homogeneity(counts: NDArray[np.float64]) -> float:
    """p of the chi-square test that two rows of counts (2, v) have the same shares."""
    total, sizes = counts.sum(axis=0), counts.sum(axis=1)
    rare = total * sizes.min() / sizes.sum() < FEW
    if rare.any():
        counts = np.column_stack([counts[:, ~rare], counts[:, rare].sum(axis=1)])
        total = counts.sum(axis=0)
    if counts.shape[1] < 2:
        return 1.0 if not rare.any() else float("nan")
    expected = np.outer(sizes, total) / sizes.sum()
    statistic = float(((counts - expected) ** 2 / expected).sum())
    return float(special.chdtrc(counts.shape[1] - 1, statistic))


def _mask(name: str, given: Any, n: int) -> NDArray[np.bool_]:
    mask = np.asarray(given)
    if mask.dtype != bool or mask.shape != (n,):
        raise InputError(
            f"{name} must be a bool array of shape ({n},): got {mask.dtype} of shape {mask.shape}."
        )
    return mask
