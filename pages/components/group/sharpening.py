"""Sharpen a group: answer which examples belong, see how many there are, keep the result as a tag."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.content import content_key
from backend.core.errors import BackendError
from backend.core.found import one_region, short
from backend.sharpen.counting import FEWEST
from backend.sharpen.record import KIND, question_key
from backend.store import GivenAnswer, Question
from backend.views.sharpening import (
    Ranked,
    answer_counts,
    answer_table,
    answered_by_others,
    start_rows,
    start_size,
    tally_of,
    task_options,
)
from pages.components.gallery import cards, keyboard
from pages.components.gallery.shown import OpenQuestion, Shown
from pages.components.gallery.tiles import items_of, mount
from pages.components.group import cut, history
from pages.components.shared import allowed, frame, keys, notice, services, text
from pages.components.shared.choice import Choice
from pages.components.shared.waiting import RUNNING, show_progress

GALLERY = "gallery_answers"
SEED = 0
NEW, OTHERS = "New examples", "Answered by others"
ROOM = 1200
"""Pixels that a round and its cut fill, kept free while all are ranked: the page stays where it is."""
SAID = {"yes": "belongs", "no": "does not belong", "skip": "skipped"}

START_HELP = (
    "Answer for some examples whether they belong: all are ranked anew after every round, and the number "
    "of members is estimated. Starts from this group, or from what is picked in it; a tag that was "
    "sharpened goes on with its answers."
)
BLIND = (
    "Loss, prediction and right or wrong are hidden while you answer, and are no part of the ranking: "
    "the group is what its examples are, so its effect on kept-aside examples stays honest."
)
MEMBERS_HELP = (
    "Estimated from drawn answers alone: some of every round are drawn with known chances, and correct "
    "what the classifier expects (active statistical inference, Zrnic and Candès 2024, arXiv:2403.03208; "
    f"a ratio estimate). Below {FEWEST} drawn answers: at least as many as were found."
)
PRECISION_HELP = (
    "Share of members among the examples above the cut: those you answered yes, and of the others what "
    "drawn answers above the cut say, each placed by a ranking that did not see it. Wilson interval "
    "(Wilson 1927) of as many answers as their weights are worth."
)
ANSWERS_HELP = (
    "Examples with an answer that stands, by whomever. Of several people's answers to one example the "
    "majority counts; a tie counts as not answered. Undo takes back your last change."
)


# --- opening --------------------------------------------------------------------------------------


def start_button(bundle: Bundle, choice: Choice, picked: list[str]) -> None:
    """A button that opens the question which examples belong to this group, or to what is picked."""
    told = allowed.control(
        "ask_question", bundle.digest, disabled=not len(choice.group.rows), help=START_HELP
    )
    if told["disabled"] and not picked and _question_behind(bundle, choice):
        told = {"disabled": False, "help": START_HELP}  # what others answered may be looked at
    st.button(
        f"Sharpen picked · {text.count(len(picked))}" if picked else "Sharpen",
        key="sharpen_start",
        icon=":material/target:",
        type="tertiary",
        on_click=_start,
        args=(bundle, choice, picked),
        **told,
    )


def _start(bundle: Bundle, choice: Choice, picked: list[str]) -> None:
    behind = None if picked else _question_behind(bundle, choice)
    if behind is not None:
        st.query_params[keys.QUESTION] = behind
        return
    scores, source, name = None, short(choice.source), choice.name
    rows = choice.group.rows
    if picked:
        rows, source = bundle.rows_of(picked), {"kind": "picked", "from": source}
        name = f"{picked[0]} and {len(picked) - 1} more" if picked[1:] else picked[0]
    elif choice.found:
        scores = _scores(bundle, choice)
    start, ranked = start_rows(rows, scores)
    ids = bundle.ids[start].tolist()
    key = question_key(ids, bundle.layer, SEED, ranked=ranked)
    asked = {"source": source, "layer": bundle.layer, "seed": SEED, "ranked": ranked}
    asked["size"] = len(rows)
    try:
        services.store().ask_question(
            bundle.digest,
            key,
            ids,
            name=text.shorten(name, 200),
            asked=asked,
            author=frame.who(),
        )
    except BackendError as error:
        history.notify(text.plain(error, limit=400), ":material/error:")
        return
    st.query_params[keys.QUESTION] = key


def _question_behind(bundle: Bundle, choice: Choice) -> str | None:
    """The question whose answers drew this tag last, if it can be answered on."""
    if choice.source.get("kind") != "tag" or "tag" not in choice.source:
        return None
    for event in services.known().events(bundle.digest, kind="tag"):
        source = event.source or {}
        if event.tag == choice.source["tag"] and source.get("kind") == KIND:
            key = str(source.get("question", ""))
            return key if services.known().question(bundle.digest, key) else None
    return None


def _scores(bundle: Bundle, choice: Choice) -> NDArray[Any] | None:
    """The ranking of a region, out of the search that found it; None where that is not kept."""
    job, _, index = str(choice.source.get("key", "")).rpartition(":")
    entry = services.kept(bundle.digest, job) if job and index.isdigit() else None
    if entry is None:
        return None
    part = one_region(entry.arrays, int(index))
    found: NDArray[Any] | None = part.get("scores", part.get("weights"))
    return found


def opened(bundle: Bundle) -> Question | None:
    """The question that is open on this page, if it was asked of this bundle."""
    key = st.query_params.get(keys.QUESTION)
    return services.known().question(bundle.digest, key) if key else None


def _close() -> None:
    st.query_params.pop(keys.QUESTION, None)


# --- the page part --------------------------------------------------------------------------------


def show(bundle: Bundle, question: Question, *, undo: bool = True) -> None:
    """Numbers, a round of examples to answer, and the tag that the answers draw.

    Without ``undo`` its buttons are left out: the page has them already.
    """
    answers = services.known().answers(bundle.digest, question.key)
    with st.container(horizontal=True, vertical_alignment="center", key="sharpen_bar"):
        st.subheader(
            f"Sharpen: {text.plain(question.name)}", anchor=False, width="stretch", help=BLIND
        )
        if undo:
            history.show_buttons(bundle)
        st.button("Back to the group", key="sharpen_close", type="tertiary", on_click=_close)
    used = _used(question, answers)
    ranked = _ranked(bundle, question, used)
    if ranked is not None:
        at = cut.chosen(question, ranked)
        _show_numbers(ranked, at, answers)
        _show_round(bundle, question, ranked, answers)
        cut.show(bundle, question, ranked, used, at)
        _show_answers(bundle, answers)
    notice.show()


def _used(question: Question, answers: list[GivenAnswer]) -> list[GivenAnswer]:
    """The answers that the present round was ranked by; all of them when one was taken back."""
    held = st.session_state.get(f"{keys.ROUND}{question.key}")
    if held is None or not held <= {one.seq for one in answers}:
        held = {one.seq for one in answers}
        st.session_state[f"{keys.ROUND}{question.key}"] = held
    return [one for one in answers if one.seq in held]


def _ranked(bundle: Bundle, question: Question, used: list[GivenAnswer]) -> Ranked | None:
    """The ranking by these answers; None while it is made."""
    told = tally_of(bundle, used)
    asked = question.asked
    options = task_options(
        bundle.rows_of(question.ids),
        asked.get("ranked") is True,
        told,
        seed=int(asked.get("seed", 0)),
        layer=str(asked.get("layer", "")),
    )
    job = services.submit("sharpen", bundle.digest, options)
    if not show_progress(job, what="Ranking all examples", key="sharpen"):
        if job.state in RUNNING:
            st.skeleton(height=ROOM)
        return None
    result = job.result()
    return Ranked(bundle, result.arrays, result.meta, told, start_size(asked, question.ids))


def _show_numbers(ranked: Ranked, at: int, answers: list[GivenAnswer]) -> None:
    with st.container(horizontal=True, key="sharpen_numbers", gap="large"):
        for title, (value, words), help in (
            ("Members", ranked.count_words(), MEMBERS_HELP),
            (
                f"Precision of the first {text.count(at)}",
                ranked.precision_words(at),
                PRECISION_HELP,
            ),
        ):
            with st.container(width="content", gap=None):
                st.caption(title, help=help)
                st.markdown(f"**{value}**  \n:small[{words}]")
        with st.container(width="stretch", gap=None):
            st.caption("Answers", help=ANSWERS_HELP)
            _show_count(ranked.bundle.digest, str(st.query_params.get(keys.QUESTION)))
    if ranked.steady_words:
        st.info(ranked.steady_words, icon=":material/check:")


def _show_count(digest: str, key: str) -> None:
    st.markdown(text.plain(answer_counts(services.known().answers(digest, key)), limit=300))


def _show_round(
    bundle: Bundle, question: Question, ranked: Ranked, answers: list[GivenAnswer]
) -> None:
    """About ten examples, whether each belongs, by key or by click."""
    me = frame.who().key
    batch = ranked.batch()
    others = answered_by_others(answers, me)
    if others:
        asked = st.segmented_control(
            "Ask me about",
            (NEW, OTHERS),
            default=NEW,
            required=True,
            key="sharpen_ask",
            help="Answer what others answered, too, without seeing what they said: where you differ "
            "the majority counts, and the list below says so.",
        )
        if asked == OTHERS:
            batch = _of_others(question, others, len(batch))

    def said() -> dict[str, str]:
        found = services.known().answers(bundle.digest, question.key)
        return {
            one.example: SAID[one.answer]
            for one in found
            if one.author_key == me and one.example in batch
        }

    if set(batch) <= set(said()):
        st.session_state.pop(f"{keys.ROUND}{question.key}", None)
        if batch:
            st.rerun()
        st.info("Every example is answered.", icon=":material/check:")
        return
    st.markdown("**Does it belong?** Press y, n or s, or click.")
    st.caption(BLIND)
    rows = bundle.rows_of(list(batch))
    asked_now = OpenQuestion(question.key, question.name, batch, said)
    columns = cards.columns(bundle, question.name, blind=True)
    mount(
        bundle,
        items_of(bundle, rows, columns=columns, hide_loss=True),
        key=GALLERY,
        content=content_key("answers", bundle.digest, question.key, rows),
        label="Examples to answer",
        columns=columns,
        density="large",
        tagging=True,
        answering=asked_now,
        locked=allowed.refusal("answer_question", bundle.digest),
    )
    keyboard.show_line(Shown(bundle, GALLERY, rows, 0, rows, asked=asked_now))


def _of_others(question: Question, others: list[str], size: int) -> dict[str, float | None]:
    """A round of what others answered; it stays while it is answered."""
    place = f"_others_{question.key}"
    held = st.session_state.get(place, [])
    if not set(held) & set(others):
        held = others[: max(1, size)]
        st.session_state[place] = held
    return dict.fromkeys(held)


def _show_answers(bundle: Bundle, answers: list[GivenAnswer]) -> None:
    with st.expander("Who answered what"):
        if not answers:
            st.caption("Nothing is answered yet.")
            return
        table = answer_table(bundle, answers)
        st.dataframe(
            table.assign(time=pd.to_datetime(table["time"])),
            hide_index=True,
            column_config={
                "drawn": st.column_config.CheckboxColumn(
                    help="Drawn with a known chance: these answers count the members."
                ),
                "agreed": st.column_config.CheckboxColumn(
                    help="Whether all who answered yes or no said the same."
                ),
                "time": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm:ss"),
            },
        )
