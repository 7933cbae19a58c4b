"""The training examples that the model fits least."""

from __future__ import annotations

import streamlit as st

from backend.bundle import Bundle
from backend.bundle.training import Training
from pages.components.shared import text
from pages.components.training_data.tagged import show_bar, tagged_tiles

SHOWN = 48
"""Examples that are shown."""
SOURCE = {"kind": "training", "about": "highest loss in training", "options": {}}


def show_unfitted(bundle: Bundle, training: Training) -> None:
    """Training examples of highest loss as tiles, with the bar to tag from them."""
    bar = st.container()
    rows = training.least_fitted(SHOWN)
    losses = training.losses
    assert losses is not None  # the tab is there where losses are
    st.caption(
        f"The {text.counted(len(rows), 'training example')} of highest loss of {text.count(training.n)}, the "
        "highest first: what the model does not fit although it was trained on it is often a wrong label, or "
        "rare. It does not depend on the question above."
    )
    picked = tagged_tiles(
        bundle,
        training,
        rows,
        key="training_unfitted",
        label="Highest loss in training",
        notes=[f"loss {text.number(float(one))}" for one in losses[rows]],
        source=SOURCE,
    )
    with bar:
        show_bar(training, picked, SOURCE)
