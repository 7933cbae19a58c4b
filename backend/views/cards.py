"""What a card says of an example beside its picture or text: columns, chosen or those a name speaks of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.bundle import Bundle

SETTING = "card columns"
"""Name of the setting under which a person's choice is kept for one bundle."""
FIRST = 3
"""Columns of a card that nobody chose, at most."""
MOST = 12
"""Columns of a card, at most."""


def is_tabular(bundle: Bundle) -> bool:
    """Whether columns are all there is to look at: neither texts nor pictures, but columns."""
    return not bundle.has_text and not bundle.has_images and bool(bundle.attributes)


def card_columns(bundle: Bundle) -> list[str]:
    """Columns that a card can show: the user's in file order, then target and prediction as numbers.

    Labels and predictions by name stand on every card and are not among them.
    """
    return [*bundle.attributes, *_numbers_of(bundle)]


def shown_columns(bundle: Bundle, chosen: Any, about: str) -> list[str]:
    """The columns of a card, in the order shown.

    Parameters
    ----------
    bundle : Bundle
    chosen : list of str, or None
        What somebody chose, as ``Store.setting`` gives it; names that the bundle lacks are passed
        over. None, or anything that is no list, leaves it to what is looked at.
    about : str
        What the examples are called, such as the name of a region: the columns that it speaks of
        are shown, in its order. Where it speaks of none the first of the bundle are, if there is
        nothing else to look at.
    """
    offered = card_columns(bundle)
    if isinstance(chosen, list):
        wanted = [str(name) for name in chosen]
        return [name for name in dict.fromkeys(wanted) if name in offered][:MOST]
    told = re.sub(r"\bpredicted\b", "prediction", about) if "prediction" in offered else about
    spoken = spoken_of(offered, told)[:FIRST]
    if spoken or not is_tabular(bundle):
        return spoken
    return offered[:FIRST]


def spoken_of(names: Sequence[str], about: str) -> list[str]:
    """The names that occur in a text as whole words, in its order; longer names are looked for first.

    A name inside a longer one that is there does not count: "age" is not in "age group ≤ 2".
    """
    places: dict[str, int] = {}
    left = about
    for name in sorted((one for one in names if one.strip()), key=len, reverse=True):
        found = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", left)
        if found:
            places[name] = found.start()
            left = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", lambda one: "\0" * len(one[0]), left)
    return sorted(places, key=places.__getitem__)


def card_cells(
    bundle: Bundle, names: Sequence[str], rows: NDArray[np.int64]
) -> list[tuple[str, ...]]:
    """Cells of these columns in these rows, as they came; one tuple a row, a missing value is empty."""
    if not names:
        return [()] * len(rows)
    own = _numbers_of(bundle)
    return list(
        zip(
            *(
                _written(own[name][rows]) if name in own else bundle.cells(name, rows)
                for name in names
            ),
            strict=True,
        )
    )


def _written(values: NDArray[Any]) -> list[str]:
    return ["" if value != value else f"{value:.6g}" for value in values.tolist()]


def _numbers_of(bundle: Bundle) -> dict[str, NDArray[Any]]:
    """Target and prediction of a regression; a column of the user's of that name stands for itself."""
    found: dict[str, Any] = {"target": bundle.targets}
    if bundle.prediction_names is None:
        found["prediction"] = bundle.predictions
    return {
        name: np.asarray(values)
        for name, values in found.items()
        if values is not None and name not in bundle.attributes
    }
