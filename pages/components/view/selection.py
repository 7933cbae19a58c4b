"""One filter and one selection for the page: kept in the session, written in the address.

Gestures on the map, brushes, cells and table rows all end in ``keep_only`` or ``select``; what the
page draws comes from ``look``. Everything is a rule, a shape or a list of ids (``backend.views``),
so a link opened elsewhere shows the same rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.content import content_key
from backend.core.errors import HomeError
from backend.rules import Budget, for_the_eye
from backend.rules.here import HERE_S
from backend.views import (
    Drawn,
    Filter,
    Ids,
    Looked,
    Query,
    Scene,
    View,
    ViewError,
    decode,
    encode,
    resolve,
)
from backend.views.state import MAX_IDS, Operation, Some
from pages.components.shared import keys, link, ruled, services, text
from pages.components.shared.choice import SELECTION


def current(bundle: Bundle) -> View:
    """The view of this session; on its first run, the one in the address."""
    known: View | None = st.session_state.get(_field(bundle))
    if known is not None:
        return known
    view = View()
    if keys.STATE_READ not in st.session_state:
        st.session_state[keys.STATE_READ] = True
        try:
            view = decode(st.query_params.get(keys.STATE, ""))
        except ViewError as error:
            st.session_state[keys.NOTICE] = (text.plain(error, limit=300), ":material/link_off:")
    st.session_state[_field(bundle)] = view
    return view


def put(bundle: Bundle, view: View) -> None:
    """Show this view from the next run on."""
    st.session_state[_field(bundle)] = view


def keep_only(bundle: Bundle, what: Some) -> None:
    """One more filter, and what it leaves is looked at. For callbacks; a refusal becomes a notice."""
    _change(bundle, lambda view: view.filtered(what))
    link.put(keys.GROUP, "filtered")


def select(bundle: Bundle, what: Some, operation: Operation = "new") -> None:
    """Select, add to the selection or take away from it. For callbacks."""
    _change(bundle, lambda view: view.selected(what, operation))
    link.put(keys.GROUP, SELECTION)


def clear(bundle: Bundle) -> None:
    """Nothing selected any more. For callbacks."""
    _change(bundle, View.cleared)


def write_link(bundle: Bundle) -> None:
    """The view in the address bar, so that the address can be sent to somebody."""
    try:
        wanted = encode(current(bundle))
    except HomeError as error:
        st.caption(f"The address does not carry this selection: {text.plain(error, limit=400)}")
        return
    if st.query_params.get(keys.STATE, "") != wanted:
        if wanted:
            st.query_params[keys.STATE] = wanted
        else:
            del st.query_params[keys.STATE]


def look(
    bundle: Bundle, layouts: Callable[[str], tuple[str, NDArray[Any]] | None]
) -> Looked | None:
    """The rows that the current view shows and selects.

    None while a worker finds out: then its filters stand here, to be switched off or removed, with
    how far it is, and the page shows nothing that depends on them.
    """
    view = current(bundle)
    named = [one.what for one in view.filters if one.on] + [one.what for one in view.steps]
    rules = [what.rule for what in named if isinstance(what, Query)]
    if not ruled.ready(bundle, rules, key="view"):
        with st.container(horizontal=True, gap="small"):
            _chips(bundle, view)
        write_link(bundle)
        return None
    drawn = {what.projection for what in named if isinstance(what, Drawn)}
    placed = {name: layouts(name) for name in sorted(drawn)}
    tagged = any(isinstance(what, Query) and "tagged" in what.rule for what in named)
    tags = services.known().tags(bundle.digest) if tagged else None
    laid_out = {name: layout and layout[0] for name, layout in placed.items()}
    key = content_key(bundle.digest, bundle.layer, view.to_dict(), laid_out, tags)
    return _looked(key, view, Scene(bundle, tags, placed.get, Budget(seconds=HERE_S)))


@st.cache_resource(show_spinner=False, max_entries=32)
def _looked(key: str, _view: View, _scene: Scene) -> Looked:
    return resolve(_view, _scene)


# --- the bar --------------------------------------------------------------------------------------


def show_bar(bundle: Bundle, looked: Looked, *more: Callable[[], None]) -> None:
    """How many examples are there, pass and are selected; the rules that say so, each with a switch.

    ``more`` draws what else belongs into the bar. The rules stand last, in a place that scrolls
    sideways, so that however many there are nothing below them moves.
    """
    view = looked.view
    with st.container(
        key="view_bar",
        horizontal=True,
        vertical_alignment="center",
        gap="small",
        width="content",
    ):
        st.markdown(_counts(bundle, looked), width="content")
        for draw in more:
            draw()
        with st.container(
            key="view_chips", horizontal=True, vertical_alignment="center", gap="small"
        ):
            _chips(bundle, view)
            if view.steps:
                _selection_chip(bundle, view, looked)


def _selection_chip(bundle: Bundle, view: View, looked: Looked) -> None:
    with st.container(horizontal=True, gap="small", width="content", key="chip_selection"):
        st.button(
            "Keep only",
            key="filter_selection",
            icon=":material/filter_alt:",
            on_click=_keep_selection,
            args=(bundle, view, looked.selected),
            disabled=not len(looked.selected),
            help="The selection becomes a filter: everything else is set aside.",
        )
        st.button(
            "Clear",
            key="clear_selection",
            icon=":material/close:",
            type="tertiary",
            on_click=clear,
            args=(bundle,),
            help="Nothing is selected any more. Esc on the map does the same.",
        )


def _counts(bundle: Bundle, looked: Looked) -> str:
    parts = [f"all **{text.count(bundle.n)}**"]
    parts.append(f"filtered **{text.count(looked.n_shown)}**")
    parts.append(f"selected **{text.count(len(looked.selected))}**")
    return " · ".join(parts)


def _chips(bundle: Bundle, view: View) -> None:
    for at, one in enumerate(view.filters):
        _chip(bundle, at, one)
    if len(view.filters) > 1:
        st.button(
            "Clear filters",
            key="clear_filters",
            icon=":material/filter_alt_off:",
            type="tertiary",
            on_click=_change,
            args=(bundle, lambda one: View(steps=one.steps)),
        )


def _chip(bundle: Bundle, at: int, one: Filter) -> None:
    exact = one.what.words()
    shown = for_the_eye(exact) if isinstance(one.what, Query) else exact
    words = text.plain(shown, limit=60)
    whole = f"{text.plain(exact, limit=400)}  \n" if shown != exact else ""
    with st.container(horizontal=True, gap=None, width="content", key=f"chip_{at}"):
        st.button(
            words if one.on else f"~~{words}~~",
            key=f"chip_switch_{at}",
            icon=":material/filter_alt:" if one.on else ":material/filter_alt_off:",
            type="secondary" if one.on else "tertiary",
            on_click=_change,
            args=(bundle, lambda view: view.switched(at, on=not one.on)),
            help=f"{whole}Switch this filter {'off' if one.on else 'on'}.",
        )
        st.button(
            "Remove",
            key=f"chip_remove_{at}",
            icon=":material/close:",
            type="tertiary",
            on_click=_change,
            args=(bundle, lambda view: view.without(at)),
            help="Remove this filter.",
        )


def _keep_selection(bundle: Bundle, view: View, rows: NDArray[np.int64]) -> None:
    if len(view.steps) == 1:
        what: Some = view.steps[0].what
    elif len(rows) > MAX_IDS:
        _notice(
            f"A selection made in several steps can be kept up to {text.counted(MAX_IDS, 'example')}. "
            "Draw it in one go.",
        )
        return
    else:
        ids = tuple(map(str, bundle.ids[np.sort(rows)]))
        what = Ids(ids, f"selection of {text.count(len(ids))}")
    _change(bundle, lambda one: one.filtered(what).cleared())
    link.put(keys.GROUP, "filtered")


def _change(bundle: Bundle, change: Callable[[View], View]) -> None:
    try:
        put(bundle, change(current(bundle)))
    except (ViewError, IndexError) as error:
        _notice(text.plain(error, limit=300))


def _notice(words: str) -> None:
    st.session_state[keys.NOTICE] = (words, ":material/info:")


def _field(bundle: Bundle) -> str:
    return f"{keys.VIEW_OF}{bundle.digest}"
