"""The box for a rule: completed as one types, added by Enter, and refused in words of what was meant."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import streamlit as st

from backend.bundle import Bundle
from backend.rules import KnownValues, complete, problem_of, with_suggestion
from backend.views import Query
from pages.components.shared import keys, services, text
from pages.components.shared.charts import ASSETS
from pages.components.view import selection

BOX = "filter_rule"
LONGEST = 2000
SHOWN = 8
"""Words that are offered at once."""

_box = st.components.v2.component(
    "errorscope_rule",
    html=(ASSETS / "rule.html").read_text(encoding="utf-8"),
    css=(ASSETS / "rule.css").read_text(encoding="utf-8"),
    js=(ASSETS / "rule.js").read_text(encoding="utf-8"),
)


@st.fragment
def show_rule_box(bundle: Bundle) -> None:
    """Draw it. What is typed runs this part of the page alone; a rule that was added, all of it."""
    _add(bundle)
    if st.session_state.pop(keys.RULE_ADDED, False):
        st.rerun()
    typed, told = _message("typed"), st.session_state.get(keys.RULE_TOLD, {})
    instance = typed.get("instance") or told.get("instance", "")
    if told.get("instance") != instance:
        told = {}  # said to a box that is gone
    rule, cursor = str(typed.get("text", ""))[:LONGEST], typed.get("cursor")
    cursor = min(cursor, len(rule)) if isinstance(cursor, int) and cursor >= 0 else len(rule)
    _box(
        key=BOX,
        data={
            "instance": instance,
            "typed": typed.get("n", 0),
            "text": rule,
            "offered": _offered(bundle, rule, cursor) if typed else [],
            "asked": told.get("n", 0),
            "problem": told.get("problem", ""),
            "instead": told.get("instead", []),
        },
        default={"typed": None, "asked": None},
        on_typed_change=lambda: None,
        on_asked_change=partial(_add, bundle),
    )


def _message(name: str) -> Mapping[str, Any]:
    """What the box in the browser said last under this name."""
    state = st.session_state.get(BOX)
    said = state.get(name) if state else None
    return said if isinstance(said, Mapping) else {}


def _offered(bundle: Bundle, rule: str, cursor: int) -> list[dict[str, Any]]:
    """Words that could stand at the cursor, each with the whole rule and where the cursor is then."""
    tags = list(services.known().tag_counts(bundle.digest))
    words = complete(rule, cursor, _values(bundle.digest, bundle), tags)[:SHOWN]
    offered = []
    for word in words:
        before = with_suggestion(rule[:cursor], word)
        if before != rule[:cursor]:
            whole = f"{before} {rule[cursor:].lstrip()}"
            offered.append({"word": word, "whole": whole, "cursor": len(before) + 1})
    return offered


@st.cache_resource(show_spinner=False, max_entries=8)
def _values(digest: str, _bundle: Bundle) -> KnownValues:
    return KnownValues(_bundle)


def _add(bundle: Bundle) -> None:
    """Make the rule a filter, or keep why not; what is sent again is done once."""
    asked, before = _message("asked"), st.session_state.get(keys.RULE_TOLD, {})
    rule, mark = str(asked.get("text", "")).strip(), (asked.get("instance"), asked.get("n"))
    if not rule or mark == (before.get("instance"), before.get("n")):
        return
    problem = problem_of(rule[:LONGEST], bundle, services.known().tags(bundle.digest))
    told: dict[str, Any] = {"instance": mark[0], "n": mark[1]}
    if problem is None:
        selection.keep_only(bundle, Query(rule))
        st.session_state[keys.RULE_ADDED] = True
    else:
        told["problem"] = text.shorten(problem.told, 300) + (
            " Did you mean one of these?" if problem.instead else ""
        )
        told["instead"] = [
            {"word": better, "whole": better, "cursor": len(better)} for better in problem.instead
        ]
    st.session_state[keys.RULE_TOLD] = told
