"""Whose a bundle is, who else may look, and taking removed ones back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import streamlit as st

from backend.access import Right, shared_words
from backend.bundle import Bundle, BundleInfo, RemovedBundle
from backend.core.errors import BackendError
from backend.core.plural import counted
from pages.components.shared import frame, services, text
from pages.components.shared.notice import notify

RIGHTS = {"look": "look", "tag": "look and tag"}
WHOM, WHAT = "share_with", "share_right"
ALL = "share_all"


def standing(info: BundleInfo) -> str:
    """What the person at the screen may do with a bundle, in words."""
    if info.owner == services.person().key:
        return "yours"
    what = RIGHTS["tag" if services.may(Right.TAG, info.digest) else "look"]
    if not info.owner.startswith("@"):
        return f"nobody's: all who sign in {what}"
    owner = services.known().people(info.digest).get(info.owner, "another person")
    return f"of {text.shorten(owner, 40)}: you {what}"


def show_sharing(bundle: Bundle) -> None:
    """For its owner: with whom it is shared, and a form to share it. Nothing where nobody signs in."""
    if not services.people_sign_in() or not services.may(Right.OWN, bundle.digest):
        return
    held = services.store().grants(bundle.digest)
    open_to = held.pop("*", "")
    people = counted(len(held), "person", "people") if held else "nobody"
    label = f"Shared with {'all who sign in' if open_to else people}"
    with st.popover(label, icon=":material/group:"):
        st.caption(
            "A bundle is yours alone until you share it. People find it in their list; a link to it tells "
            "others nothing. Nobody else can tell whether they have the same examples."
        )
        for grantee, right in held.items():
            line, away = st.columns([5, 2], vertical_alignment="center")
            named = text.shorten(grantee.removeprefix("mail:"), 32)
            line.text(f"{named}: {RIGHTS[right]}")
            away.button(
                "Take away",
                key=f"unshare_{grantee}",
                type="tertiary",
                on_click=partial(_share, bundle.digest, grantee, "none"),
            )
        with st.form("share", border=False, clear_on_submit=True):
            st.text_input(
                "With whom",
                key=WHOM,
                max_chars=320,
                placeholder="ada@example.org",
                help="A mail address as the provider of the sign-in verified it, or a key, which begins with @. "
                "Somebody of this name may sign in later; whether they have is not told.",
            )
            st.segmented_control(
                "What they may do",
                list(RIGHTS),
                format_func=RIGHTS.__getitem__,
                default="look",
                key=WHAT,
            )
            st.form_submit_button("Share", on_click=_share_form, args=(bundle.digest,))
        choices = {
            "none": "only with these",
            "look": "with all who sign in: look",
            "tag": "with all who sign in: look and tag",
        }
        st.selectbox(
            "It is shared",
            list(choices),
            index=list(choices).index(open_to or "none"),
            format_func=choices.__getitem__,
            key=f"{ALL}_{bundle.digest[:12]}_{open_to}",
            on_change=_share_all,
            args=(bundle.digest, f"{ALL}_{bundle.digest[:12]}_{open_to}"),
        )
        st.caption(
            f"Your own key, for others who want to share with you: `{services.person().key}`"
        )


def _share_form(digest: str) -> None:
    _share(digest, st.session_state.get(WHOM, ""), st.session_state.get(WHAT) or "look")


def _share_all(digest: str, key: str) -> None:
    _share(digest, "*", st.session_state[key])


def _share(digest: str, named: str, right: str) -> None:
    try:
        event = services.store().share(digest, named, right, author=frame.who())
    except BackendError as error:
        notify(text.plain(error, limit=400), ":material/error:")
        return
    own = services.person().mail
    told = "" if right == "none" else shared_words(str(event.payload["with"]), own=own)
    words = f"{text.plain(text.sentence(event.summary), limit=360)}. {text.plain(told, limit=700)}"
    notify(words.strip(), ":material/group:")


def show_removed() -> None:
    """What was removed and can be taken back, if anything."""
    gone = services.removed()
    if not gone:
        return
    with st.expander(
        f"Removed: {counted(len(gone), 'bundle')}", icon=":material/restore_from_trash:"
    ):
        for one in gone:
            _line(one)


def _line(one: RemovedBundle) -> None:
    digest = one.info.digest
    about, back, away = st.columns([4, 2, 2], vertical_alignment="center")
    about.text(f"{text.shorten(one.info.name, 60)}: is deleted on {_day(one.until)}")
    back.button(
        "Take back",
        key=f"restore_{digest[:12]}",
        icon=":material/undo:",
        on_click=partial(_do, services.restore, digest, "It is back."),
    )
    away.button(
        "Delete now",
        key=f"delete_{digest[:12]}",
        type="tertiary",
        on_click=partial(_do, services.delete, digest, "It is deleted."),
        help="Frees its room on the disk. It cannot be taken back after that.",
    )


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


def _do(act: Callable[[str], None], digest: str, done: str) -> None:
    try:
        act(digest)
    except BackendError as error:
        notify(text.plain(error, limit=400), ":material/error:")
        return
    notify(done, ":material/database:")
