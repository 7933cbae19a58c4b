"""What a score says of errors: how they grow with it, and what is left without the hardest."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.scores import ScoreWorth, score_worth
from pages.components.hardest.score import RankedBy
from pages.components.shared import charts, palette, text

HEIGHT = 300


def show_worth(bundle: Bundle, ranked: RankedBy, shown: NDArray[np.bool_]) -> None:
    """Both charts side by side, of the examples that the filters show."""
    worth = score_worth(bundle, ranked.score.name, shown)
    left, right = st.columns(2, gap="large")
    with left:
        show_deciles(ranked, worth)
    with right:
        if worth.left_out is None:
            st.info(
                "How accuracy rises without the hardest needs labels and predictions.",
                icon=":material/info:",
            )
        else:
            show_left_out(worth.left_out, ranked)
    if ranked.construction:
        st.caption(ranked.construction)


def show_deciles(ranked: RankedBy, worth: ScoreWorth) -> None:
    """Error rate, or mean loss without predictions, from the easiest tenth to the hardest."""
    table, rates = worth.deciles, worth.error is not None
    name, title = ("error", "error rate, %") if rates else ("mean_loss", "mean loss")
    scale, base = (100, worth.error or 0.0) if rates else (1, worth.mean_loss)
    value, low, high = (
        scale * table[one].to_numpy() for one in (name, f"{name}_low", f"{name}_high")
    )
    at = np.arange(len(table))
    figure = go.Figure(
        go.Scatter(
            x=at, y=value, mode="markers", cliponaxis=False,
            marker={"size": 11, "color": palette.accent()},
            error_y=charts.error_bars(value, low, high),
            customdata=table["n"],
            hovertemplate="%{y:.3g}, %{customdata} examples<extra></extra>",
        )
    )  # fmt: skip
    _line_of_all(figure, scale * base)
    figure.update_layout(
        xaxis={
            "title": "deciles, easiest to hardest", "tickvals": at, "ticktext": spans(table),
            "showgrid": False, "range": [-0.5, len(table) - 0.5],
        },
        yaxis={"title": title, "rangemode": "tozero"},
    )  # fmt: skip
    st.markdown(f"**Error by decile of {text.plain(ranked.score.title)}**" if rates else
                f"**Mean loss by decile of {text.plain(ranked.score.title)}**")  # fmt: skip
    charts.show_chart(
        figure, table, key="difficulty_deciles", height=HEIGHT, margin={"t": 18, "r": 32},
        alt=f"{title} by decile of {ranked.score.title}.",
        config=charts.percent_columns("error", "error_low", "error_high"),
    )  # fmt: skip
    st.caption(
        "With 95\u00a0% intervals, Wilson's of error rates and Student's t of mean losses. Equal scores "
        "are never parted, so deciles may be fewer."
    )


def spans(table: pd.DataFrame) -> list[str]:
    """What each decile is called: 4, or 1–8 where equal scores put several into one."""
    ends = zip(table["decile_from"].tolist(), table["decile"].tolist(), strict=True)
    return [str(end) if start == end else f"{start}–{end}" for start, end in ends]


def show_left_out(table: pd.DataFrame, ranked: RankedBy) -> None:
    """Accuracy of what is left, against the share that is left out."""
    share, accuracy, low, high = (
        100 * table[name].to_numpy() for name in ("share", "accuracy", "low", "high")
    )
    figure = go.Figure(
        go.Scatter(
            x=share, y=accuracy, mode="lines+markers",
            line={"color": palette.accent()}, marker={"size": 9},
            error_y=charts.error_bars(accuracy, low, high),
            customdata=table["n"],
            hovertemplate="without the hardest %{x:.3g}\u00a0%: %{y:.1f}\u00a0%, %{customdata} left<extra></extra>",
        )
    )  # fmt: skip
    _line_of_all(figure, float(accuracy[0]))
    figure.update_layout(
        xaxis={"title": "hardest left out, %", "zeroline": False},
        yaxis={"title": "accuracy of the others, %"},
    )
    st.markdown(f"**Accuracy without the hardest by {text.plain(ranked.score.title)}**")
    charts.show_chart(
        figure, table, key="difficulty_left_out", height=HEIGHT, margin={"t": 18, "r": 32},
        alt=f"Accuracy without the hardest by {ranked.score.title}.",
        config=charts.percent_columns("share", "accuracy", "low", "high", "rise"),
    )  # fmt: skip
    st.caption(
        "The dotted line is where leaving out at random stays. Lines are Wilson 95\u00a0% intervals; "
        "of equal scores those left out are drawn."
    )


def _line_of_all(figure: go.Figure, value: float) -> None:
    figure.add_hline(y=value, line={"dash": "dot", "width": 1, "color": palette.text_colour()})
    figure.add_annotation(
        x=1, xref="paper", xanchor="left", y=value, xshift=4, text="all", showarrow=False
    )
