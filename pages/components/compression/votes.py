"""How the models of two populations voted on one example, and which changed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from backend.bundle import Bundle
from backend.core.statistics import wilson_interval
from backend.populations import ExampleVotes, PopulationPair
from pages.components.gallery import media
from pages.components.shared import charts, palette, text


def show_votes(bundle: Bundle, held: PopulationPair, row: int) -> None:
    """One example: what it is, what both populations say, and which models changed."""
    names = held.ensemble.names
    votes = held.votes(row)
    words = st.container()
    if bundle.has_images and bundle.image(row):
        picture, words = st.columns([1, 2], vertical_alignment="center")
        with picture:
            media.show_picture(bundle, row, width=96)
    with words:
        st.text(str(bundle.ids[row]))
        if held.ensemble.labels is not None:
            st.markdown(f"true class **{text.plain(names[held.ensemble.labels[row]])}**")
        for side, answers, mode in zip(
            (held.baseline, held.compressed), votes.answers, held.modes[:, row], strict=True
        ):
            st.markdown(
                f"{text.plain(side)}: **{text.plain(names[mode])}**, "
                f"{np.count_nonzero(answers == mode)} of {len(held.ensemble.populations[side])} models"
            )
    if bundle.has_text:
        st.text(text.shorten(bundle.examples["text"].iloc[row], 600))
    if held.tied[row]:
        st.caption("A mode is tied: the rule for ties decides whether this example changes.")
    charts.show_chart(
        votes_figure(votes.table, held), votes.table, key="pie_votes",
        height=70 + 44 * len(votes.table),
        alt="Share of the models of each population per label.", margin={"t": 4},
        config=charts.percent_columns("baseline", "compressed"),
    )  # fmt: skip
    show_strip(held, row, votes)


def votes_figure(table: pd.DataFrame, held: PopulationPair) -> go.Figure:
    figure = go.Figure()
    at = np.arange(len(table))
    for side, colour, shift, m in (
        ("baseline", palette.context_colour(), -0.2, len(held.before)),
        ("compressed", palette.accent(), 0.2, len(held.after)),
    ):
        low, high = wilson_interval(table[f"n {side}"].to_numpy(), m)
        share = 100 * table[side].to_numpy()
        figure.add_bar(
            x=share,
            y=at + shift,
            width=0.36,
            orientation="h",
            marker={"color": colour, "line": {"width": 0}},
            error_x=charts.error_bars(share, 100 * low, 100 * high, width=1),
            hovertemplate=f"{side}: %{{x:.0f}}\u00a0% of {m} models<extra></extra>",
        )
    figure.update_layout(
        xaxis={
            "title": text.chart(f"% of models: {held.baseline} above, {held.compressed} below"),
            "range": [0, 101],
            "zeroline": False,
        },
        yaxis=charts.rows_axis(table["label"].tolist(), limit=16),
    )
    return figure


def show_strip(held: PopulationPair, row: int, votes: ExampleVotes) -> None:
    """Every model as one cell: does it say the baseline's mode, the other mode, or neither?"""
    first, second = held.modes[:, row]
    names, answers, kinds = held.ensemble.names, votes.answers, votes.kinds
    width = answers.shape[1]
    paired = votes.changed is not None
    marks = np.select([np.isnan(kinds), kinds == 0, kinds == 1], ["", "○", "●"], "·")
    hover = [
        [
            "" if code < 0 else f"model {at + 1}: {text.chart(names[code])}"
            for at, code in enumerate(line)
        ]
        for line in answers
    ]
    figure = go.Figure(
        go.Heatmap(
            z=kinds,
            text=marks,
            texttemplate="%{text}" if width <= 40 else None,
            hovertext=hover,
            hoverinfo="text",
            xgap=1,
            ygap=2,
            zmin=0,
            zmax=1,
            showscale=False,
            colorscale=[
                [0, palette.context_colour()], [0.5, palette.HUES[1]], [1, palette.accent()],
            ],
        )
    )  # fmt: skip
    flips = np.flatnonzero(votes.changed) if votes.changed is not None else ()
    for at in flips[:60]:
        figure.add_annotation(x=int(at), y=2, text="↕", showarrow=False, yref="y")
    figure.update_layout(
        xaxis={"visible": False},
        yaxis={
            "tickvals": [0, 1, 2],
            "ticktext": [text.chart(text.shorten(held.baseline, 14)),
                         text.chart(text.shorten(held.compressed, 14)), "changed" if paired else ""],
            "range": [2.5 if paired else 1.5, -0.5],
            "showgrid": False,
        },
    )  # fmt: skip
    table = pd.DataFrame(
        {
            "model": np.arange(1, width + 1),
            "baseline": [names[code] if code >= 0 else None for code in answers[0]],
            "compressed": [names[code] if code >= 0 else None for code in answers[1]],
        }
    )
    charts.show_chart(
        figure, table, key="pie_strip", height=112, margin={"t": 2},
        alt="Which models change their answer.",
    )  # fmt: skip
    line = f"○ {text.plain(names[first])}, ● {text.plain(names[second])}, · another answer."
    if paired:
        line += (
            f" {len(flips)} of {width} models change their answer, if models of both populations "
            "stand in the same order of seeds."
        )
    st.caption(line)
