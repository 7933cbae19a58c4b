"""Which examples are hardest? By loss, VoG, confidence over training, disagreement or PIE."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from backend.bundle import Bundle
from backend.core.errors import BackendError
from backend.views import Looked
from pages.components.group import groups
from pages.components.group.panel import show_group
from pages.components.hardest.ends import show_ends
from pages.components.hardest.score import (
    RankedBy,
    border_of,
    choose_score,
    hardest_choice,
    show_spread,
)
from pages.components.hardest.tails import show_tails
from pages.components.hardest.worth import show_worth
from pages.components.map import mapview
from pages.components.shared import frame, keys, text
from pages.components.shared.choice import Choice
from pages.components.view import selection
from pages.components.view.acting import show_acting_bar

SHARE = 2.0  # percent of the examples, at first


def page() -> None:
    bundle = frame.choose_bundle()
    if bundle is None:
        return
    st.header(
        "Which examples are hardest?",
        anchor=False,
        help="Ranked by a score of difficulty, highest first. By loss it is the high-loss set: examples "
        "whose loss is strictly above a quantile of all losses, the baseline spotlights are compared "
        "with (d'Eon et al. 2021, section 3).",
    )
    try:
        show_page(bundle)
    except BackendError as error:
        st.error(text.plain(error, limit=600))


def show_page(bundle: Bundle) -> None:
    chart_place, set_place = st.columns([7, 5])
    with set_place:
        ranked = choose_score(bundle)
        if ranked is None:
            return
        choice = choose_share(bundle, ranked)
    with chart_place:
        show_spread(bundle, ranked, choice.group.rows)
    looked = selection.look(bundle, mapview.layouts(bundle))
    if looked is None:
        return
    show_parts(bundle, ranked, choice, looked)
    selection.write_link(bundle)


def show_parts(bundle: Bundle, ranked: RankedBy, choice: Choice, looked: Looked) -> None:
    """The bar that acts on what is below it, and the ways to look."""
    bar = show_acting_bar(bundle, looked)
    parts: dict[str, Callable[[], None]] = {
        "The hardest": lambda: show_set(bundle, choice, looked, bar),
        "Errors by score": lambda: show_worth(bundle, ranked, looked.shown),
        "Ends of a class": lambda: show_ends(bundle, ranked, looked.shown, bar),
        "Two long tails": lambda: show_tails(bundle, looked),
    }
    tabs = st.tabs(list(parts), key=keys.HARD_PART, on_change="rerun", bind="query-params")
    for tab, show in zip(tabs, parts.values(), strict=True):
        if tab.open:  # only what is looked at is computed
            with tab:
                show()


def choose_share(bundle: Bundle, ranked: RankedBy) -> Choice:
    """How many of the hardest are taken, and what they are."""
    share = st.slider(
        "Hardest share, in percent",
        0.1, 20.0, SHARE, 0.1,
        key=keys.QUANTILE,
        bind="query-params",
        help=f"{SHARE:g}\u00a0% means: strictly above the {1 - SHARE / 100:g} quantile of the score. Where "
        "nothing is strictly above it (0/1 losses), as many of the largest as the share asks for, ties "
        "drawn by seed.",
    )  # fmt: skip
    choice = hardest_choice(bundle, ranked, 1 - share / 100)
    group, border = choice.group, text.number(border_of(ranked, choice.group.rows))
    score = "loss" if ranked.score.name == "loss" else text.plain(ranked.score.title)
    more = "more" if ranked.score.hard == "high" else "less"
    st.markdown(
        f"**{text.count(group.n_members)}** examples with a {score} of {border} or {more}, "
        f"mean loss **{text.number(group.member_loss)}** ({text.times(group.ratio)} base). "
        f"They carry **{text.percent(group.loss_share)}** of the total loss."
    )
    return choice


def show_set(bundle: Bundle, choice: Choice, looked: Looked, bar: DeltaGenerator) -> None:
    """The set, as far as the filters show it, with every way to look at a group."""
    choice = shown_of(bundle, choice, looked)
    if choice.group.n_members:
        show_group(bundle, choice, [choice], bar=bar)
    else:
        st.info(
            "The filters leave none of the hardest examples. Switch one off, or take a larger share.",
            icon=":material/filter_alt_off:",
        )


def shown_of(bundle: Bundle, choice: Choice, looked: Looked) -> Choice:
    """The set as far as the filters show it; how hard it is stays a matter of all examples."""
    if not looked.filtering:
        return choice
    rules = looked.view.told()["filters"]
    choice = groups.within([choice], looked.shown, bundle.losses, rules)[0]
    st.caption(
        f"The filters keep **{text.count(choice.group.n_members)}** of the "
        f"{text.counted(choice.whole or 0, 'hardest example')}; below are those."
    )
    return choice


page()
