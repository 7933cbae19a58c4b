"""The table of a group's members says what is known of each, beside the user's own columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backend.bundle import Bundle, read_bundle, write_bundle
from backend.core.groups import Group, weighted_group
from backend.views import (
    MARGIN,
    ClassChance,
    first_columns,
    likely_classes,
    member_table,
    rows_by_tag,
    share_below,
)

CHANCES = np.array([[0.7, 0.2, 0.1], [0.7, 0.2, 0.1], [0.4, 0.4, 0.2], [0.1, 0.1, 0.8]])
TAGS = pd.DataFrame({"id": ["1", "1", "3", "gone"], "tag": ["odd", "blurred", "odd", "lost"]})


def made(folder: Path, **fields: Any) -> Bundle:
    given = {"embeddings": np.eye(4), "labels": [0, 1, 1, 2], "predictions": [0, 0, 0, 2]}
    return read_bundle(write_bundle(folder / "run.npz", **given, **fields))


def chosen(bundle: Bundle, *rows: int) -> Group:
    weights = np.zeros(bundle.n)
    weights[list(rows)] = np.linspace(1, 0.5, len(rows))
    return weighted_group("region", np.array(rows), weights, bundle.losses)


def test_the_table_says_how_far_the_label_is_ahead(tmp_path: Path) -> None:
    bundle = made(tmp_path, probabilities=CHANCES)
    frame = member_table(bundle, chosen(bundle, 3, 1, 2), TAGS)
    assert list(frame) == ["id", "label", "prediction", "loss", MARGIN, "weight", "tags"]
    assert frame["id"].tolist() == ["3", "1", "2"]
    assert frame["weight"].tolist() == [1.0, 0.75, 0.5]
    assert frame[MARGIN].tolist() == pytest.approx([0.7, -0.5, 0.0])
    assert frame["tags"].tolist() == ["odd", "odd, blurred", ""]
    assert member_table(bundle, chosen(bundle, 3), TAGS.iloc[:0])["tags"].tolist() == [""]


def test_columns_of_the_user_that_are_called_like_ours_stay_theirs(tmp_path: Path) -> None:
    examples = {"label margin": [1.0, 2.0, 3.0, 4.0], "weight": [9.0] * 4}
    bundle = made(tmp_path, examples=examples)
    frame = member_table(bundle, chosen(bundle, 0, 1), TAGS)
    assert MARGIN not in frame  # there are no probabilities
    assert frame["label margin (column)"].tolist() == [1.0, 2.0]
    assert frame["weight (column)"].tolist() == [9.0, 9.0]


def test_rows_of_tags_leave_out_what_is_not_in_the_bundle(tmp_path: Path) -> None:
    found = rows_by_tag(made(tmp_path), TAGS)
    assert {tag: rows.tolist() for tag, rows in found.items()} == {"blurred": [1], "odd": [1, 3]}
    assert list(found) == ["blurred", "odd"]
    assert rows_by_tag(made(tmp_path), TAGS.iloc[:0]) == {}


def test_likely_classes_show_the_label_even_when_it_is_improbable(tmp_path: Path) -> None:
    bundle = made(tmp_path, probabilities=CHANCES, classes=["cat", "dog", "cow"])
    assert likely_classes(bundle, 1, top=1) == [
        ClassChance("cat", 0.7, False), ClassChance("dog", 0.2, True),
    ]  # fmt: skip
    assert [one.name for one in likely_classes(bundle, 2, top=2)] == ["cat", "dog"], "ties"
    assert len(likely_classes(bundle, 0, top=5)) == 3
    assert likely_classes(made(tmp_path), 0) == []


def test_the_share_of_lower_losses(tmp_path: Path) -> None:
    bundle = made(tmp_path, losses=[1.0, 3.0, 1.0, 2.0])
    assert [share_below(bundle, row) for row in range(4)] == [0.0, 0.75, 0.0, 0.5]


@pytest.mark.parametrize(
    ("train", "average", "count"),
    [
        ({}, [2.0, 5.0, np.nan, np.nan], [1, 1, 0, 0]),
        (
            {"targets": [1.0, 3.0], "item": ["a", "b"], "user": ["x", "y"]},
            [1.5, 3.0, 3.0, np.nan],
            [2, 2, 1, 0],
        ),
        ({"targets": [1.0, 3.0]}, [2.0, 5.0, np.nan, np.nan], [1, 1, 0, 0]),  # of whom is not said
        (
            {"targets": ["x", "y"], "item": ["a", "a"], "user": ["x", "x"]},
            [2, 5, np.nan, np.nan],
            [1, 1, 0, 0],
        ),
    ],
)
def test_ratings_have_averages_of_all_others_worked_by_hand(
    tmp_path: Path, train: dict[str, Any], average: list[float], count: list[int]
) -> None:
    examples = {
        "film": ["A", "A", "B", "C"],
        "item": ["a", "a", "b", "c"],
        "user": ["x", "y", "x", ""],
    }
    bundle = read_bundle(
        write_bundle(
            tmp_path / "ratings.npz",
            embeddings=np.eye(4),
            targets=[5.0, 2.0, 4.0, 1.0],
            predictions=[4.0, 2.5, 4.0, 2.0],
            examples=pd.DataFrame(examples),
            train={name: np.array(values) for name, values in train.items()},
        )
    )
    frame = member_table(bundle, chosen(bundle, 0, 1, 2, 3), TAGS)
    np.testing.assert_allclose(frame["item average"], average)
    assert frame["item ratings"].tolist() == count
    counted = bundle.rated_in_training()
    assert frame["user ratings"].tolist() == ([2, 1, 2, 0] if counted else [1, 0, 1, 0])
    assert np.isnan(frame["user average"].iloc[3])  # who rated it is not said
    np.testing.assert_allclose(frame["target"], [5.0, 2.0, 4.0, 1.0])
    assert first_columns(bundle)[:4] == ["prediction", "target", "loss", "film"]
    assert ("train/targets" in bundle.unused()) == bool(train and not counted)
    assert {*first_columns(bundle)} <= {*frame.columns}
