"""The table of a group's members: what it says of each, in words of its own beside the user's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backend.bundle import Bundle, read_bundle, write_bundle
from backend.core.groups import weighted_group
from pages.components.gallery import gallery
from pages.components.group import ways
from pages.components.shared.choice import Choice

CHANCES = np.array([[0.7, 0.2, 0.1], [0.7, 0.2, 0.1], [0.4, 0.4, 0.2], [0.1, 0.1, 0.8]])
TAGS = pd.DataFrame({"id": ["1", "1", "3"], "tag": ["odd", "blurred", "odd"]})


def made(folder: Path, **fields: Any) -> Bundle:
    given = {"embeddings": np.eye(4), "labels": [0, 1, 1, 2], "predictions": [0, 0, 0, 2]}
    return read_bundle(write_bundle(folder / "run.npz", **given, **fields))


def chosen(bundle: Bundle, *rows: int) -> Choice:
    weights = np.zeros(bundle.n)
    weights[list(rows)] = np.linspace(1, 0.5, len(rows))
    return Choice("g", "g", weighted_group("region", np.array(rows), weights, bundle.losses), {})


def test_the_table_says_how_far_the_label_is_ahead(tmp_path: Path) -> None:
    bundle = made(tmp_path, probabilities=CHANCES)
    frame = ways.members_frame(bundle, chosen(bundle, 3, 1, 2), TAGS)
    assert list(frame) == ["id", "label", "prediction", "loss", ways.MARGIN, "weight", "tags"]
    assert frame["id"].tolist() == ["3", "1", "2"]
    assert frame[ways.MARGIN].tolist() == pytest.approx([0.7, -0.5, 0.0])
    assert frame["tags"].tolist() == ["odd", "odd, blurred", ""]


def test_columns_of_the_user_that_are_called_like_ours_stay_theirs(tmp_path: Path) -> None:
    examples = {"label margin": [1.0, 2.0, 3.0, 4.0], "weight": [9.0] * 4}
    bundle = made(tmp_path, examples=examples)
    frame = ways.members_frame(bundle, chosen(bundle, 0, 1), TAGS)
    assert ways.MARGIN not in frame  # there are no probabilities
    assert frame["label margin (column)"].tolist() == [1.0, 2.0]
    assert frame["weight (column)"].tolist() == [9.0, 9.0]


def test_members_are_ordered_by_margin_where_there_is_one(tmp_path: Path) -> None:
    bundle = made(tmp_path, probabilities=CHANCES)
    group = chosen(bundle, 3, 2, 1).group
    assert "Margin, low first" in gallery.offered_orders(bundle, group)
    assert gallery.ordered(bundle, group, "Margin, low first").tolist() == [1, 2, 3]
    without = made(tmp_path)
    assert "Margin, low first" not in gallery.offered_orders(without, group)
    assert "Weight, high first" in gallery.offered_orders(without, group)
