"""From any group to what a repair of it would buy."""

from __future__ import annotations

import streamlit as st

from backend.bundle import Bundle
from backend.tasks.repair import repair_needs
from pages.components.shared import keys, link
from pages.components.shared.choice import Choice

THIS, TAG, RULE = "this", "tag", "rule"
"""Where a group to repair comes from, as the address of the page names it."""
TAB = "Repair"
"""The tab of that page, as it stands in the address."""
PAGE = "pages/repair.py"
_ASKED = "_repair_asked"


def start_button(bundle: Bundle, choice: Choice) -> None:
    """A button that leads to the Repair page with this group chosen."""
    if repair_needs(bundle):
        return
    st.button(
        "Repair this",
        key="repair_this",
        icon=":material/build:",
        type="tertiary",
        on_click=_start,
        args=(bundle, choice),
        disabled=not len(choice.group.rows),
        help="What would a cheap repair of this group buy? Opens the Repair page with it: the last layer "
        "refitted with more weight on these examples, or on made ones like them.",
    )


def _start(bundle: Bundle, choice: Choice) -> None:
    """Choose the group. A callback, because a click must not be lost to a rerun of a polling part."""
    kind = choice.source.get("kind")
    if kind == "tag":
        link.put(keys.REPAIR_TAG, str(choice.source["tag"]))
        source = TAG
    elif kind == "rule" and not choice.source.get("worst"):
        st.session_state[keys.REPAIR_RULE] = choice.source["rule"]
        source = RULE
    else:
        st.session_state[keys.REPAIR_THIS] = (bundle.digest, choice)
        source = THIS
    link.put(keys.REPAIR_SOURCE, source)
    st.session_state[keys.REPAIR_PART] = TAB
    st.session_state[_ASKED] = source


def open_if_asked(bundle: Bundle) -> None:
    """Go to the page when the run before asked for it."""
    source = st.session_state.pop(_ASKED, "")
    if not source:
        return
    address = {
        keys.BUNDLE: bundle.digest[:12],
        keys.REPAIR_PART: TAB,
        keys.REPAIR_SOURCE: source,
    }
    if source == TAG:
        address[keys.REPAIR_TAG] = str(link.chosen(keys.REPAIR_TAG))
    if source == RULE:
        address[keys.REPAIR_RULE] = str(st.session_state[keys.REPAIR_RULE])
    st.switch_page(PAGE, query_params=address)


def arrived() -> None:
    """The page that was asked for is open: nobody has to go there. The address is its widgets' own."""
    st.session_state.pop(_ASKED, None)


def this_group(bundle: Bundle) -> Choice | None:
    """The group that "Repair this" was last asked for in this session, of this bundle."""
    digest, choice = st.session_state.get(keys.REPAIR_THIS, ("", None))
    return choice if digest == bundle.digest else None
