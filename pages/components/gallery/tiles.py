"""Examples as tiles: pictures where there are any, else texts, else ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.bundle.training import Training
from backend.core.content import content_key
from backend.core.neighbours import Neighbours
from backend.views import card_cells
from pages.components.gallery import cards, media
from pages.components.gallery.known import names_of
from pages.components.gallery.shown import ASSETS, SHARED_JS, OpenQuestion, channel
from pages.components.shared import keys, text

_gallery = st.components.v2.component(
    "errorscope_gallery",
    html='<div class="head" aria-hidden="true"></div><div class="grid" role="listbox" aria-label="Examples" aria-multiselectable="true"></div>\n',
    css=(ASSETS / "gallery.css").read_text(encoding="utf-8"),
    js=SHARED_JS + (ASSETS / "gallery.js").read_text(encoding="utf-8"),
)


def is_graded(weights: NDArray[Any] | None, rows: NDArray[np.int64]) -> bool:
    """Whether some of these rows belong more than others."""
    if weights is None:
        return False
    held = weights[rows]
    return bool(np.any((held > 0) & (held < 1)))


def mount(
    bundle: Bundle | Training,
    items: list[dict[str, Any]],
    *,
    key: str,
    content: str,
    label: str,
    columns: Sequence[str] = (),
    density: str = "small",
    page: tuple[int, int] = (1, 1),
    tagging: bool = False,
    opening: bool = False,
    still: bool = False,
    answering: OpenQuestion | None = None,
    locked: str | None = None,
) -> Any:
    """The tiles in the browser. ``content`` names what they show: without a new name they stay.

    ``columns`` are the names of the cells that the items hold; they are part of what is shown.
    With ``opening`` a click opens an example instead of picking it; ``still`` ones are only looked
    at; with ``answering`` keys and buttons say whether it belongs to the group of that question,
    and nothing opens; ``locked`` is why nobody at this screen may answer.
    """
    pictures = any(item["src"] for item in items)  # those of training examples may have none
    return _gallery(
        key=key,
        data={
            "key": content_key(content, list(columns)) if columns else content,
            "columns": list(columns),
            "gallery": channel(bundle, key),
            "bundle": bundle.digest,
            "label": label,
            "texts": not pictures and any(item["text"] for item in items),
            "pictures": pictures,
            "density": density,
            "page": page[0],
            "pages": page[1],
            "tagging": tagging,
            "opening": opening,
            "still": still,
            "answering": answering
            and {"question": answering.key, "chances": dict(answering.chances)},
            "locked": locked,
            "items": items,
        },
        default={"picked": [], "opened": None, "turned": None},
        on_picked_change=lambda: st.session_state.update({f"{keys.PICKS_CHANGED}_{key}": True}),
        on_opened_change=lambda: None,
        on_turned_change=lambda: _turn(key),
    )


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
    columns: Sequence[str] = (),
    hide_loss: bool = False,
) -> list[dict[str, Any]]:
    """What the tiles of these rows show; ``columns`` are those whose cells stand on them."""
    prefix = media.item_url(bundle.digest) if bundle.has_images else ""
    texts = bundle.examples["text"].iloc[rows].tolist() if bundle.has_text else [None] * len(rows)
    graded = weights is not None and is_graded(weights, rows)
    cells = card_cells(bundle, columns, rows)
    found = []
    for row, words, own in zip(rows.tolist(), texts, cells, strict=True):
        label, prediction = names_of(bundle, row)
        if hide_loss:
            prediction = None
        found.append(
            {
                "id": str(bundle.ids[row]),
                "src": f"{prefix}/{row}/thumbnail" if prefix else None,
                "text": None if words is None else text.shorten(words, 400),
                "cells": [text.cell(one) for one in own],
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
    columns = cards.columns(bundle)
    items = items_of(bundle, found.rows, columns=columns)
    for item, distance in zip(items, found.distances.tolist(), strict=True):
        item["weight"] = f"d {text.number(distance)}"
    result = mount(
        bundle,
        items,
        key=key,
        content=content_key("near", bundle.digest, bundle.layer, found.rows),
        label="Nearest examples",
        columns=columns,
        opening=True,
    )
    opened = result.opened
    if not opened or st.session_state.get(f"{keys.OPENED}_{key}") == opened["count"]:
        return None
    st.session_state[f"{keys.OPENED}_{key}"] = opened["count"]
    at = np.flatnonzero(bundle.ids[found.rows] == opened["id"])
    return int(found.rows[at[0]]) if len(at) else None
