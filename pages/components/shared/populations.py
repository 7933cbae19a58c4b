"""Questions about populations of models: answered at once where that is quick, else by a worker."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.cache import Entry
from backend.core.progress import ignore_progress
from backend.demo import DEMOS, demo_path
from backend.populations import Answer, Ensemble, Evaluation, answer
from backend.tasks import (
    GroupingColumns,
    answer_of,
    category_column,
    evaluation_of,
    grouping_columns,
)
from pages.components.shared import keys, link, services, text, waiting

INLINE_CELLS = 40_000_000
"""Answers of models (models times examples) up to which a question takes well under two seconds."""
_DEMO = "_demo_job"


def ask(bundle: Bundle, what: str, *, doing: str, place: str = "", **options: Any) -> Answer | None:
    """The answer to one question of ``backend.populations.answers``; None while it is computed.

    ``doing`` says on screen what is being computed; ``place`` tells two askers on a page apart.
    """
    if cells(bundle) <= INLINE_CELLS:
        return _inline(bundle.digest, what, json.dumps(options, sort_keys=True), bundle)
    job = services.ask("populations", bundle.digest, what=what, options=options)
    if not waiting.show_progress(job, what=doing, key=f"populations_{what}{place}"):
        return None
    return _unpacked(job.key, job.result())


def cells(bundle: Bundle) -> int:
    """How much there is to compare: models times examples."""
    return bundle.n * (1 + sum(len(models) for models in bundle.populations.values()))


@st.cache_resource(show_spinner=False, max_entries=64)
def _inline(digest: str, what: str, options: str, _bundle: Bundle) -> Answer:
    asked = json.loads(options)
    held = {name: _column(digest, name, _bundle) for name in asked.get("attributes", ())}
    return answer(
        what, replace(_evaluation(digest, _bundle), attributes=held), asked, ignore_progress
    )


@st.cache_resource(show_spinner=False, max_entries=4)
def _evaluation(digest: str, _bundle: Bundle) -> Evaluation:
    return evaluation_of(_bundle)


@st.cache_resource(show_spinner=False, max_entries=128)
def _column(digest: str, name: str, _bundle: Bundle) -> NDArray[Any]:
    return category_column(_bundle, name)


@st.cache_resource(show_spinner=False, max_entries=16)
def _unpacked(job_key: str, _result: Entry) -> Answer:
    return answer_of(_result)


def ensemble_of(bundle: Bundle) -> Ensemble:
    """The populations as codes, read once per bundle."""
    held = _evaluation(bundle.digest, bundle).ensemble
    if held is None:
        raise ValueError("only called where a bundle has populations")
    return held


def column_of(bundle: Bundle, name: str) -> NDArray[Any]:
    """A column as categories, as the audits see it."""
    return _column(bundle.digest, name, bundle)


@st.cache_resource(show_spinner=False, max_entries=16)
def _columns(digest: str, with_label: bool, _bundle: Bundle) -> GroupingColumns:
    return grouping_columns(_bundle, with_label=with_label)


def columns_of(bundle: Bundle, *, with_label: bool = False) -> GroupingColumns:
    """Which columns group the examples; ``with_label`` offers the true class as one."""
    return _columns(bundle.digest, with_label, bundle)


def choose_columns(
    columns: GroupingColumns,
    *,
    key: str,
    most: int,
    first: int,
    label: str = "Attributes",
    help: str | None = None,
) -> list[str]:
    """The attribute picker; remembers the choice in the address while its names exist."""
    asked = st.session_state.get(key)
    if asked is not None and any(name not in columns.usable for name in asked):
        del st.session_state[key]
    note = "; ".join(f"{name}: {why}" for name, why in columns.left_out.items())
    words = help or "Numbers are cut into four ranges of about equal count."
    chosen = st.multiselect(
        label,
        list(columns.usable),
        default=list(columns.first[:first]),
        key=key,
        max_selections=most,
        persist_state="session",
        help=words + (f" Left out: {text.plain(note, limit=300)}." if note else ""),
    )
    return list(chosen)


def show_empty(sentence: str, *, key: str, demos: Sequence[str] = ("fashion",)) -> None:
    """Nothing to show yet: one sentence, and a button that opens a demo where there is something."""
    st.info(sentence, icon=":material/info:")
    name = next((one for one in demos if one in DEMOS and demo_path(one).exists()), "fashion")
    st.button(
        "Open the demo bundle",
        key=f"demo_{key}",
        icon=":material/folder_open:",
        on_click=_open_demo,
        args=(name,),
    )
    job = services.job(st.session_state.get(_DEMO, ""))
    if job is not None and waiting.show_progress(job, what="Opening the demo bundle", key=key):
        del st.session_state[_DEMO]
        link.put(keys.BUNDLE, job.result().meta["digest"][:12])
        st.rerun()


def _open_demo(name: str) -> None:
    # By its key from now on: an import that has ended is never joined, only done again.
    job = services.ask("import", "", path=str(demo_path(name)), name=DEMOS[name].title)
    st.session_state[_DEMO] = job.key
