"""Which score examples are ranked by, and how it is spread."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.bars import count_bars
from backend.core.groups import sharp_group
from backend.scores import (
    Score,
    hardest_rows,
    is_slow,
    keep_values,
    known_scores,
    missing_scores,
    score_values,
)
from pages.components.shared import (
    charts,
    keys,
    link,
    palette,
    services,
    tables,
    text,
    twin,
    waiting,
)
from pages.components.shared.choice import Choice

BARS = 80
"""Bars of the histogram of a score."""


@dataclass(frozen=True)
class RankedBy:
    """A score of the bundle with its values; ``difficulty`` (n,) is higher for what is harder."""

    score: Score
    values: NDArray[np.float64] = field(repr=False)

    @property
    def difficulty(self) -> NDArray[np.float64]:
        return self.score.sign * self.values

    @property
    def construction(self) -> str:
        """What must be said where errors and the score are set side by side."""
        if not self.score.by_label:
            return ""
        return (
            f"{self.score.title} goes by the label: what is answered wrongly is hard by it, so errors "
            "pile up at its hard end by construction."
        )


def choose_score(bundle: Bundle) -> RankedBy | None:
    """The list of scores; None while a worker works out the chosen one."""
    known = known_scores(bundle)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox(
            "Ranked by",
            list(known),
            format_func=lambda one: known[one].title,
            help="\n".join(
                f"- **{text.plain(one.title)}**: {text.plain(one.means, limit=600)}"
                for one in known.values()
            ),
            **link.bound(keys.SCORE, list(known)),
        )
        _show_missing(bundle)
    score = known[str(name)]
    if is_slow(bundle, score.name):
        job = services.ask("difficulty", bundle.digest, score=score.name)
        if not waiting.show_progress(job, what=f"Working out {score.title}", key="difficulty"):
            return None
        keep_values(bundle, score.name, job.result()["values"])
    return RankedBy(score, score_values(bundle, score.name))


def _show_missing(bundle: Bundle) -> None:
    missing = missing_scores(bundle)
    if not missing:
        return
    with st.popover("Not in this bundle", icon=":material/info:", type="tertiary"):
        for title, needed in missing:
            st.markdown(f"**{text.plain(title)}** needs `{needed}`")


def hardest_choice(bundle: Bundle, ranked: RankedBy, quantile: float) -> Choice:
    """The hardest examples by the score, hardest first."""
    rows = hardest_rows(bundle, ranked.score.name, quantile)
    if ranked.score.name == "loss":
        group = sharp_group("high loss", rows, bundle.losses)
        source = {"kind": "high loss", "quantile": quantile}
        return Choice("high-loss", "highest losses", group, source)
    group = sharp_group("hardest", rows, bundle.losses)
    return Choice(
        "hardest",
        f"hardest by {ranked.score.title}",
        group,
        {"kind": "hardest", "score": ranked.score.name, "quantile": quantile},
    )


def border_of(ranked: RankedBy, rows: NDArray[np.int64]) -> float:
    """The value at which the set begins, its easiest member's."""
    return float(ranked.values[rows[-1]])


def show_spread(bundle: Bundle, ranked: RankedBy, rows: NDArray[np.int64]) -> None:
    """How the score is spread, with the border of the set that these rows are."""
    border, high = border_of(ranked, rows), ranked.score.hard == "high"
    every, in_set = np.ones(bundle.n, dtype=bool), np.zeros(bundle.n, dtype=bool)
    in_set[rows] = True
    parts = {"examples": every, "in the set": in_set}
    bars = count_bars(ranked.values, parts, most=BARS, whole=False)
    inside = bars.edges[1:] > border if high else bars.edges[:-1] <= border
    figure = go.Figure()
    figure.add_bar(
        x=bars.middles,
        y=bars.counts["examples"],
        width=bars.widths,
        marker={
            "color": np.where(inside, palette.accent(), palette.context_colour()),
            "line": {"width": 0},
        },
        hovertemplate=f"{text.chart(ranked.score.title)} %{{x:.3g}}<br>%{{y}} examples<extra></extra>",
    )
    if ranked.score.name == "loss":
        figure.add_vline(x=bundle.base_loss, line={"dash": "dot", "color": palette.text_colour()})
        figure.add_annotation(
            x=bundle.base_loss, y=1, yref="paper", text="base loss", showarrow=False,
            xanchor="left", xshift=4,
        )  # fmt: skip
    # The colour of the bars says it too; a line says it to everybody.
    figure.add_vline(x=border, line={"color": palette.accent()})
    figure.add_annotation(
        x=border, y=0.86, yref="paper", text="the set →" if high else "← the set", showarrow=False,
        xanchor="left" if high else "right", xshift=4 if high else -4,
    )  # fmt: skip
    figure.update_layout(
        height=240,
        margin={"l": 0, "r": 0, "t": 10, "b": 0},
        bargap=0,
        xaxis={"title": text.chart(ranked.score.title)},
        yaxis={"title": "examples, log scale", "type": "log", "dtick": 1},
    )
    charts.ink(figure)
    st.plotly_chart(
        figure,
        config={"displaylogo": False},
        key="loss_histogram",
        alt=f"Histogram of {ranked.score.title}; the set begins at {text.number(border)}.",
    )
    twin.show_twin(bars.table(), key="loss_histogram")


def score_column(ranked: RankedBy) -> dict[str, object]:
    """How tables show its values."""
    return {
        ranked.score.name: st.column_config.NumberColumn(
            format="%.3g", help=text.shorten(ranked.score.means, tables.LONGEST * 3)
        )
    }
