"""Hypotheses: a sentence, the rule that says it exactly, and its test on unused examples."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.content import content_key
from backend.core.errors import BackendError
from backend.report import (
    Origins,
    RuleError,
    chosen_by_rate,
    complete,
    delete_hypothesis,
    hypotheses,
    hypotheses_csv,
    hypotheses_json,
    keep_hypothesis,
    plan_hypothesis,
    set_aside,
)
from backend.report.confirmation import Confirmation
from backend.report.origin import region_groups
from backend.rules import KnownValues, example_rules, problem_of, with_suggestion
from backend.rules.cards import (
    CIRCULAR,
    CONTRADICTED,
    NOT_SHOWN,
    SUPPORTED,
    TOO_FEW,
    VERDICTS,
)
from backend.rules.syntax import name_text
from pages.components.group import ask, tagging
from pages.components.group.ask import GROUP, ORIGIN, RULE, SEEN, SENTENCE, columns_of_bundle
from pages.components.shared import allowed, frame, keys, ruled, services, text

SUGGESTION = "hypothesis_suggestion"
LATEST = "_hypothesis_latest"
ASKED_FOR_TEST = "_hypothesis_test_asked"
NOTHING = "nothing"
REGIONS = "regions"
SHOWN = 12
ICONS = {
    SUPPORTED: ":material/check_circle:",
    CONTRADICTED: ":material/do_not_disturb_on:",
    NOT_SHOWN: ":material/help:",
    TOO_FEW: ":material/hourglass_empty:",
    CIRCULAR: ":material/sync_problem:",
}
COLUMNS = (
    "sentence",
    "rule",
    "verdict_adjusted",
    "difference",
    "low",
    "high",
    "n",
    "n_matching",
    "p",
    "p_adjusted",
    "author",
    "time",
)


# --- from anywhere to the form --------------------------------------------------------------------


def show_hypotheses(bundle: Bundle) -> None:
    """The form, what the last test said, and every card."""
    write, said = st.columns([5, 6], gap="medium")
    with write:
        ask.finish_rule(bundle)
        sentence, rule = _form(bundle)
        said_of_rule = st.container()
        found_by = _seen(bundle)
        with said_of_rule:
            worked_out = ruled.ready(bundle, [rule], key="hypothesis")
            readable = worked_out and _plan(bundle, rule, found_by) is not None
        st.button(
            "Test it on unused examples",
            key="hypothesis_test",
            type="primary",
            icon=":material/rule:",
            on_click=_ask_for_test,
            **allowed.control(
                "write_hypothesis",
                bundle.digest,
                help="Compares mean losses among the examples that were not used to find it, by a "
                "studentised permutation test (Chung, Romano 2013). Every test is counted, and p is "
                "adjusted for all of them (Benjamini, Hochberg 1995).",
            ),
        )
        if worked_out and st.session_state.get(ASKED_FOR_TEST):
            _test(bundle, sentence, rule, found_by, readable)
            st.session_state.pop(ASKED_FOR_TEST, None)
    cards = hypotheses(bundle, services.store())
    with said:
        _verdict(cards)
    _cards(bundle, cards)


# --- the form -------------------------------------------------------------------------------------


def _form(bundle: Bundle) -> tuple[str, str]:
    """Sentence and rule as typed."""
    sentence = st.text_input(
        "Sentence",
        key=SENTENCE,
        max_chars=1000,
        placeholder="Shirts with little texture are hard",
        help="What you believe, in your own words.",
        persist_state="session",
    )
    rule = st.text_input(
        "Rule",
        key=RULE,
        max_chars=2000,
        placeholder=next(iter(examples_of(bundle.digest, bundle)), "loss > 1"),
        help=_rule_help(bundle),
        live=True,
        persist_state="session",
    )
    rule = rule or ""
    _suggest(bundle, rule)
    return sentence or "", rule


def _rule_help(bundle: Bundle) -> str:
    columns = columns_of_bundle(bundle.digest, bundle)
    shown = ", ".join(
        f"{text.plain(name_text(name))} ({kind})" for name, kind in list(columns.items())[:40]
    )
    examples = "  \n".join(text.plain(one, limit=120) for one in examples_of(bundle.digest, bundle))
    return (
        "Says exactly which examples the sentence is about.\n\n"
        f"Columns: {shown}.\n\n"
        "Operators: \\=, \\!=, <, <=, \\>, \\>=, in (…), between … and …, contains (whole words; "
        "refund\\* for all that begin so), tagged, near … top k, near … top k within (…), joined by "
        "and, or, not and parentheses.\n\n"
        f"For instance:  \n{examples}\n\n"
        "A rule that names loss, correct, or label and prediction together confirms itself: say "
        "what the examples are, not how the model did."
    )


@st.cache_resource(show_spinner=False, max_entries=8)
def values_of_columns(digest: str, _bundle: Bundle) -> KnownValues:
    """The columns a rule can use, each with the values worth suggesting."""
    return KnownValues(_bundle)


@st.cache_resource(show_spinner=False, max_entries=8)
def examples_of(digest: str, _bundle: Bundle) -> list[str]:
    """At most two rules that can be read, made of this bundle's own columns."""
    return example_rules(_bundle, values_of_columns(digest, _bundle))


