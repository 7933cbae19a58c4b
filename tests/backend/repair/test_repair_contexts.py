"""Failures split by class, the context each takes, and contexts of a family: golden cases, errors."""

import numpy as np
import pytest

from backend.core.errors import InputError
from backend.repair import (
    Axis,
    contrast_members,
    draw_contexts,
    name_failures,
    own_list,
    pick_contexts,
    split_failures,
)
from backend.repair.candidates import LISTS
from backend.repair.contexts import folded
from backend.repair.contrast import ALIKE, EXPLAINS, TOO_FEW

LABELS = np.array([0] * 7 + [1] * 4 + [2] * 3)
PREDICTIONS = np.array([1] * 5 + [0] * 2 + [0] + [1] * 3 + [2] * 3)


def test_each_class_gives_the_larger_half_to_seed():
    parts = split_failures(LABELS, PREDICTIONS, seed=3)
    counts = [
        [int((LABELS[rows] == label).sum()) for label in range(3)]
        for rows in (parts.seed, parts.heldout)
    ]
    # Five, one and no failures: a single one has nothing held out.
    assert counts == [[3, 1, 0], [2, 0, 0]]
    both = np.concatenate([parts.seed, parts.heldout])
    assert sorted(both) == np.flatnonzero(LABELS != PREDICTIONS).tolist()
    again = split_failures(
        np.array(list("abc"))[LABELS], np.array(list("abc"))[PREDICTIONS], seed=3
    )
    assert (again.seed.tolist(), again.heldout.tolist()) == (
        parts.seed.tolist(),
        parts.heldout.tolist(),
    )
    seeds = {tuple(split_failures(LABELS, PREDICTIONS, seed=seed).seed) for seed in range(9)}
    assert len(seeds) > 3


def test_without_failures_both_parts_are_empty():
    parts = split_failures(LABELS, LABELS)
    assert (len(parts.seed), len(parts.heldout)) == (0, 0)


@pytest.mark.parametrize(
    ("labels", "predictions", "message"),
    [
        ([0, 1], [0], r"got shapes \(2,\) and \(1,\)"),
        ([], [], r"got shapes \(0,\)"),
        ([0, 1], ["a", "b"], "both be codes or both be names: got int64"),
    ],
)
def test_errors_of_the_split(labels, predictions, message):
    with pytest.raises(InputError, match=message):
        split_failures(labels, predictions)


SNOW, JUNGLE, ROAD = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]
TEXTS = {"cat": ["in snow", "in jungle"], "bus": ["on a road", "in snow", "IN  Snow!"]}
VECTORS = {"cat": [SNOW, [0.0, 7.0, 0.0]], "bus": [ROAD, SNOW, SNOW]}


def test_by_hand():
    found = pick_contexts(
        [[0.6, 0.8, 0], [8.0, 6.0, 0], [0, 2.0, 0], [1.0, 0, 1.0], [0, 0.3, 0.4]],
        VECTORS,
        ["cat", "cat", "cat", "bus", "bus"],
        TEXTS,
        predictions=["dog", "dog", "bus", "car", "cat"],
        rows=[10, 11, 12, 13, 14],
        k=2,
    )
    picks = found.picks
    assert picks["context"].tolist() == [
        "in jungle", "in snow", "in jungle", "on a road", "on a road"
    ]  # fmt: skip
    assert picks["similarity"].tolist() == pytest.approx([0.8, 0.8, 1.0, 0.5**0.5, 0.8])
    assert picks["margin"].tolist() == pytest.approx([0.2, 0.2, 1.0, 0.0, 0.8])
    assert picks["weak"].tolist() == [False, False, False, True, False]  # a tie is weak
    assert found.dropped == (("bus", "IN  Snow!"),)
    table = found.table
    assert table[["label", "rank", "context", "count", "n_weak"]].values.tolist() == [
        ["bus", 1, "on a road", 2, 1],
        ["cat", 1, "in jungle", 2, 0],
        ["cat", 2, "in snow", 1, 0],
    ]
    assert table["share"].tolist() == pytest.approx([1, 2 / 3, 1 / 3])
    assert table["examples"].tolist()[1].tolist() == [12, 10]  # nearest first
    assert found.cells.values.tolist() == [
        ["bus", "on a road", "car", 1],
        ["bus", "on a road", "cat", 1],
        ["cat", "in jungle", "bus", 1],
        ["cat", "in jungle", "dog", 1],
        ["cat", "in snow", "dog", 1],
    ]


