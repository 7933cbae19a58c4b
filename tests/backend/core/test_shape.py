"""Where regions lie: weights by hand, whichever rows are asked for, and members to the last bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.core.errors import InputError
from backend.core.shape import Shape, cut_between, projections


@pytest.fixture
def small_blocks(monkeypatch):
    """Ten rows of seven numbers at a time."""
    monkeypatch.setattr("backend.core.blocks._BLOCK_VALUES", 70)


# Balls


def test_weights_of_balls_by_hand():
    points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    gaussian = Shape.ball([0, 0], 0.5).weights(points)
    np.testing.assert_allclose(gaussian, np.exp([0, -0.25, -1.0]), rtol=1e-15)
    compact = Shape.ball([0, 0], [0.5, 1.0], kernel="squared_distance").weights(points)
    np.testing.assert_allclose(compact, [1.0, 0.5, 0.0], rtol=1e-15)
    oblique = Shape.ball([1, 1], [[1.0, 0.5], [0.5, 2.0]]).weights(points)
    np.testing.assert_allclose(oblique, np.exp([-2.0, -1.0, -1.0]), rtol=1e-15)
    rooted = Shape.ball([1, 0], root=[[1.0], [2.0]]).weights(points)
    np.testing.assert_allclose(rooted, np.exp([-0.5, 0, -4.5]), rtol=1e-15)
    drawn = Shape.ball([0, 1], root=np.eye(2), shift=[0, 0], reach=1).weights(points)
    np.testing.assert_allclose(drawn, np.exp([-0.5, -1, 0]), rtol=1e-15)


@pytest.mark.parametrize("precision", ["number", "diagonal", "full"])
@pytest.mark.parametrize("kernel", ["gaussian", "squared_distance"])
def test_weights_of_a_ball_do_not_depend_on_which_rows_are_asked(small_blocks, precision, kernel):
    random = np.random.default_rng(0)
    points = random.normal(size=(50, 7)).astype(np.float32)
    root = random.normal(size=(7, 7)) / 7
    sizes = {"number": np.array(0.1), "diagonal": np.full(7, 0.1), "full": root @ root.T}
    shape = Shape.ball(points[3], sizes[precision], kernel=kernel)
    every = shape.weights(points)
    tau = np.diag(np.broadcast_to(sizes[precision], 7)) if precision != "full" else root @ root.T
    q = np.array([(x - shape.center) @ tau @ (x - shape.center) for x in points.astype(float)])
    plain = np.exp(-q / 2) if kernel == "gaussian" else np.maximum(0, 1 - q)
    np.testing.assert_allclose(every, plain, rtol=1e-12, atol=1e-15)
    rows = random.permutation(50)[:20]
    np.testing.assert_allclose(shape.weights(points, rows=rows), every[rows], rtol=1e-13)


# Labels


@pytest.mark.parametrize("kind", ["ball", "direction"])
@pytest.mark.parametrize("as_codes", [False, True])
def test_other_labels_weigh_nothing(kind, as_codes):
    random = np.random.default_rng(1)
    points = random.normal(size=(40, 3))
    codes = random.integers(0, 3, 40)
    names = codes if as_codes else np.array(["Shirt", "Coat", "Bag"], dtype=object)[codes]
    labels = ("0", "2") if as_codes else ("Shirt", "Bag")
    everywhere = Shape.ball([0, 0, 0], 1.0)
    if kind == "direction":
        everywhere = Shape.direction([1, 2, 3], 0.25)
    bound = replace(everywhere, labels=labels)
    expected = np.where(codes == 1, 0, everywhere.weights(points))
    np.testing.assert_array_equal(bound.weights(points, names), expected)
    rows = random.permutation(40)[:25]
    np.testing.assert_array_equal(bound.weights(points, names, rows), expected[rows])
    scores = bound.scores(points, names)
    np.testing.assert_array_equal(scores == -np.inf, codes == 1)
    np.testing.assert_array_equal(bound.weigh(scores), expected)


def test_a_label_holds_all_its_examples():
    names = np.array(["a", "b", "c", "a"])
    shape = Shape.label("a", "c")
    assert shape.weights(np.zeros((4, 2)), names).tolist() == [1, 0, 1, 1]
    assert shape.weights(np.zeros((4, 2)), names, np.array([1, 3])).tolist() == [0, 1]
    assert shape.scores(np.zeros((4, 2)), names).tolist() == [1, -np.inf, 1, 1]
    assert shape.d is None


def test_a_shape_bound_to_labels_needs_them():
    shape = Shape.direction([1.0], 0, labels=("a",))
    with pytest.raises(InputError, match="bound to labels needs labels"):
        shape.weights(np.zeros((2, 1)))
    with pytest.raises(InputError, match="one per embedding: got 1 for 2"):
        shape.weights(np.zeros((2, 1)), ["a"])


# Directions


def test_a_direction_by_hand():
    points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [3.0, -1.0]])
    shape = Shape.direction([1.0, 0.5], 1.0)
    assert shape.weights(points).tolist() == [0, 1, 1, 1]
    assert shape.scores(points).tolist() == [0, 1, 1, 2.5]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("d", [1, 2, 7, 9, 130, 600])
def test_a_row_has_the_same_projection_whatever_stands_beside_it(monkeypatch, d, dtype):
    random = np.random.default_rng(d)
    points = (random.normal(size=(90, d)) * 30 + 100).astype(dtype)
    vector = random.normal(size=d)
    alone = np.array([float(np.sum(row.astype(np.float64) * vector)) for row in points])
    np.testing.assert_allclose(alone, points.astype(np.float64) @ vector, rtol=1e-9, atol=1e-9)
    rows = random.permutation(90)[:37]
    for values in (points, np.asfortranarray(points), np.repeat(points, 2, axis=0)[::2]):
        for step in (2**22, 7 * d, d):
            monkeypatch.setattr("backend.core.blocks._BLOCK_VALUES", step)
            assert (projections(values, vector) == alone).all()
            assert (projections(values, vector, rows) == alone[rows]).all()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.integers(-3, 3) | st.floats(-1e300, 1e300, allow_nan=False), min_size=1, max_size=30
    ),
    st.integers(1, 40),
)
def test_a_cut_makes_the_wanted_rows_members(values, size):
    points = np.array(values, dtype=np.float64)[:, None]
    found = cut_between(points, [1.0], None, size)
    order = np.argsort(-points[:, 0], kind="stable")
    last = points[order[min(size, len(points)) - 1], 0]
    expected = order[points[order, 0] >= last]  # all of a tie across the border
    assert found.members.tolist() == expected.tolist()
    assert found.cut <= last and not (points[points < last] >= found.cut).any()
    weights = Shape.direction([1.0], found.cut).weights(points)
    assert np.flatnonzero(weights).tolist() == sorted(expected.tolist())


def test_the_cut_lies_halfway_to_the_next_row():
    points = np.array([[5.0], [1.0], [4.0], [2.0]])
    found = cut_between(points, [1.0], None, 2)
    assert found.cut == 3.0 and found.members.tolist() == [0, 2]
    assert found.scores.tolist() == [5, 1, 4, 2]
    among = cut_between(points, [1.0], np.array([1, 3, 0]), 1)
    assert among.cut == 3.5 and among.members.tolist() == [0]
    assert among.scores.tolist() == [1, 2, 5]
    assert cut_between(points, [1.0], None, 9).cut == 1.0
    tied = cut_between(np.array([[2.0], [1.0], [2.0], [2.0]]), [1.0], None, 1)
    assert tied.cut == 1.5 and tied.members.tolist() == [0, 2, 3]


def test_between_neighbouring_numbers_the_cut_is_the_last_member():
    one = 1.0
    points = np.array([[np.nextafter(one, 2)], [one], [np.nextafter(one, 0)]])
    for size in (1, 2, 3):
        found = cut_between(points, [1.0], None, size)
        assert found.members.tolist() == list(range(size))
        assert found.cut == points[size - 1, 0]


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_members_of_a_search_are_members_of_the_shape(small_blocks, dtype):
    """Scores that nearly tie: a sum in another order would change sides."""
    random = np.random.default_rng(3)
    points = (random.integers(-2, 3, size=(500, 7)) / 7 + 3).astype(dtype)
    vector = np.array([0.1, 0.2, 0.3, 0.1, 0.2, 0.3, 0.1])
    among = np.sort(random.permutation(500)[:400])
    for size in range(1, 400, 13):
        found = cut_between(points, vector, among, size)
        assert len(found.members) >= size
        for rows in (found.members, random.permutation(among), among[:1]):
            weights = Shape.direction(vector, found.cut).weights(points, rows=rows)
            np.testing.assert_array_equal(weights == 1, np.isin(rows, found.members))


@pytest.mark.parametrize(("rows", "size", "words"), [(None, 0, "got 0"), ([], 1, "got none")])
def test_what_cannot_be_cut(rows, size, words):
    with pytest.raises(InputError, match=words):
        cut_between(np.zeros((3, 2)), np.ones(2), rows, size)


# What is no shape


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Shape("cube"), "'ball', 'direction', 'label': got 'cube'"),
        (lambda: Shape("ball"), "needs a center"),
        (lambda: Shape.ball([[0.0]], 1.0), r"got \(1, 1\)"),
        (lambda: Shape.ball([0.0]), "got none"),
        (lambda: Shape.ball([0.0, 1.0], [1.0, 2.0, 3.0]), r"2 numbers or 2 x 2 .* got \(3,\)"),
        (lambda: Shape.ball([np.nan], 1.0), "finite"),
        (lambda: Shape.ball([0.0], np.inf), "finite"),
        (lambda: Shape.ball([0.0], -1.0), "must not be negative: got -1"),
        (lambda: Shape.ball([0.0], 1.0, kernel="box"), "got 'box'"),
        (lambda: Shape.ball([0.0], root=[[1.0], [2.0]]), r"root \(d, q\)"),
        (lambda: Shape.ball([0.0], 1.0, shift=[0.0]), "both shift and reach"),
        (lambda: Shape.ball([0.0], 1.0, reach=2.0), "both shift and reach"),
        (lambda: Shape.ball([0.0], 1.0, shift=[0.0, 1.0], reach=2.0), r"shape \(2,\)"),
        (lambda: Shape.ball([0.0], 1.0, shift=[0.0], reach=0.0), "above 0: got 0"),
        (lambda: Shape("direction"), "needs a vector"),
        (lambda: Shape.direction([], 1.0), r"got \(0,\)"),
        (lambda: Shape.direction([np.inf], 1.0), "finite"),
        (lambda: Shape.direction([1.0], np.nan), "finite"),
        (lambda: Shape.label(), "at least one label"),
    ],
)
def test_what_is_no_shape(make, words):
    with pytest.raises(InputError, match=words):
        make()
