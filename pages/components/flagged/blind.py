"""Blind check: which of two groups is worse, when nobody says which is which?"""

from __future__ import annotations

import secrets
from dataclasses import replace

import streamlit as st

from backend.bundle import Bundle
from backend.core.errors import BackendError
from backend.core.found import short
from backend.core.groups import sharp_group
from backend.report import BlindCheck, answer_blind_check, blind_summary, make_blind_check
from backend.views import rows_by_tag
from pages.components.gallery import gallery
from pages.components.group import groups, tagging
from pages.components.shared import allowed, frame, services, text
from pages.components.shared.choice import Choice
from pages.components.spotlights import trust

GROUP = "blind_group"
RUNNING = "_blind_running"
ANSWERED = "_blind_answered"
HIGH_LOSS = "high loss"
SHARE = 0.02  # of all examples, in the high-loss set
TILES = 12
SIDES = (("A", "first"), ("B", "second"))


def show_blind_check(bundle: Bundle) -> None:
    """Choose a group, see it beside a random one, say which is worse, learn whether it was."""
    offered = _offered(bundle)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = _choose(offered)
        st.button(
            "Show two groups",
            key="blind_show",
            icon=":material/visibility:",
            on_click=_start,
            args=(bundle, offered[chosen]),
            help="The group and a random one of the same size and, where there are labels, with "
            "the same labels. Loss, prediction and tags are hidden, the order is drawn.",
        )
    running = st.session_state.get(RUNNING)
    if running and running["digest"] == bundle.digest:
        if running["error"]:
            st.info(running["error"])
        elif running["check"] is not None:
            _show(bundle, running["check"])
    answered = st.session_state.get(ANSWERED)
    if answered and answered["digest"] == bundle.digest:
        events = services.store().events(bundle, kind="blind_check")
        if any(one.seq == answered["seq"] and not one.undone for one in events):
            _tell(answered["check"], answered["name"])
    _summary(bundle)


def _offered(bundle: Bundle) -> dict[str, Choice]:
    """The highest losses, the regions that the Spotlights page lists, and the tags."""
    highest = groups.baselines(bundle, SHARE, seed=0)[0]
    words = f"the highest losses, {text.percent(SHARE, digits=0)} of the examples"
    found = {HIGH_LOSS: replace(highest, name=words, source={"kind": HIGH_LOSS})}
    task, options = trust.last_search(bundle)
    job = services.ask(task, bundle.digest, **options)
    if job.state == "done":
        parts = groups.parts_of(job.result())
        for one in groups.region_choices(bundle, parts, options, job.key, task):
            found[one.key] = replace(one, name=f"region {one.number}, {one.name}")
    for tag, rows in rows_by_tag(bundle, tagging.tags_of(bundle)).items():
        group = sharp_group("tag", rows, bundle.losses)
        found[f"tag:{tag}"] = Choice(f"tag:{tag}", f"tag {tag}", group, {"kind": "tag", "tag": tag})
    return found


def _choose(offered: dict[str, Choice]) -> str:
    if st.session_state.get(GROUP) not in offered:
        st.session_state.pop(GROUP, None)
    chosen = st.selectbox(
        "Group",
        list(offered),
        format_func=lambda one: text.shorten(
            offered[one].name[:1].upper() + offered[one].name[1:], 90
        ),
        key=GROUP,
        width=320,
        help="Can a person see what the model got wrong? A group that is hard for the model need "
        "not look hard.",
    )
    return str(chosen or HIGH_LOSS)


def _start(bundle: Bundle, chosen: Choice) -> None:
    st.session_state.pop(ANSWERED, None)
    held: dict[str, object] = {"digest": bundle.digest, "check": None, "error": "", "of": chosen}
    try:
        check = make_blind_check(bundle, chosen.group.rows, seed=secrets.randbelow(2**31))
        if check.worse == "neither":
            held["error"] = "Both groups have the same mean loss, so no answer would be right."
        else:
            held["check"] = check
    except BackendError as error:
        held["error"] = text.plain(error, limit=400)
    st.session_state[RUNNING] = held


def _show(bundle: Bundle, check: BlindCheck) -> None:
    """Both groups, and the three answers."""
    for place, (letter, side) in zip(st.columns(2, gap="medium"), SIDES, strict=True):
        rows = check.first if side == "first" else check.second
        with place:
            shown = rows[:TILES]
            st.subheader(f"Group {letter}", anchor=False)
            st.caption(f"{text.count(len(shown))} of {text.counted(len(rows), 'example')}")
            gallery.tiles(
                bundle,
                shown,
                label=f"Group {letter}",
                key=f"blind_{letter}",
                hide_loss=True,
            )
    with st.container(horizontal=True):
        for words, answer in (
            ("A is worse", "first"),
            ("B is worse", "second"),
            ("Cannot tell", "cannot tell"),
        ):
            st.button(
                words,
                key=f"blind_{answer.replace(' ', '_')}",
                type="secondary",
                on_click=_answer,
                args=(bundle, answer),
                **allowed.control(
                    "record_blind_check",
                    bundle.digest,
                    help="Worse: the model's mean loss on it is higher.",
                ),
            )


def _answer(bundle: Bundle, answer: str) -> None:
    running = st.session_state.pop(RUNNING, None)
    if not running or running["check"] is None:
        return
    try:
        event = answer_blind_check(
            bundle,
            services.store(),
            running["check"],
            answer,
            source=short(running["of"].source),
            author=frame.who(),
        )
    except BackendError as error:
        st.session_state[RUNNING] = {**running, "check": None, "error": text.plain(error)}
        return
    st.session_state[ANSWERED] = {
        "digest": bundle.digest,
        "check": event.payload["check"],
        "seq": event.seq,
        "name": running["of"].name,
    }


def _tell(check: dict[str, object], name: str) -> None:
    """Whether the answer was right, and which group was which."""
    letters = {side: letter for letter, side in SIDES}
    said = {True: "Right.", False: "Not right.", None: "No side taken."}[check["correct"]]  # type: ignore[index]
    icon = ":material/check:" if check["correct"] else ":material/info:"
    matched = "with the same labels" if check["matched"] else "not matched on label"
    st.info(
        f"{said} Group {letters[str(check['worse'])]} is worse. Group "
        f"{letters[str(check['group_is'])]} was {text.plain(name, limit=120)}, mean loss "
        f"{text.number(check['group_loss'])}; the other was random, {matched}, mean loss "  # type: ignore[arg-type]
        f"{text.number(check['random_loss'])}.",  # type: ignore[arg-type]
        icon=icon,
    )


def _summary(bundle: Bundle) -> None:
    summary = blind_summary(bundle, services.store())
    if not summary.n and not summary.cannot_tell:
        st.caption("No blind check answered yet.")
        return
    line = f"{text.count(summary.n_correct)} of {text.count(summary.n)} answers right"
    if summary.n:
        line += (
            f": **{text.percent(summary.share)}** ({text.percent(summary.low)} to "
            f"{text.percent(summary.high)}; guessing gives 50\u00a0%)"
        )
    if summary.cannot_tell:
        line += f" · {text.count(summary.cannot_tell)} could not tell"
    if summary.taken_back:
        line += f" · {text.count(summary.taken_back)} taken back after the truth was shown"
    st.markdown(
        line,
        help="Answers of everybody who checked this bundle, with the 95\u00a0% interval of Wilson 1927. "
        "While it holds 50\u00a0% the group cannot be told from a random one by eye.",
    )
