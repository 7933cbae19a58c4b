"""Examples as tiles: pictures where there are any, else texts, else ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.groups import Group
from backend.core.neighbours import Neighbours
from pages.components import example, keyboard, keys, media, text

ASSETS = Path(__file__).parents[2] / "assets" / "components"
PAGE_SIZES = (24, 48, 96, 192)
PAGE_SIZE = 48
DENSITIES = {
    "small": ":material/grid_view:",
    "large": ":material/view_module:",
    "rows": ":material/view_list:",
}
WORDS = {"small": "small tiles", "large": "large tiles", "rows": "rows"}
GROUP_ORDER = "In order"
ORDERS = (GROUP_ORDER, "Loss, high first", "Loss, low first", "Weight, high first", "Id")

_gallery = st.components.v2.component(
    "errorscope_gallery",
    html='<div class="grid" role="listbox" aria-multiselectable="true"></div>\n',
    css=(ASSETS / "gallery.css").read_text(encoding="utf-8"),
    js=keyboard.SHARED_JS + (ASSETS / "gallery.js").read_text(encoding="utf-8"),
)


def show_gallery(
    bundle: Bundle, group: Group, tags: pd.DataFrame, *, key: str = keys.GALLERY
) -> list[str]:
    """A group's members page by page, most typical first; returns the ids picked on the page.

    Order, density and page change without running the rest of the page; picks do run it, because
    what is picked can be tagged by the bar above.
    """
    return list(_members(bundle, group, tags, key) or [])


@st.fragment
def _members(bundle: Bundle, group: Group, tags: pd.DataFrame, key: str) -> list[str]:
    with st.container(
        horizontal=True, vertical_alignment="center", gap="small", key=f"{key}_controls"
    ):
        words = st.empty()
        density, ordered_by, size = _controls(group, key)
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
        tags,
        weights=group.weights,
        label=f"{group.kind}, page {page}",
        key=key,
        density=density,
        page=(page, n_pages),
        order=order,
        first=first,
    )
    if st.session_state.pop(f"{keys.PICKS_CHANGED}_{key}", False):
        st.rerun()
    return picked


def _controls(group: Group, key: str) -> tuple[str, str, int]:
    """Density, order and page size."""

    def restart() -> None:
        st.session_state[f"{keys.PAGE}_{key}"] = 1

    orders = [one for one in ORDERS if is_graded(group.weights, group.rows) or "Weight" not in one]
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


def _extent(first: int, shown: int, n: int) -> str:
    if shown == n:
        return f"{text.count(n)} examples" if n != 1 else "1 example"
    return f"{text.count(first + 1)}–{text.count(first + shown)} of {text.count(n)}"


def ordered(bundle: Bundle, group: Group, by: str) -> NDArray[np.int64]:
    """The rows of a group in this order; ties stay in the group's own."""
    rows = group.rows
    if by == "Id":
        return rows[np.argsort(bundle.ids[rows], kind="stable")]
    if by.startswith("Loss"):
        losses = bundle.losses[rows]
        return rows[np.argsort(-losses if "high" in by else losses, kind="stable")]
    if by.startswith("Weight"):
        return rows[np.argsort(-group.weights[rows], kind="stable")]
    return rows


def is_graded(weights: NDArray[Any] | None, rows: NDArray[np.int64]) -> bool:
    """Whether some of these rows belong more than others."""
    if weights is None:
        return False
    held = weights[rows]
    return bool(np.any((held > 0) & (held < 1)))


