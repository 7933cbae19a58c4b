"""The map component: draws every example, tells what was drawn on it. Knows nothing of selections.

Positions go down once as 4 bytes a point, colours as one and states as a quarter, each under the
hash of its content; the outline of a lasso or the corners of a box come up. Which rows a shape holds
is for the caller to say, on the positions themselves.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from backend.core.content import content_key
from backend.core.errors import InputError
from backend.map.contours import DensityLines, density_lines
from backend.map.packing import Packed, pack, pack_bits
from backend.map.raster import css_colour, draw_raster
from pages.components.gallery import media
from pages.components.map.gestures import Gesture, nearest_row, read_gestures
from pages.components.shared import palette, text

__all__ = [
    "Contour",
    "DensityLines",
    "Gesture",
    "Kind",
    "Kinds",
    "Scale",
    "density_lines",
    "show",
]

ASSETS = Path(__file__).parents[3] / "assets" / "map"
HEIGHT = 352
SELECTED, FILTERED_OUT = 1, 2
"""Bits of a point's state."""
MAX_COLOURS = 256

_component = st.components.v2.component(
    "errorscope_map",
    html='<div class="map"></div>\n',
    css=(ASSETS / "map.css").read_text(encoding="utf-8"),
    js=(ASSETS / "loader.js").read_text(encoding="utf-8"),
)


@dataclass(frozen=True)
class Kind:
    """A legend entry: ``held`` of the ``total`` points of this code are selected or shown."""

    code: int
    name: str
    total: int
    held: int


@dataclass(frozen=True)
class Kinds:
    """A legend of kinds, in the order shown; ``folded`` to its button where the page says it too."""

    kinds: tuple[Kind, ...]
    folded: bool = False


@dataclass(frozen=True)
class Scale:
    """A legend of numbers: ``low`` and ``high`` are the values of the first and last colour.

    ``steps`` colours from code 0 up are the scale; by default all but the last of the palette,
    which then means that a value is missing.
    """

    title: str
    low: float
    high: float
    steps: int | None = None


@dataclass(frozen=True)
class Contour:
    """A region on the map: its number, its colour, its lines.

    Beside ``chosen`` ones, the others step back: a thin line, and no outer one.
    """

    number: str
    colour: str
    lines: DensityLines
    chosen: bool = False


def show(
    key: str,
    *,
    digest: str,
    projection: str,
    xy: NDArray[Any],
    codes: NDArray[np.uint8],
    palette: Sequence[str],
    legend: Kinds | Scale | None = None,
    state: NDArray[np.uint8] | None = None,
    contours: Sequence[Contour] = (),
    item_prefix: str | None = None,
    height: int = HEIGHT,
    hide_filtered: bool = False,
    aside: bool = True,
    label: str = "Map of the examples.",
    raster: bool | None = None,
) -> Gesture | None:
    """Draw the map; the oldest gesture made on it that was not returned yet.

    Parameters
    ----------
    key : str
        Key of the component.
    digest, projection : str
        Names of the bundle and of the layout. A gesture made on another one that was still on
        screen is dropped: its coordinates mean nothing here.
    xy : float array of shape (n, 2)
        Positions in map coordinates.
    codes : uint8 array of shape (n,)
        Position of each point's colour in ``palette``.
    palette : sequence of str, at most 256
        Colours as ``#rrggbb`` or ``rgb(r, g, b)``.
    legend : Kinds, Scale or None
        Kinds are drawn rarest on top, numbers highest on top.
    state : uint8 array of shape (n,), or None
        Bit 0: selected; bit 1: set aside by the filters.
    contours : sequence of Contour
        Drawn over the points, with their numbers.
    item_prefix : str or None
        From ``media.item_url``; None shows no previews.
    hide_filtered : bool
        Leave out what the filters set aside, instead of dimming it.
    aside : bool
        While anything is selected, what is not stays as grey context; without this it keeps its
        colour, and the selection has its rim alone.
    label : str
        What a screen reader says of the map.
    raster : bool or None
        True: drawn here as a picture; False: never; None: where the browser has no WebGL 2.

    Returns
    -------
    Gesture or None
        Each gesture is returned once, in the order made. After taking one, run the page again:
        more may wait.

    Raises
    ------
    InputError
        If the shapes differ or a code has no colour.
    """
    xy, codes = np.asarray(xy), np.asarray(codes)
    state = np.zeros(len(codes), dtype=np.uint8) if state is None else np.asarray(state)
    _check(xy, codes, state, palette)
    packed = _packed(content_key(xy), xy)
    last = int(st.session_state.get(_field(key), 0))
    known = st.session_state.get(key)
    drawn_here = raster or (raster is None and known is not None and known.get("webgl") is False)
    colours = [css_colour(one) for one in palette]
    data = {
        "module": media.offer(_bundle(), "text/javascript", ""),
        "map": f"{digest}:{projection}",
        "n": len(xy),
        "bounds": [packed.low[0], packed.high[0], packed.low[1], packed.high[1]],
        "palette": colours,
        "legend": _legend(legend, colours),
        "theme": _theme(),
        "contours": _contours(digest, contours, packed),
        "chosen": [one.number for one in contours if one.chosen],
        "selected": int(np.count_nonzero(state & SELECTED)),
        "hide": hide_filtered,
        "aside": aside,
        "items": item_prefix,
        "height": height,
        "label": label,
        "done": last,
        "again": None if known is None else str(known.get("missing") or "")[:60] or None,
        **(
            _picture(digest, packed, codes, state, colours, legend, hide_filtered, aside)
            if drawn_here
            else _planes(digest, packed, codes, state)
        ),
    }
    result = _component(
        key=key,
        data=data,
        height=height,
        default={"gestures": [], "webgl": None, "missing": None},
        on_gestures_change=lambda: None,
        on_webgl_change=lambda: None,
        on_missing_change=lambda: None,
    )
    if raster is None and not drawn_here and result.webgl is False:
        st.rerun()
    for gesture in read_gestures(result.gestures, after=last, n=len(xy)):
        st.session_state[_field(key)] = gesture.number
        if gesture.map != data["map"]:
            continue
        if gesture.kind == "pin" and gesture.row is None:
            gesture = nearest_row(gesture, xy, (packed.low, packed.high))
            if gesture.row is None:
                continue
        return gesture
    return None


