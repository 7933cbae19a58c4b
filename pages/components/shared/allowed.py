"""Controls that change something, for people who may not: still there, switched off, and saying why."""

from __future__ import annotations

from typing import Any, TypedDict

import streamlit as st

from pages.components.shared import keys, services

ADD = "add"
"""Stands for adding a bundle, which is no method of the store."""


class Control(TypedDict):
    """What a control takes: whether it is off, and its tooltip."""

    disabled: bool
    help: str | None


def control(act: str, digest: str, *, disabled: bool = False, help: str | None = None) -> Control:
    """``disabled`` and ``help`` of a control, for ``**``.

    Parameters
    ----------
    act : str
        The method of the store that the control leads to, as ``backend.access.guarded.RIGHTS`` calls
        it, or ``ADD``.
    digest : str
        Of the bundle that would be changed; or of its training examples.
    disabled, help
        What holds for who may use it.
    """
    refused = refusal(act, digest)
    return {"disabled": disabled or refused is not None, "help": refused or help}


def refusal(act: str, digest: str) -> str | None:
    """Why whoever is at the screen may not do this; None where they may. Asked once a run of the page."""
    run = st.session_state.get(keys.RUN, 0)
    held: dict[str, Any] = st.session_state.get(keys.REFUSALS, {})
    if held.get("run") != run:
        held = {"run": run}
        st.session_state[keys.REFUSALS] = held
    name = f"{act} {digest}"
    if name not in held:
        held[name] = services.adding_refused() if act == ADD else services.refused(act, digest)
    answer: str | None = held[name]
    return answer
