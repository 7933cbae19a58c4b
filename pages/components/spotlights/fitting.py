"""What to look for: the options of a search, bound to the URL."""

from __future__ import annotations

from typing import Any

import streamlit as st

from backend.bundle import Bundle
from pages.components.shared import keys, text

SIZE_HELP = (
    "Smallest total weight a region may have. Smaller regions reach a higher loss; larger ones are "
    "surer to be real. d'Eon et al. 2021 (arXiv:2107.00758) looked at 0.1 to 10 % and used 2 % for "
    "images, 5 % otherwise."
)
SOLVER_HELP = (
    "fast: keeps the size fixed exactly and climbs by loss-weighted mean shift from many starts. "
    "adam: the published optimizer, 5000 steps from the origin; slow, for comparison."
)
MODE_HELP = (
    "successive, as published: after each region the losses of its members are taken away, and the "
    "search starts again. distinct: the different peaks of one search on the losses as they are, "
    "which may overlap, and may be fewer than asked for."
)
PREPARE_HELP = (
    "none: distances are those of the embeddings. standardise: every dimension gets deviation 1; "
    "for features of different units. pca: only the directions of largest variance are kept. "
    "projection: a seeded random projection, for very many dimensions (the paper brought 300 000 "
    "to 1000). Centers and exports refer to the prepared embeddings."
)
MOST_PCA = 4096
"""Dimensions up to which principal components are offered."""


def fit_options(bundle: Bundle) -> dict[str, Any]:
    """The options chosen in the popover, complete, as the search takes them."""
    with st.popover("Search options", icon=":material/tune:"):
        unit = st.segmented_control(
            "Size given as",
            ["share", "count"],
            default="share",
            required=True,
            key=keys.SIZE_UNIT,
            bind="query-params",
        )
        size: float
        if unit == "count":
            size = st.number_input(
                "Size, in examples",
                min_value=1,
                max_value=max(1, bundle.n - 1),
                value=min(max(1, bundle.n - 1), max(1, round(0.02 * bundle.n))),
                key=keys.SIZE_COUNT,
                bind="query-params",
                help=SIZE_HELP,
            )
        else:
            share = st.number_input(
                "Size, in percent of the examples",
                min_value=0.1,
                max_value=50.0,
                value=2.0,
                step=0.5,
                key=keys.SIZE_SHARE,
                bind="query-params",
                help=SIZE_HELP,
            )
            size = share / 100
            st.caption(
                f"{text.count(round(size * bundle.n))} of {text.counted(bundle.n, 'example')}"
            )
        n_regions = st.number_input(
            "How many regions",
            min_value=1,
            max_value=12,
            value=5,
            key=keys.N_REGIONS,
            bind="query-params",
            help="At most so many. Page and report list them from the first found to the last.",
        )
        solver = st.selectbox(
            "Solver",
            ["fast", "adam"],
            key=keys.SOLVER,
            bind="query-params",
            help=SOLVER_HELP,
        )
        mode = "successive"
        if solver == "fast":  # Adam has a single start, hence a single optimum
            mode = st.segmented_control(
                "Mode",
                ["successive", "distinct"],
                default="successive",
                required=True,
                key=keys.MODE,
                bind="query-params",
                help=MODE_HELP,
            )
        prepare, components = _preparation(bundle.d)
        seed = st.number_input(
            "Seed",
            min_value=0,
            max_value=2**31 - 1,
            value=0,
            key=keys.SEED,
            bind="query-params",
            help="Draws the starting points. Same seed, same regions.",
        )
    return {
        "size": size,
        "n_spotlights": int(n_regions),
        "solver": solver,
        "mode": mode or "successive",
        "prepare": prepare,
        "components": components,
        "seed": int(seed),
    }


def _preparation(d: int) -> tuple[str, int | None]:
    """What is done to embeddings of ``d`` dimensions before the search."""
    offered = ["none", "standardise"]
    if d > 1:
        offered += ["pca", "projection"] if d <= MOST_PCA else ["projection"]
    prepare = st.selectbox(
        "Prepare the embeddings",
        offered,
        key=keys.PREPARE,
        bind="query-params",
        help=PREPARE_HELP,
    )
    if prepare not in ("pca", "projection"):
        return prepare, None
    components = st.number_input(
        "Dimensions to keep",
        min_value=1,
        max_value=d - 1,
        value=min(50 if prepare == "pca" else 1000, d - 1),
        key=keys.COMPONENTS,
        bind="query-params",
        help="Fewer dimensions: faster, rounder regions. Too few hide what sets a failure apart.",
    )
    return prepare, int(components)
