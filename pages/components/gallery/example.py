"""One example whole: what it is, what the model said, where it belongs, who tagged it, what is near."""

from __future__ import annotations

from functools import partial
from typing import Any

import streamlit as st

from backend.bundle import Bundle
from backend.core.neighbours import Neighbours, nearest
from backend.store import Event
from backend.views import likely_classes, share_below
from pages.components.gallery import media
from pages.components.gallery.causes import show_causes
from pages.components.gallery.known import groups_of, names_of
from pages.components.gallery.shown import (
    ASSETS,
    SHARED_JS,
    Shown,
    channel,
    close,
    is_open,
    open_at,
)
from pages.components.gallery.tiles import neighbour_tiles
from pages.components.shared import keys, services, text

N_NEIGHBOURS = 10
# Numbers in the embeddings up to which neighbours are looked for without asking.
AT_ONCE = 60_000_000
# Examples before and after whose ids the browser knows, for keys faster than the server.
AHEAD = 100

_item = st.components.v2.component(
    "errorscope_example",
    html='<div class="item"></div>\n',
    css=(ASSETS / "gallery.item.css").read_text(encoding="utf-8"),
    js=SHARED_JS + (ASSETS / "gallery.item.js").read_text(encoding="utf-8"),
)


# --- opening and showing --------------------------------------------------------------------------


@st.dialog("Example", width="large", on_dismiss=close)
def show(shown: Shown) -> None:
    """The open example of a gallery; arrow keys walk through its group, digits tag."""
    key = shown.key
    opened = st.session_state.get(keys.EXAMPLE)
    if not opened or not len(shown.order):
        return
    at = min(max(0, int(opened["at"])), len(shown.order) - 1)
    row = int(opened.get("row", shown.order[at]))
    _item(
        key=f"{key}_item",
        data=_facts(shown, at, row, elsewhere="row" in opened),
        default={"at": None},
        on_at_change=partial(_walk, key),
    )
    _near(shown, row)
    show_causes(shown.bundle, row, key=key)


def _walk(key: str) -> None:
    asked = (st.session_state[f"{key}_item"].get("at") or {}).get("to")
    if isinstance(asked, int) and is_open(key):
        open_at(key, asked)


def _facts(shown: Shown, at: int, row: int, *, elsewhere: bool) -> dict[str, Any]:
    bundle, order = shown.bundle, shown.order
    first = max(0, at - AHEAD)
    place = f"{text.count(at + 1)} of {text.count(len(order))}"
    return {
        "gallery": channel(bundle, shown.key),
        "bundle": bundle.digest,
        "id": str(bundle.ids[row]),
        "at": at,
        "of": len(order),
        "place": f"a neighbour of {place}" if elsewhere else place,
        "elsewhere": elsewhere,
        "first": first,
        "ids": bundle.ids[order[first : at + AHEAD]].tolist(),
        "src": f"{media.item_url(bundle.digest)}/{row}/full" if bundle.has_images else None,
        "text": str(bundle.examples["text"].iloc[row]) if bundle.has_text else None,
        "facts": facts_of(bundle, row),
        "bars": bars_of(bundle, row),
        "groups": groups_of(bundle, row),
        "columns": [
            [name, text.shorten(bundle.cells(name, [row])[0], 300)] for name in bundle.attributes
        ],
        "events": [
            {
                "time": event.time[:16].replace("T", " "),
                "who": event.author,
                "what": _what(event) + _with_others(event.n_ids - 1),
                "undone": event.undone,
            }
            for event in reversed(services.known().events_of(bundle.digest, str(bundle.ids[row])))
        ],
    }


def _what(event: Event) -> str:
    if event.kind == "known":
        return f"set aside, {event.payload['reason']}"
    return f"{'tagged' if event.kind == 'tag' else 'took off'} '{event.tag}'"


def _with_others(n: int) -> str:
    if n < 1:
        return ""
    return f", with {text.count(n)} " + ("other" if n == 1 else "others")


def facts_of(bundle: Bundle, row: int) -> list[tuple[str, str]]:
    """Label, prediction and loss, the loss with the share of examples it is higher than."""
    label, prediction = names_of(bundle, row)
    found = [] if label is None else [("label", label)]
    if prediction is not None:
        found.append(("predicted", prediction + ("" if prediction == label else "  ✗ wrong")))
    loss = float(bundle.losses[row])
    found += [
        ("loss", f"{text.number(loss)}  (base {text.number(bundle.base_loss)})"),
        ("percentile", f"higher than {text.percent(share_below(bundle, row))} of all losses"),
    ]
    return found


def bars_of(bundle: Bundle, row: int, *, top: int = 5) -> list[dict[str, Any]]:
    """The most probable classes and, beyond them, the label; ties: lower class first."""
    return [
        {
            "name": one.name,
            "share": one.probability,
            "text": f"{one.probability:.3f}",
            "mark": "label" if one.is_label else "",
        }
        for one in likely_classes(bundle, row, top=top)
    ]


# --- neighbours -----------------------------------------------------------------------------------


def _near(shown: Shown, row: int) -> None:
    """The nearest examples in representation space; opening one shows it in place."""
    bundle, key = shown.bundle, shown.key
    if bundle.n < 2:
        return
    if bundle.n * bundle.d > AT_ONCE and not st.toggle(
        "Look for the nearest examples",
        key=f"{key}_near_wanted",
        persist_state="session",
        help=f"Compares with all {text.counted(bundle.n, 'example')}, which takes some seconds.",
    ):
        return
    found = neighbours_of(bundle.digest, bundle.layer, row, bundle)
    st.caption("Nearest in representation space, Euclidean distance d. A click opens one.")
    opened = neighbour_tiles(bundle, found, key=f"{key}_near")
    if opened is not None:
        st.session_state[keys.EXAMPLE]["row"] = opened
        st.rerun(scope="fragment")


@st.cache_resource(show_spinner=False, max_entries=512)
def neighbours_of(digest: str, layer: str, row: int, _bundle: Bundle) -> Neighbours:
    """The nearest examples of one in a layer, found once."""
    return nearest(_bundle.embeddings, row, k=N_NEIGHBOURS)
