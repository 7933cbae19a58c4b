"""Change under compression against the share of the training set: do rare groups pay more?"""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from backend.bundle import Bundle
from backend.populations.rates.levels import training_shares
from backend.tasks.populations import training_columns
from pages.components.shared import charts, palette, text

NEEDED = (
    "How change goes with the share of the training set needs the same columns of the training set: "
    "`train/<column>`, one value per training example, called as in the examples table."
)


def relative_words(percent: float) -> str:
    """A difference in percent of the baseline, with its sign; a dash where the baseline never errs."""
    return f"{percent:+.1f}\u00a0%" if np.isfinite(percent) else text.DASH


def show_training(bundle: Bundle, table: pd.DataFrame, chosen: list[str], title: str) -> None:
    """One point per group: the difference of the rate against its share of the training set."""
    held = training_columns(bundle, chosen)
    if not held:
        st.caption(NEEDED)
        return
    shown = table.assign(train_share=training_shares(list(table["group"]), held))
    shown = shown[shown["train_share"].notna() & shown["difference"].notna()]
    shown = shown[shown["group"] != "all"]
    if shown.empty:
        st.caption("No group of these attributes occurs in the training set's columns.")
        return
    value, low, high = (
        100 * shown[name].to_numpy() for name in ("difference", "difference_low", "difference_high")
    )
    figure = go.Figure(
        go.Scatter(
            x=100 * shown["train_share"], y=value, mode="markers",
            marker={"size": 9, "color": palette.accent()},
            error_y=charts.error_bars(value, low, high, width=1),
            customdata=[
                [text.chart(row.group),
                 relative_words(row.difference_percent)]
                for row in shown.itertuples()
            ],
            hovertemplate="%{customdata[0]}: %{y:+.2f} points, %{customdata[1]} of baseline<br>"
            "%{x:.2g}\u00a0% of the training set<extra></extra>",
        )
    )  # fmt: skip
    figure.add_hline(y=0, line={"dash": "dot", "width": 1, "color": palette.text_colour()})
    figure.update_layout(
        xaxis={"title": "share of the training set, %, log scale", "type": "log"},
        yaxis={"title": f"{title}: compressed less baseline, points", "zeroline": False},
    )
    st.markdown("**Change against the share of the training set**")
    charts.show_chart(
        figure, shown, key="training_share", height=320,
        alt="Change of the rate against the share of the training set, one point per group.",
        config={
            **charts.percent_columns("train_share", "baseline", "compressed"),
            **charts.points_columns("difference", "difference_low", "difference_high"),
        },
    )  # fmt: skip
