"""What a group is compared with, in the tables of its words and columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.content import content_key
from backend.core.groups import SMALL, Group
from backend.describe import Comparison, compare_groups, compare_with
from pages.components.shared import link, text
from pages.components.shared.choice import Choice

Rows = NDArray[np.int64]

SIDE, HAS, LACKS = "side", "Has more", "Lacks"  # the first also in the address
BASELINE = "against"  # also its name in the address
NAMES = {
    "all": "all examples",
    "same label": "examples of the same label",
    "rest": "the rest, outside the group",
}
HEADS = {"all": "in all", "same label": "same label", "rest": "in the rest"}


@dataclass(frozen=True)
class Against:
    """A group beside its baseline.

    Attributes
    ----------
    comparison : Comparison
    key : str
        The same for the same bundle, group and baseline: for caches and widgets.
    sentence : str
        What the baseline is, in Markdown.
    head : str
        Short name of the baseline, for the head of a column.
    """

    comparison: Comparison
    key: str
    sentence: str
    head: str


def choose_baseline(bundle: Bundle) -> str:
    """All examples, those of the same label where labels are known, or the rest."""
    offered = [name for name in NAMES if name != "same label" or bundle.label_codes is not None]
    return str(
        st.selectbox(
            "Compared with",
            offered,
            format_func=lambda name: f"Against {NAMES[name]}",
            help="All examples: every one counts alike, members included. The same label: all examples, "
            "weighted so that each label has the share it has in the group; what then stands out is not "
            "the label's doing. The rest: examples that are not members.",
            label_visibility="collapsed",
            width=290,
            **link.bound(BASELINE, offered),
        )
    )


def choose_side() -> bool:
    """Whether to look at what the group has less often, in place of more often."""
    return (
        st.segmented_control(
            "Look for",
            [HAS, LACKS],
            required=True,
            label_visibility="collapsed",
            help="What the group has more often than what it is compared with, or what it lacks: has less "
            "often or never. p is Fisher's, one-sided, for the side that is chosen.",
            **link.bound(SIDE, [HAS, LACKS]),
        )
        == LACKS
    )


def compare(bundle: Bundle, choice: Choice, baseline: str) -> Against:
    """The chosen group beside the chosen baseline.

    Raises
    ------
    InputError
        If there is nothing to compare, or nothing to compare with.
    """
    group = choice.group
    key = content_key(bundle.digest, baseline, group.rows, group.weights)
    comparison = _comparison(key, bundle, group, baseline)
    n, members = text.count(bundle.n), text.counted(group.n_members, "member")
    sentence = {
        "all": f"Compared with all {n} examples",
        "same label": f"Compared with all {n} examples, weighted to the labels of the group",
        "rest": f"Compared with the {text.counted(bundle.n - comparison.n_members, 'example')} that are "
        "not members",
    }[baseline]
    sentence += f"; the group has {members}" + (
        f", fewer than {SMALL}: small." if group.small else "."
    )
    return Against(comparison, key, sentence, HEADS[baseline])


def compare_pair(bundle: Bundle, first: Choice, second: Choice) -> Against:
    """One group beside another; examples of both count for neither.

    Raises
    ------
    InputError
        If a group is empty, or both have the same members.
    """
    rows = first.group.rows, second.group.rows
    key = content_key("pair", bundle.digest, *rows)
    comparison = _pair(key, *rows, bundle.n)
    here = text.counted(comparison.n_members, "example")
    there = text.counted(int(np.count_nonzero(comparison.base)), "example")
    sentence = f"{here} of A beside {there} of B; examples of both count for neither."
    return Against(comparison, key, sentence, "in B")


@st.cache_resource(show_spinner=False, max_entries=16)
def _pair(key: str, _first: Rows, _second: Rows, _n: int) -> Comparison:
    return compare_groups(_first, _second, n=_n)


@st.cache_resource(show_spinner=False, max_entries=48)
def _comparison(key: str, _bundle: Bundle, _group: Group, _baseline: str) -> Comparison:
    labels: Any = _bundle.label_codes if _baseline == "same label" else None
    return compare_with(
        _group.weights, members=_group.rows, baseline=_baseline, labels=labels, n=_bundle.n
    )
