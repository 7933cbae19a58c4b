"""Tags on training examples: the bar that puts them on, and what carries them."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.bundle.training import Training
from pages.components.gallery import keyboard
from pages.components.gallery.shown import Shown
from pages.components.gallery.training import training_tiles
from pages.components.group import tagging
from pages.components.shared import services, text
from pages.components.training_data.questions import TrainingQuestion

SHOWN = 48
"""Examples of a tag that are shown."""


def source_of(asked: TrainingQuestion) -> dict[str, Any]:
    """What the record of a tag says of the question that showed the examples."""
    options = {name: value for name, value in asked.options.items() if name != "rows"}
    return {"kind": "training", "about": asked.name, "options": options}


def score_notes(scores: NDArray[np.float64], rows: NDArray[np.int64]) -> list[str]:
    """The score of each of these training examples, as it stands on a tile."""
    return [f"score {text.number(float(one))}" for one in scores[rows]]


def tagged_tiles(
    bundle: Bundle,
    training: Training,
    rows: NDArray[np.int64],
    *,
    key: str,
    label: str,
    notes: list[str],
    source: dict[str, Any],
) -> list[int]:
    """Tiles of training examples with the line of keys that tag them; the rows of those picked."""
    picked = training_tiles(training, rows, key=key, label=label, notes=notes, tagging=True)
    keyboard.show_line(
        Shown(bundle, key, rows, 0, rows, source=source, quiet=True, examples=training)
    )
    return picked


def show_bar(training: Training, picked: list[int], source: dict[str, Any]) -> None:
    """Tag what is picked; undo, history and the file."""
    ids = [str(training.ids[row]) for row in picked]
    tagging.tag_bar(training, [("picked", ids, source)])


def show_tagged(
    bundle: Bundle, training: Training, scores: NDArray[np.float64], asked: TrainingQuestion
) -> None:
    """Training examples that carry a tag, with their scores, the most harmful first."""
    bar = st.container()
    tags = services.known().tags(training.digest)
    names = sorted(set(tags["tag"]))
    picked: list[int] = []
    if names:
        name = st.selectbox("Tag", names, key="training_tag_shown", width=280)
        places = training.places(tags["id"][tags["tag"] == name])
        rows = places[places >= 0]
        rows = rows[np.argsort(scores[rows], kind="stable")]
        st.caption(
            f"{text.counted(len(rows), 'training example')}, the most harmful first"
            + (f"; {SHOWN} are shown." if len(rows) > SHOWN else ".")
        )
        picked = tagged_tiles(
            bundle,
            training,
            rows[:SHOWN],
            key="training_tagged",
            label=f"tagged {name}",
            notes=score_notes(scores, rows[:SHOWN]),
            source=source_of(asked),
        )
    else:
        st.caption("No training example is tagged yet: pick some under Examples.")
    with bar:
        show_bar(training, picked, source_of(asked))
