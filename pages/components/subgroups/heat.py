"""An audit as a heat map: two attributes crossed, or groups against classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core import wording
from backend.populations.places import (
    crossed_places,
    level_names,
    out_of,
    rows_per_group,
    worse_when_low,
)
from pages.components.shared import charts, keys, link, palette, populations, text
from pages.components.subgroups.controls import RATES, Asked

CELL = 44
"""Pixels of a cell of the heat map, high."""
LETTERS = 28
"""Of the name of an attribute beside its axis, which is as long as its levels are many."""
NARROW = 12
"""Columns beyond which a cell has room for whole percent only; the table and a pointer say the rest."""


def value_text(metric: str, value: float, *, digits: int = 1) -> str:
    """A rate in percent, a loss as a number, a dash for what is undefined."""
    return text.number(value) if metric == "mean_loss" else text.percent(value, digits=digits)


def scale_of(metric: str) -> float:
    return 1.0 if metric == "mean_loss" else 100.0


def show_crossed(bundle: Bundle, asked: Asked, table: pd.DataFrame) -> None:
    """Two attributes crossed, or one alone, as a heat map; a click on a cell opens its group."""
    names = list(asked.attributes)
    first, second = names[0], None
    if asked.order > 1 and len(names) > 1:
        left, right = st.columns(2)
        if len(names) > 2:
            first = str(left.selectbox("Down", options=names, **link.bound("down", names)))
            rest = [name for name in names if name != first]
            second = str(right.selectbox("Across", options=rest, **link.bound("across", rest)))
        else:
            second = names[1]
    elif len(names) > 1:
        first = str(st.selectbox("Attribute", options=names, **link.bound("down", names)))
    levels = {name: levels_of(bundle, name) for name in names}
    cells = crossed_places({name: len(held) for name, held in levels.items()}, first, second)
    down, across = levels[first], levels[second] if second else []
    rows = [*down, "all"]
    columns = [*across, "all"] if second else [RATES[asked.metric]]
    show_heat(bundle, asked, table, cells, rows, columns, titles=(first, second or ""))


def show_target(bundle: Bundle, asked: Asked, table: pd.DataFrame) -> None:
    """Groups down, classes across: each class is the positive one in its column."""
    width = rows_per_group(table)
    cells = np.arange(len(table)).reshape(-1, width)
    rows = table["group"].to_numpy()[cells[:, 0]].tolist()
    columns = ["all classes", *map(str, table["class"].to_numpy()[cells[0, 1:]])]
    show_heat(bundle, asked, table, cells, rows, columns, titles=("", "positive class"))


def show_heat(
    bundle: Bundle,
    asked: Asked,
    table: pd.DataFrame,
    cells: NDArray[np.int64],
    rows: list[str],
    columns: list[str],
    *,
    titles: tuple[str, str],
) -> None:
    """Rows of the audit's table laid out as cells, each with its value and what it is out of."""
    metric = asked.metric
    value, n = table[metric].to_numpy()[cells], table["n"].to_numpy()[cells]
    count = out_of(table, metric)[cells]
    low, high = (table[f"{metric}_{end}"].to_numpy()[cells] for end in ("low", "high"))
    dense = len(rows) > 10 or len(columns) > 8
    words = np.empty(cells.shape, dtype=object)
    hover = np.empty(cells.shape, dtype=object)
    for at in np.ndindex(cells.shape):
        said = value_text(metric, value[at])
        mark = "†" if count[at] < asked.min_n else ""
        words[at] = f"{said} {mark}".rstrip() + f"<br>n {text.count(int(count[at]))}"
        if dense:
            digits = 0 if len(columns) > NARROW else 1
            brief = value_text(metric, value[at], digits=digits).removesuffix(wording.PERCENT)
            words[at] = f"{brief}{mark}"
        interval = ""
        if np.isfinite(low[at]):
            ends = (value_text(metric, end[at]) for end in (low, high))
            interval = f", 95\u00a0%: {' to '.join(ends)}"
        hover[at] = (
            f"{text.chart(rows[at[0]])}, {text.chart(columns[at[1]])}<br>{RATES[metric]} {said}"
            f"{interval}<br>out of {text.count(int(count[at]))}, {text.counted(int(n[at]), 'example')}"
        )
    side = 26 if dense else CELL
    key = f"audit_heat_{bundle.digest[:8]}"
    behind = pd.DataFrame(
        {
            "group": table["group"].to_numpy()[cells.ravel()],
            **({"class": table["class"].to_numpy()[cells.ravel()]} if "class" in table else {}),
            "n": n.ravel(),
            RATES[metric]: value.ravel(),
            "low": low.ravel(),
            "high": high.ravel(),
            "out of": count.ravel(),
        }
    )
    # A cell of a handful would take the strongest colour of all, whatever the others say.
    sound = np.where(count >= min(asked.min_n, count.max()), value, np.nan)
    charts.show_chart(
        heat_figure(
            sound * scale_of(metric), words, hover, cells, rows, columns, titles, side,
            reverse=worse_when_low(metric),
        ),
        behind, key=key, height=66 + side * len(rows), margin={"t": 50},
        alt=f"{RATES[metric]}: {titles[0]} down, {titles[1]} across.",
        on_select=lambda: pointed(key, asked),
        config=percents(metric, RATES[metric], "low", "high"),
    )  # fmt: skip


