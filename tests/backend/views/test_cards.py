"""What a card says of an example: columns that were chosen, or that a name speaks of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.bundle import Bundle, read_bundle, write_bundle
from backend.views import card_cells, card_columns, is_tabular, shown_columns
from backend.views.cards import spoken_of


def made(folder: Path, **fields: Any) -> Bundle:
    return read_bundle(write_bundle(folder / "run.npz", embeddings=np.eye(3), **fields))


COLUMNS = {
    "Longitude": np.array([-118.2437, -121.9, 0.1]),
    "age": np.array([41, 7, 3]),
    "age group": np.array(["old", "young", ""]),
    "id64": np.array([1234567890123456789, 1, 2]),
}


@pytest.fixture
def houses(tmp_path: Path) -> Bundle:
    return made(
        tmp_path,
        losses=[1.0, 2, 3],
        targets=[0.5, 1.25, 3.0],
        predictions=[0.25, 1.5, 2.0],
        examples=COLUMNS,
    )


@pytest.mark.parametrize(
    ("about", "spoken"),
    [
        ("Longitude ≤ −121.9, age ≥ 39, off by 0.54", ["Longitude", "age"]),
        ("age group: old, age ≤ 4", ["age group", "age"]),
        ("age group: old", ["age group"]),
        ("aged, Longitudes", []),
        ("age.(*", ["age"]),
        ("", []),
    ],
)
def test_columns_that_a_name_speaks_of(about: str, spoken: list[str]) -> None:
    assert spoken_of([*COLUMNS, "", "a.(*"], about) == spoken


@pytest.mark.parametrize(
    ("chosen", "about", "shown"),
    [
        (None, "age ≥ 39, predicted ≥ 2", ["age", "prediction"]),
        (None, "highest losses", ["Longitude", "age", "age group"]),  # nothing else to look at
        (["id64", "gone", "age", "age"], "Longitude ≤ 3", ["id64", "age"]),
        ([], "Longitude ≤ 3", []),
        ({"not": "a list"}, "Longitude ≤ 3", ["Longitude"]),
    ],
)
def test_chosen_columns_come_before_those_of_the_name(
    houses: Bundle, chosen: Any, about: str, shown: list[str]
) -> None:
    assert shown_columns(houses, chosen, about) == shown


def test_cells_are_as_they_came(houses: Bundle) -> None:
    names = card_columns(houses)
    assert names == [*COLUMNS, "target", "prediction"]
    assert card_cells(houses, names, np.array([0, 2])) == [
        ("-118.2437", "41", "old", "1234567890123456789", "0.5", "0.25"),
        ("0.1", "3", "", "2", "3", "2"),
    ]
    assert card_cells(houses, [], np.array([0, 2])) == [(), ()]


def test_a_bundle_with_texts_or_without_columns_is_not_tabular(
    houses: Bundle, tmp_path: Path
) -> None:
    assert is_tabular(houses)
    assert not is_tabular(made(tmp_path, losses=[1.0, 2, 3]))
    texts = made(tmp_path, losses=[1.0, 2, 3], examples={"text": ["a", "b", "c"], "age": [1, 2, 3]})
    assert not is_tabular(texts)
    assert shown_columns(texts, None, "“b” in the text") == []
    assert shown_columns(texts, None, "age ≥ 2") == ["age"]
