"""The map of a bundle: every example a point; what is drawn on it becomes the selection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.content import content_key
from backend.jobs import Job
from backend.map.coding import count_codes
from backend.map.contours import DensityLines, member_lines
from backend.map.framing import Framed, framed
from backend.views import Drawn, Looked
from backend.views.state import SHAPES
from pages.components.gallery import media
from pages.components.map import colours, pointmap
from pages.components.map.colours import Coding
from pages.components.shared import keys, link, services, text
from pages.components.shared.choice import SELECTION, Choice
from pages.components.shared.waiting import RUNNING, follow, show_progress
from pages.components.view import selection

HEIGHT = 424
METHODS = ("PCA", "UMAP")
SELECTED, FILTERED_OUT = np.uint8(1), np.uint8(2)
"""Bits of an example's state."""


@dataclass(frozen=True)
class MapOptions:
    """How the map is drawn.

    Attributes
    ----------
    colour_by : str
        What the colour says, one of ``colours.offered``.
    method : str
        How it is laid out, one of ``METHODS``.
    hide : bool
        Whether points that the filters set aside are left out.
    """

    colour_by: str
    method: str
    hide: bool


def controls(bundle: Bundle, tags: pd.DataFrame) -> MapOptions:
    """The choices that stand above the map."""
    offered = colours.offered(bundle, sorted(set(tags["tag"])))
    colour_by = st.selectbox(
        "Colour by",
        offered,
        **link.bound(keys.COLOUR, offered),
        label_visibility="collapsed",
        width=190,
        format_func=lambda name: f"Colour: {text.shorten(name, 40)}",
    )
    method = st.segmented_control(
        "Projection",
        list(METHODS),
        default=METHODS[0],
        required=True,
        key=keys.MAP_METHOD,
        bind="query-params",
        label_visibility="collapsed",
        help="PCA keeps large distances, UMAP (McInnes et al. 2018) keeps neighbours. "
        "Regions are found in the full space, never on the map.",
    )
    hide = bool(st.session_state.get(keys.HIDE_FILTERED, False))
    return MapOptions(colour_by or offered[0], method or METHODS[0], hide)


def layouts(bundle: Bundle) -> Callable[[str], tuple[str, NDArray[Any]] | None]:
    """Positions by the name of the projection, for resolving what was drawn; None until laid out."""

    def positions(name: str) -> tuple[str, NDArray[Any]] | None:
        if name not in METHODS:
            return None
        job = services.ask("projection", bundle.digest, method=name.lower())
        return (layout_name(job), job.result()["xy"]) if job.state == "done" else None

    return positions


def layout_name(job: Job) -> str:
    """Short name of a layout, for links."""
    return job.key[:16]


def show_map(
    bundle: Bundle,
    choices: list[Choice],
    chosen: Choice | None,
    looked: Looked,
    tags: pd.DataFrame,
    options: MapOptions,
    *,
    rested: bool,
) -> None:
    """Draw it, and take in what was drawn on it; a skeleton while it is laid out."""
    method, colour_by = options.method, options.colour_by
    pca = services.ask("projection", bundle.digest, method="pca")
    # The slow layout starts when nothing on screen waits for the processor any more.
    ready = pca.state == "done" and (rested or method == "UMAP")
    umap = services.ask("projection", bundle.digest, method="umap") if ready else pca
    job = umap if method == "UMAP" else pca
    if not show_progress(job, what=f"Laying out the map ({method})", key="projection"):
        if job.state in RUNNING:
            st.skeleton(height=HEIGHT)
        return
    result = job.result()
    frame = _framed(job.key, result["xy"])
    cut = frame is not None and not st.session_state.get(keys.MAP_WHOLE, False)
    xy = frame.xy if cut and frame is not None else result["xy"]
    drawn = f"{job.key}-framed" if cut else job.key
    coded = colours.coding(bundle, colour_by, choices, chosen, tags)
    state = _state(bundle.n, looked)
    gesture = pointmap.show(
        keys.MAP_CHART,
        digest=bundle.digest,
        projection=drawn,
        xy=xy,
        codes=coded.codes,
        palette=list(coded.colours),
        legend=_legend(coded, colour_by, looked),
        state=state,
        contours=_contours(drawn, choices, chosen, xy),
        item_prefix=media.item_url(bundle.digest),
        height=HEIGHT,
        hide_filtered=options.hide,
        # Of a group beside the selection the members are to be seen, too.
        aside=chosen is None or chosen.key == SELECTION,
        label=f"Map of {bundle.n} examples, {method}, coloured by {colour_by}.",
    )
    _notes(
        result.meta,
        umap if umap is not job and umap is not pca else None,
        outside=0 if frame is None else frame.outside,
        cut=cut,
        n=bundle.n,
    )
    if gesture is not None:  # a pinned preview needs nothing from here
        _take(bundle, gesture, job, method)
        st.rerun()