def _suggest(bundle: Bundle, rule: str) -> None:
    """What could come next, at the end of the rule; a click writes it there."""
    tags = list(services.known().tag_counts(bundle.digest))
    columns = values_of_columns(bundle.digest, bundle)
    offered = complete(rule, len(rule), columns, tags)[:SHOWN]
    if offered:
        st.pills(
            "Next",
            offered,
            format_func=lambda one: text.plain(one, limit=40),
            key=SUGGESTION,
            on_change=_take_suggestion,
            label_visibility="collapsed",
        )


def _take_suggestion() -> None:
    chosen = st.session_state.get(SUGGESTION)
    if chosen:
        st.session_state[RULE] = with_suggestion(st.session_state.get(RULE) or "", chosen) + " "
    st.session_state[SUGGESTION] = None


def _plan(bundle: Bundle, rule: str, found_by: str) -> Confirmation | None:
    """Say what a test would be made on, or where the rule cannot be read: None then."""
    if not rule.strip():
        return None
    try:
        plan = plan_hypothesis(
            bundle,
            rule,
            used_rows=used_rows(bundle, found_by),
            groups=_groups(bundle, found_by),
            tags=tagging.tags_of(bundle),
            origins=Origins(bundle, services.store()),
        )
    except RuleError as error:
        st.code(str(error), language=None, wrap_lines=False)
        return None
    problem = problem_of(rule, bundle, tagging.tags_of(bundle))
    if problem is not None:  # it can be read, so some value is one that no example has
        nearest = f" Did you mean `{text.plain(problem.instead[0], limit=200)}`?"
        st.caption(
            f":orange[{text.plain(problem.told, limit=200)}]{nearest * bool(problem.instead)}"
        )
    means = f"Means {text.count(plan.n_meant)} of {text.count(bundle.n)} examples"
    if plan.reliance.circular:
        st.caption(f"{means}.")
        st.warning(
            f"{text.plain(plan.reliance.circular, limit=300)} It confirms itself: it is kept as "
            f"{CIRCULAR}, is not tested and never counts as supported.",
            icon=ICONS[CIRCULAR],
        )
        return plan
    st.caption(
        f"{means}; {text.count(plan.n_matching)} of them are unused and will be tested against "
        f"{text.counted(plan.n_other, 'other')}."
    )
    if plan.shortage:
        st.caption(f":orange[Too few for a test: {text.plain(plan.shortage, limit=200)}.]")
    if plan.reliance.note:
        st.caption(text.plain(plan.reliance.note, limit=300))
    return plan


# --- what was looked at ---------------------------------------------------------------------------


