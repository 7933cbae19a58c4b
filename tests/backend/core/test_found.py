"""The record of a region: there and back, records of earlier versions, and what is none."""

from __future__ import annotations

import json

import numpy as np
import pytest

from backend.core.effects import Effect
from backend.core.errors import InputError
from backend.core.found import FoundRegion, exact_shape, is_placed, one_region, short
from backend.core.shape import Shape

D = 2


def region(**changes):
    """A record as pages wrote it before regions carried numbers."""
    center = {"center": [0.0, 0.0], "precision": 0.5, "kernel": "gaussian"}
    return {"kind": "region", "index": 1, "key": "k", "name": ""} | center | changes


BALL = region(
    name="label Coat",
    options={"size": 0.02, "seed": 3, "layer": "deep"},
    layer="deep",
    shape="0f" * 32,
    labels=["Coat"],
    method="regions",
    version=7,
    weighted_loss=1.75,
    total_weight=31.5,
    outcome={"status": "converged"},
)


@pytest.mark.parametrize(
    "source",
    [
        region(layer=""),
        region(layer="", precision=[0.5, 1.0], kernel="squared_distance", within=[{"tag": "x"}]),
        region(layer="", precision=[[0.5, 0.1], [0.1, 1.0]]),
        BALL,
        BALL
        | {
            "number": 4,
            "scope": "among Coat",
            "p": 0.01,
            "p_cell": 0.5,
            "cell": False,
            "real": True,
        },
        short(BALL | {"number": 4}),
        {
            "kind": "region",
            "region_kind": "direction",
            "index": 2,
            "number": 3,
            "key": "k:2",
            "name": "long coats",
            "layer": "",
            "shape": "0f" * 32,
            "labels": [],
            "cut": 1.25,
            "method": "regions",
        },
        {
            "kind": "region",
            "region_kind": "label",
            "number": 1,
            "name": "label Bag fails as a whole",
            "layer": "",
            "labels": ["Bag"],
        },
    ],
)
def test_a_record_says_what_it_was_read_from(source):
    again = FoundRegion.from_source(json.loads(json.dumps(source))).to_source()
    assert again == source
    assert json.loads(json.dumps(again)) == again


@pytest.mark.parametrize(
    ("source", "names", "expected"),
    [
        (region(), {}, "2"),
        (region(name="coats"), {}, "coats"),
        (region(name="coats"), {"k": "coat-like"}, "coat-like"),
        (region(name="coats"), {"other": "coat-like"}, "coats"),
        (region(number=3), {}, "3"),
        (region(number=3, name="coats"), {}, "3 coats"),
        (region(number=3, name="coats"), {"k": "coat-like"}, "3 coat-like"),
        (region(number=3, key=None, name="coats"), {"": "wrong"}, "3 coats"),
        ({"kind": "region"}, {}, ""),
        (region(number="3", name=["coats"], index=None), {}, ""),
    ],
)
def test_what_a_region_is_called(source, names, expected):
    assert FoundRegion.from_source(source).label(names) == expected


def test_parts_of_the_wrong_type_are_not_there():
    said = FoundRegion.from_source(
        {"index": "1", "number": True, "key": 7, "options": [], "real": 1, "p": "x", "cut": 10**400}
        | {"version": 1.5, "outcome": "done", "weighted_loss": None, "effect": "none"}
    )
    assert said.to_source() == {"kind": "region", "name": "", "kernel": "gaussian", "layer": ""}
    assert said.groups is None
    assert FoundRegion.from_source({"options": {"groups": "patient"}}).groups == "patient"
    assert FoundRegion.from_source({"options": {"groups": ["patient"]}}).groups is None


def test_the_effect_travels_with_the_record():
    effect = Effect(31, 31, 1.5, 1.0, 2.0, 0.5, error=0.75, error_base=0.25)
    source = FoundRegion(number=1, effect=effect).to_source()
    assert source["effect"]["loss_label"] is None
    again = FoundRegion.from_source(json.loads(json.dumps(source))).effect
    assert (again.n, again.loss_high, again.multiple) == (31, 2.0, 3.0)
    assert np.isnan(again.loss_label) and again.to_dict() == effect.to_dict()


