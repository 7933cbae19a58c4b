"""Robustness against the level of compression: every test, population by population."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from backend.bundle import Bundle
from backend.core.groups import SMALL
from backend.populations import (
    CompressionLevel,
    compression_levels,
    stress_columns,
    table_robustness,
)
from backend.populations.stress.report import IID
from pages.components.shared import charts, palette, populations, text
from pages.components.stress.source import EVERYBODY, TABLE, tagged_rows

MOST_LINES = 8
MARKS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon")
SIGNS = "●■◆▲✚✖★⬢"
"""The same marks as letters, for the names of the lines."""


def show_levels(bundle: Bundle, source: str) -> None:
    """One line per test over the populations, in order of how strongly they are compressed."""
    table = levels_table(bundle, source)
    if table is None:
        return
    names = list(dict.fromkeys(table["population"]))
    if len(names) < 2:
        st.info(
            "One population is here; a second one, compressed, is needed to draw a line.",
            icon=":material/info:",
        )
        return
    baseline = next((name for name in names if name.lower() == "baseline"), names[0])
    levels = compression_levels(names, baseline)
    metrics = list(dict.fromkeys(table["metric"]))
    shown = st.multiselect(
        "Tests",
        metrics,
        default=metrics[:5],
        max_selections=MOST_LINES,
        key="stress_lines",
        help="At most eight lines can be told apart.",
    )
    if not shown:
        st.info("Choose at least one test.")
        return
    charts.show_chart(
        levels_figure(table, levels, list(shown)), table, key="stress_levels", height=420,
        alt="Metric of each test against the level of compression.",
        margin={"r": 170, "t": 10},
    )  # fmt: skip
    st.caption(
        "Mean over the models of a population with Student's t 95\u00a0% interval over models, of accuracies cut off at 0 and 1; one model has "
        "none. Populations stand in order of the number in their name, the baseline first."
    )


def levels_table(bundle: Bundle, source: str) -> pd.DataFrame | None:
    """``population``, ``metric``, ``n_models``, ``accuracy``, ``low``, ``high``."""
    if source == TABLE and bundle.stress is not None:
        if stress_columns(bundle.stress).population is None:
            st.info(
                "The stress table does not say to which population a model belongs. Add a column "
                "'population', or choose the models of a population above.",
                icon=":material/info:",
            )
            return None
        return table_robustness(bundle.stress, value=st.session_state.get("stress_value"))
    found = populations.ask(
        bundle,
        "robustness",
        doing="Measuring every population",
        attributes=list(st.session_state.get("stress_columns") or []),
        tags=tagged_rows(bundle, list(st.session_state.get("stress_tags") or [])),
        min_n=SMALL,
    )
    return (
        None if found is None else found.tables["robustness"].replace({"metric": {IID: EVERYBODY}})
    )


def levels_figure(
    table: pd.DataFrame, levels: list[CompressionLevel], shown: list[str]
) -> go.Figure:
    figure = go.Figure()
    order = [level.name for level in levels]
    ends: list[tuple[float, int]] = []
    for at, metric in enumerate(shown):
        rows = table[table["metric"] == metric].set_index("population").reindex(order)
        value = rows["accuracy"].to_numpy()
        colour = colour_of(at)
        x = np.arange(len(order)) + 0.03 * (at - len(shown) / 2)
        error = charts.error_bars(value, rows["low"], rows["high"], colour=colour)
        kinds = [level.kind for level in levels]
        # No line between kinds of compression: they have no order. Kinds after the first are dotted,
        # because their lines pass over the levels of the others.
        for place, start in enumerate(_runs(kinds)):
            figure.add_scatter(
                x=x[start], y=value[start], mode="lines", hoverinfo="skip",
                line={"color": colour, "width": 2, "dash": "dot" if place else "solid"},
            )  # fmt: skip
        figure.add_scatter(
            x=x, y=value, mode="markers", error_y={**error},
            marker={"color": colour, "symbol": MARKS[at], "size": 9},
            customdata=[[text.chart(metric), text.chart(name)] for name in order],
            hovertemplate="%{customdata[0]}, %{customdata[1]}: %{y:.4g}<extra></extra>",
        )  # fmt: skip
        if np.isfinite(value[-1]):
            ends.append((float(value[-1]), at))
    low, high = figure_range(table[table["metric"].isin(shown)])
    for height, (_, at) in zip(
        spaced([end for end, _ in ends], 0.052 * (high - low)), ends, strict=True
    ):
        mark = f"<span style='color:{colour_of(at)}'>{SIGNS[at]}</span>"
        figure.add_annotation(
            x=1, xref="paper", xanchor="left", xshift=6, y=height, showarrow=False,
            text=f"{mark} {text.chart(text.shorten(shown[at], 26))}", font={"size": 12},
        )  # fmt: skip
    figure.update_layout(
        xaxis={
            "tickvals": list(range(len(order))),
            "ticktext": [text.chart(text.shorten(name, 18)) for name in order],
            "zeroline": False, "showgrid": False,
        },
        yaxis={"title": "mean over models", "zeroline": False, "range": [low, high]},
    )  # fmt: skip
    return figure


def colour_of(at: int) -> str:
    """The first line in the colour of text, the others in hues that can be told apart."""
    return palette.text_colour() if at == 0 else palette.MORE_HUES[at - 1]


def figure_range(table: pd.DataFrame) -> tuple[float, float]:
    """From the lowest interval to the highest, with some room."""
    every = table[["accuracy", "low", "high"]]
    low, high = float(every.min().min()), float(every.max().max())
    room = 0.06 * ((high - low) or 1.0)
    return low - room, high + room


def spaced(places: list[float], gap: float) -> list[float]:
    """The same places moved apart as little as it takes for labels not to cover each other."""
    order = np.argsort(places, kind="stable")
    moved = list(places)
    for before, own in pairwise(order):
        moved[own] = max(moved[own], moved[before] + gap)
    shift = (sum(moved) - sum(places)) / max(1, len(places))
    return [place - shift for place in moved]


def _runs(kinds: list[str]) -> list[list[int]]:
    """Positions joined by a line: the baseline with each kind's levels."""
    return [
        [0, *(at for at, own in enumerate(kinds) if own == kind and at > 0)]
        for kind in dict.fromkeys(kinds[1:])
    ]
