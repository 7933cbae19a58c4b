"""Behind one example: the training examples that help and harm it most."""

from __future__ import annotations

import streamlit as st

from backend.bundle import Bundle
from backend.core.errors import BackendError
from backend.tasks.attribution import METHODS, attributable
from backend.tasks.chapters import agreement_words, mostly_chance
from pages.components.gallery.training import training_tiles
from pages.components.shared import keys, services, text, waiting

SHOWN = 8
"""Training examples of each end."""


def show_causes(bundle: Bundle, row: int, *, key: str) -> None:
    """The most harmful and most helpful training examples of one example, where somebody asks for them.

    Scored by a worker once, and kept: the page about training examples shows the same scores.
    """
    try:
        held = attributable(bundle)
    except BackendError:
        return  # the page about training examples says what is wrong with them
    training = held.training
    if training is None or not held.methods:
        return
    if not st.toggle(
        "Training examples behind it",
        key=f"{key}_causes_wanted",
        persist_state="session",
        help="Scores every training example by what it does to the margin of this one.",
    ):
        return
    method = held.methods[0]
    options = {"question": "rows", "method": method, "rows": [row]}
    job = services.ask("attribution", bundle.digest, **options)
    if not waiting.show_progress(job, what="Scoring the training examples", key=f"{key}_causes"):
        return
    result = job.result()
    st.caption(f"{METHODS[method]}. {text.plain(agreement_words(result.meta), limit=400)}")
    if mostly_chance(result.meta):
        st.warning(
            "Which training examples come first is mostly chance, so none are shown.",
            icon=":material/blur_on:",
        )
        return
    order, scores = result["shown"], result["scores"]
    for end, rows in (("harmful", order[:SHOWN]), ("helpful", order[::-1][:SHOWN])):
        st.markdown(f"**Most {end}**")
        training_tiles(
            training,
            rows,
            key=f"{key}_{end}",
            label=f"Most {end} training examples",
            notes=[f"score {text.number(float(one))}" for one in scores[rows]],
        )
    st.page_link(
        "pages/training_data.py",
        label="All of them, with tags and lists",
        icon=":material/arrow_forward:",
        width="content",
        query_params={
            keys.BUNDLE: bundle.digest[:12],
            keys.TRAINING_QUESTION: "rows",
            keys.TRAINING_GROUP: "example",
            keys.TRAINING_ID: str(bundle.ids[row]),
        },
    )
