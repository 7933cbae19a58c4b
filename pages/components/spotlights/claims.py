"""Is a region of the label-aware search real? What the half that did not find it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from backend.core.groups import SMALL
from backend.core.statistics import adjust_p
from pages.components.shared import measures, palette, text
from pages.components.shared.choice import Choice
from pages.components.spotlights import overlap

LEVEL = 0.05
FLOOR = 2 / 200
"""Smallest p that 199 shuffles in two directions can give."""
HELP = (
    "Each region was found on one half of the examples and is measured on the other. p asks how often the best of all "
    "candidates looks as good when the held-out losses are shuffled within every label, so it covers the "
    "whole search; .01 is the least it can be. A label that fails evenly as a whole gives no claim: then the finding is the label."
)


def verdicts(regions: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Group key -> a few words."""
    return {f"region-{at}": _words(region) for at, region in enumerate(regions, start=1)}


def _words(region: Mapping[str, Any]) -> str:
    base = region["held_out_base"]
    lift = region["held_out_loss"] / base if base > 0 else None
    if region["p_value"] <= LEVEL:
        sign = "≤ " if region["p_value"] <= FLOOR else ""
        return f"held-out {text.times(lift)}, p {sign}{text.p_value(region['p_value'])}"
    like = "like its whole label" if region["bound"] else "not distinguishable from chance"
    return f"{like} (p {text.p_value(region['p_value'])})"


def show_claims(choices: Sequence[Choice], meta: Mapping[str, Any]) -> None:
    """Every region's numbers on the other half, as a chart and a table."""
    st.caption(text.plain(HELP, limit=700))
    regions = meta["regions"]
    named = [choice for choice in choices if choice.source["kind"] == "region"]
    if not regions:
        st.info("No region was found, so there is nothing to check.")
        return
    left, right = st.columns([5, 6], gap="medium")
    with left:
        _chart(named, regions)
    with right:
        overlap.show(named)
    table = pd.DataFrame(
        [_row(choice, region) for choice, region in zip(named, regions, strict=False)]
    )
    table.insert(
        table.columns.get_loc("p") + 1, "p adjusted", adjust_p(table["p"].to_numpy(dtype=float))
    )
    _table(table[list(FIRST)])
    notes = " ".join(text.plain(note, limit=300) for note in meta["notes"])
    st.caption(
        f"{text.counted(int(meta['n_candidates']), 'candidate')} compared. Held-out losses and their base "
        f"are capped: a loss above {text.number(meta['loss_cap'])} counts as that much. So they differ from "
        f"mean and weighted loss, and from the base loss of {text.number(meta['base_loss'])}. {notes}"
    )
    with st.expander("All numbers"):
        _table(table)


def _table(table: pd.DataFrame) -> None:
    st.dataframe(
        table,
        hide_index=True,
        lazy=False,
        column_config={
            name: st.column_config.NumberColumn(format="%.3g", help=words)
            for name, words in COLUMNS.items()
        },
    )


FIRST = (
    "region",
    "verdict",
    measures.HELD_OUT_RATIO,
    "p",
    "p adjusted",
    measures.MEMBERS,
    measures.MEAN,
)
"""What is seen without a click."""
COLUMNS = {
    measures.HELD_OUT_RATIO: f"{measures.MEANS[measures.HELD_OUT_RATIO]} {measures.CAPPED}",
    measures.HELD_OUT: f"{measures.MEANS[measures.HELD_OUT]} {measures.CAPPED}",
    "± standard error": "Of the held-out loss.",
    "held-out base": "Mean loss of all examples of that half, capped likewise.",
    "held-out n": "(sum k)² / sum k²: how many examples of that half the weights amount to.",
    "p": "Family-wise over all candidates: max-T permutation within labels, 199 shuffles, both directions.",
    "p adjusted": "Benjamini and Hochberg 1995, over the regions listed.",
    measures.MEMBERS: measures.MEANS[measures.MEMBERS],
    measures.MEAN: measures.MEANS[measures.MEAN],
    measures.WEIGHTED: measures.MEANS[measures.WEIGHTED],
    measures.EFFECTIVE: measures.MEANS[measures.EFFECTIVE],
}


def _row(choice: Choice, region: Mapping[str, Any]) -> dict[str, Any]:
    small = f", small: under {SMALL}" if choice.group.small else ""
    base = region["held_out_base"]
    return {
        "region": f"{choice.number} {choice.name}",
        "looked for": str(region.get("scope", "")),
        "verdict": ("real" if region["p_value"] <= LEVEL else "not shown to be real") + small,
        measures.HELD_OUT_RATIO: region["held_out_loss"] / base if base > 0 else None,
        "p": region["p_value"],
        measures.HELD_OUT: region["held_out_loss"],
        "± standard error": region["held_out_error"],
        "held-out base": base,
        "held-out n": region["held_out_size"],
        measures.MEMBERS: region["n_members"],
        measures.MEAN: region["member_loss"],
        measures.WEIGHTED: region["weighted_loss"],
        measures.EFFECTIVE: region["effective_size"],
    }


def _chart(choices: Sequence[Choice], regions: Sequence[Mapping[str, Any]]) -> None:
    """Held-out losses with two standard errors to both sides, and the base."""
    figure = go.Figure()
    for at, (choice, region) in enumerate(zip(choices, regions, strict=False)):
        real = region["p_value"] <= LEVEL
        figure.add_scatter(
            x=[region["held_out_loss"]],
            y=[at],
            error_x={"array": [2 * region["held_out_error"]], "thickness": 2},
            mode="markers",
            marker={
                "size": 11,
                "color": choice.colour if real else palette.context_colour(),
                "symbol": "circle" if real else "circle-open",
            },
            hovertemplate="held-out loss %{x:.3g}<extra></extra>",
            showlegend=False,
        )
    figure.add_vline(
        x=regions[0]["held_out_base"], line={"dash": "dot", "color": palette.text_colour()}
    )
    figure.add_annotation(
        x=regions[0]["held_out_base"], y=1, yref="paper", text="held-out base", showarrow=False,
        xanchor="left", xshift=4,
    )  # fmt: skip
    figure.update_layout(
        height=60 + 44 * len(regions),
        margin={"l": 0, "r": 0, "t": 18, "b": 0},
        xaxis={
            "title": {"text": "held-out loss (capped), ± 2 standard errors"},
            "rangemode": "tozero",
        },
        yaxis={
            "tickvals": list(range(len(regions))),
            "ticktext": [text.chart(choice.number) for choice in choices],
            "autorange": "reversed",
        },
    )
    st.plotly_chart(
        figure, config={"displaylogo": False}, key="claims", alt="Held-out losses of the regions."
    )
