"""Which group is to count more: a region, a tag, a rule, or the class that fails most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.groups import by_loss, sharp_group
from backend.core.parts import bundle_aside
from backend.report import Origins, set_aside
from backend.report.origin import region_groups
from backend.rules import evaluate
from backend.rules.write import value_rule
from backend.tasks.repair import repair_options, worst_label
from backend.views import rows_by_tag
from pages.components.group import groups, mend
from pages.components.shared import keys, link, ruled, services, text
from pages.components.shared.choice import Choice
from pages.components.shared.waiting import show_progress
from pages.components.spotlights import trust

REPAIR, IN_WORDS, MAKE = mend.TAB, "In words", "Make examples"
"""The tabs of the page."""
REGION, TAG, RULE, WORST, THIS = "region", mend.TAG, mend.RULE, "worst", mend.THIS
SOURCES = {
    REGION: "Region",
    TAG: "Tag",
    RULE: "Rule",
    WORST: "Worst class",
    THIS: "The group you came from",
}


@dataclass(frozen=True)
class GroupAsked:
    """A group to repair, with the options that say who is in it and which rows measure it."""

    choice: Choice
    options: dict[str, Any]


def choose(bundle: Bundle, *, label: str, help: str) -> GroupAsked | None:
    """The group that is chosen; None while there is none, with a sentence that says why."""
    offered = [one for one in SOURCES if one != THIS or mend.this_group(bundle) is not None]
    source = st.segmented_control(
        label,
        offered,
        required=True,
        format_func=SOURCES.__getitem__,
        **link.bound(keys.REPAIR_SOURCE, offered),
        help=help,
    )
    chosen: dict[str, Callable[[Bundle], Choice | None]] = {
        REGION: _region,
        TAG: _tag,
        RULE: _rule,
        WORST: _worst,
        THIS: mend.this_group,
    }
    choice = chosen[source or REGION](bundle)
    if choice is None:
        return None
    together = region_groups(bundle, choice.source)
    return GroupAsked(
        choice, repair_options(bundle, choice.group.rows, _used(bundle, choice), together)
    )


def _used(bundle: Bundle, choice: Choice) -> NDArray[np.bool_] | None:
    """Rows whose losses had a say in who is a member."""
    if choice.source.get("worst"):
        return ~bundle_aside(bundle)
    return set_aside(bundle, choice.source, choice.group.rows, Origins(bundle, services.store()))


def _region(bundle: Bundle) -> Choice | None:
    task, options = trust.last_search(bundle)
    job = services.ask(task, bundle.digest, **options)
    if not show_progress(job, what="Searching regions", key="repair_regions"):
        return None
    found = groups.parts_of(job.result())
    regions = groups.region_choices(bundle, found, options, job.key, task)
    if not regions:
        st.info(
            "No region stands out from the rest. Choose a tag, a rule or the worst class.",
            icon=":material/info:",
        )
        return None
    by_key = {one.key: one for one in regions}
    key = st.selectbox(
        "Region",
        list(by_key),
        format_func=lambda key: text.shorten(f"{by_key[key].number} {by_key[key].name}", 90),
        **link.bound(keys.GROUP, list(by_key)),
        help="As the Spotlights page lists them. The half that measures is taken from the examples "
        "kept aside from the search.",
    )
    return by_key[key or next(iter(by_key))]


def _tag(bundle: Bundle) -> Choice | None:
    held = rows_by_tag(bundle, services.known().tags(bundle.digest))
    if not held:
        st.info(
            "Nothing is tagged yet. Tag a group on the Spotlights page, or write a rule here.",
            icon=":material/sell:",
        )
        return None
    name = st.selectbox("Tag", list(held), **link.bound(keys.REPAIR_TAG, list(held)))
    rows = by_loss(held[name or next(iter(held))], bundle.losses)
    group = sharp_group("tag", rows, bundle.losses)
    return Choice("tag", str(name), group, {"kind": "tag", "tag": name})


def _rule(bundle: Bundle) -> Choice | None:
    rule = st.text_input(
        "Rule",
        key=keys.REPAIR_RULE,
        max_chars=2000,
        placeholder='text contains "refund"',
        help="As in filters and hypotheses: columns, and, or, not, contains, tagged, near.",
        persist_state="session",
        bind="query-params",
    )
    if not rule:
        st.info(
            "Write which examples are to count more, or take a line of *In words*.",
            icon=":material/rule:",
        )
        return None
    if not ruled.ready(bundle, [rule], key="repair"):
        return None
    mask = evaluate(rule, bundle, services.known().tags(bundle.digest))
    if not mask.any():
        st.info("No example fits this rule.", icon=":material/rule:")
        return None
    group = sharp_group("rule", by_loss(mask, bundle.losses), bundle.losses)
    return Choice("rule", text.shorten(rule, 80), group, {"kind": "rule", "rule": rule})


def _worst(bundle: Bundle) -> Choice | None:
    rows = worst_label(bundle)
    names = bundle.label_names
    name = "" if names is None else str(names[rows[0]])
    group = sharp_group("subgroup", by_loss(rows, bundle.losses), bundle.losses)
    st.caption(
        "The class that fails most among the examples that are not kept aside; those kept aside "
        "measure it."
    )
    source = {"kind": "rule", "rule": value_rule("label", name), "worst": True}
    return Choice("worst", f"label {name}", group, source)