def heat_figure(
    value: NDArray[np.float64],
    words: NDArray[Any],
    hover: NDArray[Any],
    cells: NDArray[np.int64],
    rows: list[str],
    columns: list[str],
    titles: tuple[str, str],
    side: int,
    *,
    reverse: bool = False,
) -> go.Figure:
    """``value`` gives the colours, NaN none; ``reverse`` where low is what must stand out."""
    scale = palette.loss_scale()
    if reverse:
        scale = scale.removesuffix("_r") if scale.endswith("_r") else f"{scale}_r"
    figure = go.Figure(
        go.Heatmap(
            z=value,
            hoverinfo="skip",
            xgap=2,
            ygap=2,
            showscale=False,
            colorscale=scale,
        )
    )
    charts.write_cells(figure, value, words, scale)
    down, across = np.indices(cells.shape)
    figure.add_scatter(  # a heat map cannot be clicked; points that cannot be seen can
        x=across.ravel(), y=down.ravel(), mode="markers", customdata=cells.ravel(),
        marker={"symbol": "square", "size": side - 4, "opacity": 0.01, "color": palette.accent()},
        selected={"marker": {"opacity": 0.01}}, unselected={"marker": {"opacity": 0.01}},
        hovertext=hover.ravel(), hoverinfo="text",
    )  # fmt: skip
    limit = 18 if len(columns) <= 8 else 10
    figure.update_layout(
        xaxis={
            "tickvals": list(range(len(columns))),
            "ticktext": [text.chart(text.shorten(name, limit)) for name in columns],
            "side": "top", "showgrid": False, "zeroline": False, "title": text.chart(text.shorten(titles[1], LETTERS)),
            "range": [-0.5, len(columns) - 0.5],
        },
        yaxis={
            **charts.rows_axis(rows, limit=26), "range": [len(rows) - 0.5, -0.5],
            "title": text.chart(text.shorten(titles[0], LETTERS)),
        },
        clickmode="event+select",
    )  # fmt: skip
    return figure


def percents(metric: str, *names: str) -> dict[str, Any]:
    return {} if metric == "mean_loss" else charts.percent_columns(*names)


def pointed(key: str, asked: Asked) -> None:
    points = st.session_state[key].selection.get("points") or []
    if points:
        found = points[0].get("customdata")
        place = found[0] if isinstance(found, list | tuple) else found
        if place is not None:
            open_place(asked, int(place))


@st.cache_resource(show_spinner=False, max_entries=128)
def _levels(digest: str, name: str, _values: NDArray[Any]) -> list[str]:
    return level_names(_values)


def levels_of(bundle: Bundle, name: str) -> list[str]:
    """The values of an attribute in the order in which an audit lists their groups."""
    return _levels(bundle.digest, name, populations.column_of(bundle, name))


def open_place(asked: Asked, place: int) -> None:
    # Positions mean something else as soon as other groups are asked for.
    st.session_state[keys.AUDIT_PLACE] = (asked.groups(), place)
