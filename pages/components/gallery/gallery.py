"""A group's examples page by page, in an order and a density that somebody chose."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.content import content_key
from backend.core.groups import Group
from pages.components.gallery import cards, keyboard
from pages.components.gallery.known import source_of
from pages.components.gallery.shown import Shown
from pages.components.gallery.tiles import is_graded, items_of, mount
from pages.components.shared import keys, text

PAGE_SIZES = (24, 48, 96, 192)
PAGE_SIZE = 48
DENSITIES = {"small": "Small", "large": "Large", "rows": "Rows"}
GROUP_ORDER = "In order"
ORDERS = (
    GROUP_ORDER,
    "Loss, high first",
    "Loss, low first",
    "Margin, low first",
    "Weight, high first",
    "Id",
)
"""Orders of the members; ``offered_orders`` leaves out those that a bundle or group does not have."""


def show_gallery(
    bundle: Bundle, group: Group, *, key: str = keys.GALLERY, about: str = ""
) -> list[str]:
    """A group's members page by page, most typical first; returns the ids picked on the page.

    ``about`` is what the group is called: cards begin with the columns that it speaks of. Order, density and page change without running the rest of the page; picks do run it, because
    what is picked can be tagged by the bar above.
    """
    if not len(group.rows):
        say_empty()
        return []
    return list(_members(bundle, group, key, about) or [])


def say_empty() -> None:
    """In place of the members of a group that has none left."""
    st.info("No member of this group passes the filters.", icon=":material/filter_alt_off:")


@st.fragment
def _members(bundle: Bundle, group: Group, key: str, about: str) -> list[str]:
    with st.container(
        horizontal=True, vertical_alignment="center", gap="small", key=f"{key}_controls"
    ):
        words = st.empty()
        density, ordered_by, size = _controls(offered_orders(bundle, group), key)
        cards.columns_popover(bundle, key, about)
        keyboard.keys_popover(bundle, key)
    order = ordered(bundle, group, ordered_by)
    n_pages = max(1, -(-len(order) // size))
    page = min(int(st.session_state.get(f"{keys.PAGE}_{key}", 1)), n_pages)
    first = (page - 1) * size
    rows = order[first : first + size]
    words.caption(_extent(first, len(rows), len(order)), width="stretch")
    picked = tiles(
        bundle,
        rows,
        weights=group.weights,
        label=f"{group.kind}, page {page}",
        key=key,
        density=density,
        page=(page, n_pages),
        order=order,
        first=first,
        about=about,
    )
    if st.session_state.pop(f"{keys.PICKS_CHANGED}_{key}", False):
        st.rerun()
    return picked


def offered_orders(bundle: Bundle, group: Group) -> list[str]:
    """Orders by what is known: no weights where all members belong alike, no margins without them."""
    left_out = [] if is_graded(group.weights, group.rows) else ["Weight, high first"]
    if bundle.label_margins(group.rows[:0]) is None:
        left_out.append("Margin, low first")
    return [one for one in ORDERS if one not in left_out]


def _controls(orders: list[str], key: str) -> tuple[str, str, int]:
    """Density, order and page size."""

    def restart() -> None:
        st.session_state[f"{keys.PAGE}_{key}"] = 1

    density = st.segmented_control(
        "Density",
        list(DENSITIES),
        default="small",
        required=True,
        format_func=DENSITIES.__getitem__,
        key=f"{key}_density",
        label_visibility="collapsed",
        persist_state="session",
        help="Small tiles, large tiles, or rows.",
    )
    ordered_by = st.selectbox(
        "Order",
        orders,
        key=f"{key}_order",
        on_change=restart,
        label_visibility="collapsed",
        width=165,
    )
    size = st.selectbox(
        "Examples on a page",
        PAGE_SIZES,
        index=PAGE_SIZES.index(PAGE_SIZE),
        format_func=lambda one: f"{one} a page",
        key=f"{key}_size",
        on_change=restart,
        label_visibility="collapsed",
        width=125,
    )
    return density or "small", ordered_by or GROUP_ORDER, int(size or PAGE_SIZE)


def order_of(key: str = keys.GALLERY) -> str:
    """The order that is chosen above a gallery."""
    return str(st.session_state.get(f"{key}_order") or GROUP_ORDER)


def _extent(first: int, shown: int, n: int) -> str:
    if shown == n:
        return text.counted(n, "example")
    return f"{text.count(first + 1)}–{text.count(first + shown)} of {text.count(n)}"


def ordered(bundle: Bundle, group: Group, by: str) -> NDArray[np.int64]:
    """The rows of a group in this order; ties stay in the group's own."""
    rows = group.rows
    if by == "Id":
        return rows[np.argsort(bundle.ids[rows], kind="stable")]
    if by.startswith("Loss"):
        losses = bundle.losses[rows]
        return rows[np.argsort(-losses if "high" in by else losses, kind="stable")]
    margins = bundle.label_margins(rows) if by.startswith("Margin") else None
    if margins is not None:
        return rows[np.argsort(margins, kind="stable")]
    if by.startswith("Weight"):
        return rows[np.argsort(-group.weights[rows], kind="stable")]
    return rows


def tiles(
    bundle: Bundle,
    rows: NDArray[np.int64],
    *,
    label: str,
    key: str,
    weights: NDArray[Any] | None = None,
    hide_loss: bool = False,
    density: str = "small",
    page: tuple[int, int] = (1, 1),
    order: NDArray[np.int64] | None = None,
    first: int = 0,
    about: str = "",
) -> list[str]:
    """Tiles of these rows, and the line of keys that tag them; returns the ids picked on them.

    Parameters
    ----------
    rows : int array of shape (k,)
        What is shown, in this order.
    weights : float array of shape (n,), optional
        Memberships; shown where some are between 0 and 1.
    hide_loss : bool
        Nothing says how the model did: no loss, prediction, tags or whole example, and no keys.
    density : {"small", "large", "rows"}
    page : (int, int)
        Which page of how many, so that keys can ask ``show_gallery`` for the next one.
    order : int array, optional
        Rows of the whole group, in which ``rows`` begin at ``first``: what one example's view walks
        through. Default: ``rows``.
    about : str
        What the examples are called, for the columns on their cards.
    """
    columns = cards.columns(bundle, about, blind=hide_loss)
    items = items_of(bundle, rows, weights=weights, columns=columns, hide_loss=hide_loss)
    whole = rows if order is None else order
    result = mount(
        bundle,
        items,
        key=key,
        content=content_key(bundle.digest, label, rows),
        label=label,
        columns=columns,
        density=density,
        page=page,
        tagging=not hide_loss,
    )
    if not hide_loss:
        keyboard.show_line(
            Shown(
                bundle,
                key,
                whole,
                first,
                rows,
                source=source_of(bundle, whole),
                quiet=order is None,
            )
        )
    shown = set(bundle.ids[rows].tolist())
    return [str(one) for one in (result.picked or []) if one in shown]