def test_ties_go_to_the_first_candidate_and_the_lists_keep_their_order():
    found = pick_contexts(
        [[1.0, 1.0, 0], [1.0, 1.0, 0], [0, 0, 1.0]], [JUNGLE, SNOW, ROAD], [4, 4, 4],
        ["jungle", "snow", "road"],
    )  # fmt: skip
    assert found.picks["context"].tolist() == ["jungle", "jungle", "road"]
    two = pick_contexts([ROAD, SNOW], [SNOW, ROAD], [4, 4], ["snow", "road"], k=1)
    assert two.table["context"].tolist() == ["snow"]  # once each: the first candidate first


def test_the_slow_answer_is_the_same_and_scale_does_not_matter():
    rng = np.random.default_rng(0)
    images, texts = rng.normal(size=(60, 8)), rng.normal(size=(7, 8))
    labels = rng.integers(0, 3, 60)
    names = [f"context {at}" for at in range(7)]
    found = pick_contexts(images * rng.uniform(0.1, 9, (60, 1)), 3 * texts, labels, names)
    for image, context in zip(images, found.picks["context"], strict=True):
        cosines = [image @ text / np.linalg.norm(image) / np.linalg.norm(text) for text in texts]
        assert context == names[int(np.argmax(cosines))]
    assert (found.table.groupby("label")["rank"].max() <= 5).all()
    assert len(pick_contexts(np.zeros((0, 8)), texts, [], names).table) == 0


def test_what_is_nearly_the_same_is_dropped_where_that_is_asked_for():
    close = [SNOW, [1.0, 0.1, 0.0], ROAD]
    texts = ["snow", "a field of snow", "road"]
    asked = {"labels": [0], "contexts": texts}
    assert pick_contexts([ROAD], close, **asked).dropped == ()
    assert pick_contexts([ROAD], close, **asked, most_alike=0.9).dropped == ((0, texts[1]),)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"contexts": {"cat": ["x"]}}, "for every class with failures: none for bus, dog"),
        ({"contexts": {**TEXTS, "dog": []}}, "none for dog"),
        ({"context_embeddings": {**VECTORS, "dog": [[1.0, 0]]}}, "dimensions .* got 2 and 3"),
        (
            {"context_embeddings": {**VECTORS, "dog": [SNOW, ROAD]}},
            "got 2 for the 1 context of dog",
        ),
        ({"image_embeddings": [SNOW, SNOW, [0.0, 0, 0]]}, "must not be zero: row 2"),
        ({"image_embeddings": [SNOW]}, "one per label: got 1 for 3"),
        ({"predictions": ["a"]}, "predictions must be one per label"),
        ({"k": 0}, "k must be 1 or more: got 0"),
    ],
)
def test_errors_of_picking(changed, message):
    asked = {
        "image_embeddings": [SNOW, SNOW, ROAD],
        "context_embeddings": {**VECTORS, "dog": [SNOW]},
        "labels": ["cat", "bus", "dog"],
        "contexts": {**TEXTS, "dog": ["in snow"]},
    }
    assert len(pick_contexts(**asked).picks) == 3
    with pytest.raises(InputError, match=message):
        pick_contexts(**{**asked, **changed})


def test_contexts_of_a_family():
    def model(counts):
        images = np.repeat([SNOW, JUNGLE, ROAD], counts, axis=0)
        return pick_contexts(
            images, [SNOW, JUNGLE, ROAD], [0] * len(images), ["snow", "jungle", "road"]
        )

    family = [model([6, 1, 0]), model([0, 3, 0])]
    drawn = draw_contexts(family, 10_000, seed=1)
    assert drawn[["context", "pooled"]].values.tolist() == [["snow", 6], ["jungle", 4]]
    assert drawn["drawn"].sum() == 10_000 and abs(drawn["drawn"][0] - 6_000) < 200
    most = draw_contexts([*family, model([0, 0, 1])], 7, how="most_frequent", k=2)
    assert most[["context", "drawn"]].values.tolist() == [["snow", 4], ["jungle", 3]]
    for changed, message in (
        ({"n": 0}, "n must be 1 or more"),
        ({"k": 0}, "k must be 1 or more"),
        ({"how": "best"}, "how must be one of"),
        ({"picked": []}, "got none"),
    ):
        with pytest.raises(InputError, match=message):
            draw_contexts(**{"picked": family, "n": 5, **changed})


