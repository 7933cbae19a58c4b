"""The words of a group's texts beside those of others: tokens, n-grams, scripts, topics."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from backend.bundle import Bundle
from backend.core.errors import BackendError
from backend.describe import ARROW, Compared, TextCues, WordIndex, cue_tables, own_name
from backend.describe.cues import SURE
from backend.describe.words import LEVEL, SMOOTHING
from backend.jobs import Job
from backend.rules.write import words_rule
from pages.components.group import against, columns, holders, words_beside
from pages.components.group.against import Against
from pages.components.shared import link, services, tables, text
from pages.components.shared.choice import Choice
from pages.components.shared.waiting import show_progress

PART = "words"  # also its name in the address
LENGTHS = {"Words": 1, "Pairs": 2, "Triples": 3}
BESIDE, CUES, TOPICS = "All groups", "Script and marks", "Topics"
RANK, SUREST, BY_RATIO = "rank", "Surest first", "By ratio"  # the first also in the address
TOPIC = "topic"  # which column is read as topics; in the address
SHOWN = 20
ROWS = 10
RATIO = (
    f"({SMOOTHING:g} + share of the group's weight in documents with it) / ({SMOOTHING:g} + share of what "
    "it is compared with); each document counts once (d'Eon et al. 2021, section 3.3)."
)


def show_words(bundle: Bundle, choice: Choice, choices: list[Choice]) -> list[str]:
    """What the group's texts hold more often than others; the ids picked below a row.

    ``choices`` are the groups that its words can stand beside.
    """
    parts = [*LENGTHS, *([BESIDE] if len(choices) > 1 else []), CUES, TOPICS]
    with st.container(horizontal=True, vertical_alignment="center"):
        part = str(
            st.segmented_control(
                "Look at",
                parts,
                required=True,
                label_visibility="collapsed",
                **link.bound(PART, parts),
            )
        )
        baseline = against.choose_baseline(bundle)
        if part == TOPICS:
            order = columns.choose_order()
        else:
            order = _choose_rank() if part in LENGTHS or part == BESIDE else ""
        lacking = against.choose_side()
    try:
        beside = against.compare(bundle, choice, baseline)
        if part == TOPICS:
            return _topics(bundle, choice, beside, order, lacking)
        if part == CUES:
            return _cues(bundle, choice, beside, lacking)
        if part == BESIDE:
            job = _read(bundle)
            if job is not None:
                index = word_index(job.key, job)
                words_beside.show(bundle, choices, baseline, index, lacking, order == SUREST)
            return []
        return show_tokens(bundle, choice, beside, part, lacking, order == SUREST)
    except BackendError as error:
        st.info(text.plain(error, limit=400))
        return []


def _choose_rank() -> str:
    """By p, or by the ratio as in the paper."""
    return str(
        st.selectbox(
            "Order",
            [SUREST, BY_RATIO],
            help="Surest: lowest p first, of equal ones the highest ratio. By ratio, as in d'Eon et al. "
            "2021, rare words come first, which may be accidents.",
            label_visibility="collapsed",
            width=150,
            **link.bound(RANK, [SUREST, BY_RATIO]),
        )
    )


def show_tokens(
    bundle: Bundle, choice: Choice, beside: Against, part: str, lacking: bool, by_p: bool
) -> list[str]:
    """The words, pairs or triples that a group holds more often, or less; the ids picked below a row."""
    job = _read(bundle)
    if job is None:
        return []
    index, length = word_index(job.key, job), LENGTHS[part]
    if length not in index.presence:
        st.info(
            f"{text.count(index.n_words)} words are too many to look at their neighbours; single words "
            "were read."
        )
        return []
    found = _compared(beside.key, length, index, beside, lacking, by_p)
    rare = "" if length == 1 else f" that at least {job.options['min_count']} documents hold"
    said = (
        f"{beside.sentence} Of {text.count(found.looked_at)} {part.lower()} looked at{rare}, "
        f"{text.count(found.told_apart)} {'has' if found.told_apart == 1 else 'have'} an adjusted p of at most {text.level(LEVEL)}; the {len(found.table)} "
        f"{_listed(lacking, by_p)} are listed."
    )
    st.caption(
        f"{said} Ratio: one share plus {text.percent(SMOOTHING)} over the other plus {text.percent(SMOOTHING)}, "
        "so that rare words have no large one. Mark a row to see its members."
    )
    if choice.found:
        st.caption(
            "Neighbours in embedding space share words in any case: p says that a share is no accident of "
            "drawing, not that the word makes the loss high."
        )
    row = tables.ratio_table(
        found.table,
        "token",
        key=f"tokens_{length}_{lacking}_{by_p}_{beside.key}",
        base=beside.head,
        rows=ROWS,
        formula=RATIO,
    )
    if row is None:
        return []
    token = str(found.table["token"].iloc[row])
    return holders.show_holders(
        bundle,
        choice,
        what=f"“{token}”",
        row=found.table.iloc[row],
        rows=index.presence[length].holders(int(found.codes[row])),
        rule=words_rule(token),
        key=f"{beside.key}_{length}",
    )


def _read(bundle: Bundle) -> Job | None:
    """The job that read the words of all texts; None while it does."""
    job = services.ask("words", bundle.digest)
    done = show_progress(job, what="Reading the words of all texts, once", key="words")
    return job if done else None


def _listed(lacking: bool, by_p: bool) -> str:
    """Which of the words are in the table."""
    if by_p:
        return "surest"
    return f"of {'lowest' if lacking else 'highest'} ratio"


def _cues(bundle: Bundle, choice: Choice, beside: Against, lacking: bool) -> list[str]:
    job = services.ask("cues", bundle.digest)
    if not show_progress(job, what="Reading scripts and languages, once", key="cues"):
        return []
    cues = text_cues_of(job.key, job)
    found, measures = _cues_compared(beside.key, cues, beside, lacking)
    looked, told = (
        next(iter(found.values())).looked_at,
        sum(one.told_apart for one in found.values()),
    )
    st.caption(
        f"{beside.sentence} {text.count(looked)} cues looked at, {text.count(told)} with an adjusted p of at "
        f"most {text.level(LEVEL)}. A text holds every script it has a letter of. Languages are told by py3langid, from a "
        f"probability of {text.level(SURE)} on; short texts are often unsure. Mark a row to see its members."
    )
    table = pd.concat(
        [one.table.assign(column=section, code=one.codes) for section, one in found.items()],
        ignore_index=True,
    )
    row = tables.ratio_table(
        table, "value", key=f"cues_{lacking}_{beside.key}", base=beside.head, rows=ROWS
    )
    picked: list[str] = []
    if row is not None:
        marked = table.iloc[row]
        picked = holders.show_holders(
            bundle,
            choice,
            what=f"{marked['column']}: {marked['value']}",
            row=marked,
            rows=cues.presence[str(marked["column"])].holders(int(marked["code"])),
            rule=None,
            key=f"{beside.key}_cues",
        )
    st.markdown("**Lengths and shares of characters**")
    tables.summary_table(measures, key=f"measures_{beside.key}", base=beside.head)
    return picked


def _topics(
    bundle: Bundle, choice: Choice, beside: Against, order: str, lacking: bool
) -> list[str]:
    """One category per example, as the paper's topic tables; any column can be read as topics."""
    own = {own_name(bundle, name) for name in ("label", "prediction", ARROW)}
    found = {
        one.name: one
        for one in columns.compared(beside.key, bundle, beside, lacking)
        if one.column.numbers is None and one.name not in own
    }
    if not found:
        st.info(
            "Topics are one category per text, such as the article or the product it is about. Add a "
            "column named topic to the examples table and import the bundle again."
        )
        return []
    names = sorted(found, key=lambda name: name.lower() not in ("topic", "topics"))
    column = st.selectbox(
        "Column of topics",
        names,
        format_func=lambda name: text.shorten(name, 60),
        width=300,
        **link.bound(TOPIC, names),
    )
    one = found[str(column)]
    st.caption(
        f"{beside.sentence} {text.count(len(one.table))} values of this column and "
        f"{text.count(one.looked_at)} over all columns looked at; p is adjusted for the latter. Mean loss is "
        "over all examples of the topic. Mark a row to see its members."
    )
    return columns.show_values(bundle, choice, [one], beside, order, lacking)


@st.cache_resource(show_spinner=False, max_entries=4)
def word_index(key: str, _job: object) -> WordIndex:
    """The index a worker made of the bundle's texts."""
    return WordIndex.from_arrays(_job.result().arrays)  # type: ignore[attr-defined]


@st.cache_resource(show_spinner=False, max_entries=4)
def text_cues_of(key: str, _job: object) -> TextCues:
    """The cues a worker read of the bundle's texts."""
    result = _job.result()  # type: ignore[attr-defined]
    return TextCues.from_arrays(result.arrays, result.meta["names"])


@st.cache_resource(show_spinner=False, max_entries=64)
def _compared(
    key: str, length: int, _index: WordIndex, _against: Against, lacking: bool, by_p: bool
) -> Compared:
    return _index.compare(_against.comparison, length=length, top=SHOWN, lacking=lacking, by_p=by_p)


@st.cache_resource(show_spinner=False, max_entries=16)
def _cues_compared(
    key: str, _cues: TextCues, _against: Against, lacking: bool
) -> tuple[dict[str, Compared], pd.DataFrame]:
    return cue_tables(_cues, _against.comparison, lacking=lacking)
