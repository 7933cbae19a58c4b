"""Asking how an upload is to be read: which column is which field, and what fits two readings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import streamlit as st

from backend.bundle import FoundField
from backend.bundle.propose import could_be, only_one
from backend.jobs import Job
from pages.components.shared import text

FIELDS = {
    "embeddings": "last hidden layer, one row per example",
    "losses": "one number per example, higher is worse",
    "labels": "true class",
    "predictions": "predicted class",
    "probabilities": "one column per class",
    "logits": "one column per class",
    "targets": "true value, for regression",
    "classes": "names of the classes",
    "id": "stable and unique name of each example",
    "text": "the example itself, if it is a text",
    "image": "path inside the bundle, or bytes",
}
NOTHING = ""
"""What is chosen for a field that nothing in the file is."""
CHOSEN = "_chosen_columns"
"""Session field: what was chosen so far, which outlives an import that fails all the same."""

Import = Callable[[Mapping[str, str]], None]


def forget() -> None:
    """Forget what was chosen: another upload is another matter."""
    st.session_state.pop(CHOSEN, None)
    for key in [key for key in st.session_state if str(key).startswith(("map_", "read_"))]:
        del st.session_state[key]


def ask(job: Job, start: Import) -> None:
    """Ask what a failed import could not tell, and offer to say which column is which field."""
    told = [part.meta for part in job.partial()]
    for place, fault in enumerate(one for meta in told for one in meta.get("questions", ())):
        _ask_reading(place, fault, start)
    fields = [one for meta in told for one in meta.get("fields", ())]
    if fields:
        _ask_columns([_field(one) for one in fields], start)


def _field(told: Mapping[str, Any]) -> FoundField:
    shape = told["shape"]
    return FoundField(
        told["file"], told["name"], None if shape is None else tuple(shape), told["dtype"]
    )


def _ask_reading(place: int, fault: Mapping[str, Any], start: Import) -> None:
    """One question with its answers; importing with one of them keeps what was chosen before."""
    readings = fault["readings"]
    with st.form(f"reading_{place}"):
        st.radio(
            f"How is {text.plain(fault['field'])} to be read?",
            range(len(readings)),
            format_func=lambda one: text.plain(readings[one]["words"], limit=200),
            key=f"read_{place}",
        )
        st.form_submit_button(
            "Import so",
            type="primary",
            on_click=_import_read,
            args=(place, readings, start),
            key=f"import_read_{place}",
        )


def _import_read(place: int, readings: list[Mapping[str, str]], start: Import) -> None:
    reading = readings[st.session_state.get(f"read_{place}", 0)]
    _import({reading["field"]: reading["column"]}, start)


def _ask_columns(found: list[FoundField], start: Import) -> None:
    chosen: dict[str, str] = st.session_state.get(CHOSEN, {})
    with st.expander("Columns have other names? Say which is which", expanded=bool(chosen)):
        st.dataframe(
            pd.DataFrame(
                [
                    {
                        "name": one.name,
                        "shape": " × ".join(map(str, one.shape or ())),
                        "type": one.dtype,
                        "file": one.file,
                    }
                    for one in found
                ]
            ),
            hide_index=True,
            height=180,
        )
        st.caption(
            "Names that could be a field by their shape come first. Choose *nothing* where a column "
            "only happens to be called like a field."
        )
        with st.form("mapping"):
            for field, what in FIELDS.items():
                likely = could_be(field, found)
                rest = [one.name for one in found if one.name not in likely]
                options = [*likely, NOTHING, *rest]
                value = chosen.get(field, only_one(field, found) if field == "embeddings" else None)
                key = f"map_{field}"
                if key not in st.session_state and value in options:
                    st.session_state[key] = value
                st.selectbox(
                    field,
                    options,
                    index=None,
                    format_func=lambda name: name or "nothing in the file",
                    help=what,
                    placeholder="by its own name",
                    key=key,
                )
            st.form_submit_button(
                "Import with these names", type="primary", on_click=_import_mapped, args=(start,)
            )


def _import_mapped(start: Import) -> None:
    picked = {field: st.session_state.get(f"map_{field}") for field in FIELDS}
    kept = {
        key: name for key, name in st.session_state.get(CHOSEN, {}).items() if key not in FIELDS
    }
    st.session_state[CHOSEN] = kept  # what is no longer chosen is by its own name again
    _import({field: name for field, name in picked.items() if name is not None}, start)


def _import(more: Mapping[str, str], start: Import) -> None:
    columns = {**st.session_state.get(CHOSEN, {}), **more}
    st.session_state[CHOSEN] = columns
    start(columns)