# Twelve cats fail in snow and are held out, two choose; eight right ones stand in the jungle. One bus fails.
NAMED = {
    "vectors": [SNOW] * 14 + [JUNGLE] * 8 + [ROAD] + [ROAD] * 3,
    "labels": ["cat"] * 22 + ["bus"] * 4,
    "predictions": ["dog"] * 14 + ["cat"] * 8 + ["car"] + ["bus"] * 3,
    "held": [False] * 2 + [True] * 20 + [False] + [True] * 3,
}


def named(axes=None, **changed):
    axis = Axis(["in snow", "in jungle", "on a road"], [SNOW, JUNGLE, ROAD])
    return name_failures(**{**NAMED, "axes": axes or {"place": axis}, **changed})


def test_failures_named_by_hand():
    found = named()
    lines = found.table.set_index(["label", "context"])
    snow = lines.loc[("cat", "in snow")]
    assert (snow["count"], snow["n_wrong"], snow["with_wrong"], snow["with_right"]) == (
        2,
        12,
        12,
        0,
    )
    # Fisher: twelve of twelve failures and none of eight others have it: 1 of 125,970 ways.
    assert snow["p"] == pytest.approx(1 / 125_970) and snow["verdict"] == EXPLAINS
    bus = lines.loc[("bus", "on a road")]
    assert (bus["count"], bus["n_wrong"], bus["verdict"]) == (1, 0, TOO_FEW)  # it chose, none tests
    assert [one["row"].tolist() for one in found.members] == [[22, 23, 24, 25], list(range(14))]
    assert found.cells[1].values.tolist() == [["dog", 2]]


@pytest.mark.parametrize(
    ("changed", "lines"),
    [
        ({"predictions": NAMED["labels"]}, []),  # no failures
        ({"held": [True] * 26}, []),  # none that chooses
        ({"k": 1}, [("bus", "on a road"), ("cat", "in snow")]),
        # Equally near and equally frequent: the first candidate.
        ({"vectors": [[1.0, 1.0, 1.0]] * 26}, [("bus", "in snow"), ("cat", "in snow")]),
    ],
)
def test_awkward_failures_have_an_answer(changed, lines):
    table = named(**changed).table
    assert list(zip(table["label"], table["context"], strict=True)) == lines
    assert {"verdict", "p_adjusted"} <= set(table.columns)


def test_a_context_as_frequent_among_right_examples_explains_nothing():
    found = named(vectors=[SNOW] * 26).table.set_index("label").loc["cat"]
    assert (found["wrong_share"], found["right_share"], found["verdict"]) == (1.0, 1.0, ALIKE)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"axes": {"own": Axis({"cat": ["x"]}, {"cat": [SNOW]})}}, "every class .* none for bus"),
        ({"axes": {"own": Axis(["x"], [[1.0, 0.0]])}}, "dimensions .* got 2 and 3"),
        ({"held": [True]}, "one per example: got 26, 26, 26 and 1"),
        ({"k": 0}, "k must be 1 or more"),
    ],
)
def test_errors_of_naming(changed, message):
    with pytest.raises(InputError, match=message):
        named(**changed)
    with pytest.raises(InputError, match="one per context: got 0 for 1"):
        contrast_members([[0]], [], [0], [True], [True])


def test_the_lists_that_ship_repeat_nothing_and_are_short():
    for one in LISTS.values():
        assert len({folded(text) for text in one.texts}) == len(one.texts) <= 20
        assert own_list(one.texts) == one.texts and one.reads in ("pictures", "texts")
    assert own_list(" in  snow \n\n at night") == ("in snow", "at night")
