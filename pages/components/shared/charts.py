"""A chart with the table behind it one click away, and a way to take the picture along."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray
from plotly.colors import sample_colorscale, unlabel_rgb

from pages.components.shared import palette, tables, text

ASSETS = Path(__file__).parents[3] / "assets" / "components"
SHOWN = 24
"""Lines of a chart that has one per group; the table behind it has all."""
ROW_HEIGHT = 24
"""Pixels per line of a chart that has one line per group."""
LETTER = 6
"""Pixels that a letter of the words beside a chart takes."""
TABLE_HEIGHT = 388
"""Pixels a table is high at most; longer ones scroll."""
TABLE_ROW = 35
"""Pixels of a row of a table."""

_tools = st.components.v2.component(
    "errorscope_chart_tools",
    html='<div class="tools"></div>\n',
    css=(ASSETS / "chart_tools.css").read_text(encoding="utf-8"),
    js=(ASSETS / "chart_tools.js").read_text(encoding="utf-8"),
)


def show_chart(
    figure: go.Figure,
    table: pd.DataFrame,
    *,
    key: str,
    alt: str,
    height: int = 280,
    margin: Mapping[str, int] | None = None,
    on_select: Callable[[], None] | None = None,
    config: Mapping[str, Any] | None = None,
) -> None:
    """Draw a figure; below it its table behind a button, and copies as PNG and SVG.

    ``config`` are column settings of the table; ``on_select`` is called when a point is clicked. A
    figure has a legend where its layout asks for one.
    """
    figure.update_layout(
        height=height,
        margin={"l": 0, "r": figure.layout.margin.r or 8, "t": 8, "b": 0, **(margin or {})},
        showlegend=bool(figure.layout.showlegend),
        hoverlabel={"align": "left"},
        dragmode=False,
    )
    ink(figure)
    chosen: dict[str, Any] = {}
    if on_select is not None:
        chosen = {"on_select": on_select, "selection_mode": "points"}
    st.plotly_chart(
        figure,
        key=key,
        config={"displaylogo": False, "displayModeBar": False},
        alt=alt,
        **chosen,
    )
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        with st.popover("Table", icon=":material/table:", type="tertiary"):
            show_table(table, key=f"{key}_table", config=config)
        _tools(key=f"{key}_tools", data={"chart": key, "name": key.replace("_", "-")})


def ink(figure: go.Figure) -> None:
    """Words and numbers of a figure in the colour of text: the theme's grey is too faint for them."""
    ink = {"color": palette.text_colour()}
    figure.update_layout(font=ink, legend_font=ink)
    figure.update_xaxes(tickfont=ink, title_font=ink)
    figure.update_yaxes(tickfont=ink, title_font=ink)


def show_table(
    table: pd.DataFrame,
    *,
    key: str,
    config: Mapping[str, Any] | None = None,
    on_select: Callable[[], None] | None = None,
) -> None:
    """A table whose undefined numbers are a dash; a click on a line calls ``on_select``."""
    chosen: dict[str, Any] = {}
    if on_select is not None:
        chosen = {"on_select": on_select, "selection_mode": "single-row"}
    shown, settings = tables.written(table, {**tables.number_columns(table), **(config or {})})
    st.dataframe(
        shown,
        hide_index=True,
        key=key,
        height=table_height(len(table)),
        row_height=TABLE_ROW,
        placeholder=text.DASH,
        column_config=settings,
        lazy=False,
        **chosen,
    )


def table_height(rows: int) -> int:
    """Pixels of a table of so many rows, which ends with its last one."""
    return min(TABLE_ROW * (rows + 1) + 3, TABLE_HEIGHT)


def percent_columns(*names: str, **named: str) -> dict[str, Any]:
    """Settings of columns that hold fractions, shown in percent; ``named`` gives them a title."""
    return _columns("percent", names, named)


def points_columns(*names: str, **named: str) -> dict[str, Any]:
    """The same of columns that hold differences of fractions, shown in percentage points."""
    return _columns(tables.POINTS, names, named)


