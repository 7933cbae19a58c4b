"""A page with nothing but the map, for tests and measurements in a browser.

The address says what to draw: ``?n=``, ``&raster=1``, ``&dark=``; a bundle's digest in
``&digest=`` gives previews. What was drawn, and the rows it held, stand below the map.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import streamlit as st

from backend.map.geometry import rows_in_box, rows_in_polygon
from pages.components.gallery import media
from pages.components.map import pointmap
from pages.components.shared import palette, routes


def lattice(n: int) -> np.ndarray:
    """Points on a square lattice, so that none is near the edge of a shape drawn between them."""
    side = round(n**0.5)
    x, y = np.meshgrid(np.arange(side), np.arange(side))
    return np.column_stack([x.ravel(), y.ravel()]).astype(np.float32) * 10 - 40


@st.cache_resource
def cloud(n: int) -> np.ndarray:
    """Clusters of unlike sizes."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(12, 2)) * 3
    kind = rng.choice(12, n, p=rng.dirichlet(np.full(12, 2.0)))
    spread = rng.uniform(0.3, 1.0, 12)[kind, None]
    return (centres[kind] + spread * rng.normal(size=(n, 2))).astype(np.float32)


def stock(xy: np.ndarray, codes: np.ndarray) -> None:
    """The same points in Streamlit's own chart, to compare with."""
    import plotly.graph_objects as go

    figure = go.Figure(
        go.Scattergl(
            x=xy[:, 0],
            y=xy[:, 1],
            mode="markers",
            marker={"size": 4, "color": codes, "colorscale": "Viridis"},
        )
    )
    figure.update_layout(dragmode="select", margin={"l": 0, "r": 0, "t": 0, "b": 0})
    figure.update_xaxes(visible=False).update_yaxes(visible=False)
    drawn = st.plotly_chart(
        figure, key="stock", height=352, on_select="rerun", selection_mode=("lasso", "box")
    )
    boxes = drawn.selection.get("box") or []
    st.text(f"selected {len(rows_in_box(xy, boxes[0]['x'], boxes[0]['y'])) if boxes else 0}")


def page() -> None:
    st.set_page_config(layout="wide")
    asked = st.query_params
    n = int(asked.get("n", 400))
    xy = lattice(n) if asked.get("layout") == "lattice" else cloud(n)
    n = len(xy)
    by = st.selectbox("Colour", ["region", "kind", "loss"], key="by", bind="query-params")
    hide = st.toggle("Hide filtered", key="hide")
    flip = st.toggle("Flip", key="flip")
    if flip:
        xy = np.ascontiguousarray(xy[:, ::-1])
    filtering = st.toggle("Filter", key="filtering")
    selected = st.session_state.setdefault("selected", np.zeros(n, dtype=bool))
    state = selected.astype(np.uint8)
    if filtering:
        state |= (2 * (np.arange(n) % 3 == 0)).astype(np.uint8)
    rng = np.random.default_rng(1)
    contours = []
    if by == "region":
        codes, colours = np.zeros(n, dtype=np.uint8), [palette.context_colour()]
        for at in range(5):
            centre = xy[rng.integers(n)]
            near = np.argsort(((xy - centre) ** 2).sum(axis=1))[: max(4, n // 40)]
            codes[near] = at + 1
            colours.append(palette.region_hue(at))
            weights = np.zeros(n)
            weights[near] = 1
            lines = pointmap.density_lines(xy, weights)
            contours.append(pointmap.Contour(str(at + 1), palette.region_hue(at), lines))
        names = ["no region", *(f"region {at + 1}" for at in range(5))]
    elif by == "kind":
        codes = ((xy[:, 0] - xy[:, 0].min()) / np.ptp(xy[:, 0]) * 9.99).astype(np.uint8)
        colours, names = list(palette.MORE_HUES), [f"<b>kind {at}</b>" for at in range(10)]
    else:
        values = np.hypot(xy[:, 0], xy[:, 1])
        codes = np.minimum(63, values / values.max() * 64).astype(np.uint8)
        colours = [f"rgb({at * 4}, {60 + at * 2}, {200 - at * 2})" for at in range(64)]
        colours.append(palette.context_colour())
    if asked.get("stock"):
        return stock(xy, codes)
    if by == "loss":
        legend: pointmap.Kinds | pointmap.Scale = pointmap.Scale("loss", 0.0, 12.3)
    else:
        total = np.bincount(codes, minlength=len(colours))
        held = np.bincount(codes[selected] if selected.any() else codes, minlength=len(colours))
        legend = pointmap.Kinds(
            tuple(
                pointmap.Kind(at, name, int(total[at]), int(held[at]))
                for at, name in enumerate(names)
            )
        )
    gesture = pointmap.show(
        "map",
        digest=asked.get("digest", "none"),
        projection="flipped" if flip else "plain",
        xy=xy,
        codes=codes,
        palette=colours,
        legend=legend,
        state=state,
        contours=contours,
        item_prefix=media.item_url(asked["digest"]) if "digest" in asked else None,
        hide_filtered=hide,
        label=f"Map of {n} examples.",
        raster=True if asked.get("raster") else None,
    )
    told = st.session_state.setdefault("told", [])
    if gesture is not None:
        if gesture.kind in ("lasso", "box"):
            corners = np.array(gesture.points)
            rows = (
                rows_in_box(xy, corners[:, 0], corners[:, 1])
                if gesture.kind == "box"
                else rows_in_polygon(xy, corners)
            )
            drawn = np.zeros(n, dtype=bool)
            drawn[rows] = True
            st.session_state["selected"] = {
                "new": drawn,
                "add": selected | drawn,
                "remove": selected & ~drawn,
            }[gesture.op]
        elif gesture.kind == "clear":
            st.session_state["selected"] = np.zeros(n, dtype=bool)
        told.append(f"{gesture.number} {gesture.kind} {gesture.op} {gesture.row}")
        st.rerun()
    st.text("gestures: " + "; ".join(told))
    st.text(f"selected {int(selected.sum())}")
    if n <= 10_000:
        st.text("rows: " + " ".join(map(str, np.flatnonzero(selected))))


if __name__ == "__main__":
    page()
else:
    base = st.get_option("server.baseUrlPath")
    app = st.App(__file__, routes=routes.below(base, media.ROUTES))
