"""Groups of examples that share attribute values, alone and combined."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.arrays import as_numpy
from backend.core.errors import InputError

UNKNOWN = "unknown"
MAX_GROUPS = 20_000
EVERYBODY = "all"


@dataclass(frozen=True)
class Cells:
    """Every combination of the values of some attributes.

    ``names`` are the groups, also those nobody is in; ``codes`` (n,) the group of each example.
    """

    names: list[str]
    codes: NDArray[np.int64]

    def total(self, values: NDArray[Any] | None = None) -> NDArray[Any]:
        """Sum of ``values`` (n,) per group, or the number of examples: ints for booleans."""
        if values is None:
            return np.bincount(self.codes, minlength=len(self.names))
        if values.dtype == bool:
            return np.bincount(self.codes[values], minlength=len(self.names))
        return np.bincount(self.codes, weights=values, minlength=len(self.names))


def attribute_cells(attributes: Mapping[str, Any], n: int, order: int) -> Iterator[Cells]:
    """Everybody ("all"), each attribute ("sex=F"), then combinations ("sex=F & race=Black").

    Parameters
    ----------
    attributes : {name: array-like of shape (n,)}
        Categories. A missing value, or an empty text, is the level "unknown", which sorts last;
        other levels are in sorted order, ranges such as "5–10" by where they begin. Attributes
        combine in the order given.
    order : int
        Attributes combined at most: 1, 2 or 3.

    Raises
    ------
    InputError
        If lengths differ, the order is not 1 to 3, or there would be more than 20 000 groups.
    """
    if order not in (1, 2, 3):
        raise InputError(f"order must be 1, 2 or 3: got {order}.")
    coded = {name: _levels(name, values, n) for name, values in attributes.items()}
    subsets = [chosen for size in range(1, order + 1) for chosen in combinations(coded, size)]
    wanted = sum(int(np.prod([len(coded[name][1]) for name in chosen])) for chosen in subsets)
    if wanted > MAX_GROUPS:
        widest = max(coded, key=lambda name: len(coded[name][1]))
        raise InputError(
            f"attributes make {wanted} groups and {MAX_GROUPS} are the most that can be shown: "
            f"{widest!r} alone has {len(coded[widest][1])} values. Bin it, or lower the order."
        )
    yield Cells([EVERYBODY], np.zeros(n, dtype=np.int64))
    for chosen in subsets:
        codes = np.zeros(n, dtype=np.int64)
        for name in chosen:
            codes = codes * len(coded[name][1]) + coded[name][0]
        parts = [[f"{name}={level}" for level in coded[name][1]] for name in chosen]
        yield Cells([" & ".join(part) for part in product(*parts)], codes)


def _levels(name: str, values: Any, n: int) -> tuple[NDArray[np.int64], list[str]]:
    """Codes (n,) and the text of each level."""
    if not isinstance(values, pd.Series | pd.Index | pd.Categorical):
        values = as_numpy(values)
    column = pd.Series(values, dtype=object).reset_index(drop=True)
    column = column.mask(column == "")  # how a bundle keeps a missing text
    if len(column) != n:
        raise InputError(
            f"attribute {name!r} must be one per example: got {len(column)} values "
            f"and {n} examples."
        )
    codes, found = pd.factorize(column)
    order = level_order(found)
    # Values that read alike are one group: a level called "unknown" and missing values, 1 and "1".
    texts = list(dict.fromkeys(str(found[code]) for code in order if str(found[code]) != UNKNOWN))
    if (codes < 0).any() or any(str(level) == UNKNOWN for level in found):
        texts.append(UNKNOWN)
    place = {text: code for code, text in enumerate(texts)}
    lookup = np.array([place[str(level)] for level in found] + [place.get(UNKNOWN, -1)])
    return lookup[codes].astype(np.int64), texts


_NUMBER = r"[−-]?[\d.]+(?:e[+−-]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})((?:–| to ){_NUMBER})?")
"""A number, or a range as numeric columns are cut into: 0.12–0.34, −5 to 2."""


def level_order(found: Sequence[Any]) -> list[int]:
    """Positions of the different values of an attribute in the order in which they are listed.

    Sorted; ranges of numbers by where they begin ("5–10" before "10–20", which as text it is not);
    numbers beside names, which have no order of their own, as text.
    """
    places = range(len(found))
    read = [_RANGE.fullmatch(str(value)) for value in found]
    begins = [match and _begin(match) for match in read]
    known = [one for one, value in zip(begins, found, strict=True) if str(value) != UNKNOWN]
    if any(match and match.group(2) for match in read) and None not in known:
        # A missing value that stands as "unknown" comes last.
        return sorted(places, key=lambda code: (begins[code] is None, begins[code] or 0.0))
    try:
        return sorted(places, key=lambda code: found[code])
    except TypeError:
        return sorted(places, key=lambda code: str(found[code]))


def _begin(match: re.Match[str]) -> float | None:
    """Where a range begins, or the number; None for what only looks like one."""
    try:
        return float(match.group(1).replace("−", "-"))
    except ValueError:
        return None


def positive_mask(names: NDArray[Any], positive: Any) -> NDArray[np.bool_]:
    """Which of the class ``names`` (C,) is the positive one; refuses a class nobody has."""
    held = np.array([name == positive for name in names.tolist()])
    if not held.any():
        shown = ", ".join(repr(name) for name in names.tolist()[:10])
        raise InputError(f"positive must be one of the labels ({shown}): got {positive!r}.")
    return held
