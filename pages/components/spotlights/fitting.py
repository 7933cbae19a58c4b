"""What to look for: the options of a search, bound to the URL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from backend.bundle import Bundle
from backend.core.counts import count_columns
from backend.spotlight.options import (
    FULL_EXAMPLES,
    SOLVERS,
    USUAL_SIZE,
    USUAL_SIZE_WITHOUT_PICTURES,
    usual_size,
)
from backend.spotlight.solver.names import KERNELS, PRECISIONS
from pages.components.shared import keys, link, text

SIZE_HELP = (
    "Smallest total weight a region may have. Smaller regions reach a higher loss; larger ones are "
    "surer to be real. d'Eon et al. 2021 (arXiv:2107.00758) looked at 0.1 to 10\u00a0% and took "
    f"{text.percent(USUAL_SIZE, digits=0)} for pictures and "
    f"{text.percent(USUAL_SIZE_WITHOUT_PICTURES, digits=0)} for texts and tables: so do we where nothing "
    "is chosen."
)
KERNEL_HELP = (
    "How membership falls with the squared distance q from the center, in units of the precision. "
    "gaussian: exp(-q/2), as d'Eon et al. 2021 print it (arXiv:2107.00758, section 2). "
    "squared_distance: max(0, 1 - q), as in their later code: examples outside belong not at all."
)
PRECISION_HELP = (
    "What shape a region may have. spherical: round; all published results are (d'Eon et al. 2021, "
    "arXiv:2107.00758). diagonal: stretched along the axes of the embedding. full: any ellipsoid, which "
    f"needs a size of {FULL_EXAMPLES} examples a dimension; below that solver adam runs with a warning."
)
BEST_HELP = (
    "Looks for the lowest losses in place of the highest (the flip of the authors' code, d'Eon et al. "
    "2021, arXiv:2107.00758): where the model is good. What is found is not tested."
)
BARRIER_HELP = (
    "What it costs, in loss units, to end at the smallest size exactly: Adam climbs against this barrier. "
    "Raise it where regions end too small. d'Eon et al. 2021 (arXiv:2107.00758) took 1, and 10 for "
    "ImageNet and SQuAD. The fast solver keeps the size exactly and has none."
)
COUNTS_HELP = (
    "A column that says how often each example counts, as if it stood there so many times: copies, "
    "survey weights. The size is then a share of the sum of the column. A region of examples that count "
    "several times is not tested. (The counts of the authors' code, d'Eon et al. 2021, arXiv:2107.00758.)"
)
ONCE = "-"
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
BARRIERS = (0.001, 1e6)
SHARES = (0.1, 50.0)
"""Percent of the examples that may be asked for."""
MOST_PCA = 4096
"""Dimensions up to which principal components are offered."""


def fit_options(bundle: Bundle) -> dict[str, Any]:
    """The options chosen in the popover, complete, as the search takes them."""
    with st.popover("Search options", icon=":material/tune:"):
        size = _size(bundle)
        n_regions = st.number_input(
            "How many regions",
            min_value=1,
            max_value=12,
            value=5,
            key=keys.N_REGIONS,
            bind="query-params",
            help="At most so many. Page and report list them from the first found to the last.",
        )
        shape = {
            "kernel": _choose("Kernel", KERNELS, keys.KERNEL, KERNEL_HELP),
            "precision": _choose("Precision", PRECISIONS, keys.PRECISION, PRECISION_HELP),
        }
        solver = _choose("Solver", SOLVERS, keys.SOLVER, SOLVER_HELP)
        mode, barrier = "successive", None
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
        else:
            barrier = st.number_input(
                "Scale of the barrier",
                step=1.0,
                help=BARRIER_HELP,
                **link.bound_number(keys.BARRIER, 1.0, *BARRIERS),
            )
        flip = st.toggle(
            "Where the model does best", key=keys.BEST, bind="query-params", help=BEST_HELP
        )
        columns = [ONCE, *_count_columns(bundle.digest, bundle)]
        counts = ONCE
        if len(columns) > 1:
            counts = st.selectbox(
                "How often an example counts",
                columns,
                format_func=lambda name: "once each" if name == ONCE else text.shorten(name, 60),
                help=COUNTS_HELP,
                **link.bound(keys.COUNTS, columns),
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
    return shape | {
        "size": size,
        "n_spotlights": int(n_regions),
        "solver": solver,
        "mode": mode or "successive",
        "barrier_scale": None if barrier in (None, 1.0) else float(barrier),
        "flip": bool(flip),
        "counts": None if counts == ONCE else counts,
        "prepare": prepare,
        "components": components,
        "seed": int(seed),
    }


def _size(bundle: Bundle) -> float:
    """The size, as a share or as a number of examples."""
    unit = st.segmented_control(
        "Size given as",
        ["share", "count"],
        default="share",
        required=True,
        key=keys.SIZE_UNIT,
        bind="query-params",
    )
    usual, most = usual_size(bundle.has_images), max(1, bundle.n - 1)
    if unit == "count":
        count = min(most, max(1, round(usual * bundle.n)))
        return st.number_input(
            "Size, in examples",
            help=SIZE_HELP,
            **link.bound_number(keys.SIZE_COUNT, count, 1, most),
        )
    share = st.number_input(
        "Size, in percent of the examples",
        step=0.5,
        help=SIZE_HELP,
        **link.bound_number(keys.SIZE_SHARE, 100 * usual, *SHARES),
    )
    size = float(share) / 100
    st.caption(f"{text.count(round(size * bundle.n))} of {text.counted(bundle.n, 'example')}")
    return size


def _choose(label: str, offered: Sequence[str], key: str, told: str) -> str:
    """One of a few words, kept in the address."""
    return str(st.selectbox(label, offered, key=key, bind="query-params", help=told))


@st.cache_resource(show_spinner=False, max_entries=16)
def _count_columns(digest: str, _bundle: Bundle) -> list[str]:
    return count_columns(_bundle)


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