@pytest.mark.parametrize("effect", [{}, {"n": "many"}, [1], {"n": 1, "n_groups": 10**400}, 3])
def test_an_effect_that_is_none_is_not_there(effect):
    assert FoundRegion.from_source({"effect": effect}).effect is None
    numbers = Effect(1, 1, 1.0, 1.0, 1.0, 1.0).to_dict() | {"loss": 10**400}
    assert FoundRegion.from_source({"effect": numbers}).effect is None


# Where it lies


def test_balls_directions_and_labels_are_placed():
    shape = FoundRegion.from_source(region()).place(D)
    assert shape.kind == "ball" and shape.weights(np.array([[2.0, 0.0]])) == [np.exp(-1.0)]
    kept = Shape.direction([1.0, 0.0], 0.5)
    source = region(region_kind="direction", center=None, shape="0f" * 32, labels=["a"], layer="l")
    placed = FoundRegion.from_source(source).place(D, shapes={"0f" * 32: kept})
    assert (placed.kind, placed.cut, placed.labels, placed.layer) == ("direction", 0.5, ("a",), "l")
    assert placed.vector is kept.vector
    placed = FoundRegion.from_source({"region_kind": "label", "labels": ["a", "b"]}).place(D)
    assert (placed.kind, placed.labels) == ("label", ("a", "b"))


@pytest.mark.parametrize(
    "source",
    [
        region(center=None),
        region(precision=None),
        region(shape="0f" * 32),
        region(region_kind="direction"),
        region(region_kind="direction", center=None, shape="0f" * 32),
        {"kind": "region", "region_kind": "label", "labels": []},
        {"kind": "lasso", "polygon": []},
    ],
)
def test_a_record_that_does_not_say_where_lies_nowhere(source):
    assert FoundRegion.from_source(source).place(D) is None


def test_a_ball_of_before_needs_its_center_and_one_with_a_number_does_not():
    """Old files have no weight there: a replay must not give one."""
    shapes = {"0f" * 32: Shape.ball([0.0, 0.0], root=np.eye(2))}
    bare = short(region(shape="0f" * 32))
    assert not is_placed(bare) and FoundRegion.from_source(bare).place(D, shapes=shapes) is None
    half = bare | {"center": [0.0, 0.0]}
    assert not is_placed(half) and FoundRegion.from_source(half).place(D, shapes=shapes) is None
    numbered = bare | {"number": 2}
    assert is_placed(numbered)
    assert FoundRegion.from_source(numbered).place(D, shapes=shapes).root.shape == (2, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"center": [1.0]}, "center of event 1 must have the 2 numbers"),
        ({"center": [[1.0, 2.0]]}, "got shape"),
        ({"center": ["a", "b"]}, "finite numbers"),
        ({"center": [[1], [1, 2]]}, "must be numbers"),
        ({"center": [10**400, 1]}, "finite numbers"),
        ({"center": "ab"}, "finite numbers"),
        ({"precision": -1}, "must not be negative"),
        ({"precision": [1, 2, 3]}, "got shape"),
        ({"precision": True}, "finite numbers"),
        ({"kernel": "box"}, "'gaussian', 'squared_distance': got 'box'"),
        ({"kernel": ["gaussian"]}, "must be text"),
        ({"layer": ["deep"]}, "layer of event 1 must be text: got list"),
        ({"labels": "Shirt"}, "labels of event 1 must be a list of texts"),
        ({"region_kind": "cube"}, "'ball', 'direction', 'label': got 'cube'"),
        ({"region_kind": ["ball"]}, "region_kind of event 1 must be text: got list"),
        ({"region_kind": "label", "labels": "Shirt"}, "must be a list of texts"),
        ({"shape": "ball", "region_kind": "direction"}, "must be a direction: got a ball"),
        ({"shape": "direction"}, "must be a ball: got a direction"),
        ({"shape": "long"}, "must have the 2 dimensions of the embeddings: got 3"),
    ],
)
def test_a_source_that_is_no_region_is_named(changes, message):
    shapes = {
        "ball": Shape.ball([0.0, 0.0], root=np.eye(2)),
        "direction": Shape.direction([0.0, 1.0], 0),
        "long": Shape.ball(np.zeros(3), root=np.eye(3)),
    }
    with pytest.raises(InputError, match=message):
        FoundRegion.from_source(region(**changes), told="event 1").place(
            D, told="event 1", shapes=shapes
        )


