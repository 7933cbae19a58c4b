"""The map's Python side: what goes down, what comes up, and that nothing foreign gets through."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from backend.core.errors import InputError
from pages.components.gallery import media
from pages.components.map import pointmap
from pages.components.map.gestures import MAX_WAITING, nearest_row, read_gestures

MAP = "d:PCA"
LASSO = {
    "number": 1,
    "kind": "lasso",
    "op": "new",
    "points": [[0, 0], [1, 0], [0, 1.5]],
    "map": MAP,
}
BOX = {"number": 2, "kind": "box", "op": "add", "points": [[0, 0], [1, 2]], "map": MAP}
CLEAR = {"number": 3, "kind": "clear", "op": "new", "points": [], "map": MAP}
PIN = {"number": 4, "kind": "pin", "op": "new", "row": 7, "points": [], "map": MAP}


def test_gestures_are_read_in_order_and_only_new_ones():
    read = read_gestures([PIN, CLEAR, LASSO, BOX, BOX], after=1, n=10)
    assert [(one.number, one.kind, one.op) for one in read] == [
        (2, "box", "add"),
        (3, "clear", "new"),
        (4, "pin", "new"),
    ]
    first = read_gestures([LASSO], after=0, n=10)[0]
    assert first.points == ((0.0, 0.0), (1.0, 0.0), (0.0, 1.5))
    assert first.projection == "PCA" and first.row is None
    assert read[2].row == 7


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "polygon"},
        {"kind": None},
        {"op": "xor"},
        {"op": ["add"]},
        {"number": 0},
        {"number": -5},
        {"number": 1.5},
        {"number": True},
        {"number": "1"},
        {"map": None},
        {"points": [[0, 0], [1, 1]]},
        {"points": [[0, 0], [1, 0], [float("nan"), 1]]},
        {"points": [[0, 0], [1, 0], [float("inf"), 1]]},
        {"points": [[0, 0], [1, 0], [10**400, 1]]},
        {"points": [[0, 0], [1, 0], ["2", 1]]},
        {"points": [[0, 0], [1, 0], [True, 1]]},
        {"points": [[0, 0], [1, 0], [1]]},
        {"points": {"0": [0, 0]}},
        {"points": "abc"},
        {"points": [[0, 0]] * 20_001},
        {"row": 10},
        {"row": -1},
        {"row": "1"},
        {"kind": "box"},
        {"kind": "clear"},
        {"kind": "pin"},
    ],
)
def test_what_is_not_a_gesture_is_left_out(change):
    assert read_gestures([{**LASSO, **change}, BOX], after=0, n=10)[0].number == 2


@pytest.mark.parametrize("given", [None, "x", 3, {}, {"a": LASSO}, [None, [], 3, "x"]])
def test_what_is_not_a_list_of_gestures_is_nothing(given):
    assert read_gestures(given, after=0, n=10) == []


def test_a_flood_of_gestures_is_cut():
    flood = [{**CLEAR, "number": at + 1} for at in range(10 * MAX_WAITING)]
    assert len(read_gestures(flood, after=0, n=10)) == MAX_WAITING


def test_a_click_means_the_nearest_row_if_one_is_near():
    xy = np.array([[0.0, 0.0], [10.0, 10.0], [10.0, 5.0]])
    click = {**PIN, "row": None, "points": [[9.9, 9.95]]}
    gesture = read_gestures([click], after=0, n=3)[0]
    assert nearest_row(gesture, xy, ((0, 0), (10, 10))).row == 1
    away = read_gestures([{**click, "points": [[5, 5]]}], after=0, n=3)[0]
    assert nearest_row(away, xy, ((0, 0), (10, 10))).row is None


# --- on a page ------------------------------------------------------------------------------------


def page() -> None:
    """One map; what was done on it is listed."""
    import numpy as np
    import streamlit as st

    from pages.components.map import pointmap
    from pages.components.shared import palette

    n = st.session_state.setdefault("n", 50)
    xy = np.random.default_rng(0).normal(size=(n, 2)).astype(np.float32)
    codes = np.zeros(n, dtype=np.uint8)
    codes[: n // 5] = 1
    state = np.zeros(n, dtype=np.uint8)
    state[:3] = 1
    state[n - 1] |= 2
    lines = pointmap.density_lines(xy, codes)
    gesture = pointmap.show(
        "map",
        digest="d",
        projection=st.session_state.get("projection", "PCA"),
        xy=xy,
        codes=codes,
        palette=[palette.context_colour(), "rgb(10, 20, 30)"],
        legend=pointmap.Kinds((pointmap.Kind(1, "<b>bold</b>", n // 5, 2),)),
        state=state,
        contours=[pointmap.Contour("1", "#E69F00", lines)],
        item_prefix="content/t/item/d",
        raster=st.session_state.get("raster"),
    )
    if gesture is not None:
        st.session_state.setdefault("done", []).append(gesture)
        st.rerun()


def data_of(at: AppTest) -> Any:
    """What the component was given."""
    return json.loads(at.get("bidi_component")[0].proto.json)


def blob(address: str) -> bytes:
    found = media.KEPT.get(address.split("/")[-1])
    assert found is not None
    return found.content


@pytest.fixture
def at() -> AppTest:
    return AppTest.from_function(page, default_timeout=20)


def test_positions_go_down_as_four_bytes_colours_as_one_and_states_as_bits(at: AppTest) -> None:
    given = data_of(at.run())
    assert not at.exception
    assert len(blob(given["points"])) == 50 * 4
    assert len(blob(given["codes"])) == 50
    planes = np.frombuffer(blob(given["state"]), dtype=np.uint8).reshape(2, 7)
    selected, aside = np.unpackbits(planes, axis=1, count=50, bitorder="little")
    assert np.flatnonzero(selected).tolist() == [0, 1, 2]
    assert np.flatnonzero(aside).tolist() == [49]
    steps = np.frombuffer(blob(given["points"]), dtype="<u2").reshape(-1, 2)
    xy = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    x0, x1, y0, y1 = given["bounds"]
    np.testing.assert_allclose(
        [x0, y0] + steps / 65535 * np.array([x1 - x0, y1 - y0]), xy, atol=1e-4
    )
    assert given["palette"][1] == "#0a141e" and given["selected"] == 3
    assert len(json.dumps(given)) < 2_500  # everything large has an address
    region = json.loads(blob(given["contours"]))[0]
    assert region["number"] == "1" and [one["share"] for one in region["levels"]] == [0.5, 0.8]
    assert b"export" in blob(given["module"])


def test_a_rerun_and_a_new_selection_keep_the_addresses_of_what_stays(at: AppTest) -> None:
    before = data_of(at.run())
    after = data_of(at.run())
    assert before == after


def test_each_gesture_is_returned_once_and_in_order(at: AppTest) -> None:
    at.run()
    at.session_state["map"] = {"gestures": [LASSO, BOX, PIN], "webgl": None, "missing": None}
    at.run()
    assert [one.number for one in at.session_state["done"]] == [1, 2, 4]
    assert data_of(at)["done"] == 4
    at.run()
    assert len(at.session_state["done"]) == 3
    at.session_state["map"] = {"gestures": [PIN, {**CLEAR, "number": 5}]}
    at.run()
    assert [one.kind for one in at.session_state["done"]] == ["lasso", "box", "pin", "clear"]


def test_a_gesture_from_another_layout_is_dropped(at: AppTest) -> None:
    at.run()
    at.session_state["projection"] = "UMAP"
    at.session_state["map"] = {"gestures": [LASSO, {**BOX, "map": "d:UMAP"}]}
    at.run()
    assert [one.number for one in at.session_state["done"]] == [2]


def test_hostile_state_is_nothing(at: AppTest) -> None:
    at.run()
    for hostile in ([{"number": 1}], "x", {"a": 1}, [[1]], [{**LASSO, "map": "<script>"}]):
        at.session_state["map"] = {"gestures": hostile}
        at.run()
        assert not at.exception and "done" not in at.session_state


def test_without_webgl_the_map_is_a_picture(at: AppTest) -> None:
    at.run()
    at.session_state["map"] = {"gestures": [], "webgl": False}
    given = data_of(at.run())
    assert blob(given["picture"]).startswith(b"\x89PNG")
    assert "points" not in given


def test_the_picture_can_be_forced_and_forbidden(at: AppTest) -> None:
    at.session_state["raster"] = True
    assert "picture" in data_of(at.run())
    at.session_state["raster"] = False
    at.session_state["map"] = {"gestures": [], "webgl": False}
    assert "picture" not in data_of(at.run())


def test_a_click_on_the_picture_finds_its_row(at: AppTest) -> None:
    at.session_state["raster"] = True
    at.run()
    xy = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    place = [[float(xy[9, 0]), float(xy[9, 1])]]
    at.session_state["map"] = {"gestures": [{**PIN, "row": None, "points": place}]}
    at.run()
    assert at.session_state["done"][0].row == 9


@pytest.mark.parametrize("n", [1, 2, 50])
def test_any_number_of_points(at: AppTest, n: int) -> None:
    at.session_state["n"] = n
    at.run()
    assert not at.exception and data_of(at)["n"] == n


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"codes": np.zeros(4, dtype=np.uint8)}, r"codes must be uint8 of shape \(5,\)"),
        ({"codes": np.zeros(5, dtype=np.int64)}, "got int64"),
        ({"state": np.zeros(6, dtype=np.uint8)}, r"state must be uint8 of shape \(5,\)"),
        ({"codes": np.full(5, 2, dtype=np.uint8)}, "got code 2 and 2 colours"),
        ({"palette": []}, "1 to 256 colours: got 0"),
        ({"palette": ["#000000"] * 257}, "1 to 256 colours: got 257"),
        ({"palette": ["#000000", "red;background:url(x)"]}, "#rrggbb or rgb"),
        ({"xy": np.full((5, 2), np.nan)}, "finite"),
        ({"xy": np.zeros((5, 3))}, "got"),
    ],
)
def test_what_cannot_be_drawn_is_named(change: dict[str, Any], told: str) -> None:
    given: dict[str, Any] = {
        "xy": np.zeros((5, 2), dtype=np.float32),
        "codes": np.zeros(5, dtype=np.uint8),
        "palette": ["#000000", "#ffffff"],
    }
    with pytest.raises(InputError, match=told):
        pointmap.show("map", digest="d", projection="p", **{**given, **change})
