"""How many training examples to leave out, searched for on half of the evaluated ones."""

from __future__ import annotations

import streamlit as st

from backend.bundle import Bundle
from backend.tasks.removal_search import search_table
from pages.components.shared import charts, services, text
from pages.components.shared.waiting import show_progress
from pages.components.training_data.questions import TrainingQuestion

JOB = "_removal_search"
NUMBER = "training_number"
"""The number to leave out, on the page."""


def show_search(bundle: Bundle, asked: TrainingQuestion) -> None:
    """A button that searches, and what it found, with a way to take the number over."""
    st.button(
        "Search the number",
        key="training_search",
        icon=":material/search:",
        type="tertiary",
        on_click=_ask,
        args=(bundle.digest, asked),
        help="Half of the evaluated examples makes the scores and chooses the number, the last layer being refitted "
        "for each that is tried; what you see is measured on the other half. What lies below the last layer "
        "stays as it is.",
    )
    of, options, key = st.session_state.get(JOB, ("", {}, ""))
    if (of, options) != (bundle.digest, asked.options):
        return
    job = services.job(key)
    if job is None or not show_progress(job, what="Searching the number", key="removal_search"):
        return
    found = job.result()
    meta = found.meta
    best = int(meta["best"])
    small = (
        f" {text.counted(meta['small'], 'group')} of few examples measured nothing."
        if meta["small"]
        else ""
    )
    said = f"leaving out **{text.count(best)}**" if best else "leaving out **nothing**"
    st.markdown(
        f"On the {text.count(meta['n_chooses'])} examples that choose, {said} is best for the worst group. The table is "
        f"measured on the {text.count(meta['n_reports'])} others.{small}"
    )
    charts.show_table(search_table(found), key="training_searched")
    if best:
        st.button(
            f"Take {text.count(best)}",
            key="training_take",
            icon=":material/check:",
            on_click=_take,
            args=(best,),
        )


def _ask(digest: str, asked: TrainingQuestion) -> None:
    job = services.ask("removal_search", digest, **asked.options)
    st.session_state[JOB] = (digest, asked.options, job.key)


def _take(number: int) -> None:
    st.session_state[NUMBER] = number
