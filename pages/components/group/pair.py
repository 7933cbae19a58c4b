"""Two groups of one's choice side by side: how many, how the model does, words, columns, first members."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.errors import BackendError
from backend.core.groups import sharp_group
from backend.core.wording import MEANS
from backend.report import Origins
from backend.views import pair_effects, pair_table, rows_by_tag
from pages.components.gallery import gallery
from pages.components.group import against, columns, words
from pages.components.shared import link, services, text
from pages.components.shared.choice import Choice

FIRST, SECOND = "a", "b"  # also their names in the address
CHOSEN = "chosen"
STRIP = 12
"""First members shown of each group."""


def offered(bundle: Bundle, choices: Sequence[Choice]) -> list[Choice]:
    """The groups that can stand side by side: those of the page, then every tag."""
    tags = rows_by_tag(bundle, services.known().tags(bundle.digest))
    return [*(one for one in choices if one.group.n_members), *_of_tags(bundle, tags)]


def _of_tags(bundle: Bundle, tags: dict[str, NDArray[np.int64]]) -> list[Choice]:
    return [
        Choice(
            f"tag:{tag}",
            tag,
            sharp_group("tag", rows, bundle.losses),
            {"kind": "tag", "tag": tag},
            number="tag",
        )
        for tag, rows in tags.items()
    ]


def show(bundle: Bundle, choice: Choice, choices: list[Choice]) -> list[str]:
    """Any two groups beside each other; the ids picked among their examples."""
    by_key = {one.key: one for one in offered(bundle, choices)}
    chosen = by_key.get(choice.key, choice)
    first, second = _choose(by_key, chosen)
    if first is None or second is None:
        st.info("Choose two groups that have members, and are not the same one.")
        return []
    _numbers(bundle, first, second)
    picked = _described(bundle, first, second)
    for letter, one in (("A", first), ("B", second)):
        st.markdown(f"**{letter}: {_title(one)}**, first members")
        picked += gallery.tiles(
            bundle,
            one.group.rows[:STRIP],
            label=f"{letter}: {one.name}",
            key=f"strip_{letter.lower()}",
            weights=one.group.weights,
            about=f"{first.about} {second.about}",
        )
    return picked


def _choose(by_key: dict[str, Choice], chosen: Choice) -> tuple[Choice | None, Choice | None]:
    """A, the chosen group until somebody takes another, and B."""
    names = {CHOSEN: f"the chosen group, {_plain(chosen)}"} | {
        key: _plain(one) for key, one in by_key.items()
    }
    others = [key for key in by_key if key != chosen.key] or list(by_key)
    with st.container(horizontal=True, vertical_alignment="center", key="pair_bar"):
        a = st.selectbox(
            "A",
            [CHOSEN, *by_key],
            format_func=lambda key: f"A: {names[key]}",
            label_visibility="collapsed",
            width=360,
            **link.bound(FIRST, [CHOSEN, *by_key]),
        )
        b = st.selectbox(
            "B",
            [*others, *(key for key in by_key if key not in others)],
            format_func=lambda key: f"B: {names[key]}",
            label_visibility="collapsed",
            width=360,
            **link.bound(SECOND, [*others, *(key for key in by_key if key not in others)]),
        )
    first = chosen if a == CHOSEN else by_key.get(str(a))
    second = by_key.get(str(b))
    if first is None or second is None or first.key == second.key or not first.group.n_members:
        return None, None
    return first, second


def _numbers(bundle: Bundle, first: Choice, second: Choice) -> None:
    origins = Origins(bundle, services.store())
    groups = first.group.rows, second.group.rows
    used = _used(origins, first), _used(origins, second)
    effects = pair_effects(bundle, groups, used)
    st.dataframe(
        pair_table(groups, effects),
        hide_index=True,
        lazy=False,
        key="pair_numbers",
        column_config={
            "of": st.column_config.TextColumn("", width=150),
            "first": st.column_config.TextColumn(f"A: {_plain(first)}", width="medium"),
            "second": st.column_config.TextColumn(f"B: {_plain(second)}", width="medium"),
            "difference": st.column_config.TextColumn("A less B", width="medium"),
        },
    )
    notes = [
        "Error rate and mean loss are those of examples whose loss had no part in making the group."
    ]
    notes += [
        f"{letter} was made by the losses of all its members: nothing is left to measure it on."
        for letter, effect in zip("AB", effects, strict=True)
        if not effect.n
    ]
    st.caption(" ".join(notes), help=MEANS["kept aside"])


def _used(origins: Origins, one: Choice) -> NDArray[np.bool_] | None:
    if one.source["kind"] == "tag":
        return origins.of(one.source["tag"]).used
    return origins.rows_used(one.source, one.group.rows)


def _described(bundle: Bundle, first: Choice, second: Choice) -> list[str]:
    """What A has more often than B, or less: words and columns."""
    lacking = against.choose_side()
    picked: list[str] = []
    try:
        beside = against.compare_pair(bundle, first, second)
        if bundle.has_text:
            st.markdown("**Words**")
            picked += words.show_tokens(bundle, first, beside, "Words", lacking, by_p=True)
        st.markdown("**Columns**")
        picked += columns.show_compared(bundle, first, beside, "column", lacking)
    except BackendError as error:
        st.info(text.plain(error, limit=400))
    return picked


def _plain(one: Choice) -> str:
    return f"{one.number} {text.shorten(one.name, 48)}".strip()


def _title(one: Choice) -> str:
    return text.plain(_plain(one))
