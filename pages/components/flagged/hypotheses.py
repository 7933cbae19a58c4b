"""Hypotheses: a sentence, the rule that says it exactly, and its test on unused examples."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.errors import BackendError
from backend.report import (
    RuleError,
    complete,
    delete_hypothesis,
    evaluate,
    hypotheses,
    hypotheses_csv,
    hypotheses_json,
    keep_hypothesis,
    parse,
)
from backend.rules.syntax import Value, name_text, value_text
from pages.components.group import tagging
from pages.components.group.ask import GROUP, ORIGIN, RULE, SEEN, SENTENCE, columns_of_bundle
from pages.components.group.groups import rows_of_ids
from pages.components.shared import frame, keys, services, text

SUGGESTION = "hypothesis_suggestion"
LATEST = "_hypothesis_latest"
NOTHING = "nothing"
REGIONS = "regions"
SHOWN = 12
ICONS = {"supported": ":material/check_circle:", "refused": ":material/do_not_disturb_on:"}
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
        sentence, rule, readable = _form(bundle)
        found_by = _seen(bundle)
        if st.button(
            "Test it on unused examples",
            key="hypothesis_test",
            type="primary",
            icon=":material/rule:",
            help="Compares mean losses among the examples that were not used to find it, by a "
            "studentised permutation test (Chung, Romano 2013). Every test is counted, and p is "
            "adjusted for all of them (Benjamini, Hochberg 1995).",
        ):
            _test(bundle, sentence, rule, found_by, readable)
    cards = hypotheses(bundle, services.store())
    with said:
        _verdict(cards)
    _cards(bundle, cards)


# --- the form -------------------------------------------------------------------------------------


def _form(bundle: Bundle) -> tuple[str, str, bool]:
    """Sentence and rule as typed, and whether the rule can be read."""
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
    return sentence or "", rule, _reading(bundle, rule)


def _rule_help(bundle: Bundle) -> str:
    columns = columns_of_bundle(bundle.digest, bundle)
    shown = ", ".join(
        f"{text.plain(name_text(name))} ({kind})" for name, kind in list(columns.items())[:40]
    )
    examples = "  \n".join(text.plain(one, limit=120) for one in examples_of(bundle.digest, bundle))
    return (
        "Says exactly which examples the sentence is about.\n\n"
        f"Columns: {shown}.\n\n"
        "Operators: \\=, \\!=, <, <=, \\>, \\>=, in (…), between … and …, contains, tagged, near … "
        "top k, joined by and, or, not and parentheses.\n\n"
        f"For instance:  \n{examples}\n\n"
        "A rule that names loss or correct confirms itself: say what the examples are, not how "
        "the model did."
    )


@st.cache_resource(show_spinner=False, max_entries=8)
def values_of_columns(digest: str, _bundle: Bundle) -> dict[str, list[str]]:
    """The columns a rule can use, each with the values worth suggesting."""
    names = [str(name) for name in _bundle.class_names or ()]
    values = {}
    for column, kind in columns_of_bundle(digest, _bundle).items():
        values[column] = names if column in ("label", "prediction") and kind == "text" else []
        if kind == "text" and column in _bundle.attributes and not values[column]:
            found = _bundle.examples[column].dropna().astype(str).value_counts()
            values[column] = found.index[:SHOWN].tolist()
    return values


@st.cache_resource(show_spinner=False, max_entries=8)
def examples_of(digest: str, _bundle: Bundle) -> list[str]:
    """At most two rules that can be read, made of this bundle's own columns."""
    columns = columns_of_bundle(digest, _bundle)
    values = values_of_columns(digest, _bundle)
    numbers = [name for name in _bundle.attributes if columns.get(name) == "number"]
    listed = [name for name in values if len(values[name]) > 1 and name != "prediction"]
    parts = []
    if numbers:
        first = _bundle.examples[numbers[0]].dropna()
        if len(first):
            parts.append(f"{name_text(numbers[0])} > {format(float(first.iloc[0]), '.3g')}")
    if listed:
        one, other = (value_text(Value(value)) for value in values[listed[0]][:2])
        equal = f"{name_text(listed[0])} = {one}"
        made = [" and ".join([equal, *parts]), f"{name_text(listed[0])} in ({one}, {other})"]
    else:
        made = parts
    near = f"near {value_text(Value(str(_bundle.ids[0])))} top 50"
    return [one for one in [*made, near] if _can_be_read(one, columns)][:2]


def _can_be_read(rule: str, columns: Iterable[str]) -> bool:
    try:
        parse(rule, columns)
    except RuleError:
        return False
    return True


def _suggest(bundle: Bundle, rule: str) -> None:
    """What could come next, at the end of the rule; a click writes it there."""
    tags = list(services.store().tag_counts(bundle.digest))
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


def with_suggestion(rule: str, word: str) -> str:
    """The rule with its unfinished last word completed, or the word written after it.

    >>> with_suggestion("width > 2 and la", "label")
    'width > 2 and label'
    >>> with_suggestion('label = "Sh', '"Shirt"')
    'label = "Shirt"'
    """
    bare = word.lstrip("\"`'").lower()
    for at in range(len(rule) + 1):
        tail = rule[at:].lstrip("\"`'").lower()
        inside = at > 0 and (rule[at - 1].isalnum() or rule[at - 1] in "_\"`'")
        if bare.startswith(tail) and not (inside and tail):
            return rule[:at] + ("" if not inside or tail else " ") + word
    return f"{rule} {word}"