def tiles(
    bundle: Bundle,
    rows: NDArray[np.int64],
    tags: pd.DataFrame | None,
    *,
    label: str,
    key: str,
    weights: NDArray[Any] | None = None,
    hide_loss: bool = False,
    density: str = "small",
    page: tuple[int, int] = (1, 1),
    order: NDArray[np.int64] | None = None,
    first: int = 0,
) -> list[str]:
    """Tiles of these rows, and the line of keys that tag them; returns the ids picked on them.

    Parameters
    ----------
    rows : int array of shape (k,)
        What is shown, in this order.
    tags : DataFrame or None
        Not looked at: the line of keys asks the store. With ``hide_loss`` no tag is shown.
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
    """
    items = items_of(bundle, rows, weights=weights, hide_loss=hide_loss)
    whole = rows if order is None else order
    result = _gallery(
        key=key,
        data={
            "key": f"{bundle.digest}:{label}:{crc32(np.ascontiguousarray(rows).tobytes())}",
            "gallery": keyboard.channel(bundle, key),
            "bundle": bundle.digest,
            "label": label,
            "texts": bundle.has_text and not bundle.has_images,
            "pictures": bundle.has_images,
            "density": density,
            "page": page[0],
            "pages": page[1],
            "tagging": not hide_loss,
            "items": items,
        },
        default={"picked": [], "opened": None, "turned": None},
        on_picked_change=lambda: st.session_state.update({f"{keys.PICKS_CHANGED}_{key}": True}),
        on_opened_change=lambda: None,
        on_turned_change=lambda: _turn(key),
    )
    if not hide_loss:
        keyboard.show_line(
            keyboard.Shown(bundle, key, whole, first, rows, example.source_of(bundle, whole))
        )
    shown = set(bundle.ids[rows].tolist())
    return [str(one) for one in (result.picked or []) if one in shown]


def _turn(key: str) -> None:
    """The keyboard or the pager asked for another page."""
    wanted = (st.session_state[key].get("turned") or {}).get("to")
    if isinstance(wanted, int) and wanted >= 1:
        st.session_state[f"{keys.PAGE}_{key}"] = wanted


def items_of(
    bundle: Bundle,
    rows: NDArray[np.int64],
    *,
    weights: NDArray[Any] | None = None,
    hide_loss: bool = False,
) -> list[dict[str, Any]]:
    """What the tiles of these rows show."""
    prefix = media.item_url(bundle.digest) if bundle.has_images else ""
    texts = bundle.examples["text"].iloc[rows].tolist() if bundle.has_text else [None] * len(rows)
    graded = weights is not None and is_graded(weights, rows)
    found = []
    for row, words in zip(rows.tolist(), texts, strict=True):
        label, prediction = example.names_of(bundle, row)
        if hide_loss:
            prediction = None
        found.append(
            {
                "id": str(bundle.ids[row]),
                "src": f"{prefix}/{row}/thumbnail" if prefix else None,
                "text": None if words is None else text.shorten(words, 400),
                "label": label,
                "prediction": prediction,
                "wrong": prediction is not None and label != prediction,
                "loss": "" if hide_loss else text.number(float(bundle.losses[row])),
                "weight": f"w {text.number(float(weights[row]))}"
                if graded and weights is not None
                else None,
            }
        )
    return found


def neighbour_tiles(bundle: Bundle, found: Neighbours, *, key: str) -> int | None:
    """Tiles of neighbours with their distances; the row of the one that was just clicked."""
    items = items_of(bundle, found.rows)
    for item, distance in zip(items, found.distances.tolist(), strict=True):
        item["weight"] = f"d {text.number(distance)}"
    result = _gallery(
        key=key,
        data={
            "key": f"near:{bundle.digest}:{crc32(found.rows.tobytes())}",
            "gallery": keyboard.channel(bundle, key),
            "bundle": bundle.digest,
            "label": "Nearest examples",
            "texts": bundle.has_text and not bundle.has_images,
            "pictures": bundle.has_images,
            "density": "small",
            "page": 1,
            "pages": 1,
            "tagging": False,
            "opening": True,
            "items": items,
        },
        default={"picked": [], "opened": None, "turned": None},
        on_picked_change=lambda: None,
        on_opened_change=lambda: None,
        on_turned_change=lambda: None,
    )
    opened = result.opened
    if not opened or st.session_state.get(f"{keys.OPENED}_{key}") == opened["count"]:
        return None
    st.session_state[f"{keys.OPENED}_{key}"] = opened["count"]
    at = np.flatnonzero(bundle.ids[found.rows] == opened["id"])
    return int(found.rows[at[0]]) if len(at) else None
