"""Demos: one button each, which opens what is there and makes what is not."""

from __future__ import annotations

import streamlit as st

from backend.core.errors import BackendError
from backend.demo import DEMOS, demo_path
from backend.jobs import Job
from pages.components.shared import frame, keys, services, text, tour

OPENING = "_opening_demo"
"""Session field: the demo whose import is followed, to open it on its own page."""


def offer_demos() -> None:
    """One button for each demo; opening one again opens what is there."""
    st.markdown("**Or open a demo**")
    for name, demo in DEMOS.items():
        there = demo_path(name).is_file()
        about, button = st.columns([5, 4], vertical_alignment="center")
        made = (
            "" if there or demo.shipped else " Made in a few minutes, of data that is downloaded."
        )
        about.caption(f"{demo.about}{made}")
        button.button(
            f"{'Open' if there else 'Make'} {name}",
            key=f"demo_{name}",
            icon=":material/play_circle:" if there else ":material/model_training:",
            width="stretch",
            on_click=begin,
            args=(name,),
            help=None if there else f"The same as `python -m backend demo {name}`, and opens it.",
        )


def begin(name: str) -> None:
    """Open a demo after a click; the page follows the work, and says why it could not begin."""
    st.session_state.pop(keys.IMPORT_PROBLEM, None)
    demo, path, owner = DEMOS[name], demo_path(name), frame.who().key
    try:
        if path.is_file():
            taken = {"path": str(path), "name": demo.title, "columns": {}, "owner": owner}
            job = services.ask("import", "", **taken)
        else:
            job = services.ask("demo", "", name=name, owner=owner)
    except BackendError as error:
        st.session_state[keys.IMPORT_PROBLEM] = str(error)
        return
    st.session_state[keys.IMPORT_JOB] = job.key
    st.session_state[keys.UPLOAD_PATH] = path
    st.session_state["_import_name"] = text.plain(demo.title)
    st.session_state[OPENING] = name


def show_problem(job: Job) -> bool:
    """Why a demo was not made or opened; False where the import is none of a demo."""
    name = st.session_state.get(OPENING)
    if name is None:
        return False
    if job.state == "cancelled":
        st.info(f"Making {name} was stopped.", icon=":material/cancel:")
    else:
        st.error(
            f"The demo {name} was not made: {text.plain(job.error or '', limit=900)}",
            icon=":material/error:",
        )
    return True


def go_to(digest: str) -> None:
    """Show a demo that was opened just now where its tour begins."""
    name = st.session_state.pop(OPENING, None)
    if name is not None and DEMOS[name].tour:
        first = DEMOS[name].tour[0]
        st.switch_page(f"pages/{first.page}.py", query_params=tour.address(digest, first))
