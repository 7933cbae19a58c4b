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
from backend.core.groups import Group
from backend.describe import describe_facts, read_columns
from backend.report import (
    RuleError,
    columns_of,
    complete,
    delete_hypothesis,
    evaluate,
    hypotheses,
    hypotheses_csv,
    hypotheses_json,
    keep_hypothesis,
    parse,
)
from backend.rules.syntax import MAX_TOP, Value, name_text, value_text
from backend.rules.write import joined, level_rule, near_rule, value_rule
from pages.components.group import tagging
from pages.components.group.groups import Choice, rows_of_ids
from pages.components.shared import frame, keys, services, text

SHEET_NAME = "Hypotheses"  # the tab of the flagged page, as it stands in the address
SENTENCE = "hypothesis_sentence"
RULE = "hypothesis_rule"
SUGGESTION = "hypothesis_suggestion"
SEEN = "hypothesis_seen"
LATEST = "_hypothesis_latest"
ORIGIN = "_hypothesis_origin"
ASKED = "_hypothesis_asked"
NOTHING = "nothing"
ANCHORS, SURROUNDINGS = 5, 4
"""A region's rule: how many members it starts from, and how many times the region it reaches."""
GROUP = "group"
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
    names = bundle.class_names
    labels = None
    if names is not None and bundle.label_codes is not None:
        labels = np.asarray(names, dtype=object)[bundle.label_codes]
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
def columns_of_bundle(digest: str, _bundle: Bundle) -> dict[str, str]:
    """The columns a rule can use, with their kind."""
    return columns_of(_bundle)


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
