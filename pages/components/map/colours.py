"""What the map's colours say: one byte per example, a palette, and a legend with counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray
from plotly.colors import sample_colorscale

from backend.bundle import Bundle
from backend.map.coding import group_codes, kind_codes, step_codes
from backend.rules import attribute_name, read_column
from backend.scores import known_scores, pie_columns
from pages.components.shared import palette, text
from pages.components.shared.choice import Choice

STEPS = 64
"""Colours of a scale of numbers."""
OUTER = 0.01
"""Share of the numbers beyond each end of their scale."""
REGION, WEIGHT, RIGHT, TAG = "region", "weight in the group", "right or wrong", "tag "
COLUMN = "column "


@dataclass(frozen=True)
class Coding:
    """Colours of all examples.

    ``codes`` (n,) uint8 point into ``colours`` (CSS colours). ``names`` says what each code means,
    for kinds; numbers have ``low`` and ``high`` instead, the values of the first and the last
    colour (values beyond them take the same), and the last code of all for a missing value.
    """

    codes: NDArray[np.uint8] = field(repr=False)
    colours: tuple[str, ...]
    names: tuple[str, ...] = ()
    low: float = float("nan")
    high: float = float("nan")

    @property
    def numbers(self) -> bool:
        return not self.names


def offered(bundle: Bundle, tags: Sequence[str]) -> list[str]:
    """What the map can be coloured by, in the order offered."""
    choices = [REGION, *scores(bundle), WEIGHT]
    if bundle.labels is not None:
        choices.append("label")
    if bundle.predictions is not None:
        choices.append("prediction")
    if bundle.correct is not None:
        choices.append(RIGHT)
    choices += [f"{COLUMN}{name}" for name in bundle.attributes]
    return choices + [f"{TAG}{name}" for name in tags]


def scores(bundle: Bundle) -> list[str]:
    """Scores of difficulty, the loss first, and who is a PIE."""
    return [*known_scores(bundle), *pie_columns(bundle)]


def coding(
    bundle: Bundle,
    colour_by: str,
    choices: Sequence[Choice],
    choice: Choice | None,
    tags: pd.DataFrame,
) -> Coding:
    """The colours for one of ``offered``; what is not there any more falls back to the regions."""
    dark = palette.is_dark()
    if colour_by == WEIGHT and choice is not None:
        return scaled(np.asarray(choice.group.weights, dtype=float), dark=dark, whole=True)
    if colour_by.startswith(TAG):
        name = colour_by.removeprefix(TAG)
        held = np.isin(bundle.ids, tags.loc[tags["tag"] == name, "id"].to_numpy(dtype=str))
        return Coding(
            held.astype(np.uint8),
            (palette.context_colour(), palette.HUES[0]),
            ("not tagged", name),
        )
    if colour_by == RIGHT and bundle.correct is not None:
        codes = (~bundle.correct).astype(np.uint8)
        return Coding(codes, (palette.context_colour(), palette.HUES[4]), ("right", "wrong"))
    if colour_by in ("label", "prediction", *scores(bundle)) or colour_by.startswith(COLUMN):
        return _column(bundle.digest, colour_by, bundle, dark=dark)
    return by_region(bundle.n, choices)


def by_region(n: int, choices: Sequence[Choice]) -> Coding:
    """Members of each region in its colour; an example in several takes the first region's."""
    regions = [one for one in choices if one.colour]
    return Coding(
        group_codes(n, [one.group.rows for one in regions]),
        (palette.context_colour(), *(one.colour for one in regions)),
        ("no region", *(f"{one.number} {one.name}" for one in regions)),
    )


@st.cache_resource(show_spinner=False, max_entries=24)
def _column(digest: str, colour_by: str, _bundle: Bundle, *, dark: bool) -> Coding:
    name = colour_by
    if colour_by.startswith(COLUMN):
        name = attribute_name(_bundle, colour_by.removeprefix(COLUMN))
    column = read_column(_bundle, name)
    if column.kind == "number":
        values = np.asarray(column.values, dtype=float)
        return scaled(np.where(column.known, values, np.nan), dark=dark)
    values = np.asarray(column.values).astype(str)
    return kinds(np.where(column.known, values, "no value"))


def kinds(values: NDArray[np.str_]) -> Coding:
    """At most ten hues: the most frequent values, in the order of their names, then the others."""
    found = kind_codes(values, most=len(palette.MORE_HUES))
    rest = f"{text.count(found.n_others)} other values" if found.n_others else "no other value"
    hues = palette.MORE_HUES[: len(found.names)]
    return Coding(found.codes, (palette.context_colour(), *hues), (rest, *found.names))


def scaled(values: NDArray[np.float64], *, dark: bool, whole: bool = False) -> Coding:
    """Numbers on the loss scale without their outermost ones, or as a ``whole``."""
    found = step_codes(values, steps=STEPS, outer=0.0 if whole else OUTER)
    scale = "Cividis" if dark else "Cividis_r"
    colours = sample_colorscale(scale, np.linspace(0, 1, STEPS).tolist(), colortype="rgb")
    return Coding(found.codes, (*colours, palette.context_colour()), (), found.low, found.high)
