"""Where in the columns the examples are: a histogram to brush, a confusion matrix to click."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from backend.bundle import Bundle
from backend.rules import columns_of
from backend.rules.write import range_rule
from backend.views import Looked, Query, brushed_range, column_bars, confusion_table, pair_rule
from pages.components.shared import charts, keys, palette, text, twin
from pages.components.view import selection

MAX_CLASSES = 24
"""Classes a drawn matrix holds; with more, the table of confusions stands alone."""
LISTED = 200
HEIGHT = 300
DOES = {"Filters": "filter", "Selects": "select"}


def show_breakdown(bundle: Bundle, looked: Looked) -> None:
    """Histogram and confusion matrix of what the filters show; brushing or clicking narrows it."""
    numbers = [name for name, kind in columns_of(bundle).items() if kind == "number"]
    with st.container(horizontal=True, vertical_alignment="center"):
        column = st.selectbox(
            "Column",
            numbers,
            index=numbers.index("loss"),
            key=keys.BRUSHED,
            format_func=lambda name: text.shorten(name, 60),
            label_visibility="collapsed",
            width=220,
        )
        st.segmented_control(
            "A brush or click",
            list(DOES),
            default="Filters",
            required=True,
            key=keys.BRUSH_DOES,
            label_visibility="collapsed",
            help="What dragging over the histogram, or clicking a cell, does: keep only those "
            "examples, or select them.",
        )
        mistakes = False
        if bundle.label_codes is not None and bundle.prediction_names is not None:
            mistakes = st.toggle(
                "Mistakes only",
                value=True,
                key="confusion_mistakes",
                help="Leave the right answers out of the confusion matrix, so that its colours tell "
                "mistakes apart.",
            )
    shown = f"{text.count(looked.n_shown)} examples that the filters show"
    st.caption(
        f"Of all {shown if looked.filtering else text.counted(bundle.n, 'example')}, not of the chosen group alone."
    )
    left, right = st.columns(2, gap="medium")
    with left:
        _histogram(bundle, looked, column)
    with right:
        _confusions(bundle, looked, mistakes=mistakes)


# --- histogram ------------------------------------------------------------------------------------


def _histogram(bundle: Bundle, looked: Looked, column: str) -> None:
    bars = column_bars(bundle, looked, column)
    if bars is None:
        st.caption("No example has a value here.")
        return
    figure = go.Figure()
    layers = {"all": palette.context_colour(), "filtered": palette.accent()}
    if not looked.filtering:
        layers = {"all": palette.accent()}
    if len(looked.selected):
        layers["selected"] = palette.text_colour()
    for name, colour in layers.items():
        figure.add_bar(
            x=bars.middles, y=bars.counts[name], width=bars.widths, name=name,
            marker={"color": colour, "line": {"width": 0}},
            hovertemplate="%{x:.7~g}: %{y:,}<extra>" + name + "</extra>",
        )  # fmt: skip
    figure.update_layout(
        barmode="overlay",
        bargap=0,
        dragmode="select",
        selectdirection="h",
        height=HEIGHT,
        margin={"l": 0, "r": 0, "t": 4, "b": 0},
        showlegend=len(layers) > 1,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
        xaxis={"title": {"text": text.chart(text.shorten(column, 60))}},
        yaxis={"title": {"text": "examples, log scale"}, "type": "log", "dtick": 1},
    )
    name = f"brush_{bundle.digest[:8]}_{column}"

    def brushed() -> None:
        boxes = st.session_state[name].selection.get("box") or []
        if boxes:
            low, high = brushed_range(*map(float, boxes[0]["x"]))
            _narrow(bundle, Query(range_rule(column, low, high)))

    charts.ink(figure)
    st.plotly_chart(
        figure,
        key=name,
        on_select=brushed,
        selection_mode="box",
        config={"displaylogo": False, "modeBarButtonsToRemove": ["autoScale2d", "lasso2d"]},
        alt=f"Histogram of {column}: drag over it to keep a range.",
    )
    twin.show_twin(bars.table(), key=name)


# --- confusions -----------------------------------------------------------------------------------


def _confusions(bundle: Bundle, looked: Looked, *, mistakes: bool) -> None:
    table = confusion_table(bundle, looked, mistakes=mistakes)
    if table is None:
        st.caption("A confusion matrix needs class labels and predictions.")
        return
    names = bundle.class_names or ()
    if table.empty:
        st.caption("None of the examples shown is confused." if mistakes else "Nothing is shown.")
        return
    if len(names) <= MAX_CLASSES:
        _matrix(bundle, table, list(names))
        with st.popover("Table", icon=":material/table:", type="tertiary"):
            _pairs(bundle, table)
    else:
        st.caption(
            f"{len(names)} classes are too many to draw; the {LISTED} most frequent pairs. "
            "Mark a row to use it."
        )
        _pairs(bundle, table)


def _matrix(bundle: Bundle, table: pd.DataFrame, names: list[str]) -> None:
    """Squares, not a heat map: only points can be clicked."""
    at = {name: place for place, name in enumerate(names)}
    side = max(6.0, min(30.0, 250 / len(names)))
    figure = go.Figure(
        go.Scatter(
            x=[at[name] for name in table["prediction"]],
            y=[at[name] for name in table["label"]],
            mode="markers+text" if len(names) <= 12 else "markers",
            text=[text.count(int(one)) for one in table["examples"]],
            textfont={
                "size": 11,
                "color": charts.readable(table["shade"].to_numpy(), palette.loss_scale()),
            },
            customdata=table[["label", "prediction"]].to_numpy(),
            hovertext=[
                text.chart(
                    f"{one.label} → {one.prediction}: {text.count(int(one.examples))}, "
                    f"mean loss {text.number(one.mean_loss)}"
                )
                for one in table.itertuples()
            ],
            hoverinfo="text",
            marker={
                "symbol": "square",
                "size": side,
                "color": table["shade"],
                "colorscale": palette.loss_scale(),
                "line": {"width": 0},
            },
            selected={"marker": {"opacity": 1}},
            unselected={"marker": {"opacity": 0.45}},
        )
    )
    ticks: dict[str, Any] = {
        "tickvals": list(range(len(names))),
        "ticktext": [text.chart(text.shorten(name, 14)) for name in names],
        "range": [-0.6, len(names) - 0.4],
        "showgrid": False,
        "zeroline": False,
    }
    figure.update_layout(
        height=HEIGHT,
        margin={"l": 0, "r": 0, "t": 4, "b": 0},
        xaxis={**ticks, "title": {"text": "prediction"}, "autotickangles": [0, 90]},
        yaxis={**ticks, "title": {"text": "label"}, "range": [len(names) - 0.4, -0.6]},
        clickmode="event+select",
        dragmode="pan",
    )
    name = f"confusion_{bundle.digest[:8]}"

    def clicked() -> None:
        points = st.session_state[name].selection.get("points") or []
        if points:
            label, prediction = points[0]["customdata"][:2]
            _narrow(bundle, Query(pair_rule(str(label), str(prediction))))

    charts.ink(figure)
    st.plotly_chart(
        figure,
        key=name,
        on_select=clicked,
        selection_mode="points",
        config={"displaylogo": False, "displayModeBar": False},
        alt="Confusion matrix: labels down, predictions across. The table beside it holds the numbers.",
    )


def _pairs(bundle: Bundle, table: pd.DataFrame) -> None:
    shown = table.head(LISTED).drop(columns="shade")
    name = f"confusions_{bundle.digest[:8]}"

    def marked() -> None:
        rows = st.session_state[name].selection.rows
        if rows:
            one = shown.iloc[rows[0]]
            _narrow(bundle, Query(pair_rule(str(one["label"]), str(one["prediction"]))))

    st.dataframe(
        shown,
        hide_index=True,
        placeholder=text.DASH,
        key=name,
        on_select=marked,
        selection_mode="single-row",
        column_config={"mean_loss": st.column_config.NumberColumn("mean loss", format="%.3g")},
        height=HEIGHT,
        lazy=False,
    )


def _narrow(bundle: Bundle, what: Query) -> None:
    if DOES[st.session_state.get(keys.BRUSH_DOES) or "Filters"] == "select":
        selection.select(bundle, what)
    else:
        selection.keep_only(bundle, what)
