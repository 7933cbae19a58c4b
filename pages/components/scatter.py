"""The map: every example a point, regions in colour, a lasso or a box to select.

The browser sends back the drawn shape; the rows it holds are resolved here against *all* rows,
drawn or not. Everything the rest of the page needs is ``show_map``.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.errors import InputError
from backend.core.geometry import rows_in_box, rows_in_polygon
from backend.core.sampling import MapSample
from pages.components import keys, link, palette, text

HEIGHT = 352


@dataclass(frozen=True)
class Shape:
    """A drawn selection: where it was drawn, and its outline in map coordinates."""

    bundle: str
    projection: str
    kind: str
    x: tuple[float, ...]
    y: tuple[float, ...]

    def rows(self, points: NDArray[Any]) -> NDArray[np.int64]:
        """Rows of all points inside."""
        if self.kind == "box":
            return rows_in_box(points, self.x, self.y)
        return rows_in_polygon(points, np.column_stack([self.x, self.y]))

    def to_dict(self) -> dict[str, Any]:
        """For the record of a tag."""
        return {"projection": self.projection, "shape": self.kind, "x": self.x, "y": self.y}


@dataclass(frozen=True)
class Layer:
    """How one set of rows is drawn: its members' rows, its name, its colour."""

    name: str
    rows: NDArray[np.int64]
    colour: str
    number: str


def show_map(
    bundle: Bundle,
    points: NDArray[np.float32],
    sample: MapSample,
    layers: list[Layer],
    *,
    projection: str,
    colour_by: str,
    values: NDArray[Any] | None,
) -> None:
    """Draw the map; a shape drawn on it is kept in the session as ``Shape`` until cleared."""
    drawn = (bundle.digest, projection, colour_by, tuple(layer.name for layer in layers))
    figure = _figure(bundle, points, sample, layers, colour_by, values)
    if st.session_state.get(keys.DRAWN, (None,))[0] != drawn:
        # A new figure loses its outline in the browser; the kept shape is drawn into it once.
        # Doing so on every run would repaint the map after each selection.
        st.session_state[keys.DRAWN] = (drawn, current_shape(bundle.digest, projection))
    shape = st.session_state[keys.DRAWN][1]
    if shape is not None:
        figure.update_layout(selections=[_outline(shape)])

    def on_select() -> None:
        _keep_shape(st.session_state[keys.MAP_CHART], bundle.digest, projection)

    st.plotly_chart(
        figure,
        key=keys.MAP_CHART,
        height=HEIGHT,
        theme="streamlit",
        on_select=on_select,
        selection_mode=("lasso", "box"),
        config={
            "displaylogo": False,
            "scrollZoom": True,
            "modeBarButtonsToRemove": ["autoScale2d"],
        },
        alt=f"Map of {bundle.n} examples, {projection}, coloured by {colour_by}.",
    )


def current_shape(digest: str, projection: str) -> Shape | None:
    """The shape drawn on this map and not cleared, if any."""
    shape = st.session_state.get(keys.SHAPE)
    if shape is not None and (shape.bundle, shape.projection) == (digest, projection):
        return shape
    return None


def clear_shape() -> None:
    """Forget the drawn shape, on screen too."""
    st.session_state.pop(keys.SHAPE, None)
    st.session_state.pop(keys.DRAWN, None)


def _keep_shape(event: Any, digest: str, projection: str) -> None:
    selection = event.selection
    for kind in ("lasso", "box"):
        for drawn in selection.get(kind) or []:
            x, y = tuple(map(float, drawn["x"])), tuple(map(float, drawn["y"]))
            st.session_state[keys.SHAPE] = Shape(digest, projection, kind, x, y)
            link.put(keys.GROUP, "selection")
            return
    st.session_state.pop(keys.SHAPE, None)


def _outline(shape: Shape) -> dict[str, Any]:
    if shape.kind == "box":
        (x0, x1), (y0, y1) = sorted(shape.x), sorted(shape.y)
        return {"type": "rect", "x0": x0, "x1": x1, "y0": y0, "y1": y1}
    path = "L".join(f"{x},{y}" for x, y in zip(shape.x, shape.y, strict=True))
    return {"type": "path", "path": f"M{path}Z"}


def _figure(
    bundle: Bundle,
    points: NDArray[np.float32],
    sample: MapSample,
    layers: list[Layer],
    colour_by: str,
    values: NDArray[Any] | None,
) -> go.Figure:
    figure = go.Figure()
    if values is None:
        _add_points(figure, bundle, points, sample.rows, "other examples", palette.context_colour())
    elif np.asarray(values).dtype.kind in "fiu":
        _add_scaled(figure, bundle, points, sample.rows, colour_by, np.asarray(values, dtype=float))
    else:
        _add_kinds(figure, bundle, points, sample.rows, np.asarray(values).astype(str))
    shown = np.isin(np.arange(bundle.n), sample.rows)
    for layer in layers:
        rows = layer.rows[shown[layer.rows]]
        if len(rows) == 0:
            continue
        if values is None:
            _add_points(figure, bundle, points, rows, layer.name, layer.colour, size=6)
        place = np.median(points[rows], axis=0)
        figure.add_annotation(
            x=float(place[0]),
            y=float(place[1]),
            text=f"<b>{escape(layer.number)}</b>",
            showarrow=False,
            font={"size": 13, "color": palette.text_colour()},
            bgcolor=palette.paper_colour(),
            bordercolor=layer.colour,
            borderwidth=2,
            borderpad=2,
            opacity=0.92,
        )
    figure.update_layout(
        uirevision=f"{bundle.digest}",
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        dragmode="lasso",
        showlegend=values is not None and np.asarray(values).dtype.kind not in "fiu",
        legend={"itemsizing": "constant", "font": {"size": 11}, "orientation": "v"},
        hoverlabel={"align": "left"},
        newselection={"line": {"color": palette.accent(), "width": 2, "dash": "solid"}},
        xaxis={"visible": False},
        yaxis={"visible": False, "scaleanchor": None},
    )
    return figure


