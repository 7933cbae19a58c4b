"""Starting a hypothesis from a group: the rule that describes it, and the form it opens."""

from __future__ import annotations

import numpy as np
import streamlit as st

from backend.bundle import Bundle
from backend.core.groups import Group
from backend.describe import describe_facts, read_columns
from backend.report import (
    columns_of,
)
from backend.rules.syntax import MAX_TOP
from backend.rules.write import joined, level_rule, near_rule, value_rule
from pages.components.shared import text
from pages.components.shared.choice import Choice

SHEET_NAME = "Hypotheses"  # the tab of the flagged page, as it stands in the address
SENTENCE = "hypothesis_sentence"
RULE = "hypothesis_rule"
SEEN = "hypothesis_seen"
ORIGIN = "_hypothesis_origin"
ASKED = "_hypothesis_asked"
ANCHORS, SURROUNDINGS = 5, 4
"""A region's rule: how many members it starts from, and how many times the region it reaches."""


GROUP = "group"


def start_form(bundle: Bundle, choice: Choice) -> None:
    """A button that opens the form with a rule for this group, its members set aside."""
    start_button(
        bundle,
        choice,
        sentence=f"Higher loss: examples like region “{choice.name}”"
        if choice.source["kind"] == "region"
        else f"Higher loss: {choice.name}",
        rule=None,
        key="hypothesis_start",
        label="Hypothesis",
        help="Write a hypothesis about this group: what is it that makes it hard? Opens the form with a "
        "rule for what its members share. The members themselves are set aside: they suggested it.",
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
    """A button that opens the form with this sentence and rule; None for what the group shares."""
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
    group = choice.group
    if rule is None:
        kind = choice.source["kind"]
        if kind == "rule":
            rule = str(choice.source["rule"])
        else:
            rule = region_rule(bundle, choice) if kind == "region" else group_rule(bundle, group)
    source = {
        name: choice.source[name] for name in ("kind", "key", "index") if name in choice.source
    }
    st.session_state[ORIGIN] = {
        "digest": bundle.digest,
        "name": choice.name,
        "rows": group.rows,
        "source": {"kind": "group", "name": choice.name, "from": source},
    }
    st.session_state[SENTENCE] = text.shorten(sentence, 1000)
    st.session_state[RULE] = rule
    st.session_state[SEEN] = GROUP
    st.session_state["sheet"] = SHEET_NAME  # the tabs of the page with the form
    st.session_state[ASKED] = True


def open_if_asked(bundle: Bundle, *, here: bool = False) -> None:
    """Go to the form when the run before asked for it; ``here`` on the page that has it."""
    if st.session_state.pop(ASKED, False) and not here:
        st.switch_page(
            "pages/flagged.py", query_params={"bundle": bundle.digest[:12], "sheet": SHEET_NAME}
        )


def region_rule(bundle: Bundle, choice: Choice) -> str:
    """The surroundings of a region's strongest members, within the labels it is bound to.

    What its members share would say too much: a region inside one label is not the label.
    """
    rows = choice.group.rows
    if not len(rows):
        return ""
    strongest = [str(bundle.ids[row]) for row in rows[:ANCHORS]]
    near = near_rule(strongest, min(SURROUNDINGS * len(rows), bundle.n, MAX_TOP))
    bound = [str(one) for one in choice.source.get("labels") or ()]
    labels = value_rule("label", bound[0] if len(bound) == 1 else tuple(bound)) if bound else None
    return joined([labels, near])


def group_rule(bundle: Bundle, group: Group) -> str:
    """What the members of a group share, as a rule; else the examples nearest to the first member.

    Labels and columns are named, predictions are not: what the model answered is no property of
    the example.
    """
    if not group.n_members:
        return ""
    labels = bundle.label_names
    columns = bundle.examples[[name for name in bundle.attributes if name != "label"]]
    parts: list[str | None] = []
    if labels is not None or not columns.empty:
        members = np.isin(np.arange(bundle.n), group.rows)
        facts = describe_facts(members, labels=labels, examples=columns)
        known = columns_of_bundle(bundle.digest, bundle)
        for name, value in zip(facts["column"], facts["value"], strict=True):
            if name == "label" and labels is not None:
                parts.append(value_rule("label", value))
                continue
            (column,) = read_columns(columns[[name]])
            code = int(np.flatnonzero(column.levels == value)[0])
            free = f"{name} (attribute)"
            parts.append(level_rule(free if free in known else name, column, code))
    nearest = near_rule([str(bundle.ids[group.rows[0]])], min(group.n_members, MAX_TOP))
    return joined(parts) or nearest or ""


@st.cache_resource(show_spinner=False, max_entries=8)
def columns_of_bundle(digest: str, _bundle: Bundle) -> dict[str, str]:
    """The columns a rule can use, with their kind."""
    return columns_of(_bundle)
