"""Examples as tiles: pictures where there are any, else texts, else ids."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.groups import Group
from pages.components import keys, text

ASSETS = Path(__file__).parents[2] / "assets" / "components"
PAGE_SIZE = 48

_gallery = st.components.v2.component(
    "errorscope_gallery",
    html='<div class="grid" role="listbox" aria-multiselectable="true"></div>\n',
    css=(ASSETS / "gallery.css").read_text(encoding="utf-8"),
    js=(ASSETS / "gallery.js").read_text(encoding="utf-8"),
)


def show_gallery(
    bundle: Bundle, group: Group, tags: pd.DataFrame, *, key: str = keys.GALLERY
) -> list[str]:
    """A page of a group's members, most typical first; returns the ids picked on it."""
    n_pages = max(1, -(-group.n_members // PAGE_SIZE))
    page = 1
    if n_pages > 1:
        page = min(int(st.session_state.get(f"{key}_page", 1)), n_pages)
    rows = group.rows[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]
    picked = tiles(
        bundle, rows, tags, weights=group.weights, label=f"{group.kind}, page {page}", key=key
    )
    if n_pages > 1:
        st.pagination(n_pages, key=f"{key}_page")
    return picked


def tiles(
    bundle: Bundle,
    rows: NDArray[np.int64],
    tags: pd.DataFrame,
    *,
    label: str,
    key: str,
    weights: NDArray[Any] | None = None,
    hide_loss: bool = False,
) -> list[str]:
    """Tiles of these rows; returns the ids picked on them.

    With ``hide_loss`` nothing says how the model did: no loss, no prediction, no whole example.
    """
    ids = bundle.ids[rows]
    held = tags[tags["id"].isin(set(ids.tolist()))]
    by_id = held.groupby("id")["tag"].agg(list).to_dict() if len(held) else {}
    graded = weights is not None and bool(np.any((weights[rows] > 0) & (weights[rows] < 1)))
    items = [
        _item(
            bundle,
            int(row),
            by_id.get(bundle.ids[row], []),
            weights if graded else None,
            hide_loss=hide_loss,
        )
        for row in rows
    ]
    data = {
        "key": f"{bundle.digest}:{label}:{hash(rows.tobytes())}",
        "label": label,
        "texts": bundle.has_text and not bundle.has_images,
        "items": items,
    }
    result = _gallery(
        key=key,
        data=data,
        default={"picked": [], "opened": None},
        on_picked_change=lambda: None,
        on_opened_change=lambda: None,
    )
    opened = result.opened
    if opened and not hide_loss and st.session_state.get(f"{keys.OPENED}_{key}") != opened["count"]:
        st.session_state[f"{keys.OPENED}_{key}"] = opened["count"]
        found = np.flatnonzero(bundle.ids[rows] == opened["id"])
        if len(found):
            show_example(bundle, int(rows[found[0]]), by_id.get(opened["id"], []))
    shown = set(ids.tolist())
    return [str(one) for one in (result.picked or []) if one in shown]


def _item(
    bundle: Bundle,
    row: int,
    tags: list[str],
    weights: NDArray[Any] | None,
    *,
    hide_loss: bool = False,
) -> dict[str, Any]:
    thumbnail = bundle.thumbnail(row) if bundle.has_images else None
    label, prediction = names_of(bundle, row)
    if hide_loss:
        prediction = None
    return {
        "id": str(bundle.ids[row]),
        "src": data_uri(thumbnail) if thumbnail else None,
        "alt": str(bundle.ids[row]),
        "text": text.shorten(bundle.examples["text"].iloc[row], 400) if bundle.has_text else None,
        "label": label,
        "prediction": prediction,
        "wrong": prediction is not None and label != prediction,
        "loss": "" if hide_loss else text.number(float(bundle.losses[row])),
        "weight": f"w {text.number(float(weights[row]))}" if weights is not None else None,
        "tags": tags,
    }


def names_of(bundle: Bundle, row: int) -> tuple[str | None, str | None]:
    """The label and the prediction of one example by name; None where there is none."""
    names = bundle.class_names
    if names is None or bundle.label_codes is None:
        return None, None
    label = names[bundle.label_codes[row]]
    predicted = bundle.prediction_codes
    return label, None if predicted is None else names[predicted[row]]


def data_uri(image: bytes) -> str:
    """An image as a URI the browser shows without another request."""
    kind = "png" if image[:4] == b"\x89PNG" else "webp" if image[8:12] == b"WEBP" else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(image).decode('ascii')}"


@st.dialog("Example", width="large")
def show_example(bundle: Bundle, row: int, tags: list[str]) -> None:
    """Everything known of one example."""
    left, right = st.columns([2, 3])
    picture = bundle.image(row) if bundle.has_images else None
    with left:
        if picture:
            st.image(picture, width=260)
        st.text(str(bundle.ids[row]))
        label, prediction = names_of(bundle, row)
        if label is not None:
            st.text(f"label {label}")
        if prediction is not None:
            st.text(f"predicted {prediction}" + ("" if prediction == label else ", wrong"))
        st.text(
            f"loss {text.number(float(bundle.losses[row]))} (base {text.number(bundle.base_loss)})"
        )
        if tags:
            st.text("tags: " + ", ".join(tags))
    with right:
        if bundle.has_text:
            st.text(str(bundle.examples["text"].iloc[row]))
        if bundle.probabilities is not None and bundle.class_names is not None:
            p = np.asarray(bundle.probabilities[row], dtype=float)
            top = np.argsort(-p, kind="stable")[:10]
            table = pd.DataFrame(
                {"class": [bundle.class_names[c] for c in top], "probability": p[top]}
            )
            st.dataframe(
                table,
                hide_index=True,
                column_config={
                    "probability": st.column_config.ProgressColumn(
                        "probability", min_value=0.0, max_value=1.0, format="%.3f"
                    )
                },
            )
        if bundle.attributes:
            values = bundle.examples[bundle.attributes].iloc[row]
            st.dataframe(
                pd.DataFrame({"column": bundle.attributes, "value": values.astype(str).to_numpy()}),
                hide_index=True,
            )
