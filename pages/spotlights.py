"""Where does the model fail together? The map, the regions, their members."""

from __future__ import annotations

import numpy as np
import streamlit as st

from backend.bundle import Bundle
from backend.core.sampling import sample_for_map
from backend.jobs import Job
from backend.tasks import default_options
from pages.components import fitting, frame, groups, keys, scatter, services, tagging, text, views
from pages.components.waiting import RUNNING, show_progress


def page() -> None:
    bundle = frame.choose_bundle()
    if bundle is None:
        return
    title, options_place = st.columns([5, 1], vertical_alignment="bottom")
    title.header(
        "Where does the model fail together?",
        anchor=False,
        help="A spotlight is a region of representation space with the highest weighted loss at a "
        "given size (d'Eon et al. 2021, arXiv:2107.00758). No labels are needed to find it.",
    )
    with options_place:
        options = default_options("spotlights") | fitting.fit_options(bundle)
    job = services.ask("spotlights", bundle.digest, **options)
    pca = services.ask("projection", bundle.digest, method="pca")
    map_place, list_place = st.columns([7, 5])
    with list_place:
        found = job.partial() if job.state != "done" else regions_of(job)
        choices = groups.region_choices(bundle, found, options, job.key)
        if job.state != "done":
            show_progress(job, what="Searching regions", key="fit")
    with map_place:
        selection = show_map(bundle, choices, pca)
    size = max(1, round(options["size"] * bundle.n if options["size"] < 1 else options["size"]))
    choices += groups.baselines(bundle, size, seed=options["seed"])
    if selection is not None:
        choices.append(selection)
    with list_place:
        choice = groups.choose_group(choices, final=job.state == "done")
    show_group(bundle, choice, choices)


def regions_of(job: Job) -> list[groups.Part]:
    """The regions of a finished search, one part each, like those of a running one."""
    return groups.parts_of(job.result())


def show_map(bundle: Bundle, choices: list[groups.Choice], pca: Job) -> groups.Choice | None:
    """The map with its controls; the group drawn on it, if any."""
    controls = st.container(horizontal=True, vertical_alignment="center", key="map_controls")
    with controls:
        colour_by = st.selectbox(
            "Colour by",
            scatter.colourings(bundle),
            key=keys.COLOUR,
            bind="query-params",
            label_visibility="collapsed",
            width=170,
            help="What the points' colour says.",
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
        umap = (
            services.ask("projection", bundle.digest, method="umap") if pca.state == "done" else pca
        )
        clear = st.container()
    job = umap if method == "UMAP" else pca
    if not show_progress(job, what=f"Laying out the map ({method})", key="projection"):
        st.skeleton(height=scatter.HEIGHT) if job.state in RUNNING else None
        return None
    result = job.result()
    points = result["xy"]
    shape = scatter.current_shape(bundle.digest, method)
    if shape is not None:
        clear.button(
            "Clear selection",
            on_click=scatter.clear_shape,
            type="tertiary",
            icon=":material/close:",
        )
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
    st.caption(map_note(sample, result.meta, umap, method))
    if shape is None:
        return None
    rows = shape.rows(points)
    if len(rows) == 0:
        st.caption("The shape holds no example.")
        return None
    return groups.selection_choice(bundle, rows, shape.to_dict())


def map_note(sample: object, meta: dict[str, object], umap: Job, method: str) -> str:
    """What the map shows and does not show."""
    parts = [text.plain(meta.get("note", ""), limit=200)]
    if not sample.complete:
        parts.append(
            f"{text.count(len(sample.rows))} of {text.count(sample.n)} points drawn, all members of the "
            "regions among them; selections count every example"
        )
    if method == "PCA":
        if umap.state == "done" and umap.options.get("method") == "umap":
            parts.append("the UMAP layout is ready")
        elif umap.state in RUNNING:
            parts.append("the UMAP layout is being computed")
    return " · ".join(part for part in parts if part)


def show_group(bundle: Bundle, choice: groups.Choice, choices: list[groups.Choice]) -> None:
    """The chosen group: tag it, look at it."""
    tags = tagging.tags_of(bundle)
    bar = st.container()
    view = views.choose_view(bundle)
    picked = views.show_view(bundle, view, choice, choices, tags)
    with bar:
        tagging.show_bar(bundle, choice, picked)


page()
