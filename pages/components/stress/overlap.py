"""Do models fail on the same examples? Overlap of failures, families, and what all get wrong."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.groups import sharp_group
from backend.populations import compression_levels, count_shared, failed_rows
from pages.components.gallery import gallery
from pages.components.group import tagging
from pages.components.shared import charts, palette, populations, text
from pages.components.shared.choice import Choice


def show_overlap(bundle: Bundle) -> None:
    """The heat map, the means of the families and the shared failures."""
    if bundle.label_codes is None or not bundle.populations:
        populations.show_empty(
            "Failure overlap needs labels and the answers of several models.", key="overlap",
            demos=("compression", "fashion"),
        )  # fmt: skip
        return
    ensemble = populations.ensemble_of(bundle)
    names = [
        one.name for one in compression_levels(list(ensemble.populations), ensemble.baseline())
    ]
    held = st.session_state.get("overlap_families")
    if held is not None and any(name not in names for name in held):
        del st.session_state["overlap_families"]
    chosen = st.multiselect(
        "Families of models", names, default=names[:6], key="overlap_families",
        persist_state="session", help="A population is a family.",
    )  # fmt: skip
    if not chosen:
        st.info("Choose at least one family.")
        return
    found = populations.ask(bundle, "overlap", doing="Comparing failures", populations=list(chosen))
    if found is None:
        return
    models, families = found.tables["models"], found.tables["families"]
    iou, failing = found.arrays["iou"], np.asarray(found.arrays["n_failing"])
    left, right = st.columns([7, 5], gap="medium")
    with left:
        st.markdown("**Failures two models share / failures either has (IoU)**")
        labels = [f"{row.population} {row.model}" for row in models.itertuples()]
        behind = pd.DataFrame(iou, columns=unique_names(labels))
        behind.insert(0, "model", labels)
        behind.insert(1, "failures", models["n_failed"])
        charts.show_chart(
            iou_figure(np.asarray(iou), models, labels), behind, key="overlap_iou",
            height=min(430, 110 + max(9, 260 // len(labels)) * len(labels)),
            alt="Overlap of the failures of every two models.",
        )  # fmt: skip
    with right:
        st.markdown("**Mean over pairs of models, within and between families**")
        charts.show_table(
            families.rename(columns={"first": "family", "second": "with", "mean_iou": "mean IoU"}),
            key="overlap_means",
        )
        shared = count_shared(failing, len(models))
        st.markdown(
            f"All {len(models)} models fail on **{text.count(shared.n_all)}** examples, at least one "
            f"on {text.count(shared.n_any)}: shared by all {text.percent(shared.share)}."
        )
        st.caption(
            "IoU is 1 where two models fail on exactly the same examples, and undefined (–) where neither "
            "fails (Chegini, Feizi 2023). Failures shared by every model are often noisy labels or "
            "missing data; those of one family point to what was done to it."
        )
    show_shared(bundle, failing, len(models), list(chosen))


def unique_names(names: list[str]) -> list[str]:
    """Names as columns: a second one of the same name gets a number."""
    seen: dict[str, int] = {}
    made = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        made.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return made


def iou_figure(iou: NDArray[np.float64], models: pd.DataFrame, labels: list[str]) -> go.Figure:
    shown = iou.copy()
    figure = go.Figure(
        go.Heatmap(
            z=shown,
            zmin=0,
            zmax=1,
            colorscale=palette.loss_scale(),
            xgap=1,
            ygap=1,
            colorbar={"title": "IoU", "thickness": 10},
            customdata=[[[text.chart(a), text.chart(b)] for b in labels] for a in labels],
            hovertemplate="%{customdata[0]}<br>%{customdata[1]}<br>IoU %{z:.2f}<extra></extra>",
        )
    )
    if len(labels) <= 12:
        words = np.array([[text.number(one) for one in row] for row in iou], dtype=object)
        charts.write_cells(figure, iou, words, palette.loss_scale(), low=0.0, high=1.0)
    borders = np.flatnonzero(
        models["population"].to_numpy()[1:] != models["population"].to_numpy()[:-1]
    )
    for at in borders:
        edge = {"width": 2, "color": palette.text_colour()}
        figure.add_hline(y=at + 0.5, line=edge)
        figure.add_vline(x=at + 0.5, line=edge)
    ends = [-1, *borders.tolist(), len(models) - 1]
    ticks = {
        "tickvals": [(before + 1 + last) / 2 for before, last in pairwise(ends)],
        "ticktext": [text.chart(text.shorten(models["population"][at], 18)) for at in ends[1:]],
        "showgrid": False,
        "zeroline": False,
    }
    figure.update_layout(
        xaxis=ticks, yaxis={**ticks, "range": [len(labels) - 0.5, -0.5]}, clickmode="none"
    )
    return figure


def show_shared(
    bundle: Bundle, failing: NDArray[np.int64], n_models: int, chosen: list[str]
) -> None:
    """Examples that at least so many models get wrong."""
    most = int(failing.max())
    if most == 0:
        st.info("No model fails on any example.")
        return
    at_least = n_models
    if n_models > 1:
        at_least = int(
            st.slider(
                "Failed by at least so many models", 1, n_models, min(n_models, most),
                key=f"overlap_at_least_{n_models}",
            )
        )  # fmt: skip
    rows = failed_rows(failing, bundle.losses, at_least=at_least)
    if len(rows) == 0:
        st.info(f"No example is failed by {at_least} models; {most} is the most.")
        return
    source = {"kind": "shared failures", "populations": chosen, "at_least": at_least}
    choice = Choice(
        "shared", "shared failures", sharp_group("shared failures", rows, bundle.losses), source
    )
    st.subheader(
        f"Failed by {at_least} or more of {n_models} models · {text.counted(len(rows), 'example')} · "
        f"mean loss {text.number(choice.group.member_loss)} ({text.times(choice.group.ratio)} base)",
        anchor=False,
    )
    bar = st.container()
    picked = gallery.show_gallery(bundle, choice.group, key="gallery_shared")
    with bar:
        tagging.show_bar(bundle, choice, picked)
