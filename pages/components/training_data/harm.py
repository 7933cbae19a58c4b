"""The training examples at both ends of a ranking, and the examples on which each acts most."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.bundle.training import Training
from backend.cache import Entry
from backend.core.bars import count_bars
from backend.core.content import content_key
from pages.components.gallery import gallery
from pages.components.gallery.tiles import mount
from pages.components.shared import charts, palette, text

SHOWN = 24
"""Examples of each end."""
ENDS = {
    "harmful": ("Most harmful", "Without them the group would do better, the scores say."),
    "helpful": ("Most helpful", "Without them the group would do worse, the scores say."),
}
BARS = 60


def show_ends(bundle: Bundle, training: Training, result: Entry) -> None:
    """Both galleries, and the examples that a picked training example acts on."""
    order = result["shown"]
    harmful = order[:SHOWN]
    helpful = order[::-1][:SHOWN]
    picked: list[tuple[str, int]] = []
    for place, (end, rows) in zip(
        st.columns(2, gap="medium"),
        (("harmful", harmful), ("helpful", helpful)),
        strict=True,
    ):
        title, help = ENDS[end]
        with place:
            st.subheader(title, anchor=False, help=help)
            picked += [(end, row) for row in training_tiles(bundle, training, result, rows, end)]
    if not picked:
        st.caption("Pick a training example to see the examples on which it acts most.")
        return
    end, row = picked[-1]
    at = int(np.flatnonzero(order == row)[0])
    score = float(result["scores"][row])
    direction = "lowers" if score < 0 else "raises"
    st.markdown(
        f"**{text.plain(training.ids[row])}** (score {text.number(score)}) {direction} the margin "
        "of these most:"
    )
    gallery.tiles(
        bundle,
        result["acted_on"][at],
        label=f"acted on by {training.ids[row]}",
        key="gallery_acted_on",
    )


def training_tiles(
    bundle: Bundle, training: Training, result: Entry, rows: NDArray[np.int64], end: str
) -> list[int]:
    """Tiles of training examples with their scores; the rows of those that are picked."""
    names = training.class_names or ()
    scores = result["scores"]
    columns = list(training.columns)[:3]
    items: list[dict[str, Any]] = []
    for row in rows.tolist():
        picture = training.thumbnail(row)
        label, prediction = (
            names[codes[row]] if codes is not None else None
            for codes in (training.label_codes, training.prediction_codes)
        )
        items.append(
            {
                "id": str(training.ids[row]),
                "src": None
                if picture is None
                else f"data:image/png;base64,{base64.b64encode(picture).decode()}",
                "text": None
                if training.texts is None
                else text.shorten(str(training.texts[row]), 400),
                "cells": [text.cell(str(training.columns[name][row])) for name in columns],
                "label": label,
                "prediction": prediction,
                "wrong": prediction is not None and prediction != label,
                "loss": "",  # there is room for one number, and the score is what they stand here for
                "weight": f"score {text.number(float(scores[row]))}",
            }
        )
    shown = mount(
        bundle,
        items,
        key=f"training_{end}",
        content=content_key(bundle.digest, end, rows, scores[rows]),
        label=ENDS[end][0],
        columns=columns,
        density="small",
    )
    place = {str(training.ids[row]): row for row in rows.tolist()}
    return [place[one] for one in map(str, shown.picked or []) if one in place]


def show_scores(scores: NDArray[np.float64]) -> None:
    """How the scores are spread, with the line between harm and help."""
    parts = {"harm": scores < 0, "help": scores >= 0}
    bars = count_bars(scores, parts, most=BARS, whole=False)
    figure = go.Figure()
    for name, colour in (("harm", palette.accent()), ("help", palette.context_colour())):
        figure.add_bar(
            x=bars.middles,
            y=bars.counts[name],
            width=bars.widths,
            marker={"color": colour, "line": {"width": 0}},
            hovertemplate="score %{x:.3g}<br>%{y} training examples<extra></extra>",
        )
    figure.add_vline(x=0, line={"dash": "dot", "color": palette.text_colour()})
    for word, anchor, shift in (("← harm", "right", -4), ("help →", "left", 4)):
        figure.add_annotation(
            x=0, y=1, yref="paper", text=word, showarrow=False, xanchor=anchor, xshift=shift
        )
    figure.update_layout(
        barmode="stack",
        bargap=0,
        xaxis={"title": "score"},
        yaxis={"title": "training examples, log scale", "type": "log", "dtick": 1},
    )
    n = int(parts["harm"].nonzero()[0].size)
    charts.show_chart(
        figure,
        bars.table(),
        key="training_scores",
        alt=f"Histogram of scores of {len(scores)} training examples; {n} are below 0.",
        height=230,
    )
