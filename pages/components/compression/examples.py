"""The examples that change beside some that do not, as galleries or a table."""

from __future__ import annotations

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.groups import sharp_group
from backend.populations import PopulationPair, matched_non_pies
from pages.components.compression.votes import show_votes
from pages.components.gallery import gallery
from pages.components.group import tagging
from pages.components.shared import text
from pages.components.shared.choice import Choice


def show_examples(bundle: Bundle, held: PopulationPair) -> None:
    """Galleries or a table, and the votes on the picked example."""
    rows = held.rows()
    if len(rows) == 0:
        st.info(
            f"No example differs between {text.plain(held.baseline)} and "
            f"{text.plain(held.compressed)} by this rule: there is nothing to show.",
            icon=":material/info:",
        )
        return
    others = matched_non_pies(held.mask, seed=0)
    choice = Choice(
        "pie", f"all {held.word}", sharp_group(held.word, rows, bundle.losses), held.source()
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        view = st.segmented_control(
            "View", ["Gallery", "Table"], default="Gallery", required=True, key="pie_view",
            label_visibility="collapsed",
        )  # fmt: skip
        bar = st.container(width="stretch")
    main, detail = st.columns([8, 4], gap="medium")
    with main:
        if view == "Table":
            picked = show_rows(bundle, held, rows)
        else:
            picked = show_beside(bundle, held, choice, others)
    with bar:
        tagging.show_bar(bundle, choice, picked)
    shown = bundle.rows_of(picked[-1:])
    with detail:
        show_votes(bundle, held, int(shown[0] if len(shown) else rows[0]))


def show_beside(
    bundle: Bundle,
    held: PopulationPair,
    choice: Choice,
    others: NDArray[np.int64],
) -> list[str]:
    left, right = st.columns(2)
    with left:
        st.subheader(
            f"{held.word} · {text.count(choice.group.n_members)}", anchor=False,
            help="Strongest change first (taxicab distance). Pick one to see how the models voted.",
        )  # fmt: skip
        picked = gallery.show_gallery(bundle, choice.group, key="gallery_pie")
    with right:
        st.subheader(
            f"Not {held.word} · {text.count(len(others))} at random", anchor=False,
            help="As many of the other examples, drawn at random.",
        )  # fmt: skip
        if len(others):
            beside = sharp_group(f"not {held.word}", others, bundle.losses)
            picked = gallery.show_gallery(bundle, beside, key="gallery_other") + picked
    return picked


def show_rows(bundle: Bundle, held: PopulationPair, rows: NDArray[np.int64]) -> list[str]:
    table = held.table(rows)
    table.insert(0, "id", bundle.ids[rows])
    table["loss"] = bundle.losses[rows]
    event = st.dataframe(
        table,
        hide_index=True,
        on_select="rerun",
        selection_mode="multi-row",
        key=f"pie_rows_{held.baseline}_{held.compressed}_{held.kind}",
        height=420,
        placeholder=text.DASH,
        column_config={
            "taxicab": st.column_config.NumberColumn(
                format="%.2f", help="0: the populations vote alike; 2: they share no answer."
            ),
            "changed": st.column_config.NumberColumn(
                "compressed models off the baseline mode", format="percent"
            ),
            "loss": st.column_config.NumberColumn(format="%.3g"),
        },
        lazy=False,
    )
    return table["id"].iloc[event.selection.rows].tolist()
