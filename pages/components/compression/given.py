"""Levels of compression that somebody gives by hand, where the names of populations do not say them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import streamlit as st

from backend.bundle import Bundle
from backend.core.errors import BackendError
from backend.populations import CompressionLevel, compression_levels
from pages.components.shared import frame, keys, services, text

SETTING = "compression levels"


def given_levels(bundle: Bundle) -> dict[str, CompressionLevel]:
    """What this author gave: population -> line and level."""
    kept = services.known().setting(bundle.digest, SETTING, author=frame.who())
    return {
        name: CompressionLevel(name, str(kind), float(level))
        for name, (kind, level) in (kept or {}).items()
    }


def show_form(bundle: Bundle, baseline: str, names: Sequence[str]) -> None:
    """A line and a level for each population; an empty level is read from the name."""
    given = given_levels(bundle)
    read = {one.name: one for one in compression_levels([baseline, *names], baseline)}
    with (
        st.popover("Levels by hand", icon=":material/straighten:", type="tertiary"),
        st.form("given_levels", border=False),
    ):
        st.caption(
            "A level counts instead of the number in the name; populations of one line are joined. An "
            "empty level is read from the name again. Kept for you and this bundle."
        )
        for place, name in enumerate(names):
            line, level = st.columns(2)
            own = given.get(name)
            line_key, level_key = _keys(bundle, place)
            st.session_state.setdefault(line_key, own.kind if own else read[name].kind)
            st.session_state.setdefault(level_key, own.level if own else None)
            line.text_input(f"Line of {text.plain(name, limit=60)}", max_chars=40, key=line_key)
            level.number_input(
                f"Level of {text.plain(name, limit=60)}",
                min_value=0.0,
                value=None,  # so that it can be emptied again
                placeholder="in the name" if read[name].level is None else f"{read[name].level:g}",
                format="%g",
                key=level_key,
            )
        st.form_submit_button("Keep", on_click=_keep, args=(bundle, tuple(names)))


def _keys(bundle: Bundle, place: int) -> tuple[str, str]:
    """Widget keys of the line and the level of a population."""
    return f"given_line_{bundle.digest[:6]}_{place}", f"given_level_{bundle.digest[:6]}_{place}"


def _keep(bundle: Bundle, names: tuple[str, ...]) -> None:
    kept = {}
    for place, name in enumerate(names):
        line_key, level_key = _keys(bundle, place)
        level = st.session_state.get(level_key)
        if level is not None and math.isfinite(level):
            line = str(st.session_state.get(line_key) or "").strip()
            kept[name] = [line or name, float(level)]
    try:
        services.store().write_setting(bundle.digest, SETTING, kept, author=frame.who())
    except BackendError as error:
        st.session_state[keys.NOTICE] = (text.plain(error, limit=300), ":material/error:")
