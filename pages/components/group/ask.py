"""Starting a hypothesis from a group: the rule that describes it, and the form it opens."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import streamlit as st

from backend.bundle import Bundle
from backend.core.errors import BackendError
from backend.core.found import short
from backend.report import Origins, columns_of, suggest_hypothesis
from pages.components.shared import keys, ruled, services, text
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
    rows, source, around = choice.group.rows, choice.source, ""
    if rule is None:
        origins = Origins(bundle, services.store())
        try:
            found = suggest_hypothesis(bundle, source, rows, origins, patient=False)
        except BackendError as error:
            st.session_state[keys.NOTICE] = (text.plain(error, limit=400), ":material/error:")
            return
        rule, around = found.rule, found.around
    st.session_state[ORIGIN] = {
        "digest": bundle.digest,
        "stamp": uuid4().hex,
        "name": choice.name,
        "rows": rows,
        "source": source,
        "around": around,
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


def finish_rule(bundle: Bundle) -> None:
    """Write the rule that a click left open, once a worker has measured what lies around the group.

    What somebody wrote meanwhile stays.
    """
    origin = origin_of(bundle)
    if not origin or not origin["around"]:
        return
    if st.session_state.get(RULE):
        origin["around"] = ""
    elif ruled.ready(bundle, [origin["around"]], key="hypothesis_around"):
        origins = Origins(bundle, services.store())
        found = suggest_hypothesis(bundle, origin["source"], origin["rows"], origins)
        origin["around"] = ""
        st.session_state[RULE] = found.rule


def origin_of(bundle: Bundle) -> dict[str, Any] | None:
    """The group the form was opened from, while this bundle is open."""
    origin = st.session_state.get(ORIGIN)
    return origin if origin and origin["digest"] == bundle.digest else None


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
