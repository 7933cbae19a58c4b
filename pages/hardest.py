"""Which examples are hardest? The high-loss set."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.bars import count_bars
from backend.core.groups import by_loss, sharp_group
from backend.difficulty import high_loss
from backend.views import Looked
from pages.components.group import groups
from pages.components.group.panel import show_group
from pages.components.map import mapview
from pages.components.shared import frame, keys, palette, text, twin
from pages.components.shared.choice import Choice
from pages.components.view import selection
from pages.components.view.acting import show_acting_bar

SHARE = 2.0  # percent of the examples, at first

BARS = 80
"""Bars of the histogram of losses."""


def page() -> None:
    bundle = frame.choose_bundle()
    if bundle is None:
        return
    st.header(
        "Which examples are hardest?",
        anchor=False,
        help="The high-loss set: examples whose loss is strictly above a quantile of all losses. It is "
        "the baseline spotlights are compared with (d'Eon et al. 2021, section 3).",
    )
    chart_place, set_place = st.columns([7, 5])
    with set_place:
        share = st.slider(
            "Hardest share, in percent",
            0.1, 20.0, SHARE, 0.1,
            key=keys.QUANTILE,
            bind="query-params",
            help=f"{SHARE:g} % means: losses strictly above the {1 - SHARE / 100:g} quantile. Where no loss is "
            "strictly above it (0/1 losses), as many of the largest as the share asks for, ties drawn by seed.",
        )  # fmt: skip
        choice = high_loss_choice(bundle, 1 - share / 100)
        group = choice.group
        threshold = float(bundle.losses[group.rows].min())
        st.markdown(
            f"**{text.count(group.n_members)}** examples with a loss of {text.number(threshold)} or more, "
            f"mean **{text.number(group.member_loss)}** ({text.times(group.ratio)} base). "
            f"They carry **{text.percent(group.loss_share)}** of the total loss."
        )
    with chart_place:
        show_losses(bundle, group.rows)
    looked = selection.look(bundle, mapview.layouts(bundle))
    bar = show_acting_bar(bundle, looked)
    choice = shown_of(bundle, choice, looked)
    if choice.group.n_members:
        show_group(bundle, choice, [choice], bar=bar)
    else:
        st.info(
            "The filters leave none of the hardest examples. Switch one off, or take a larger share.",
            icon=":material/filter_alt_off:",
        )
    selection.write_link(bundle)


def shown_of(bundle: Bundle, choice: Choice, looked: Looked) -> Choice:
    """The set as far as the filters show it; how hard it is stays a matter of all examples."""
    if not looked.filtering:
        return choice
    rules = looked.view.told()["filters"]
    choice = groups.within([choice], looked.shown, bundle.losses, rules)[0]
    st.caption(
        f"The filters keep **{text.count(choice.group.n_members)}** of the "
        f"{text.counted(choice.whole or 0, 'hardest example')}; below are those."
    )
    return choice


def high_loss_choice(bundle: Bundle, quantile: float) -> Choice:
    rows = by_loss(high_loss(bundle.losses, quantile=quantile), bundle.losses)
    group = sharp_group("high loss", rows, bundle.losses)
    return Choice("high-loss", "highest losses", group, {"kind": "high loss", "quantile": quantile})


def show_losses(bundle: Bundle, rows: NDArray[np.int64]) -> None:
    """How losses are spread, with the border of the set that these rows are."""
    threshold = float(bundle.losses[rows].min())
    every, in_set = np.ones(bundle.n, dtype=bool), np.zeros(bundle.n, dtype=bool)
    in_set[rows] = True
    parts = {"examples": every, "in the set": in_set}
    bars = count_bars(bundle.losses, parts, most=BARS, whole=False)
    hues = np.where(bars.edges[1:] > threshold, palette.accent(), palette.context_colour())
    figure = go.Figure()
    figure.add_bar(
        x=bars.middles,
        y=bars.counts["examples"],
        width=bars.widths,
        marker={"color": hues, "line": {"width": 0}},
        hovertemplate="loss %{x:.3g}<br>%{y} examples<extra></extra>",
    )
    figure.add_vline(x=bundle.base_loss, line={"dash": "dot", "color": palette.text_colour()})
    figure.add_annotation(
        x=bundle.base_loss,
        y=1,
        yref="paper",
        text="base loss",
        showarrow=False,
        xanchor="left",
        xshift=4,
    )
    # The colour of the bars says it too; a line says it to everybody.
    figure.add_vline(x=threshold, line={"color": palette.accent()})
    figure.add_annotation(
        x=threshold,
        y=0.86,
        yref="paper",
        text="the set →",
        showarrow=False,
        xanchor="left",
        xshift=4,
    )
    figure.update_layout(
        height=240,
        margin={"l": 0, "r": 0, "t": 10, "b": 0},
        bargap=0,
        xaxis={"title": "loss"},
        yaxis={"title": "examples, log scale", "type": "log"},
    )
    st.plotly_chart(
        figure,
        config={"displaylogo": False},
        key="loss_histogram",
        alt=f"Histogram of losses; the set begins at {text.number(threshold)}.",
    )
    twin.show_twin(bars.table(), key="loss_histogram")


page()
