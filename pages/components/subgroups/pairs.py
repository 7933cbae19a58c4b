"""Counterfactual pairs: versions of one example, and whether the answer changes with the version."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from backend.bundle import Bundle
from backend.tasks.populations import PAIR_ID
from pages.components.shared import charts, keys, link, palette, populations, text
from pages.components.subgroups.controls import Asked, classes_of

NEEDED = (
    f"Counterfactual pairs need a column `{PAIR_ID}` of the examples table: rows that share one are "
    "versions of one example, and differ in one attribute (the same sentence with another name, the same "
    "picture in another skin tone)."
)


def show_pairs(bundle: Bundle, asked: Asked) -> None:
    """Flips, mean change and McNemar's p for every two values of one attribute."""
    if PAIR_ID not in bundle.attributes:
        st.info(NEEDED, icon=":material/info:")
        return
    offered = [name for name in asked.attributes if name != PAIR_ID]
    if not offered:
        st.info("Choose the attribute in which the versions differ.", icon=":material/info:")
        return
    attribute = st.selectbox(
        "Versions differ in", offered, width=260, **link.bound(keys.PAIRED_BY, offered)
    )
    positive = asked.positive or classes_of(bundle, asked.source, asked.model)[-1]
    found = populations.ask(
        bundle, "pairs", doing="Pairing versions",
        **{**asked.served(), "attributes": [str(attribute)], "positive": positive},
    )  # fmt: skip
    if found is None:
        return
    table = found.tables["pairs"]
    head = table.head(charts.SHOWN)
    value, low, high = (100 * head[one].to_numpy() for one in ("flips", "low", "high"))
    figure = go.Figure(
        go.Scatter(
            x=value, y=np.arange(len(head)), mode="markers",
            marker={"size": 11, "color": palette.accent()},
            error_x=charts.error_bars(value, low, high),
            hovertemplate="%{x:.1f}\u00a0% of the pairs<extra></extra>",
        )
    )  # fmt: skip
    names = [
        f"{one} / {other} · {text.count(int(n))} pairs"
        for one, other, n in zip(head["first"], head["second"], head["n_pairs"], strict=True)
    ]
    figure.update_layout(
        xaxis={"title": "pairs whose answer flips, %", "rangemode": "tozero", "zeroline": False},
        yaxis=charts.rows_axis(names, limit=46),
    )
    charts.show_chart(
        figure, table, key="pairs_chart", height=64 + charts.ROW_HEIGHT * len(head),
        alt="Share of pairs whose answer flips.",
        config=charts.percent_columns("flips", "low", "high"),
    )  # fmt: skip
    charts.show_table(
        table,
        key="pairs_table",
        config={
            **charts.percent_columns("flips", "low", "high"),
            "n_pairs": st.column_config.NumberColumn("pairs"),
            "n_flips": st.column_config.NumberColumn("flipped"),
            "p": st.column_config.NumberColumn(format="%.3g", help="McNemar's exact two-sided p."),
            "change": st.column_config.NumberColumn(
                format="%+.3f", help="Mean probability of the positive class: second less first."
            ),
        },
    )
    st.caption(
        f"Flips count any change of the answer. Only first and only second are pairs in which one version "
        f"alone is called {text.plain(positive, limit=40)}; p asks whether both are equally likely "
        "(McNemar 1947, exact), adjusted over the rows by Benjamini and Hochberg. Intervals are 95\u00a0%: "
        "Wilson's of shares, Student's t of the change."
    )