def _columns(shape: Any, names: Sequence[str], named: Mapping[str, str]) -> dict[str, Any]:
    titles = {**{name: name for name in names}, **named}
    return {
        name: st.column_config.NumberColumn(title, format=shape) for name, title in titles.items()
    }


def error_bars(
    value: Any, low: Any, high: Any, *, colour: str | None = None, width: float = 1.5
) -> dict[str, Any]:
    """Plotly's form of an interval; what is undefined is left out."""
    value, low, high = (np.asarray(one, dtype=float) for one in (value, low, high))
    return {
        "type": "data",
        "symmetric": False,
        "array": np.nan_to_num(high - value),
        "arrayminus": np.nan_to_num(value - low),
        "color": colour or palette.text_colour(),
        "thickness": width,
        "width": 3,
    }


def rows_axis(names: Sequence[object], *, limit: int = 38) -> dict[str, Any]:
    """A vertical axis with one line per name, the first on top; names may repeat."""
    return {
        "tickmode": "array",
        "tickvals": list(range(len(names))),
        "ticktext": [text.chart(text.shorten(name, limit)) for name in names],
        "range": [len(names) - 0.4, -0.6],
        "zeroline": False,
        "showgrid": False,
    }


def zero_line(figure: go.Figure, x: float = 0.0) -> None:
    figure.add_vline(x=x, line={"dash": "dot", "width": 1, "color": palette.text_colour()})


MOST_WORDS = 300
"""Cells of a heat map up to which each has its words."""


def write_cells(
    figure: go.Figure,
    values: NDArray[np.float64],
    words: NDArray[Any],
    scale: str,
    *,
    low: float | None = None,
    high: float | None = None,
) -> None:
    """Words on the cells of a heat map, dark on bright and bright on dark.

    As annotations: words of a heat map have one colour, and words of points fade when one is
    clicked.
    """
    if values.size > MOST_WORDS:
        return
    held = values[np.isfinite(values)]
    if low is None or high is None:
        low, high = (float(held.min()), float(held.max())) if held.size else (0.0, 1.0)
    span = (high - low) or 1.0
    notes = []
    for down, across in np.ndindex(values.shape):
        value = values[down, across]
        colour = palette.text_colour()
        if np.isfinite(value):
            [colour] = readable(np.clip([(value - low) / span], 0, 1), scale)
        font = {"size": 12, "color": colour}
        notes.append({"x": across, "y": down, "text": words[down, across], "font": font})
    write_notes(figure, notes)


def readable(shares: NDArray[np.float64], scale: Any) -> list[str]:
    """The colour of letters on these places of a colour scale: dark on bright and bright on dark."""
    found = []
    for colour in sample_colorscale(scale, [float(one) for one in shares]):
        red, green, blue = unlabel_rgb(colour)
        bright = 0.2126 * red + 0.7152 * green + 0.0722 * blue > 120
        found.append("#111111" if bright else "#ffffff")
    return found


def write_notes(figure: go.Figure, notes: Sequence[Mapping[str, Any]]) -> None:
    """Annotations without arrows, all at once: adding them one by one takes quadratic time."""
    figure.layout.annotations = (
        *figure.layout.annotations,
        *({"showarrow": False, **note} for note in notes),
    )


def write_margin(figure: go.Figure, words: Sequence[str]) -> None:
    """Words to the right of each line of a chart that has one line per group, beside all data."""
    write_notes(
        figure,
        [
            {
                "x": 1,
                "xref": "paper",
                "xanchor": "left",
                "y": at,
                "text": one,
                "font": {"size": 11},
            }
            for at, one in enumerate(words)
        ],
    )
    figure.update_layout(margin_r=LETTER * max(map(len, words), default=0))


def of_all(shown: int, all_of_them: int, what: str) -> str:
    """How many of how many are shown."""
    if shown == all_of_them:
        return f"{text.count(shown)} {what}"
    return f"{text.count(shown)} of {text.count(all_of_them)} {what}"
