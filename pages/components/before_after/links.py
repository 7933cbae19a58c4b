"""Which older run a bundle is compared with: linked by itself, or here by hand."""

from __future__ import annotations

import streamlit as st

from backend.before_after import LIKE_CONTROL
from backend.bundle import Bundle, shared_rows
from backend.core.errors import BackendError
from backend.store import RunLink
from backend.tasks.linked import linked_runs
from pages.components.shared import allowed, frame, keys, services, text

OLDER = "link_older"
UNCHANGED = "link_unchanged"
"""Widget keys of the form."""


def show_links(bundle: Bundle) -> list[RunLink]:
    """The older runs that the bundle is linked to, each with a way to take that back; and the form."""
    links = linked_runs(bundle, services.known())
    names = services.names_of_bundles()
    with st.popover(
        f"Links · {text.count(len(links))}",
        icon=":material/link:",
        key="links_popover",
        help="Which older run on the same examples this one is compared with.",
    ):
        for one in links:
            _show_link(bundle, one, names.get(one.older))
        _form(bundle, names)
    return links


def show_way(bundle: Bundle) -> None:
    """A way to what changed since the older run."""
    st.page_link(
        "pages/before_after.py",
        label="What changed since the older run",
        icon=":material/compare_arrows:",
        width="content",
        query_params={keys.BUNDLE: bundle.digest[:12]},
    )


def _show_link(bundle: Bundle, link: RunLink, name: str | None) -> None:
    who = f"{text.plain(link.author, limit=60)}"
    when = f", {link.time[:16].replace('T', ' ')}" if link.time else ""
    how = " Nothing was changed: it is a control." if link.unchanged else ""
    gone = "" if name else " It is not imported here."
    st.markdown(
        f"**{text.plain(name or link.name, limit=120)}** ({link.older[:6]}), linked by {who}{when}.{how}{gone}"
    )
    st.button(
        "Take this link back",
        key=f"unlink_{link.older[:12]}",
        icon=":material/link_off:",
        type="tertiary",
        on_click=_unlink,
        args=(bundle, link),
        **allowed.control("unlink_runs", bundle.digest),
    )


def _form(bundle: Bundle, names: dict[str, str]) -> None:
    others = [digest for digest in names if digest != bundle.digest]
    if not others:
        st.caption("Import the older run, too: two bundles on the same examples are needed.")
        return
    st.selectbox(
        "An older run on the same examples",
        others,
        index=None,
        key=OLDER,
        format_func=lambda one: f"{text.shorten(names[one], 60)} ({one[:6]})",
        placeholder="Choose",
        help="Matched by id. Any two models can be compared so, whichever is called the older one.",
    )
    st.checkbox(
        "Nothing but the seed differs",
        key=UNCHANGED,
        help="Then this bundle is a control: what it changes stands beside the changes of other runs "
        f"that are linked to the same older one, and tells “{LIKE_CONTROL}” from a change.",
    )
    st.button(
        "Link it",
        key="link_runs",
        icon=":material/add_link:",
        on_click=_link,
        args=(bundle,),
        **allowed.control("link_runs", bundle.digest, disabled=st.session_state.get(OLDER) is None),
    )


def _link(bundle: Bundle) -> None:
    older = st.session_state.get(OLDER)
    if older is None:
        return
    try:
        before = services.bundle_of(older)
        shared = shared_rows(before, bundle)
        services.store().link_runs(
            bundle,
            before,
            name=before.name,
            unchanged=bool(st.session_state.get(UNCHANGED)),
            author=frame.who(),
        )
    except BackendError as error:
        st.session_state[keys.NOTICE] = (text.plain(error, limit=400), ":material/error:")
        return
    st.session_state[keys.NOTICE] = (
        f"Linked to {text.plain(before.name, limit=80)}: {text.counted(len(shared.before), 'example')} in "
        "both. Undo takes it back.",
        ":material/link:",
    )


def _unlink(bundle: Bundle, link: RunLink) -> None:
    try:
        services.store().unlink_runs(bundle, link.older, name=link.name, author=frame.who())
    except BackendError as error:
        st.session_state[keys.NOTICE] = (text.plain(error, limit=400), ":material/error:")
