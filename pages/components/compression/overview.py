"""All interventions beside the baseline: how many examples change, and where accuracy goes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from plotly.subplots import make_subplots

from backend.populations import Answer, compression_levels
from pages.components.shared import charts, palette, text

SUBSETS = {"pie": "on PIE", "non-pie": "on all others", "all": "on all examples"}
HOW = (
    "Lines are 95\u00a0% intervals: Wilson's for the share of examples, Student's t over models for "
    "accuracies. Mean top-1 over the models of a population."
)


def show_overview(baseline: str, found: Answer) -> None:
    """Counts of PIE and accuracies of every population."""
    counts, accuracy = found.tables["counts"], found.tables["accuracy"]
    order = [
        level.name
        for level in compression_levels([baseline, *counts["population"]], baseline)
        if level.name != baseline
    ]
    counts = counts.set_index("population").loc[order].reset_index()
    names = [
        f"{row.population} · {row.n_models} model{'s' if row.n_models != 1 else ''}"
        for row in counts.itertuples()
    ]
    height = 84 + 40 * len(names)
    left, right = st.columns([4, 8], gap="medium")
    with left:
        st.markdown("**Examples whose modal label changes (PIE)**")
        charts.show_chart(
            counts_figure(counts, names), _counts_table(counts), key="pie_counts", height=height,
            alt="Share of examples that are PIE, per population.",
            config=charts.percent_columns("share", "low", "high"),
        )  # fmt: skip
    with right:
        if accuracy.empty:
            st.info(
                "Accuracies need true labels, which this bundle does not have.",
                icon=":material/info:",
            )
        else:
            st.markdown(f"**Top-1 accuracy: ○ {text.plain(baseline)} → ● compressed**")
            charts.show_chart(
                accuracy_figure(accuracy, order), accuracy, key="pie_accuracy", height=height,
                alt="Accuracy of baseline and compressed models on PIE, other and all examples.",
                margin={"t": 30}, config=charts.percent_columns("accuracy", "low", "high"),
            )  # fmt: skip
    charts.show_table(
        summary_table(counts, accuracy),
        key="population_table",
        config=charts.percent_columns("PIE share", *_accuracy_titles()),
    )
    st.caption(HOW)


def _counts_table(counts: pd.DataFrame) -> pd.DataFrame:
    return counts.rename(
        columns={
            "n_models": "models",
            "n_pies": "PIE",
            "n_tied": "PIE with a tie",
            "n_baseline_right": "baseline mode right",
            "n_compressed_right": "compressed mode right",
        }
    )


def _accuracy_titles() -> list[str]:
    return [f"{words}: {side}" for words in SUBSETS.values() for side in ("before", "after")]


def summary_table(counts: pd.DataFrame, accuracy: pd.DataFrame) -> pd.DataFrame:
    """One line per population with everything."""
    table = pd.DataFrame(
        {
            "population": counts["population"],
            "models": counts["n_models"],
            "PIE": counts["n_pies"],
            "PIE share": counts["share"],
            "with a tie": counts["n_tied"],
        }
    )
    if accuracy.empty:
        return table
    held = accuracy.set_index(["population", "subset", "side"])["accuracy"].to_dict()
    for subset, words in SUBSETS.items():
        for side, title in (("baseline", "before"), ("compressed", "after")):
            table[f"{words}: {title}"] = [
                held[(name, subset, side)] for name in table["population"]
            ]
    return table


def counts_figure(counts: pd.DataFrame, names: list[str]) -> go.Figure:
    share = 100 * counts["share"].to_numpy()
    figure = go.Figure(
        go.Bar(
            x=share,
            y=np.arange(len(names)),
            orientation="h",
            width=0.5,
            marker={"color": palette.context_colour(), "line": {"width": 0}},
            error_x=charts.error_bars(share, 100 * counts["low"], 100 * counts["high"]),
            hovertemplate="%{x:.2f}\u00a0%<extra></extra>",
        )
    )
    top = float(100 * counts["high"].max())
    for at, row in enumerate(counts.itertuples()):
        figure.add_annotation(
            x=100 * row.high, y=at, xanchor="left", xshift=6, showarrow=False,
            text=f"<b>{text.count(row.n_pies)}</b> · {text.percent(row.share)}",
        )  # fmt: skip
    figure.update_layout(
        xaxis={"title": "% of all examples", "range": [0, 1.55 * top + 0.5], "zeroline": False},
        yaxis=charts.rows_axis(names),
    )
    return figure


def accuracy_figure(accuracy: pd.DataFrame, order: list[str]) -> go.Figure:
    """Dumbbells: open circles before, filled after, one panel per subset, one scale for all."""
    titles = list(SUBSETS.values())
    figure = make_subplots(
        cols=3,
        shared_yaxes=True,
        shared_xaxes="all",
        horizontal_spacing=0.03,
        subplot_titles=titles,
    )
    for column, subset in enumerate(SUBSETS, start=1):
        own = accuracy[accuracy["subset"] == subset]
        sides = {
            side: own[own["side"] == side].set_index("population").loc[order]
            for side in ("baseline", "compressed")
        }
        ends = np.array([100 * sides[side]["accuracy"].to_numpy() for side in sides])
        for at in range(len(order)):
            figure.add_scatter(
                x=ends[:, at], y=[at, at], mode="lines", row=1, col=column, hoverinfo="skip",
                line={"width": 3, "color": palette.context_colour()},
            )  # fmt: skip
        for side, symbol, shift in (
            ("baseline", "circle-open", -0.13),
            ("compressed", "circle", 0.13),
        ):
            rows = sides[side]
            value, low, high = (100 * rows[name].to_numpy() for name in ("accuracy", "low", "high"))
            figure.add_scatter(
                x=value,
                y=np.arange(len(order)) + shift,
                mode="markers",
                marker={
                    "symbol": symbol,
                    "size": 10,
                    "line": {"width": 2},
                    "color": palette.accent() if side == "compressed" else palette.text_colour(),
                },
                error_x=charts.error_bars(value, low, high, width=1),
                customdata=[
                    [side, text.chart(name), text.count(int(n))]
                    for name, n in zip(order, rows["n"], strict=True)
                ],
                hovertemplate="%{customdata[1]}, %{customdata[0]}: %{x:.1f}\u00a0%"
                "<br>n %{customdata[2]}<extra></extra>",
                row=1,
                col=column,
            )
    figure.update_xaxes(title_text="accuracy, %", zeroline=False)
    figure.update_yaxes(charts.rows_axis(order))
    return figure