def _reading(bundle: Bundle, rule: str) -> bool:
    """Say how many examples the rule means, or where it cannot be read."""
    if not rule.strip():
        return False
    try:
        mask = evaluate(rule, bundle, tagging.tags_of(bundle))
    except RuleError as error:
        st.code(str(error), language=None, wrap_lines=False)
        return False
    st.caption(f"Means {text.count(int(mask.sum()))} of {text.count(bundle.n)} examples.")
    return True


# --- what was looked at ---------------------------------------------------------------------------


def _seen(bundle: Bundle) -> str:
    """What the hypothesis was found by looking at."""
    counts = services.store().tag_counts(bundle.digest)
    origin = _origin(bundle)
    options = [GROUP] if origin else []
    options += [NOTHING, *([REGIONS] if len(_region_rows(bundle)) else [])]
    options += [f"tag:{name}" for name in counts]
    if st.session_state.get(SEEN) not in options:
        st.session_state.pop(SEEN, None)

    def name(option: str) -> str:
        if origin and option == GROUP:
            return (
                f"{text.shorten(origin['name'], 60)} · {text.count(len(origin['rows']))} examples"
            )
        if option == NOTHING:
            return "Nothing in particular"
        if option == REGIONS:
            return "Examples tagged from regions"
        return f"Tag {option.removeprefix('tag:')}"

    chosen = st.selectbox(
        "Found by looking at",
        options,
        format_func=name,
        key=SEEN,
        help="These examples suggested the hypothesis, so they cannot confirm it and are set "
        "aside. With nothing in particular a random half is set aside. Choose the tag where the "
        "rule says tagged and the tag was put on examples because of their loss.",
    )
    return str(chosen or NOTHING)


def _region_rows(bundle: Bundle) -> NDArray[np.int64]:
    """Rows that carry a tag which was put on a region."""
    store = services.store()
    tags = tagging.tags_of(bundle)
    events = store.events_at(bundle.digest, tags["source_seq"].unique()) if len(tags) else []
    regions = [one.seq for one in events if (one.source or {}).get("kind") == "region"]
    return rows_of_ids(bundle, tags.loc[tags["source_seq"].isin(regions), "id"].unique())


def _origin(bundle: Bundle) -> dict[str, Any] | None:
    """The group the form was opened from, while this bundle is open."""
    origin = st.session_state.get(ORIGIN)
    return origin if origin and origin["digest"] == bundle.digest else None


def used_rows(bundle: Bundle, found_by: str) -> NDArray[np.int64] | None:
    """Rows set aside by this choice; None for a random half."""
    origin = _origin(bundle)
    if found_by == GROUP and origin:
        return np.asarray(origin["rows"])
    if found_by == NOTHING:
        return None
    if found_by == REGIONS:
        return _region_rows(bundle)
    tags = tagging.tags_of(bundle)
    return rows_of_ids(bundle, tags.loc[tags["tag"] == found_by.removeprefix("tag:"), "id"])


# --- the test and the cards -----------------------------------------------------------------------


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
    origin = _origin(bundle)
    if found_by in (NOTHING, REGIONS):
        source = {"kind": "regions"}
    elif found_by == GROUP and origin:
        source = origin["source"]
    try:
        with st.spinner("Testing on unused examples"):
            _, event = keep_hypothesis(
                bundle,
                services.store(),
                sentence.strip(),
                rule,
                author=frame.author(),
                source=None if found_by == NOTHING else source,
                used_rows=used_rows(bundle, found_by),
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
            "What comes out is one of three: supported, refused, too few examples."
        )
        return
    last = card.iloc[0]
    with st.container(border=True):
        icon = ICONS.get(last["verdict"], ":material/hourglass_empty:")
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
    key = f"hypothesis_cards_{'-'.join(one[:6] for one in cards['key'])[-80:]}"
    shown = st.dataframe(
        cards[list(COLUMNS)].assign(time=pd.to_datetime(cards["time"])),
        hide_index=True,
        key=key,
        on_select="rerun",
        selection_mode="multi-row",
        column_config=_settings(),
        placeholder="",
        height=min(35 * (len(cards) + 1) + 3, 388),
    )
    marked = [cards["key"].iloc[row] for row in shown["selection"]["rows"] if row < len(cards)]
    with st.container(horizontal=True):
        st.button(
            f"Delete marked · {len(marked)}",
            key="hypothesis_delete",
            icon=":material/delete:",
            type="tertiary",
            disabled=not marked,
            on_click=_delete,
            args=(bundle, marked),
            help="Undo brings a card back. Its test stays counted either way.",
        )
        for ending, make in (("csv", hypotheses_csv), ("json", hypotheses_json)):
            st.download_button(
                f"Download {ending.upper()}",
                data=partial(make, bundle, services.store()),
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
        "low": number(format="%.3g", help="Lower end of the 95 % interval of the difference."),
        "high": number(format="%.3g", help="Upper end of the 95 % interval of the difference."),
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
            delete_hypothesis(bundle, services.store(), key, author=frame.author())
        except BackendError as error:
            st.session_state[keys.NOTICE] = (text.plain(error, limit=400), ":material/error:")
            return
    words = "a hypothesis" if len(marked) == 1 else f"{len(marked)} hypotheses"
    st.session_state[keys.NOTICE] = (f"Deleted {words}. Undo brings it back.", ":material/delete:")