# Out of the kept result of a search


ARRAYS = {
    "weights": np.arange(6.0).reshape(3, 2),
    "centers": np.array([[1.0, 2.0], [np.nan, np.nan], [np.nan, np.nan]]),
    "precisions": np.array([0.5, np.nan, np.nan]),
    "roots": np.stack([np.eye(2), np.full((2, 2), np.nan), np.full((2, 2), np.nan)]),
    "shift": np.zeros(2),
    "reach": np.array(4.0),
    "vectors": np.array([[np.nan, np.nan], [3.0, 4.0], [np.nan, np.nan]]),
    "cuts": np.array([np.nan, 0.25, np.nan]),
    "members": np.array([[1, -1], [0, 1], [0, -1]]),
}


def test_one_region_of_a_result_and_the_shape_that_has_to_be_kept():
    part = one_region(ARRAYS, 0)
    assert part["members"].tolist() == [1] and part["weights"].tolist() == [0, 1]
    ball = exact_shape(part, {"kind": "ball"})
    assert ball.center.tolist() == [1, 2] and ball.root.dtype == np.float32
    assert ball.shift.tolist() == [0, 0] and ball.reach == 4
    part = one_region(ARRAYS, 1)
    direction = exact_shape(part, {"kind": "direction"})
    assert direction.vector.tolist() == [3, 4] and direction.cut == 0.25
    assert exact_shape(one_region(ARRAYS, 2), {"kind": "label"}) is None
    spotlight = {name: ARRAYS[name] for name in ("weights", "centers", "precisions", "members")}
    part = one_region(spotlight, 0)
    assert set(part) == {"weights", "center", "precision", "members"}
    assert exact_shape(part, {}) is None


def test_the_record_of_a_region_in_a_result():
    effect = Effect(31, 31, 1.5, 1.0, 2.0, 0.5)
    facts = {
        "kind": "direction",
        "labels": ["Coat"],
        "scope": "among Coat",
        "number": 3,
        "name": "long coats",
        "version": 8,
        "weighted_loss": 1.5,
        "effect": effect.to_dict(),
        "p": 0.01,
        "p_cell": None,
        "total_weight": float("nan"),
        "cell": False,
        "real": True,
    }
    said = {"job": "k", "index": 1, "method": "regions", "options": {"layer": "deep"}}
    record = FoundRegion.from_result(one_region(ARRAYS, 1), facts, shape="0f" * 32, **said)
    assert record.to_source() == {
        "kind": "region",
        "index": 1,
        "key": "k:1",
        "number": 3,
        "name": "long coats",
        "region_kind": "direction",
        "options": {"layer": "deep"},
        "layer": "deep",
        "shape": "0f" * 32,
        "cut": 0.25,
        "labels": ["Coat"],
        "scope": "among Coat",
        "method": "regions",
        "version": 8,
        "weighted_loss": 1.5,
        "effect": effect.to_dict(),
        "p": 0.01,
        "cell": False,
        "real": True,
    }
    called = FoundRegion.from_result(one_region(ARRAYS, 2), {"kind": "label"}, name="bags", **said)
    assert (called.number, called.name, called.center, called.effect) == (2, "bags", None, None)


def test_the_record_of_a_spotlight_says_center_precision_and_kernel():
    options = {"kernel": "squared_distance", "layer": ""}
    record = FoundRegion.from_result(
        one_region(ARRAYS, 0), {}, job="k", index=0, method="spotlights", options=options
    )
    source = record.to_source()
    assert (source["center"], source["precision"]) == ([1, 2], 0.5)
    assert (source["kernel"], source["number"]) == ("squared_distance", 1)
    assert record.place(D).weights(np.array([[1.0, 3.0]])) == 0.5