def _check(
    xy: NDArray[Any], codes: NDArray[Any], state: NDArray[Any], colours: Sequence[str]
) -> None:
    n = len(xy)
    for name, values in (("codes", codes), ("state", state)):
        if values.shape != (n,) or values.dtype != np.uint8:
            raise InputError(
                f"{name} must be uint8 of shape ({n},), one per point: "
                f"got {values.dtype} of shape {values.shape}."
            )
    if not 0 < len(colours) <= MAX_COLOURS:
        raise InputError(f"palette must hold 1 to {MAX_COLOURS} colours: got {len(colours)}.")
    if n and int(codes.max()) >= len(colours):
        raise InputError(
            f"every code needs a colour: got code {int(codes.max())} and {len(colours)} colours."
        )


@st.cache_resource(show_spinner=False, max_entries=8)
def _packed(content: str, _xy: NDArray[Any]) -> Packed:
    return pack(_xy)


def _planes(
    digest: str, packed: Packed, codes: NDArray[np.uint8], state: NDArray[np.uint8]
) -> dict[str, Any]:
    """Addresses of what the browser draws from."""
    octets = "application/octet-stream"
    return {
        "points": media.offer(packed.steps.tobytes(), octets, digest, compress=False),
        "codes": media.offer(codes.tobytes(), octets, digest),
        "state": media.offer(
            pack_bits(state, (SELECTED, FILTERED_OUT)), octets, digest, compress=False
        )
        if state.any()
        else None,
    }


def _picture(
    digest: str,
    packed: Packed,
    codes: NDArray[np.uint8],
    state: NDArray[np.uint8],
    colours: Sequence[str],
    legend: Kinds | Scale | None,
    hide: bool,
    aside: bool,
) -> dict[str, Any]:
    """Address of the map drawn here."""
    look = (
        *colours,
        palette.context_colour(),
        palette.accent(),
        isinstance(legend, Scale),
        hide,
        aside,
    )
    known = content_key(packed.steps, codes, state, look)
    content = _drawn(known, packed, codes, state, look)
    return {"picture": media.offer(content, "image/png", digest, compress=False)}


@st.cache_resource(show_spinner=False, max_entries=16)
def _drawn(
    known: str,
    _packed: Packed,
    _codes: NDArray[np.uint8],
    _state: NDArray[np.uint8],
    _look: tuple[Any, ...],
) -> bytes:
    *colours, context, accent, by_code, hide, aside = _look
    return draw_raster(
        _packed.steps,
        _codes,
        _state,
        colours,
        context=css_colour(context),
        accent=css_colour(accent),
        by_code=by_code,
        hide_filtered=hide,
        aside=aside,
    )


def _contours(digest: str, contours: Sequence[Contour], packed: Packed) -> str | None:
    """Address of the lines in lattice steps: a tenth of the bytes of decimal fractions."""
    if not contours:
        return None

    def steps(line: Any) -> list[int]:
        return packed.nearest_steps(line).ravel().tolist()

    drawn = [
        {
            "number": one.number,
            "colour": css_colour(one.colour),
            "anchor": steps(one.lines.anchor) if one.lines.anchor else None,
            "levels": [
                {"share": level.share, "lines": [steps(line) for line in level.lines]}
                for level in one.lines.levels
            ],
        }
        for one in contours
    ]
    return media.offer(
        json.dumps(drawn, separators=(",", ":")).encode(), "application/json", digest
    )


def _legend(legend: Kinds | Scale | None, colours: Sequence[str]) -> dict[str, Any] | None:
    if legend is None:
        return None
    if isinstance(legend, Scale):
        steps = max(1, len(colours) - 1) if legend.steps is None else legend.steps
        low, high = text.number(legend.low), text.number(legend.high)
        return {"title": legend.title, "low": low, "high": high, "steps": steps}
    return {
        "kinds": [
            {"code": one.code, "name": one.name, "total": one.total, "held": one.held}
            for one in legend.kinds
        ],
        "folded": legend.folded,
    }


def _theme() -> dict[str, Any]:
    return {
        "context": css_colour(palette.context_colour()),
        "accent": css_colour(palette.accent()),
        "text": palette.text_colour(),
        "paper": palette.paper_colour(),
    }


@st.cache_resource(show_spinner=False)
def _bundle() -> bytes:
    return (ASSETS / "dist" / "map.js").read_bytes()


def _field(key: str) -> str:
    return f"_map_{key}"
