"""Two long tails: of the examples training was unsure of, which are atypical and which are noise?"""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.cache import Entry
from backend.core.errors import BackendError
from backend.difficulty import LongTails
from backend.map.geometry import rows_in_box, rows_in_polygon
from backend.scores.tails import (
    EVALUATION,
    FollowedRows,
    TwoAxes,
    epoch_lines,
    follow_tails,
    followed_rows,
    least_confident,
    tail_table,
    two_axes,
)
from backend.tasks.difficulty import tails_of
from backend.views import Ids, Looked
from backend.views.state import MAX_IDS
from pages.components.hardest.review import show_review
from pages.components.shared import charts, keys, link, palette, services, text, waiting
from pages.components.view import selection

AXES = "tails_axes"
NO_TRUTH = "nothing"
INLINE_CELLS = 5_000_000
"""Confidences (rows times epochs times variants) up to which following them takes under two seconds."""
HEIGHT = 380
NAME_HEIGHT = 0.055
"""Height of the name of a line, of a chart from 0 to 1."""
MEASURES = {"mean_msp": "Confidence", "mean_rank": "Percentile rank"}
SHAPES = ("solid", "dash", "dot", "dashdot", "longdash")
"""Lines of subsets; variants have colours."""

NEEDED = (
    "This bundle does not hold how confident training was. It needs the softmax probability of the "
    "given label at every epoch, recorded in the training pass: `train/msp` (training examples, epochs) "
    "for its training set (`collect(..., confidence=)` with the collector's `Confidence`), or `msp/<variant>` (examples, epochs) where these very examples were trained "
    "on. With two variants, `none` and `targeted` augmentation, it also shows what augmentation gained."
)


def show_tails(bundle: Bundle, looked: Looked) -> None:
    """Curves, two axes with a lasso, precision where truth is known, and the review."""
    held = followed_rows(bundle)
    if not held:
        st.info(NEEDED, icon=":material/info:")
        return
    rows, truth = choose_rows(held)
    try:
        tails = follow(bundle, rows, truth)
    except BackendError as error:
        st.error(text.plain(error, limit=500))
        return
    if tails is None:
        return
    if rows.name == EVALUATION:
        st.caption(
            "Taken as recorded while these very examples were trained on. Where they were not, the "
            "tails say what is hard to predict, not what training learned late."
        )
    left, right = st.columns(2, gap="large")
    with left:
        show_curves(tails)
    with right:
        show_axes(bundle, tails, rows, looked)
    if len(tails.separation):
        show_separation(tails)
    if rows.name == EVALUATION:
        show_review(bundle, tails, least_confident(tails, reviewed(tails, looked)))
    else:
        show_rows(tails)


def reviewed(tails: LongTails, looked: Looked) -> NDArray[np.int64]:
    """What is reviewed: the selection, else the candidates that the filters show."""
    if len(looked.selected):
        return looked.selected
    return np.flatnonzero(tails.candidates & looked.shown)