def _seen(bundle: Bundle) -> str:
    """What the hypothesis was found by looking at."""
    counts = services.known().tag_counts(bundle.digest)
    origin = ask.origin_of(bundle)
    names = {NOTHING: "Nothing in particular · a random half set aside"}
    if origin:
        used = used_rows(bundle, GROUP)
        aside = "a random half" if used is None else text.count(int(np.count_nonzero(used)))
        names = {GROUP: f"{text.shorten(origin['name'], 60)} · {aside} set aside"} | names
    if used_rows(bundle, REGIONS) is not None:
        names[REGIONS] = "Regions that were tagged"
    names |= {f"tag:{name}": f"Tag {name}" for name in counts}
    if st.session_state.get(SEEN) not in names:
        st.session_state.pop(SEEN, None)
    chosen = st.selectbox(
        "Found by looking at",
        list(names),
        format_func=names.__getitem__,
        key=SEEN,
        help="What suggested a hypothesis cannot confirm it and is set aside: for a region every "
        "example but those kept aside from its search, for a spotlight and for a tag that was "
        "looked at its members, for what no loss has found a random half. Where a rule says tagged, "
        "what found that tag is set aside as well.",
    )
    if chosen == GROUP and origin and (note := chosen_by_rate(origin["source"])):
        st.caption(note)
    return str(chosen or NOTHING)


@st.cache_resource(show_spinner=False, max_entries=8)
def _used_by_regions(digest: str, seq: int, _bundle: Bundle) -> NDArray[np.bool_] | None:
    """Rows used by the regions that were tagged, as the log stands at event ``seq``."""
    return Origins(_bundle, services.store()).of_regions()


def used_rows(bundle: Bundle, found_by: str) -> NDArray[Any] | None:
    """Rows set aside by this choice; None for a random half."""
    seq, origin = services.known().last_seq(bundle.digest), ask.origin_of(bundle)
    if found_by == GROUP and origin:
        return _used_by_group(bundle.digest, origin["stamp"], seq, bundle)
    if found_by == NOTHING:
        return None
    if found_by == REGIONS:
        return _used_by_regions(bundle.digest, seq, bundle)
    tags = tagging.tags_of(bundle)
    return bundle.rows_of(tags.loc[tags["tag"] == found_by.removeprefix("tag:"), "id"])


@st.cache_resource(show_spinner=False, max_entries=8)
def _used_by_group(digest: str, stamp: str, seq: int, _bundle: Bundle) -> NDArray[np.bool_] | None:
    """Rows used by the group the form was opened from; ``stamp`` says which opening it was."""
    origin = st.session_state[ORIGIN]
    return set_aside(_bundle, origin["source"], origin["rows"], Origins(_bundle, services.store()))


def _groups(bundle: Bundle, found_by: str) -> str | None:
    """The column of near-duplicates that the search of this region respected."""
    origin = ask.origin_of(bundle)
    return region_groups(bundle, origin["source"]) if origin and found_by == GROUP else None


# --- the test and the cards -----------------------------------------------------------------------


def _ask_for_test() -> None:
    """Note the click: a run that is ended before it comes to the test leaves it to the next."""
    st.session_state[ASKED_FOR_TEST] = True


def _test(bundle: Bundle, sentence: str, rule: str, found_by: str, readable: bool) -> None:
    if not sentence.strip():
        st.info("Write the sentence first: it is what the card is called.")
        return
    if not rule.strip():
        st.info("Write a rule first: it says which examples the sentence is about.")
        return
    if not readable:
        st.info("The rule cannot be read yet: see the place marked above.")
        return
    source: dict[str, Any] = {"kind": "tag", "tag": found_by.removeprefix("tag:")}
    origin = ask.origin_of(bundle)
    if found_by in (NOTHING, REGIONS):
        source = {"kind": "regions"}
    elif found_by == GROUP and origin:
        source = origin["told"]
    try:
        with st.spinner("Testing on unused examples"):
            st.session_state.pop(ASKED_FOR_TEST, None)
            _, event = keep_hypothesis(
                bundle,
                services.store(),
                sentence.strip(),
                rule,
                author=frame.who(),
                source=None if found_by == NOTHING else source,
                used_rows=used_rows(bundle, found_by),
                groups=_groups(bundle, found_by),
            )
    except BackendError as error:
        st.error(text.plain(error, limit=600))
        return
    st.session_state[LATEST] = event.payload["key"]
    st.rerun()


