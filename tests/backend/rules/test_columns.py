"""Columns as rules see them: their names, what is missing, what they range over."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from backend.bundle import Bundle, read_bundle, write_bundle
from backend.rules import attribute_name, columns_of, evaluate, read_column
from backend.rules.columns import Column
from backend.rules.write import range_rule


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder: Path = tmp_path_factory.mktemp("columns")
    examples = pd.DataFrame(
        {
            "id": list("abcdef"),
            "label": ["own", "own", "", "two", "two", "two"],
            "width": [0.5, np.nan, 2.0, -1.0, 2.5, 0.1],
            "night": [True, False, True, True, False, True],
        }
    )
    labels, predictions = [0, 1, 0, 1, 0, 1], [0, 0, 0, 1, 1, 1]
    path = write_bundle(
        folder / "b",
        embeddings=np.eye(6),
        labels=labels,
        predictions=predictions,
        classes=["cat", "dog"],
        examples=examples,
    )
    return read_bundle(path)


def test_an_attribute_gives_way_to_what_the_bundle_has_of_its_own(bundle: Bundle) -> None:
    assert attribute_name(bundle, "label") == "label (attribute)"
    assert attribute_name(bundle, "width") == "width"
    kinds = columns_of(bundle)
    assert kinds["label (attribute)"] == "text" and kinds["night"] == "truth"
    assert read_column(bundle, "label").values.tolist() == ["cat", "dog"] * 3
    assert read_column(bundle, "label (attribute)").values[0] == "own"


def test_values_are_listed_by_how_many_have_them_without_the_missing(bundle: Bundle) -> None:
    assert read_column(bundle, "label (attribute)").frequent(9) == {"two": 3, "own": 2}
    assert read_column(bundle, "night").frequent(1) == {"True": 4}
    tied = Column.of(np.array(["b", "a", "b", "a", "c"], dtype=object))
    assert list(tied.frequent(2).items()) == [("a", 2), ("b", 2)]


def test_numbers_have_an_extent_and_nothing_else_has(bundle: Bundle) -> None:
    assert read_column(bundle, "width").extent() == (-1.0, 2.5)
    assert read_column(bundle, "night").extent() is None
    assert Column.of(np.array([np.nan, np.inf])).extent() is None
    assert Column.of(np.array([3, 2**53 + 1])).extent() == (3.0, float(2**53 + 1))


@pytest.mark.parametrize(("low", "high"), [(0.1, 2.0), (-1.0, -1.0), (1 / 3, 1e300)])
def test_a_range_holds_both_its_ends(low: float, high: float, bundle: Bundle) -> None:
    width = bundle.examples["width"].to_numpy()
    held = evaluate(range_rule("width", low, high), bundle)
    assert held.tolist() == ((width >= low) & (width <= high)).tolist()
