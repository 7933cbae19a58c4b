"""Where does the model fail together? The map, the regions, their members."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import streamlit as st

from backend.bundle import Bundle
from backend.core.sampling import MapSample, sample_for_map
from backend.tasks import default_options
from pages.components import (
    fitting,
    frame,
    groups,
    keys,
    link,
    methods,
    scatter,
    services,
    tagging,
    text,
    trust,
)
from pages.components.panel import show_group
from pages.components.waiting import RUNNING, follow, show_progress


def page() -> None:
    bundle = frame.choose_bundle()
    if bundle is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="title_bar"):
        st.header(
            "Where does the model fail together?",
            anchor=False,
            width="stretch",
            help="A spotlight is a region of representation space with the highest weighted loss at a "
            "given size (d'Eon et al. 2021, arXiv:2107.00758). No labels are needed to find it.",
        )
        colour_by, method = map_controls(bundle)
        options = default_options("spotlights") | fitting.fit_options(bundle)
    job = services.ask("spotlights", bundle.digest, **options)
    map_place, list_place = st.columns([7, 5])
    done = job.state == "done"  # read once: it may end between two looks
    with list_place:
        found = groups.parts_of(job.result()) if done else job.partial()
        choices = groups.region_choices(bundle, found, options, job.key)
        if not done and show_progress(job, what="Searching regions", key="fit"):
            st.rerun()  # it ended just now, and nothing polls any more
    with map_place:
        selection = show_map(bundle, choices, colour_by, method, rested=done)
    if not choices and not done:
        if job.state in RUNNING:
            list_place.skeleton(height=scatter.HEIGHT - 60)
        return
    checked = trust.ask(bundle, options) if done else None
    choices += groups.baselines(bundle, options["size"], seed=options["seed"])
    if selection is not None:
        choices.append(selection)
    with list_place:
        choice = groups.choose_group(
            choices, final=done, verdicts=trust.verdicts(checked) if checked else {}
        )
        with st.container(horizontal=True, vertical_alignment="center"):
            if checked:
                follow(checked, what="Check whether they are real")
            if choice.source["kind"] == "region":
                tagging.rename_form(bundle, choice)
    more = {"Other methods": lambda: methods.show_methods(bundle, options)}
    if checked:
        more = {"Is it real?": lambda: trust.show_trust(checked, choices), **more}
    show_group(bundle, choice, choices, more=more)


def map_controls(bundle: Bundle) -> tuple[str, str]:
    """What the colour says, and how the map is laid out."""
    colourings = scatter.colourings(bundle)
    colour_by = st.selectbox(
        "Colour by",
        colourings,
        **link.bound(keys.COLOUR, colourings),
        label_visibility="collapsed",
        width=170,
        format_func=lambda name: f"Colour: {name}",
    )
    method = st.segmented_control(
        "Projection",
        ["PCA", "UMAP"],
        default="PCA",
        required=True,
        key=keys.MAP_METHOD,
        bind="query-params",
        label_visibility="collapsed",
        help="PCA keeps large distances, UMAP (McInnes et al. 2018) keeps neighbours. "
        "Regions are found in the full space, never on the map.",
    )
    return colour_by, method or "PCA"


def show_map(
    bundle: Bundle, choices: list[groups.Choice], colour_by: str, method: str, *, rested: bool
) -> groups.Choice | None:
    """The map; the group drawn on it, if any."""
    pca = services.ask("projection", bundle.digest, method="pca")
    # The slow layout starts when nothing on screen waits for the processor any more.
    ready = pca.state == "done" and (rested or method == "UMAP")
    umap = services.ask("projection", bundle.digest, method="umap") if ready else pca
    job = umap if method == "UMAP" else pca
    if not show_progress(job, what=f"Laying out the map ({method})", key="projection"):
        if job.state in RUNNING:
            st.skeleton(height=scatter.HEIGHT)
        return None
    result = job.result()
    points = result["xy"]
    shape = scatter.current_shape(bundle.digest, method)
    members = [choice.group.rows for choice in choices]
    keep = np.concatenate(members) if members else np.empty(0, dtype=np.int64)
    sample = sample_for_map(bundle.n, keep)
    layers = [
        scatter.Layer(choice.name, choice.group.rows, choice.colour, choice.number)
        for choice in choices
    ]
    scatter.show_map(
        bundle,
        points,
        sample,
        layers,
        projection=method,
        colour_by=colour_by,
        values=scatter.values_for(bundle, colour_by),
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(map_note(sample, result.meta), width="stretch")
        if umap is not job and umap is not pca:
            follow(umap, what="UMAP layout")
        if shape is not None:
            st.button(
                "Clear selection",
                on_click=scatter.clear_shape,
                type="tertiary",
                icon=":material/close:",
                key="clear_shape",
            )
    if shape is None:
        return None
    rows = shape.rows(points)
    if len(rows) == 0:
        st.caption("The shape holds no example.")
        return None
    return groups.selection_choice(bundle, rows, shape.to_dict())


def map_note(sample: MapSample, meta: Mapping[str, Any]) -> str:
    """What the map shows and does not show."""
    parts = [text.plain(meta.get("note", ""), limit=200)]
    if not sample.complete:
        parts.append(
            f"{text.count(len(sample.rows))} of {text.count(sample.n)} points drawn, all members of the "
            "regions among them; selections count every example"
        )
    return " · ".join(part for part in parts if part)


page()