def _take(bundle: Bundle, gesture: pointmap.Gesture, job: Job, method: str) -> None:
    if gesture.kind == "clear":
        selection.clear(bundle)
    elif gesture.kind in SHAPES:
        drawn = Drawn(method, layout_name(job), gesture.kind, gesture.points)
        selection.select(bundle, drawn, gesture.op)


@st.cache_resource(show_spinner=False, max_entries=16)
def _framed(layout: str, _xy: NDArray[Any]) -> Framed | None:
    return framed(_xy)


def _notes(
    meta: Mapping[str, Any],
    waiting: Job | None,
    *,
    outside: int = 0,
    cut: bool = False,
    n: int = 0,
) -> None:
    """What the map says of itself; ``outside`` of the ``n`` examples lie where it is ``cut`` off."""
    note = text.plain(meta.get("note", ""), limit=500)
    if cut:
        lie = "lies" if outside == 1 else "lie"
        note += f" {text.count(outside)} of {text.counted(n, 'example')} {lie} far outside, drawn at the edge."
    with st.container(horizontal=True, vertical_alignment="center", key="map_notes"):
        st.caption(note, width="stretch")
        if outside:
            st.toggle(
                "Whole range",
                key=keys.MAP_WHOLE,
                persist_state="session",
                help="Off: the axes follow most examples, and a few far ones stand at the edge, where no "
                "shape selects them. On: every example stands where it is, however small that makes the rest.",
            )
        st.toggle(
            "Hide filtered",
            key=keys.HIDE_FILTERED,
            persist_state="session",
            help="Off: what the filters set aside stays on the map in grey. On: it is not drawn.",
        )
        if waiting is not None:
            follow(waiting, what="UMAP layout")


def _state(n: int, looked: Looked) -> NDArray[np.uint8]:
    state = np.zeros(n, dtype=np.uint8)
    state[looked.selected] |= SELECTED
    state[~looked.shown] |= FILTERED_OUT
    return state


def _legend(coded: Coding, colour_by: str, looked: Looked) -> pointmap.Kinds | pointmap.Scale:
    """Kinds with their counts; "47 / 412" where something is selected or filtered."""
    if coded.numbers:
        return pointmap.Scale(colour_by, coded.low, coded.high)
    part = looked.shown
    if len(looked.selected):
        part = np.zeros(len(coded.codes), dtype=bool)
        part[looked.selected] = True
    counts = count_codes(coded.codes, part, size=len(coded.colours))
    return pointmap.Kinds(
        tuple(
            pointmap.Kind(code, name, count.total, count.chosen)
            for code, (name, count) in enumerate(zip(coded.names, counts, strict=True))
            if count.total
        ),
        # The list beside the map has the same colours and names.
        folded=colour_by == colours.REGION,
    )


def _contours(
    layout: str, choices: list[Choice], chosen: Choice | None, xy: NDArray[Any]
) -> list[pointmap.Contour]:
    return [
        pointmap.Contour(
            one.number,
            one.colour,
            outline(layout, xy, one.group.rows),
            chosen=chosen is not None and chosen.key == one.key,
        )
        for one in choices
        if one.colour
    ]


def outline(layout: str, xy: NDArray[Any], rows: NDArray[np.int64]) -> DensityLines:
    """Lines around listed members: the soft weight of a region reaches far beyond them."""
    return _lines(layout, content_key(rows), xy, rows)


@st.cache_resource(show_spinner=False, max_entries=128)
def _lines(layout: str, members: str, _xy: NDArray[Any], _rows: NDArray[np.int64]) -> DensityLines:
    return member_lines(_xy, _rows)
