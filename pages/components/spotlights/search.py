"""Which search finds the groups of the page, and with which options."""

from __future__ import annotations

from typing import Any

import streamlit as st

from backend.bundle import Bundle
from backend.tasks import default_options
from pages.components.shared import keys, link, text
from pages.components.spotlights import fitting

REGIONS, SPOTLIGHTS = "regions", "spotlights"
NAMES = {REGIONS: "Regions", SPOTLIGHTS: "Spotlights"}
NOBODY = "-"


def choose_method() -> str:
    """``regions`` or ``spotlights``: the name of the task, kept in the address."""
    chosen = st.segmented_control(
        "Search",
        list(NAMES),
        required=True,
        format_func=NAMES.__getitem__,
        **link.bound(keys.METHOD, list(NAMES)),
        label_visibility="collapsed",
        help="Regions: many small searches, among all examples and within each true label, found on "
        "one half of the examples and chosen and tested on the other. Spotlights: the published method "
        "(d'Eon et al. 2021, arXiv:2107.00758), which needs no labels and searches one size at a time.",
    )
    return chosen or REGIONS


def options_of(bundle: Bundle, method: str) -> dict[str, Any]:
    """The options chosen in the popover, complete, as the task takes them."""
    if method == SPOTLIGHTS:
        return default_options(SPOTLIGHTS) | fitting.fit_options(bundle)
    with st.popover("Search options", icon=":material/tune:"):
        n_regions = st.number_input(
            "How many regions",
            min_value=1,
            max_value=12,
            value=5,
            key=keys.N_REGIONS,
            bind="query-params",
            help="The list keeps the best, sparing what another region covers already.",
        )
        columns = [NOBODY, *bundle.attributes]
        together = st.selectbox(
            "Rows that belong together",
            columns,
            format_func=lambda name: "no column" if name == NOBODY else text.shorten(name, 60),
            **link.bound(keys.TOGETHER, columns),
            help="A column that names the patient, the video, the original of a copy: its rows stay on "
            "one side of the split, or near-duplicates would vouch for one another.",
        )
        seed = st.number_input(
            "Seed",
            min_value=0,
            max_value=2**31 - 1,
            value=0,
            key=keys.SEED,
            bind="query-params",
            help="Draws the halves, the starting points and the shuffles. Same seed, same regions.",
        )
        st.caption(
            "Sizes of 1, 2, 5 and 10 % are all searched. Losses above their 90 % quantile count as "
            "that much while searching; the losses shown are raw."
        )
    return default_options(REGIONS) | {
        "n_regions": int(n_regions),
        "seed": int(seed),
        "groups": None if together == NOBODY else together,
    }
