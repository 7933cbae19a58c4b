"""The report: one file that shows what was found, and a section for a model card."""

from __future__ import annotations

from functools import partial
from typing import Any

import streamlit as st

from backend.bundle import Bundle
from backend.cache import Entry
from backend.core.errors import BackendError
from backend.store import Store
from backend.tasks.chapters import CHAPTERS
from pages.components.shared import chapters, services, text, waiting
from pages.components.spotlights import methods, trust

ASKED = "_report_asked"
CLAIM = "report_claim"
METHODS = "report_methods"
TOLD = "report_chapters"


def show_report(bundle: Bundle) -> None:
    """Make the report when it is asked for, then offer it."""
    task, search = trust.last_search(bundle)
    st.caption(
        "One HTML file that opens without a network: the bundle, its regions, tags, hypotheses "
        f"and blind checks. Regions: those of the last search, {_words(task, search)}."
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Make the report",
            key="report_make",
            type="primary",
            icon=":material/description:",
            on_click=_ask,
            args=(bundle, task, search),
        )
        st.toggle(
            "Say whether the regions are real",
            value=True,
            key=CLAIM,
            help="What the view “Is it real?” says of each region. Takes up to a minute when it is "
            "not known yet.",
            persist_state="session",
        )
        st.toggle(
            "Compare other methods",
            value=False,
            key=METHODS,
            help="Adds the table of the view “Other methods”.",
            persist_state="session",
        )
    _choose_chapters(bundle)
    asked = st.session_state.get(ASKED)
    if not asked or asked["digest"] != bundle.digest:
        return
    try:
        job = services.ask("report", bundle.digest, **asked["options"])
    except BackendError as error:
        st.error(text.plain(error, limit=600))
        return
    if not waiting.show_progress(job, what="The report", key="report"):
        return
    _offer(bundle, job.result(), asked["options"]["log"])


def _choose_chapters(bundle: Bundle) -> None:
    """Which results of other pages are chapters: of those that were on screen in this session."""
    there = [name for name in CHAPTERS if name in chapters.remembered(bundle)]
    if not there:
        st.caption(
            "Chapters on the cause, on words and on a repair: open *Training data* or *Repair* first. What "
            "they showed last can then be told here."
        )
        return
    st.pills(
        "Chapters",
        there,
        selection_mode="multi",
        default=there,
        format_func=lambda one: CHAPTERS[one].title,
        key=TOLD,
        help="What *Training data* and *Repair* showed last in this session.",
    )


def _words(task: str, search: dict[str, Any]) -> str:
    """A search in a few words."""
    if task == "regions":
        return f"at most {search['n_regions']} regions among all and within labels, seed {search['seed']}"
    size = search["size"]
    each = text.percent(size) if size < 1 else f"{text.counted(round(size), 'example')}"
    return (
        f"{search['n_spotlights']} spotlights of {each}, solver {search['solver']}, "
        f"seed {search['seed']}"
    )


def _ask(bundle: Bundle, task: str, search: dict[str, Any]) -> None:
    held = chapters.remembered(bundle)
    told = [name for name in st.session_state.get(TOLD) or () if name in held]
    digest, compared = bundle.digest, methods.asked_of(bundle, task, search)
    options = {
        task: search,
        "claim": bool(st.session_state.get(CLAIM, True)),
        "methods": compared if st.session_state.get(METHODS, False) else None,
        "log": latest(digest),
        "chapters": {name: held[name] for name in told},
    }
    st.session_state[ASKED] = {"digest": digest, "options": options}


def latest(digest: str) -> int:
    """Number of the bundle's latest event; 0 before the first."""
    return max((event.seq for event in services.known().events(digest, limit=1)), default=0)


def _bytes(made: Entry, part: str, store: Store) -> bytes:
    return bytes(made[part].tobytes())


def _offer(bundle: Bundle, made: Entry, log: int) -> None:
    if latest(bundle.digest) != log:
        st.info(
            "Something was tagged, tested or undone since this report was made. Make it again to "
            "have that in it.",
            icon=":material/history:",
        )
    name = str(made.meta["name"])
    with st.container(horizontal=True):
        for words, part, ending, mime, icon in (
            ("Download report", "html", ".html", "text/html", ":material/download:"),
            (
                "Download model card section",
                "markdown",
                ".md",
                "text/markdown",
                ":material/id_card:",
            ),
        ):
            st.download_button(
                f"{words} · {text.size(made[part].nbytes)}",
                data=services.handed(
                    bundle.digest, f"the report as {part}", partial(_bytes, made, part)
                ),
                file_name=name + ending,
                mime=mime,
                key=f"report_{part}",
                icon=icon,
                on_click="ignore",
                help="A Markdown section as Mitchell et al. 2019 (arXiv:1810.03993) ask for."
                if part == "markdown"
                else None,
            )
