"""Where the ranking of a sharpened group ends, what lies on either side, and the tag it becomes."""

from __future__ import annotations

import streamlit as st

from backend.bundle import Bundle
from backend.core.content import content_key
from backend.core.wording import effect_cells, effect_names
from backend.export import record_of
from backend.report import Origins
from backend.report.origin import region_groups
from backend.store import GivenAnswer, Question, clean_tag
from backend.views.sharpening import Ranked
from pages.components.gallery import cards
from pages.components.gallery.tiles import items_of, mount
from pages.components.group import history, tagging
from pages.components.shared import allowed, services, text


def chosen(question: Question, ranked: Ranked) -> int:
    """How many of the ranking are members: what was chosen, else where it ends by itself."""
    moved = st.session_state.get(f"_cut_{question.key}")
    return min(int(moved), ranked.bundle.n) if moved else ranked.cut


def show(
    bundle: Bundle, question: Question, ranked: Ranked, used: list[GivenAnswer], cut: int
) -> None:
    """Where the ranking ends and what lies around it, its tag, and how the group does."""
    # A new widget for each place where the ranking ends by itself: a browser that is sending the old
    # number just then would seem to have chosen it.
    place = f"cut_{question.key}_{ranked.cut}"
    with st.container(horizontal=True, vertical_alignment="bottom", key="sharpen_result"):
        st.number_input(
            "Members: the first",
            min_value=1,
            max_value=bundle.n,
            value=cut,
            key=place,
            on_change=_move,
            args=(question.key, place, cut),
            width=180,
            help="Where the ranking ends. By itself: after the estimated number of members, and until "
            "there is one after those with a probability of at least one half.",
        )
        st.text_input("Tag", key="sharpen_tag", max_chars=80, width=240, placeholder="Name the tag")
        st.button(
            f"Tag the first {text.count(cut)}",
            key="sharpen_keep",
            icon=":material/sell:",
            type="primary",
            on_click=_keep,
            args=(bundle, question, ranked, used, cut),
            **allowed.control("tag", bundle.digest),
        )
        shown = st.toggle(
            "Effect",
            key="sharpen_effect",
            help="How these members do on examples that are kept aside. Better looked at when you have "
            "answered: it says how the model did.",
        )
    _show_around(bundle, question, ranked, cut)
    if shown:
        _show_effect(bundle, question, ranked, cut)


def _show_around(bundle: Bundle, question: Question, ranked: Ranked, cut: int) -> None:
    """The examples between which the ranking ends, so that nobody tags unseen."""
    columns = cards.columns(bundle, question.name, blind=True)
    sides = ranked.around(cut)
    for at, (side, (name, places, rows)) in enumerate(zip(st.columns(2), sides, strict=False)):
        items = items_of(bundle, rows, columns=columns, hide_loss=True)
        for item, place in zip(items, places, strict=True):
            item["weight"] = f"no. {text.count(place)}"
        with side:
            st.caption(name)
            mount(
                bundle,
                items,
                key=f"gallery_cut_{at}",
                content=content_key("cut", bundle.digest, question.key, cut, rows),
                label=f"{name} of the first {text.count(cut)}",
                columns=columns,
                still=True,
            )


def _move(key: str, place: str, shown: int) -> None:
    """Keep what somebody chose; a browser also tells what it was given, and that is no choice."""
    if st.session_state[place] != shown:
        st.session_state[f"_cut_{key}"] = st.session_state[place]


def _keep(
    bundle: Bundle, question: Question, ranked: Ranked, used: list[GivenAnswer], cut: int
) -> None:
    name = str(st.session_state.get("sharpen_tag") or "").strip()
    if not name:
        history.notify("Name the tag first, then press the button again.", ":material/info:")
        return
    record = record_of(question, used, cut=cut, meta=ranked.meta)
    ids = bundle.ids[ranked.members(cut)].tolist()
    left = _left_out(bundle, question, name, ids)
    if left and not tagging.take_off(bundle.digest, left, name):
        return
    more = (
        f"It is off {text.count(len(left))} that are no longer among them; undo twice brings all back."
        if left
        else ""
    )
    tagging.put_tag(bundle.digest, name, ids, record.to_source(), more=more)


def _left_out(bundle: Bundle, question: Question, name: str, ids: list[str]) -> list[str]:
    """Examples that this question's tag of that name holds beyond the members that it gets now."""
    tags = services.store().tags(bundle)
    held = tags[(tags["tag"] == clean_tag(name)) & ~tags["id"].isin(ids)]
    seqs = sorted(set(held["source_seq"].astype(int)))
    own = [
        event.seq
        for event in services.store().events_at(bundle, seqs)
        if (event.source or {}).get("question") == question.key
    ]
    return held.loc[held["source_seq"].isin(own), "id"].tolist()


def _show_effect(bundle: Bundle, question: Question, ranked: Ranked, cut: int) -> None:
    source = question.asked.get("source")
    start = bundle.rows_of(question.ids)
    used = Origins(bundle, services.store()).rows_used(source, start)
    effect = ranked.effect(cut, used=used, groups=region_groups(bundle, source))
    names, cells = effect_names([effect]), effect_cells(effect)
    st.markdown(
        f"On {text.counted(effect.n, 'kept-aside member')}: {names[0]} **{cells[0]}**, "
        f"{names[1]} **{cells[1]}**, {cells[2]}."
    )
    if used is not None:
        st.caption(
            "Examples whose losses had a part in the group that you started from are left out."
        )
