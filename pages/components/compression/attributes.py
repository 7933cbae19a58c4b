"""Attributes over-represented among the examples that change."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from backend.bundle import Bundle
from backend.populations import PopulationPair, surest_first
from backend.populations.payers import LEVEL
from pages.components.shared import charts, palette, populations, text


def show_representation(bundle: Bundle, held: PopulationPair, share: float, tie: str) -> None:
    """Which values the changed examples have more often than the data."""
    columns = populations.columns_of(bundle, with_label=True)
    if not columns.usable:
        populations.show_empty(
            "This bundle has no column that groups its examples, and no labels.", key="attributes"
        )
        return
    chosen = populations.choose_columns(columns, key="pie_columns", most=12, first=6)
    if not chosen:
        st.info("Choose at least one attribute.")
        return
    found = populations.ask(
        bundle,
        "representation",
        doing="Counting attributes",
        baseline=held.baseline,
        compressed=held.compressed,
        kind=held.kind,
        share=share,
        tie=tie,
        attributes=chosen,
    )
    if found is None:
        return
    table = found.tables["representation"]
    if not held.mask.any():
        st.info("No example differs between the two populations: there is nothing to count.")
        return
    shown = surest_first(table)
    head = shown.head(charts.SHOWN)
    st.markdown(
        f"**Share among {held.word} (●) beside the share in the data (│)** · "
        f"{charts.of_all(len(head), len(table), 'values')}, smallest p first"
    )
    charts.show_chart(
        representation_figure(head),
        shown,
        key="pie_representation",
        height=70 + charts.ROW_HEIGHT * len(head),
        alt="Share of attribute values among changed examples and in the data.",
        config=representation_config(held.word),
    )
    st.caption(
        "Lines are Wilson 95\u00a0% intervals. p is Fisher's exact test of being changed against having "
        "the value; adjusted by Benjamini and Hochberg over all values counted. ◆ marks an adjusted "
        f"p below {text.level(LEVEL)}. Small groups have wide intervals."
    )


def representation_config(word: str) -> dict[str, object]:
    return {
        "n": st.column_config.NumberColumn("n", format="localized"),
        "n_pie": st.column_config.NumberColumn(f"n {word}", format="localized"),
        **charts.percent_columns(share="share in data", pie_share=f"share of {word}"),
        **charts.percent_columns(pie_low="low", pie_high="high"),
        "ratio": st.column_config.NumberColumn(
            format="%.2f", help="Share among the changed examples / share in the data."
        ),
        "p": st.column_config.NumberColumn("p", format="%.3g"),
        "p_adjusted": st.column_config.NumberColumn("adjusted p", format="%.3g"),
    }


def representation_figure(table: pd.DataFrame) -> go.Figure:
    at = np.arange(len(table))
    names = [f"{row.attribute} = {row.value}" for row in table.itertuples()]
    value, low, high = (
        100 * table[name].to_numpy() for name in ("pie_share", "pie_low", "pie_high")
    )
    significant = (table["p_adjusted"] < LEVEL).to_numpy()
    figure = go.Figure()
    figure.add_scatter(
        x=100 * table["share"], y=at, mode="markers", hoverinfo="skip",
        marker={"symbol": "line-ns", "size": 13, "line": {"width": 3, "color": palette.context_colour()}},
    )  # fmt: skip
    figure.add_scatter(
        x=value,
        y=at,
        mode="markers",
        marker={
            "size": 10,
            "symbol": np.where(significant, "diamond", "circle"),
            "color": np.where(significant, palette.accent(), palette.text_colour()),
        },
        error_x=charts.error_bars(value, low, high),
        customdata=[
            [
                text.chart(name),
                text.number(row.ratio),
                text.p_value(row.p_adjusted),
                text.count(row.n),
            ]
            for name, row in zip(names, table.itertuples(), strict=True)
        ],
        hovertemplate="%{customdata[0]}<br>%{x:.1f}\u00a0%, ×%{customdata[1]} the data<br>"
        "n %{customdata[3]}, adjusted p %{customdata[2]}<extra></extra>",
    )
    charts.write_margin(
        figure, [f"×{text.number(row.ratio)} · n {text.count(row.n)}" for row in table.itertuples()]
    )
    top = float(100 * table[["pie_high", "share"]].max().max())
    figure.update_layout(
        xaxis={"title": "% of the changed examples", "range": [0, 1.05 * top], "zeroline": False},
        yaxis=charts.rows_axis(names),
    )
    return figure
