"""The easiest and the hardest examples of a class, side by side."""

from __future__ import annotations

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from streamlit.delta_generator import DeltaGenerator

from backend.bundle import Bundle
from backend.core.groups import sharp_group
from backend.difficulty import class_extremes
from backend.difficulty.ranked import PER_CLASS
from pages.components.gallery import gallery
from pages.components.group import tagging
from pages.components.hardest.score import RankedBy
from pages.components.shared import keys, link, text
from pages.components.shared.choice import Choice

EVERYTHING = "every class"


def show_ends(
    bundle: Bundle, ranked: RankedBy, shown: NDArray[np.bool_], bar: DeltaGenerator
) -> None:
    """Two galleries of one class, or of all; what is picked in them can be tagged."""
    names = list(bundle.class_names or ()) if bundle.label_codes is not None else []
    held = np.zeros(bundle.n, dtype=np.int64)
    chosen = EVERYTHING
    if names and bundle.label_codes is not None:
        offered = [EVERYTHING, *names]
        chosen = str(
            st.selectbox(
                "Class", offered, format_func=lambda one: text.shorten(one, 60),
                width=260, **link.bound(keys.HARD_CLASS, offered),
            )
        )  # fmt: skip
        held = np.asarray(bundle.label_codes)
    label = names.index(chosen) if chosen in names else -1
    among = np.where(shown & ((held == label) | (label < 0)), 1, 0)
    ends = class_extremes(ranked.difficulty, among, 1)
    if not len(ends[0]):
        st.info("No example of this class passes the filters.", icon=":material/info:")
        return
    acts = st.container(horizontal=True, vertical_alignment="center", key="group_acts")
    picked: list[str] = []
    for place, rows, word in zip(st.columns(2), ends, ("lowest", "highest"), strict=True):
        end = "easiest" if (word == "lowest") else "hardest"
        with place:
            st.subheader(
                f"{end.capitalize()} · {text.count(len(rows))}", anchor=False,
                help=f"{end.capitalize()} first, at most {text.count(PER_CLASS)} "
                "(Agarwal, D'souza, Hooker 2022 show both ends of a class).",
            )  # fmt: skip
            group = sharp_group(f"{end}, {chosen}", rows, bundle.losses)
            picked += gallery.show_gallery(bundle, group, key=f"gallery_{end}")
    with acts:
        choice = Choice(
            "ends",
            f"hardest of {chosen}",
            sharp_group("hardest", ends[1], bundle.losses),
            {"kind": "hardest", "score": ranked.score.name, "class": chosen, "most": PER_CLASS},
        )
        tagging.show_bar(bundle, choice, picked, end=bar)
