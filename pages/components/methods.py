"""Other ways to find groups, beside the regions: which findings depend on the method?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.slices import METHODS
from pages.components import palette, services, text
from pages.components.waiting import show_progress

ASKED = "_methods_asked"


def show_methods(bundle: Bundle, options: Mapping[str, Any]) -> None:
    """The comparison, once somebody asked for it: it takes a minute or more."""
    with st.expander("Which methods these are"):
        for row in METHODS.values():
            st.markdown(
                f"**{text.plain(row.title)}** – {text.plain(row.definition, limit=400)} "
                f"*{text.plain(row.paper, limit=200)}*"
            )
    wanted = (bundle.digest, options["size"], options["n_spotlights"], options["seed"])
    if st.session_state.get(ASKED) != wanted:
        st.caption(
            "Runs five other methods on the same data, tests every group on the half of the examples it "
            "was not found on, and shows where the methods agree."
        )
        if not st.button("Compare the methods", key="ask_methods", icon=":material/compare:"):
            return
        st.session_state[ASKED] = wanted
    job = services.ask(
        "methods",
        bundle.digest,
        methods=["spotlights", *METHODS],
        size=options["size"],
        n_groups=options["n_spotlights"],
        seed=options["seed"],
    )
    if not show_progress(job, what="Comparing methods", key="methods"):
        for part in job.partial():
            st.caption(f"{text.plain(part.meta.get('method', 'a method'))}: found its groups")
        return
    result = job.result()
    for method, reason in result.meta["skipped"].items():
        st.caption(f"{text.plain(method)}: left out. {text.plain(reason, limit=300)}")
    table = pd.DataFrame(result.meta["table"])
    show_table(table)
    show_overlap(table, result["overlap"])


def show_table(table: pd.DataFrame) -> None:
    """One row per group of any method."""
    shown = table[
        [
            "method",
            "group",
            "size",
            "mean_loss",
            "ratio",
            "held_out_ratio",
            "p",
            "rediscovered",
            "note",
        ]
    ].copy()
    folded = table["folded_into"]
    shown["inside"] = [
        "" if pd.isna(into) else f"{table['method'][int(into)]}: {table['group'][int(into)]}"
        for into in folded
    ]
    help_of = {
        "size": "Members.",
        "mean_loss": "Weighted mean loss.",
        "ratio": "As a multiple of the base loss.",
        "held_out_ratio": "The same on the half of the examples the group was not found on.",
        "p": "Against shuffled losses, over the groups of the method; empty for groups defined by loss.",
        "rediscovered": "Overlap with the group found on one half of the data that resembles it most.",
    }
    names = {"mean_loss": "mean loss", "ratio": "× base", "held_out_ratio": "held-out × base"}
    st.dataframe(
        shown.astype(dict.fromkeys(help_of, float)),
        hide_index=True,
        height=420,
        column_config={
            name: st.column_config.NumberColumn(names.get(name, name), format="%.3g", help=words)
            for name, words in help_of.items()
        }
        | {"inside": st.column_config.TextColumn(help="The larger group that holds 80 % of it.")},
    )


def show_overlap(table: pd.DataFrame, overlap: NDArray[Any]) -> None:
    """How much every two groups share."""
    st.markdown("**Overlap of every two groups** (weighted Jaccard, 1 is the same group)")
    titles = [
        f"{m} · {text.shorten(g, 32)}" for m, g in zip(table["method"], table["group"], strict=True)
    ]
    figure = go.Figure(
        go.Heatmap(
            z=np.asarray(overlap, dtype=float),
            x=list(range(len(titles))),
            y=list(range(len(titles))),
            zmin=0,
            zmax=1,
            colorscale=palette.loss_scale(),
            hovertemplate="%{z:.2f}<extra></extra>",
            colorbar={"thickness": 8},
        )
    )
    ticks = {"tickvals": list(range(len(titles))), "tickfont": {"size": 10}}
    figure.update_layout(
        height=max(320, 17 * len(titles)),
        margin={"l": 0, "r": 0, "t": 10, "b": 0},
        yaxis={
            **ticks,
            "ticktext": [text.chart(title) for title in titles],
            "autorange": "reversed",
        },
        xaxis={"showticklabels": False},
    )
    st.plotly_chart(
        figure, key="overlap_chart", config={"displaylogo": False}, alt="Overlap of groups."
    )
