"""Choices kept in the session and in the address, so that a link opened elsewhere shows the same.

Streamlit's own binding writes what a choice *says* into the address; region names and bundle names
change, so these are bound by key. The truth is a field of the session, not the widget: a widget
forgets its value when the page or its options change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st


def bound(key: str, options: Sequence[str], *, final: bool = True) -> dict[str, Any]:
    """Arguments that bind a choosing widget with these options: ``st.radio(..., **bound(...))``.

    The value is what was chosen last, in a widget or by following a link, else the first option.
    Options that are not final yet leave the address alone: it may name one that is still to come.

    Where options appear one after the other the first must come first: a browser that is sending
    the old value just when it is changed for it would seem to have chosen it.
    """
    named, value = st.query_params.get(key), settled(key, options)
    st.session_state[key] = value
    if final and named != value:
        st.query_params[key] = value
        st.session_state[_written(key)] = (named, value)
    return {"key": key, "on_change": _took, "args": (key,)}


def settled(key: str, options: Sequence[str]) -> str:
    """What a widget bound to these options will show, for what is drawn before it."""
    named = st.query_params.get(key)
    if named is not None and named in options and _followed(key, named):
        st.session_state[_chosen(key)] = named
    kept = st.session_state.get(_chosen(key))
    return str(kept) if kept in options else options[0]


def _followed(key: str, named: str) -> bool:
    """Whether the address names something that was not written into it here.

    A click may come from a browser that has not read the last change of the address yet; what stood
    there before is no choice then. Once the change was seen to arrive, going back to it is one.
    """
    before, written = st.session_state.get(_written(key), (None, None))
    if named == written:
        st.session_state[_written(key)] = (None, written)
        return False
    return bool(named != before)


def bound_number(key: str, usual: float, low: float, high: float) -> dict[str, Any]:
    """The same for a number: ``st.number_input(..., **bound_number(...))``, which takes no ``value``.

    Where nothing was chosen it is ``usual``, which may be another for another bundle and does not
    stand in the address. What lies outside the limits counts as not chosen. Whole numbers where
    ``usual`` is one.
    """
    kind, value = type(usual), number(key, usual, low, high)
    st.session_state[key] = value
    if value != usual:
        st.query_params[key] = str(value)
    else:
        st.query_params.pop(key, None)
    return {
        "key": key,
        "on_change": _took,
        "args": (key,),
        "min_value": kind(low),
        "max_value": kind(high),
    }


def number(key: str, usual: float, low: float, high: float) -> Any:
    """What ``bound_number`` binds now, whether or not its widget is on screen."""
    value = usual
    for wanted in (st.query_params.get(key), st.session_state.get(_chosen(key))):
        try:
            given = type(usual)(wanted)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            continue
        value = given if low <= given <= high else value
    return value


def put(key: str, value: str | None) -> None:
    """Choose this at the next run, whether or not the widget is on screen; None for the default."""
    if value is None:
        st.session_state.pop(_chosen(key), None)
        st.query_params.pop(key, None)
    else:
        _choose(key, value)


def chosen(key: str) -> str | None:
    """What is chosen now, if anything was."""
    value = st.session_state.get(_chosen(key))
    return None if value is None else str(value)


def _took(key: str) -> None:
    """Somebody chose; not so a browser that polls and has read neither the new value nor the address."""
    value, named = st.session_state[key], st.query_params.get(key)
    before, written = st.session_state.get(_written(key), (None, None))
    if value == named == before != written:
        return
    _choose(key, value)


def _choose(key: str, value: str) -> None:
    """From now on what the address named until now counts for nothing."""
    st.session_state[_chosen(key)] = value
    st.session_state[_written(key)] = (st.query_params.get(key), value)


def _chosen(key: str) -> str:
    return f"_chosen_{key}"


def _written(key: str) -> str:
    return f"_written_{key}"