def _verdict(cards: pd.DataFrame) -> None:
    """What the last test said, with its numbers."""
    card = cards[cards["key"] == st.session_state.get(LATEST)]
    if card.empty:
        st.caption(
            "A hypothesis read off the data is tested on the examples that did not suggest it. "
            f"What comes out is one of these: {', '.join(VERDICTS)}."
        )
        return
    last = card.iloc[0]
    with st.container(border=True):
        icon = ICONS.get(last["verdict"], ICONS[TOO_FEW])
        st.markdown(f"{icon} **{text.plain(str(last['verdict_adjusted']).capitalize())}**")
        st.text(last["sentence"])
        st.markdown(text.plain(last["reason"], limit=400))
        st.markdown(
            f"mean loss **{text.number(last['matching_loss'])}** against "
            f"{text.number(last['other_loss'])} · difference "
            f"**{text.number(last['difference'])}** ({text.number(last['low'])} to "
            f"{text.number(last['high'])})"
        )
        st.markdown(
            f"n {text.count(int(last['n']))}, of which {text.count(int(last['n_matching']))} match "
            f"· set aside {text.count(int(last['n_used']))} · p {text.number(last['p'])} · "
            f"adjusted p {text.number(last['p_adjusted'])} over "
            f"{text.counted(int(last['tests']), 'test')}",
            help="p: how often a difference this large comes about when matching does not matter. "
            "Adjusted: the share of false ones to expect when this one and all surer ones count "
            "as found (Benjamini, Hochberg 1995). Deleted cards stay counted.",
        )


def _cards(bundle: Bundle, cards: pd.DataFrame) -> None:
    if cards.empty:
        st.caption("No hypothesis yet.")
        return
    # Another table gets another key, or a mark would stay on a row that is now another card.
    key = f"hypothesis_cards_{content_key(cards['key'].tolist())}"
    shown = st.dataframe(
        cards[list(COLUMNS)].assign(time=pd.to_datetime(cards["time"])),
        hide_index=True,
        key=key,
        on_select="rerun",
        selection_mode="multi-row",
        column_config=_settings(),
        placeholder="",
        height=min(35 * (len(cards) + 1) + 3, 388),
        row_height=35,
    )
    marked = [cards["key"].iloc[row] for row in shown["selection"]["rows"] if row < len(cards)]
    with st.container(horizontal=True):
        st.button(
            f"Delete marked · {len(marked)}",
            key="hypothesis_delete",
            icon=":material/delete:",
            type="tertiary",
            on_click=_delete,
            args=(bundle, marked),
            **allowed.control(
                "write_hypothesis",
                bundle.digest,
                disabled=not marked,
                help="Undo brings a card back. Its test stays counted either way.",
            ),
        )
        for ending, make in (("csv", hypotheses_csv), ("json", hypotheses_json)):
            st.download_button(
                f"Download {ending.upper()}",
                data=services.handed(
                    bundle.digest, f"the hypotheses as {ending}", partial(make, bundle)
                ),
                file_name=f"hypotheses.{ending}",
                mime="text/csv" if ending == "csv" else "application/json",
                key=f"hypotheses_{ending}",
                icon=":material/download:",
                on_click="ignore",
            )


def _settings() -> dict[str, Any]:
    number = st.column_config.NumberColumn
    return {
        "sentence": st.column_config.TextColumn(width="medium"),
        "rule": st.column_config.TextColumn(width="medium"),
        "verdict_adjusted": st.column_config.TextColumn(
            "verdict", help="Supported only where the adjusted p is small enough, too."
        ),
        "difference": number(format="%.3g", help="Mean loss of matching minus other examples."),
        "low": number(format="%.3g", help="Lower end of the 95\u00a0% interval of the difference."),
        "high": number(
            format="%.3g", help="Upper end of the 95\u00a0% interval of the difference."
        ),
        "n": number(format="localized", help="Examples the test was made on."),
        "n_matching": number("matching", format="localized"),
        "p": number(format="%.3g"),
        "p_adjusted": number(
            "adjusted p", format="%.3g", help="Benjamini, Hochberg 1995, over all tests made here."
        ),
        "time": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
    }


def _delete(bundle: Bundle, marked: list[str]) -> None:
    for key in marked:
        try:
            delete_hypothesis(bundle, services.store(), key, author=frame.who())
        except BackendError as error:
            st.session_state[keys.NOTICE] = (text.plain(error, limit=400), ":material/error:")
            return
    words = "a hypothesis" if len(marked) == 1 else f"{len(marked)} hypotheses"
    st.session_state[keys.NOTICE] = (f"Deleted {words}. Undo brings it back.", ":material/delete:")
