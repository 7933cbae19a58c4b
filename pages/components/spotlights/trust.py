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
from backend.core import wording
from backend.core.groups import SMALL
from backend.jobs import Job
from backend.tasks import default_options
from pages.components.shared import charts, palette, services, text, twin
from pages.components.shared.choice import Choice
from pages.components.shared.waiting import RUNNING, show_progress
from pages.components.spotlights import overlap

HELP = (
    "Two tests decide. Each half of the examples is searched and measured on the other half, which "
    "neither found nor ranked its regions; and the whole search is repeated on shuffled losses. p is "
    "twice the smaller of the two and pays for every region searched. A real region can still be "
    "unimportant, and a chance one can be a true story with too few examples."
)
SEARCHED = "_searched"
CHARTS = 12
"""Regions that get a line and a chart of their own; all are in the table."""
LEGEND = (
    "Charts, all on one scale: multiples of the base loss (dotted). Dot: held-out × base, with 95\u00a0% "
    "interval. Diamond: weighted × base, over all examples, which also chose the region. Grey: the best "
    "region of each search on shuffled losses."
)


def ask(bundle: Bundle, options: Mapping[str, Any]) -> Job:
    """The assessment of the regions these search options find."""
    return services.ask("assess", bundle.digest, **options)


def remember(bundle: Bundle, task: str, options: Mapping[str, Any]) -> None:
    """Keep which search is looked at in this session, for the report."""
    st.session_state[SEARCHED] = {"digest": bundle.digest, "task": task, "options": dict(options)}


def last_search(bundle: Bundle) -> tuple[str, dict[str, Any]]:
    """Task and options of the search that was last looked at; regions by default before any."""
    asked = st.session_state.get(SEARCHED) or {}
    if asked.get("digest") == bundle.digest:
        return asked["task"], default_options(asked["task"]) | asked["options"]
    return "regions", default_options("regions")


def verdicts(job: Job) -> dict[str, str]:
    """Group key -> a few words, once they are known; they come long before the slow checks end."""
    meta = _meta(job)
    return {
        f"region-{index + 1}": _words(region, pending=bool(meta.get("pending")))
        for index, region in enumerate(meta.get("regions", []))
    }


def _words(region: Mapping[str, Any], *, pending: bool) -> str:
    if region["verdict"] != "real":
        return str(region["verdict"]) + (" so far" if pending else "")
    lift = text.times((region["held_out_lift"] or {}).get("value"))
    words = f"held-out {lift}, p {text.p_value(region['p_value'])}"
    return words + (", its whole class" if region.get("class_level") else "")


def _meta(job: Job) -> Mapping[str, Any]:
    if job.state == "done":
        return job.result().meta
    parts = job.partial()
    return parts[-1].meta if parts else {}


def show_trust(job: Job, choices: list[Choice]) -> None:
    """One line and one small chart per region; the numbers and the null behind them."""
    if job.state != "done":
        show_progress(job, what="Checking whether the regions are real", key="assess")
    meta = _meta(job)
    if not meta:
        if job.state in RUNNING:
            st.skeleton(height=220)
        return
    named = [choice for choice in choices if choice.source["kind"] == "region"]
    result = job.result() if job.state == "done" else job.partial()[-1]
    base, null = float(meta["base_loss"]), np.asarray(result["null_maxima"], dtype=float)
    st.caption(text.plain(HELP, limit=600))
    pairs = list(zip(named, meta["regions"], strict=False))
    span = _span(pairs, null, base)
    for choice, region in pairs[:CHARTS]:
        words, chart = st.columns([7, 5], vertical_alignment="center")
        with words:
            st.markdown(_line(choice, region, pending=bool(meta.get("pending"))))
        with chart:
            if span is not None:
                _show_chart(choice, region, null / base, span)
    if span is not None:
        st.caption(LEGEND)
    if meta.get("note"):
        st.caption(text.plain(meta["note"], limit=400))
    with st.expander("All numbers"):
        show_numbers(pairs)
        if span is not None and len(null):
            shuffled = pd.DataFrame({"highest region, × base": np.sort(null / base)[::-1]})
            twin.show_twin(shuffled, key="trust_null", label="Searches on shuffled losses")
    if len(named) > 1:
        with st.expander("How much the regions overlap"):
            overlap.show(named)


VERDICTS = {
    "real": (":material/check_circle:", "Real"),
    "not distinguishable from chance": (":material/help:", "Not distinguishable from chance"),
    "too small to tell": (":material/remove_circle:", "Too small to tell"),
}


def _line(choice: Choice, region: Mapping[str, Any], *, pending: bool) -> str:
    """Name, verdict, and why, as Markdown."""
    icon, verdict = VERDICTS[region["verdict"]]
    if pending and region["verdict"] != "real":
        verdict += " so far"
    # The sentence repeats its verdict at the end, which is said in front of it here.
    why = str(region["sentence"]).partition(": not distinguishable")[0]
    parts = [why]
    if region["p_adjusted"] is not None and region["p_adjusted"] != region["p_value"]:
        parts.append(f"adjusted over the list {text.p_value(region['p_adjusted'])}")
    steady = (region["stability"] or {}).get("value")
    if steady is not None:
        parts.append(f"refits share {text.percent(steady, digits=0)} of it")
    if _members(choice) < SMALL:
        parts.append("small: under 30 members")
    return (
        f"**{choice.number} {text.plain(choice.name, limit=60)}** · {icon} {verdict}  \n"
        f"{text.plain(' · '.join(parts), limit=400)}"
    )


