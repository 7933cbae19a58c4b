"""Which search finds the groups of the page, and with which options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from backend.bundle import Bundle
from backend.core.errors import BackendError
from backend.core.wording import HOW
from backend.store import KnownRegion
from backend.tasks import complete_options, default_options
from backend.tasks.regions import (
    ALL_VIEWS,
    AS_IS,
    BESIDE,
    LISTED,
    SHOWN,
    SIZES,
    VIEWS,
    known_rows,
)
from backend.tasks.spotlights import checked_for
from pages.components.shared import keys, link, text
from pages.components.spotlights import fitting

REGIONS, SPOTLIGHTS = "regions", "spotlights"
NAMES = {REGIONS: "Regions", SPOTLIGHTS: "Spotlights"}
NOBODY, ANY = "-", "all"
VIEW_NAMES = {
    ALL_VIEWS: "every way",
    AS_IS: "as they are",
    BESIDE: "without the outputs' directions",
}
VIEWS_HELP = (
    "How the search looks at the embeddings. As they are: distances of the embedding, also made round by "
    "whitening. Without the outputs' directions: what the model answers is taken out by least squares "
    "first, so that examples lie together for what they are, not for what the model said (d'Eon et al. "
    "2021, arXiv:2107.00758, look at the embedding alone). Every way: candidates of all compete."
)


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
        "one part of the examples, chosen on another and measured on a third. Spotlights: the published method "
        "(d'Eon et al. 2021, arXiv:2107.00758), which needs no labels and searches one size at a time.",
    )
    return chosen or REGIONS


def options_of(bundle: Bundle, method: str, known: Sequence[KnownRegion] = ()) -> dict[str, Any]:
    """The options chosen in the popover, complete, as the task takes them; ``known`` is set aside."""
    if method == SPOTLIGHTS:
        return default_options(SPOTLIGHTS) | fitting.fit_options(bundle)
    with st.popover("Search options", icon=":material/tune:"):
        st.number_input(
            "How many regions",
            min_value=1,
            max_value=LISTED,
            value=SHOWN,
            key=keys.N_REGIONS,
            bind="query-params",
            help="Shown of the list, which keeps the best and none that holds half of another. Labels "
            "that fail as a whole come on top.",
        )
        sizes = [ANY, *map(str, SIZES)]
        size = st.selectbox(
            "Size",
            sizes,
            format_func=lambda one: "all sizes" if one == ANY else text.percent(float(one)),
            **link.bound(keys.REGION_SIZE, sizes),
            help="How large a region the search makes, as a share of all examples.",
        )
        columns = [NOBODY, *bundle.attributes]
        together = st.selectbox(
            "Rows that belong together",
            columns,
            format_func=lambda name: "no column" if name == NOBODY else text.shorten(name, 60),
            **link.bound(keys.TOGETHER, columns),
            help="A column that names the patient, the video, the original of a copy: its rows stay on "
            "one part of the data, or near-duplicates would vouch for one another.",
        )
        views = ALL_VIEWS
        if bundle.predictions is not None or bundle.probabilities is not None:
            views = st.selectbox(
                "Prepare the embeddings",
                VIEWS,
                format_func=VIEW_NAMES.__getitem__,
                help=VIEWS_HELP,
                **link.bound(keys.VIEWS, VIEWS),
            )
        seed = st.number_input(
            "Seed",
            min_value=0,
            max_value=2**31 - 1,
            value=0,
            key=keys.SEED,
            bind="query-params",
            help="Draws the starting points and the shuffles, never which examples are kept aside.",
        )
        st.caption(text.plain(HOW, limit=900))
    return default_options(REGIONS) | {
        "sizes": None if size == ANY else [float(size)],
        "seed": int(seed),
        "groups": None if together == NOBODY else together,
        "known": known_rows(bundle, known),
        "views": views,
    }


def fault_of(bundle: Bundle, method: str, options: dict[str, Any]) -> str:
    """Why this bundle cannot be searched so, and what to do; "" where it can."""
    if method != SPOTLIGHTS:
        return ""
    try:
        checked_for(bundle, complete_options(method, options))
    except BackendError as error:
        return str(error)
    return ""