def _hover(bundle: Bundle, rows: NDArray[np.int64]) -> list[str]:
    """Hover lines. Plotly reads some tags in them, so data is escaped."""
    names = bundle.class_names
    labels, predictions = bundle.label_codes, bundle.prediction_codes
    lines = []
    for row in rows.tolist():
        line = escape(text.shorten(bundle.ids[row], 60))
        if names and labels is not None:
            line += f"<br>{escape(names[labels[row]])}"
            if predictions is not None:
                line += f" → {escape(names[predictions[row]])}"
        lines.append(f"{line}<br>loss {text.number(float(bundle.losses[row]))}")
    return lines


def _add_points(
    figure: go.Figure,
    bundle: Bundle,
    points: NDArray[np.float32],
    rows: NDArray[np.int64],
    name: str,
    colour: str,
    *,
    size: float = 4,
) -> None:
    figure.add_scattergl(
        x=points[rows, 0],
        y=points[rows, 1],
        mode="markers",
        name=escape(name),
        text=_hover(bundle, rows),
        hovertemplate="%{text}<extra></extra>",
        marker={"size": size, "color": colour, "opacity": 0.55 if size < 5 else 0.9},
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 0.25}},
    )


def _add_scaled(
    figure: go.Figure,
    bundle: Bundle,
    points: NDArray[np.float32],
    rows: NDArray[np.int64],
    name: str,
    values: NDArray[np.float64],
) -> None:
    shown = values[rows]
    finite = shown[np.isfinite(shown)]
    low, high = np.quantile(finite, [0.01, 0.99]) if len(finite) else (0.0, 1.0)
    _add_points(figure, bundle, points, rows, name, palette.context_colour())
    figure.data[-1].marker = {
        "size": 4.5,
        "color": np.nan_to_num(shown, nan=low).astype(np.float32),
        "colorscale": palette.loss_scale(),
        "cmin": float(low),
        "cmax": float(high if high > low else low + 1),
        "opacity": 0.8,
        "colorbar": {"thickness": 8, "len": 0.6, "title": {"text": escape(name), "side": "top"}},
    }


def _add_kinds(
    figure: go.Figure,
    bundle: Bundle,
    points: NDArray[np.float32],
    rows: NDArray[np.int64],
    values: NDArray[np.str_],
) -> None:
    kinds, counts = np.unique(values, return_counts=True)
    frequent = kinds[np.argsort(-counts, kind="stable")][: len(palette.MORE_HUES)]
    if len(kinds) > len(palette.MORE_HUES):
        frequent = frequent[:-1]
    for kind, colour in zip(sorted(frequent.tolist()), palette.MORE_HUES, strict=False):
        held = rows[values[rows] == kind]
        total = int(counts[kinds == kind][0])
        label = f"{text.shorten(kind, 24)} · {text.count(total)}"
        _add_points(figure, bundle, points, held, label, colour)
    rest = rows[~np.isin(values[rows], frequent)]
    if len(rest):
        others = f"other ({len(kinds) - len(frequent)} kinds) · {text.count(len(rest))}"
        _add_points(figure, bundle, points, rest, others, palette.context_colour())


def colourings(bundle: Bundle) -> list[str]:
    """What the map can be coloured by, in the order offered."""
    choices = ["region", "loss"]
    if bundle.labels is not None:
        choices.append("label")
    if bundle.predictions is not None:
        choices.append("prediction")
    if bundle.correct is not None:
        choices.append("right or wrong")
    return choices + [f"column {name}" for name in bundle.attributes]


def values_for(bundle: Bundle, colour_by: str) -> NDArray[Any] | None:
    """Per-example values of a colouring; None for the colouring by region."""
    if colour_by == "loss":
        return bundle.losses
    if colour_by == "label" and bundle.labels is not None:
        return np.asarray(bundle.class_names)[bundle.label_codes]
    if colour_by == "prediction" and bundle.predictions is not None:
        return np.asarray(bundle.class_names)[bundle.prediction_codes]
    if colour_by == "right or wrong" and bundle.correct is not None:
        return np.where(bundle.correct, "right", "wrong")
    name = colour_by.removeprefix("column ")
    if colour_by.startswith("column ") and name in bundle.examples:
        column = bundle.examples[name]
        if column.dtype.kind in "fiu":
            return column.to_numpy(dtype=float)
        return column.astype(object).where(column.notna(), "unknown").astype(str).to_numpy()
    if colour_by != "region":
        raise InputError(f"the bundle has nothing called {colour_by!r} to colour by.")
    return None
