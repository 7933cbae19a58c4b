"""Is the finding real? One line on every region, and the charts behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.jobs import Job
from pages.components import palette, services, text
from pages.components.groups import Choice
from pages.components.waiting import RUNNING, show_progress

HELP = (
    "Regions are searched on one half of the examples and measured on the other, which neither found "
    "nor ranked them. p compares them with the best region found when the losses are shuffled, over all "
    "searched candidates. A real region can still be unimportant, and a chance one can be a true story "
    "with too few examples."
)


def ask(bundle: Bundle, options: Mapping[str, Any]) -> Job:
    """The assessment of the regions these search options find."""
    return services.ask("assess", bundle.digest, **options)


def verdicts(job: Job) -> dict[str, str]:
    """Group key -> a few words, once they are known; they come long before the slow checks end."""
    return {
        f"region-{index + 1}": _words(region)
        for index, region in enumerate(_meta(job).get("regions", []))
    }


def _words(region: Mapping[str, Any]) -> str:
    if region["verdict"] != "real":
        return str(region["verdict"])
    lift = text.times(region["held_out_lift"]["value"]) if region["held_out_lift"] else text.DASH
    words = f"held-out {lift}, p {text.p_value(region['p_value'])}"
    return words + (", its whole class" if region.get("class_level") else "")


def _meta(job: Job) -> Mapping[str, Any]:
    if job.state == "done":
        return job.result().meta
    parts = job.partial()
    return parts[-1].meta if parts else {}


def show_trust(job: Job, choices: list[Choice]) -> None:
    """The verdict on every region with its numbers, and the null behind it."""
    if job.state != "done":
        show_progress(job, what="Checking whether the regions are real", key="assess")
    meta = _meta(job)
    if not meta:
        if job.state in RUNNING:
            st.skeleton(height=220)
        return
    st.caption(f"{text.plain(HELP, limit=600)}")
    named = [choice for choice in choices if choice.source["kind"] == "region"]
    rows = [_row(choice, region) for choice, region in zip(named, meta["regions"], strict=False)]
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={
            name: st.column_config.NumberColumn(format="%.3g", help=words)
            for name, words in COLUMNS.items()
        },
    )
    if meta.get("note"):
        st.caption(text.plain(meta["note"], limit=400))
    result = job.result() if job.state == "done" else job.partial()[-1]
    left, right = st.columns(2)
    with left:
        show_null(result["null_maxima"], meta)
    with right:
        show_lifts(named, result["held_out_lifts"])


COLUMNS = {
    "effective size": "sum(k)² / sum(k²): how far the soft weights are spread, in examples.",
    "held-out × base": "Weighted loss on the half that did not find the region, as a multiple of the base loss.",
    "p": "Family-wise: the chance that any region of a search on shuffled losses looks as good.",
    "p adjusted": "Benjamini and Hochberg 1995, over the regions shown.",
    "p of the whole search": "Share of searches on shuffled losses whose best region is at least as high.",
    "stability": "Mean overlap (Jaccard) of the members with those of refits on resampled examples; 1 is the same.",
}


def _row(choice: Choice, region: Mapping[str, Any]) -> dict[str, Any]:
    lift = region["held_out_lift"] or {}
    steady = region["stability"] or {}
    return {
        "region": f"{choice.number} {choice.name}",
        "verdict": region["verdict"],
        "members": choice.group.n_members,
        "effective size": choice.group.effective_size,
        "held-out × base": lift.get("value"),
        "95 % interval": _range(lift),
        "p": region["p_value"],
        "p adjusted": region["p_adjusted"],
        "p of the whole search": region["search_p"],
        "stability": steady.get("value"),
    }


def _range(interval: Mapping[str, Any]) -> str:
    if interval.get("low") is None:
        return text.DASH
    return f"{text.number(interval['low'])}–{text.number(interval['high'])}"


def show_null(null: NDArray[Any], meta: Mapping[str, Any]) -> None:
    """Best weighted loss of searches on shuffled losses, beside what was found."""
    st.markdown("**Best region when losses are shuffled**")
    if not len(null):
        st.caption("Not computed yet.")
        return
    figure = go.Figure()
    figure.add_histogram(x=null, nbinsx=30, marker={"color": palette.context_colour()})
    for index, region in enumerate(meta["regions"]):
        held_out = region["held_out_loss"] or {}
        if held_out.get("value") is not None:
            figure.add_vline(
                x=held_out["value"],
                line={"color": palette.region_hue(index), "width": 3},
                annotation_text=str(index + 1),
            )
    figure.update_layout(
        height=240,
        margin={"l": 0, "r": 0, "t": 18, "b": 0},
        xaxis={"title": "weighted loss: grey, shuffled searches; lines, the regions held out"},
        yaxis={"title": "searches"},
        bargap=0.05,
        showlegend=False,
    )
    st.plotly_chart(
        figure, key="null_chart", config={"displaylogo": False}, alt="Null of the search."
    )


def show_lifts(named: list[Choice], lifts: NDArray[Any]) -> None:
    """Held-out lift of every region with its interval; 1 is the base loss."""
    st.markdown("**Held-out loss as a multiple of the base**")
    lifts = np.asarray(lifts, dtype=float)[: len(named)]
    figure = go.Figure(
        go.Scatter(
            x=lifts[:, 0],
            y=[choice.number for choice in named],
            error_x={
                "type": "data",
                "symmetric": False,
                "array": lifts[:, 2] - lifts[:, 0],
                "arrayminus": lifts[:, 0] - lifts[:, 1],
                "color": palette.text_colour(),
            },
            mode="markers",
            marker={"size": 11, "color": [choice.colour for choice in named]},
        )
    )
    figure.add_vline(x=1, line={"dash": "dot", "color": palette.text_colour()})
    figure.update_layout(
        height=240,
        margin={"l": 0, "r": 0, "t": 18, "b": 0},
        yaxis={"type": "category", "autorange": "reversed", "title": "region"},
        xaxis={"title": "× base loss, 95 % interval", "rangemode": "tozero"},
    )
    st.plotly_chart(figure, key="lift_chart", config={"displaylogo": False}, alt="Held-out lifts.")
