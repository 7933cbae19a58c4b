"""Starting a hypothesis from a group: the rule that describes it, and the form it opens."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import streamlit as st

from backend.bundle import Bundle
from backend.core.errors import BackendError
from backend.core.found import short
from backend.report import Origins, columns_of, suggest_hypothesis
from pages.components.shared import keys, services, text
from pages.components.shared.choice import Choice

SHEET_NAME = "Hypotheses"  # the tab of the flagged page, as it stands in the address
SENTENCE = "hypothesis_sentence"
RULE = "hypothesis_rule"
SEEN = "hypothesis_seen"
ORIGIN = "_hypothesis_origin"
ASKED = "_hypothesis_asked"
GROUP = "group"


def start_form(bundle: Bundle, choice: Choice) -> None:
    """A button that opens the form with a rule for this group, what found it set aside."""
    start_button(
        bundle,
        choice,
        sentence=f"Higher loss: examples like region “{choice.name}”"
        if choice.found
        else f"Higher loss: {choice.name}",
        rule=None,
        key="hypothesis_start",
        label="Hypothesis",
        help="Write a hypothesis about this group: what is it that makes it hard? Opens the form with "
        "its rule, or with one for what its members share. Examples whose losses found the group "
        "are set aside: they suggested it.",
    )


def start_button(
    bundle: Bundle,
    choice: Choice,
    *,
    sentence: str,
    rule: str | None,
    key: str,
    label: str = "Write as hypothesis",
    help: str | None = None,
) -> None:
    """A button that opens the form with this sentence and rule; None for that of the group."""
    st.button(
        label,
        key=key,
        icon=":material/rule:",
        type="tertiary",
        on_click=_start,
        args=(bundle, choice, sentence, rule),
        help=help,
    )


def _start(bundle: Bundle, choice: Choice, sentence: str, rule: str | None) -> None:
    """Fill the form. A callback, because a click must not be lost to a rerun of a polling part."""
    rows, source = choice.group.rows, choice.source
    if rule is None:
        try:
            found = suggest_hypothesis(bundle, source, rows, Origins(bundle, services.store()))
        except BackendError as error:
            st.session_state[keys.NOTICE] = (text.plain(error, limit=400), ":material/error:")
            return
        rule = found.rule
    st.session_state[ORIGIN] = {
        "digest": bundle.digest,
        "stamp": uuid4().hex,
        "name": choice.name,
        "rows": rows,
        "source": source,
        "told": {"kind": "group", "name": choice.name, "from": short(source) | _people(source)},
    }
    st.session_state[SENTENCE] = text.shorten(sentence, 1000)
    st.session_state[RULE] = rule
    st.session_state[SEEN] = GROUP
    st.session_state["sheet"] = SHEET_NAME  # the tabs of the page with the form
    st.session_state[ASKED] = True


def _people(source: dict[str, Any]) -> dict[str, Any]:
    """What people made a group of, for the record of a hypothesis."""
    return {name: source[name] for name in ("rule", "rules", "tag", "tags") if name in source}


def open_if_asked(bundle: Bundle, *, here: bool = False) -> None:
    """Go to the form when the run before asked for it; ``here`` on the page that has it."""
    if st.session_state.pop(ASKED, False) and not here:
        st.switch_page(
            "pages/flagged.py", query_params={"bundle": bundle.digest[:12], "sheet": SHEET_NAME}
        )


@st.cache_resource(show_spinner=False, max_entries=8)
def columns_of_bundle(digest: str, _bundle: Bundle) -> dict[str, str]:
    """The columns a rule can use, with their kind."""
    return columns_of(_bundle)