def choose_rows(held: dict[str, FollowedRows]) -> tuple[FollowedRows, str | None]:
    """Whose confidence, and which column knows the truth of them."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = next(iter(held))
        if len(held) > 1:
            name = str(
                st.segmented_control(
                    "Of the", list(held), required=True, **link.bound(keys.TAILS_OF, list(held))
                )
            )
        rows = held[name]
        offered = [NO_TRUTH, *rows.columns]
        truth = st.selectbox(
            "Known of them", offered, width=260, **link.bound(keys.TAILS_TRUTH, offered),
            format_func=lambda one: text.shorten(one, 60),
            help="A column that says which are noisy or atypical by construction: curves are then of its "
            "values, and average precision says how well low confidence finds them.",
        )  # fmt: skip
    return rows, None if truth in (None, NO_TRUTH) else str(truth)


def follow(bundle: Bundle, rows: FollowedRows, truth: str | None) -> LongTails | None:
    """The long tails, at once where that is quick, else by a worker; None until it is done."""
    if rows.n_cells <= INLINE_CELLS:
        return _followed(bundle.digest, rows.name, truth, rows)
    job = services.ask("tails", bundle.digest, of=rows.name, truth=truth)
    if not waiting.show_progress(job, what="Following the confidence over training", key="tails"):
        return None
    return _kept(job.key, job.result())


@st.cache_resource(show_spinner=False, max_entries=8)
def _kept(job_key: str, _result: Entry) -> LongTails:
    return tails_of(_result)


@st.cache_resource(show_spinner="Following the confidence over training …", max_entries=8)
def _followed(digest: str, name: str, truth: str | None, _rows: FollowedRows) -> LongTails:
    return follow_tails(_rows, truth=truth)


def show_curves(tails: LongTails) -> None:
    """Mean confidence, or mean rank, per epoch: a colour per variant, a dash per subset."""
    measure = st.segmented_control(
        "Curves", list(MEASURES), default="mean_msp", required=True, key="tails_measure",
        format_func=MEASURES.__getitem__, persist_state="session",
        help="Confidence: mean probability of the given label. Percentile rank: mean place among all, "
        "0 is least confident.",
    )  # fmt: skip
    figure = lines_figure(tails, tails.curves, str(measure))
    figure.update_layout(
        xaxis={"title": "epoch", "zeroline": False, "range": [0, tails.n_epochs + 0.5]},
        yaxis={"title": MEASURES[str(measure)].lower(), "range": [0, 1.02], "zeroline": False},
    )
    charts.show_chart(
        figure, tails.curves, key="tails_curves", height=HEIGHT, margin={"r": 130},
        alt="Mean confidence in the given label per epoch.",
    )  # fmt: skip


def lines_figure(tails: LongTails, table: pd.DataFrame, measure: str) -> go.Figure:
    """One line per variant and subset, named at its end: a colour per variant, a dash per subset."""
    figure = go.Figure()
    lines = epoch_lines(table, measure)
    ends = apart([float(line.values[-1]) for line in lines])
    notes = []
    for line, end in zip(lines, ends, strict=True):
        name = line.variant if line.subset == "all" else f"{line.variant}, {line.subset}"
        figure.add_scatter(
            x=line.epochs, y=line.values, mode="lines+markers", marker={"size": 5},
            line={
                "color": palette.region_hue(tails.variants.index(line.variant)),
                "dash": SHAPES[line.place % len(SHAPES)],
            },
            hovertemplate=f"{text.chart(name)}<br>epoch %{{x}}: %{{y:.3f}}<extra></extra>",
        )  # fmt: skip
        notes.append(
            {
                "x": line.epochs[-1], "y": end, "xanchor": "left", "xshift": 6,
                "text": text.chart(text.shorten(name, 28)), "font": {"size": 11},
            }
        )  # fmt: skip
    charts.write_notes(figure, notes)
    return figure


def apart(ends: list[float]) -> list[float]:
    """Heights of names at the ends of lines, each above the one below it by a line of text."""
    places = list(ends)
    floor = -1.0
    for at in np.argsort(ends, kind="stable"):
        places[at] = floor = max(ends[at], floor + NAME_HEIGHT)
    return places


def show_axes(bundle: Bundle, tails: LongTails, rows: FollowedRows, looked: Looked) -> None:
    """Every row between confident and gained; a shape drawn on it selects what lies within."""
    axes = two_axes(tails)
    selects = rows.name == EVALUATION
    st.markdown(
        "**Two axes, not a verdict**",
        help="Low confidence that rises late, or gains by augmentation, suggests an atypical example; "
        "low confidence that never rises suggests noise (D'souza et al. 2021; the axes are our extension).",
    )
    figure = axes_figure(tails, axes, looked.selected if selects else np.empty(0, np.int64))
    key = f"{AXES}_{bundle.digest[:8]}_{rows.name}"
    with st.container(key="tails_axes_chart"):
        charts.ink(figure)
        st.plotly_chart(
            figure, key=key, config={"displaylogo": False},
            on_select=(lambda: _drawn(bundle, key, axes)) if selects else "ignore",
            selection_mode=("lasso", "box"),
            alt=f"{axes.y_title} against {axes.x_title}.",
        )  # fmt: skip
    said = (
        "Draw a lasso or a box to select; the selection is the one of every page."
        if selects
        else ""
    )
    drawn = len(axes.drawn)
    some = "" if drawn == len(axes.x) else (
        f"{text.count(drawn)} of {text.count(len(axes.x))} are drawn, all candidates among them; a shape "
        "holds the others too."
    )  # fmt: skip
    st.caption(
        f"● candidates, the least confident at epoch {tails.epoch + 1} of "
        f"{text.plain(tails.reference)}. {said} {some}"
    )


def axes_figure(tails: LongTails, axes: TwoAxes, selected: NDArray[np.int64]) -> go.Figure:
    """Candidates in the accent over the others in grey; rings around what is selected."""
    figure = go.Figure()
    candidate = tails.candidates[axes.drawn]
    for name, mask, colour in (
        ("other", ~candidate, palette.context_colour()),
        ("candidate", candidate, palette.accent()),
    ):
        held = axes.drawn[mask]
        figure.add_scattergl(
            x=axes.x[held], y=axes.y[held], mode="markers", name=name,
            marker={"size": 5, "color": colour, "opacity": 0.75},
            hovertemplate=f"{name}<br>%{{x:.3f}}, %{{y:.3f}}<extra></extra>",
        )  # fmt: skip
    ringed = selected[np.isin(selected, axes.drawn)]
    figure.add_scattergl(
        x=axes.x[ringed], y=axes.y[ringed], mode="markers", name="selected", hoverinfo="skip",
        marker={"size": 9, "symbol": "circle-open", "color": palette.text_colour()},
    )  # fmt: skip
    ink = {"color": palette.text_colour()}
    figure.update_layout(
        height=HEIGHT + 40, margin={"l": 0, "r": 8, "t": 8, "b": 0}, showlegend=False,
        dragmode="lasso", uirevision="tails", font=ink,
        xaxis={"title": text.chart(axes.x_title), "tickfont": ink, "title_font": ink},
        yaxis={"title": text.chart(axes.y_title), "tickfont": ink, "title_font": ink},
    )  # fmt: skip
    return figure


def _drawn(bundle: Bundle, key: str, axes: TwoAxes) -> None:
    """Select every row inside the shape that was drawn."""
    drawn = st.session_state[key].selection
    points = np.column_stack([axes.x, axes.y])
    if drawn.get("lasso"):
        outline = drawn["lasso"][-1]
        rows = rows_in_polygon(points, np.column_stack([outline["x"], outline["y"]]))
    elif drawn.get("box"):
        corners = drawn["box"][-1]
        rows = rows_in_box(points, np.asarray(corners["x"]), np.asarray(corners["y"]))
    else:
        return
    if len(rows) > MAX_IDS:
        words = f"A shape here can select {text.counted(MAX_IDS, 'example')} at most: draw a smaller one."
        st.session_state[keys.NOTICE] = (words, ":material/info:")
    elif len(rows):
        ids = tuple(map(str, bundle.ids[np.sort(rows)]))
        selection.select(bundle, Ids(ids, f"{text.count(len(ids))} on the two long tails"))


def show_separation(tails: LongTails) -> None:
    """How well ranking by least confidence finds each known subset, beside chance, epoch by epoch."""
    table = tails.separation
    st.markdown(
        "**Does low confidence find them?**",
        help="Average precision (area under precision and recall) of ranking by least confidence; the "
        "dotted line is the prevalence, what a random order gets.",
    )
    figure = lines_figure(tails, table, "precision")
    for subset, chance in dict(zip(table["subset"], table["prevalence"], strict=True)).items():
        figure.add_hline(
            y=chance, line={"dash": "dot", "width": 1, "color": palette.text_colour()},
            annotation={"text": f"prevalence, {text.chart(subset)}", "font": {"size": 11}},
            annotation_position="top right",
        )  # fmt: skip
    figure.update_layout(
        xaxis={"title": "epoch", "zeroline": False, "range": [0, tails.n_epochs + 0.5]},
        yaxis={"title": "average precision", "rangemode": "tozero"},
    )
    charts.show_chart(
        figure, table, key="tails_separation", height=300, margin={"r": 190, "t": 16},
        alt="Average precision of least confidence for each known subset, beside its prevalence.",
        config=charts.percent_columns("prevalence"),
    )  # fmt: skip


def show_rows(tails: LongTails) -> None:
    """The candidates of the training set, which have no pictures here, as a table to take along."""
    table = tail_table(tails, least_confident(tails, np.flatnonzero(tails.candidates)))
    st.markdown(
        f"**{text.counted(len(table), 'candidate')} of the training set**, least confident first"
    )
    charts.show_table(table, key="tails_rows")
    st.caption("Rows count from 0 in the training set, in the order of train/msp.")
