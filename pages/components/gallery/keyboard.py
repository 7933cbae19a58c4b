"""What keys do in a gallery: tags by digit, undo, opening one example. The line under the tiles."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import streamlit as st

from backend.bundle import Bundle
from backend.bundle.training import Training
from backend.core.errors import AccessError, BackendError, InputError
from backend.store import Event, clean_tag
from pages.components.gallery import example
from pages.components.gallery.keyqueue import ANSWER, DIGITS, TAGGING, Action, remember, take
from pages.components.gallery.shown import (
    ASSETS,
    SHARED_JS,
    Shown,
    channel,
    is_open,
    open_at,
)
from pages.components.shared import allowed, frame, keys, services, text

SETTING = "digit tags"


_line = st.components.v2.component(
    "errorscope_gallery_keys",
    html='<div class="line"><div class="legend"></div>\n'
    '<div class="status" role="status" aria-live="polite"></div><div class="pager"></div></div>\n',
    css=(ASSETS / "gallery.keys.css").read_text(encoding="utf-8"),
    js=SHARED_JS + (ASSETS / "gallery.keys.js").read_text(encoding="utf-8"),
)


@st.fragment
def show_line(shown: Shown) -> None:
    """The line under the tiles. A keystroke reruns this and nothing else."""
    bundle, key = shown.tagged, shown.key
    _apply(shown)
    ledger = _ledger(key)
    asked = shown.asked
    said = asked.said() if asked else {}
    done = st.session_state.pop(keys.ANSWERED, "")
    if asked and done and (done != ANSWER or set(asked.chances) <= set(said)):
        st.rerun()  # the round is over, or an answer was taken back: all are ranked anew
    result = _line(
        key=_widget(key),
        data={
            "gallery": channel(bundle, key),
            "instance": ledger["instance"],
            "acknowledged": ledger["done"].get(ledger["instance"], 0),
            "heard": ledger["heard"],
            "tags": {one: [said[one]] for one in said}
            if asked
            else services.known().tags_on(bundle.digest, bundle.ids[shown.rows].tolist()),
            "keys": {} if asked else digit_tags(bundle.digest),
            "answering": asked is not None,
            "note": ledger["note"],
            "problem": ledger["problem"],
            "quiet": shown.quiet,
            "locked": allowed.refusal("answer_question" if asked else "tag", bundle.digest),
        },
        default={"queue": None, "opened": None},
        on_queue_change=partial(_apply, shown),
        on_opened_change=lambda: None,
    )
    if asked:
        st.caption(
            f"{text.count(len(said))} of {text.count(len(asked.chances))} of this round answered"
        )
    opened = result.opened
    whole = not asked and shown.examples is None
    if opened and whole and st.session_state.get(f"{keys.OPENED}_{key}") != opened["count"]:
        st.session_state[f"{keys.OPENED}_{key}"] = opened["count"]
        found = np.flatnonzero(bundle.ids[shown.rows] == opened["id"])
        if len(found):
            open_at(key, shown.first + int(found[0]))
    if is_open(key):
        example.show(shown)


def rested_s() -> float:
    """Seconds since the last keystroke of this session that changed something."""
    return time.monotonic() - float(st.session_state.get(keys.TYPED, -1e9))


# --- doing what was typed -------------------------------------------------------------------------


def _widget(key: str) -> str:
    return f"{key}_keys"


def _ledger(key: str) -> dict[str, Any]:
    empty = {"instance": "", "done": {}, "heard": 0, "note": "", "problem": ""}
    return st.session_state.setdefault(f"{keys.LEDGER}_{key}", empty)


def _apply(shown: Shown) -> None:
    """Do what the queue holds that was not done, in order; what fails is not acknowledged."""
    state = st.session_state.get(_widget(shown.key))
    message = state.get("queue") if state else None
    ledger = _ledger(shown.key)
    taken = take(message, ledger["done"])
    if not taken.instance or message is None:
        return
    ledger["instance"] = taken.instance
    ledger["heard"] = message.get("sent", 0)
    if taken.actions or taken.refused:
        ledger["problem"] = ""
        st.session_state[keys.TYPED] = time.monotonic()
    last = taken.start
    waiting = {action.n: action for action in taken.actions}
    for n in sorted([*waiting, *taken.refused]):
        if n in taken.refused:
            ledger["problem"] = taken.refused[n]
        else:
            try:
                ledger["note"] = _told(_do(shown, waiting[n]), waiting[n])
            except BackendError as error:
                ledger["problem"] = text.shorten(error, 200)
                if not isinstance(error, InputError | AccessError):
                    break  # the database may be locked: the browser sends it again
        last = n
    ledger["done"] = remember(ledger["done"], taken.instance, last)


def _do(shown: Shown, action: Action) -> Event | None:
    store, author = services.store(), frame.who()
    here = action.bundle == shown.tagged.digest
    if not here and action.bundle not in services.known_bundles():
        raise InputError("The keys were meant for a bundle that is not imported here.")
    if action.kind == ANSWER:
        return _answer(shown, action)
    if action.kind not in TAGGING:
        st.session_state[keys.ANSWERED] = action.kind
        act = store.undo if action.kind == "undo" else store.redo
        return act(action.bundle, author, operation=action.operation)
    source: dict[str, Any] = {"kind": "keyboard"}
    if here:
        known(shown.tagged, action.ids)
        if shown.source:
            source["from"] = shown.source
    else:
        known(services.bundle_of(action.bundle), action.ids)
    act_on = store.tag if action.kind == "tag" else store.untag
    event = act_on(
        action.bundle,
        action.ids,
        action.tag,
        author=author,
        source=source,
        operation=action.operation,
    )
    if action.digit:
        _bind(action.bundle, action.digit, clean_tag(action.tag))
    return event


def _answer(shown: Shown, action: Action) -> Event:
    """Keep the answer with the question it was given to, which may not be the one on screen any more."""
    found = services.store().question(action.bundle, action.question) if action.question else None
    if found is None:
        raise InputError(
            "The answer came without its question: open the question and answer again."
        )
    here = action.bundle == shown.bundle.digest
    known(shown.bundle if here else services.bundle_of(action.bundle), action.ids)
    st.session_state[keys.ANSWERED] = ANSWER
    return services.store().answer_question(
        action.bundle,
        found.key,
        action.ids[0],
        action.tag,
        chance=action.chance,
        name=found.name,
        author=frame.who(),
        operation=action.operation,
    )


def _told(event: Event | None, action: Action) -> str:
    if event is None:
        return f"Nothing to {action.kind}."
    return text.shorten(text.sentence(event.summary), 90)


def known(bundle: Bundle | Training, ids: Sequence[str]) -> None:
    """Raise ``InputError`` when the bundle lacks one of these ids."""
    wanted = np.asarray(ids, dtype=str)
    missing = wanted[bundle.places(wanted) < 0]
    if len(missing):
        raise InputError(f"There is no example {text.shorten(missing[0], 60)!r} in this bundle.")


# --- which digit sets which tag -------------------------------------------------------------------


def digit_tags(digest: str) -> dict[str, str]:
    """Digit -> tag: what this author bound, then the tags of the bundle on digits that are free.

    A digit that was pressed or chosen is bound and stays. The others follow from the order in which
    the tags came into the bundle, which no new tag changes; of a tag that nothing carries any more
    the digit is not told, but kept for it until a new one finds none free. What this session sees
    never moves, and the name in the tag box has a digit too, so that typing it once is enough.
    """
    store = services.known()
    held = st.session_state.get(_field(digest))
    if held is not None and store.trouble(digest):
        return dict(sorted(held["table"].items()))  # what was typed meanwhile is done later
    bound = _bound(digest)
    typed = str(st.session_state.get(keys.TAG_NAME) or "").strip()
    names, counts = store.names_of_tags(digest), store.tag_counts(digest)
    table = dict(bound if held is None else held["table"])
    if held is not None and held["typed"] not in ("", typed, *names, *bound.values()):
        table = {d: name for d, name in table.items() if name != held["typed"]}
    for name in [*names, typed]:
        if not name or name in table.values():
            continue
        free = [d for d in DIGITS if d not in table]
        if not free and (name in counts or name == typed):
            free = [d for d, one in table.items() if one not in counts and d not in bound]
        if free:
            table[free[0]] = name
    st.session_state[_field(digest)] = {"typed": typed, "table": table}
    told = {*counts, *bound.values(), typed}
    return {digit: name for digit, name in sorted(table.items()) if name in told}


def _field(digest: str) -> str:
    return f"{keys.DIGITS}_{digest}"


def _bound(digest: str) -> dict[str, str]:
    """The digits that this author chose or pressed, with their tags."""
    kept = services.known().setting(digest, SETTING, author=frame.who())
    given = kept if isinstance(kept, dict) else {}
    return {d: str(name) for d, name in given.items() if d in DIGITS and name}


def _bind(digest: str, digit: str, tag: str) -> None:
    """Keep the tag that a digit set, so that the digit means it in every later session."""
    held = st.session_state.get(_field(digest))
    if held is not None:
        held["table"] = {d: name for d, name in held["table"].items() if name != tag} | {digit: tag}
    bound = _bound(digest)
    if digit in bound or tag in bound.values():
        return
    services.store().write_setting(digest, SETTING, bound | {digit: tag}, author=frame.who())


def keys_popover(bundle: Bundle, key: str) -> None:
    """Choose which digit sets which tag; kept per author and bundle."""
    place = st.popover(
        "Keys",
        icon=":material/keyboard:",
        type="tertiary",
        key=f"{key}_keys_popover",
        on_change="rerun",
        help="Digits 1 to 9 tag the example in focus and go on to the next. A digit keeps its tag; new "
        "tags take the next free one, and a free digit asks for a name. ? in the gallery lists all keys.",
    )
    if not place.open:
        return
    table = digit_tags(bundle.digest)
    with place, st.form(f"{key}_keys_form", border=False):
        for row in range(3):
            for place_of, digit in zip(st.columns(3, gap="small"), DIGITS[3 * row :], strict=False):
                place_of.text_input(
                    digit,
                    value=table.get(digit, ""),
                    max_chars=80,
                    key=f"{key}_digit_{digit}",
                    placeholder="no tag",
                )
        st.form_submit_button("Keep", on_click=_keep_digits, args=(bundle.digest, key))
        problem = st.session_state.pop(f"{key}_digits_problem", None)
        if problem:
            st.error(problem)


def _keep_digits(digest: str, key: str) -> None:
    wanted = {d: str(st.session_state.get(f"{key}_digit_{d}") or "").strip() for d in DIGITS}
    try:
        chosen = {digit: clean_tag(name) for digit, name in wanted.items() if name}
        services.store().write_setting(digest, SETTING, chosen, author=frame.who())
        st.session_state.pop(_field(digest), None)
    except BackendError as error:
        st.session_state[f"{key}_digits_problem"] = text.plain(error, limit=300)