def _found(choice: Choice) -> float:
    """Weighted loss of the whole region over the base, whatever the filters leave of it."""
    base = choice.group.base_loss
    return float(choice.source["weighted_loss"]) / base if base > 0 else float("nan")


def _members(choice: Choice) -> int:
    return choice.group.n_members if choice.whole is None else choice.whole


def _span(
    pairs: list[tuple[Choice, Mapping[str, Any]]], null: NDArray[np.float64], base: float
) -> tuple[float, float] | None:
    """The axis that all charts share, in multiples of the base; None where there are none."""
    if not base > 0:
        return None
    ends = [1.0, *(null / base).tolist()]
    for choice, region in pairs[:CHARTS]:
        lift = region["held_out_lift"] or {}
        ends += [_found(choice), lift.get("low"), lift.get("high"), lift.get("value")]
    known = [float(end) for end in ends if end is not None and np.isfinite(end)]
    low, high = min(known), max(known)
    room = 0.06 * max(high - low, 0.1)
    return low - room, high + room


def _show_chart(
    choice: Choice,
    region: Mapping[str, Any],
    null: NDArray[np.float64],
    span: tuple[float, float],
) -> None:
    """Found, held out and shuffled on one line."""
    lift = region["held_out_lift"] or {}
    figure = go.Figure()
    if len(null):
        figure.add_scatter(
            x=null,
            y=np.zeros(len(null)),
            mode="markers",
            marker={
                "symbol": "line-ns",
                "size": 16,
                "line": {"width": 1, "color": palette.context_colour()},
            },
            hovertemplate="best of a shuffled search ×%{x:.3g}<extra></extra>",
        )
    figure.add_vline(x=1, line={"dash": "dot", "width": 1, "color": palette.text_colour()})
    figure.add_scatter(
        x=[_found(choice)],
        y=[0],
        mode="markers",
        marker={
            "symbol": "diamond-open",
            "size": 11,
            "color": choice.colour,
            "line": {"width": 2},
        },
        hovertemplate="weighted ×%{x:.3g}<extra></extra>",
    )
    if lift.get("value") is not None:
        known = lift.get("low") is not None
        figure.add_scatter(
            x=[lift["value"]],
            y=[0],
            mode="markers",
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [lift["high"] - lift["value"] if known else 0],
                "arrayminus": [lift["value"] - lift["low"] if known else 0],
                "color": palette.text_colour(),
                "thickness": 1.5,
            },
            marker={"size": 11, "color": choice.colour},
            hovertemplate="held out ×%{x:.3g}<extra></extra>",
        )
    figure.update_layout(
        height=64,
        margin={"l": 4, "r": 4, "t": 2, "b": 26},
        xaxis={"range": span, "tickprefix": "×", "nticks": 6, "zeroline": False},
        yaxis={"visible": False, "range": [-1, 1], "fixedrange": True},
        showlegend=False,
        dragmode=False,
    )
    charts.ink(figure)
    st.plotly_chart(
        figure,
        key=f"trust_{choice.key}",
        config={"displayModeBar": False},
        alt=f"Region {choice.number}: loss found, held out and under shuffled losses, in multiples "
        "of the base loss.",
    )


COLUMNS = {
    wording.EFFECTIVE: wording.MEANS[wording.EFFECTIVE],
    wording.WEIGHTED_RATIO: wording.MEANS[wording.WEIGHTED_RATIO],
    wording.HELD_OUT_RATIO: wording.MEANS[wording.HELD_OUT_RATIO],
    "p": "Decides the verdict: twice the smaller of the two p-values to the right, at most 1.",
    "p, held out": "Family-wise over all regions searched on both halves (Westfall and Young 1993).",
    "p, whole search": "Share of searches on shuffled losses whose best region is at least as high.",
    "p, adjusted": "p after Benjamini and Hochberg 1995, over the regions shown.",
    "stability": "Mean overlap (Jaccard) with refits on resampled examples; 1 is the same.",
}


def show_numbers(pairs: list[tuple[Choice, Mapping[str, Any]]]) -> None:
    """Everything that was computed, one row per region."""
    st.dataframe(
        pd.DataFrame([_row(choice, region) for choice, region in pairs]),
        hide_index=True,
        placeholder=text.DASH,
        column_config={
            name: st.column_config.NumberColumn(format="%.3g", help=words)
            for name, words in COLUMNS.items()
        }
        | {
            wording.MEMBERS: st.column_config.NumberColumn(
                format="localized", help=wording.MEANS[wording.MEMBERS]
            )
        },
    )


def _row(choice: Choice, region: Mapping[str, Any]) -> dict[str, Any]:
    lift = region["held_out_lift"] or {}
    steady = region["stability"] or {}
    return {
        "region": f"{choice.number} {choice.name}",
        "verdict": region["verdict"],
        wording.MEMBERS: _members(choice),
        "small": "under 30" if _members(choice) < SMALL else "",
        wording.EFFECTIVE: choice.group.effective_size,
        wording.WEIGHTED_RATIO: _found(choice),
        wording.HELD_OUT_RATIO: lift.get("value"),
        "95\u00a0% interval": _range(lift),
        "p": region["p_value"],
        "p, held out": region["p_claim"],
        "p, whole search": region["search_p"],
        "p, adjusted": region["p_adjusted"],
        "stability": steady.get("value"),
        "stability, 95\u00a0%": _range(steady),
    }


def _range(interval: Mapping[str, Any]) -> str:
    return wording.interval(interval.get("low"), interval.get("high"))
