"""Orders of a group's members: only those that say something."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from backend.bundle import Bundle, read_bundle, write_bundle
from backend.core.groups import Group, weighted_group
from pages.components.gallery import gallery

CHANCES = np.array([[0.7, 0.2, 0.1], [0.7, 0.2, 0.1], [0.4, 0.4, 0.2], [0.1, 0.1, 0.8]])


def made(folder: Path, **fields: Any) -> Bundle:
    given = {"embeddings": np.eye(4), "labels": [0, 1, 1, 2], "predictions": [0, 0, 0, 2]}
    return read_bundle(write_bundle(folder / "run.npz", **given, **fields))


def chosen(bundle: Bundle, *rows: int) -> Group:
    weights = np.zeros(bundle.n)
    weights[list(rows)] = np.linspace(1, 0.5, len(rows))
    return weighted_group("region", np.array(rows), weights, bundle.losses)


def test_members_are_ordered_by_margin_where_there_is_one(tmp_path: Path) -> None:
    bundle = made(tmp_path, probabilities=CHANCES)
    group = chosen(bundle, 3, 2, 1)
    assert "Margin, low first" in gallery.offered_orders(bundle, group)
    assert gallery.ordered(bundle, group, "Margin, low first").tolist() == [1, 2, 3]
    without = made(tmp_path)
    assert "Margin, low first" not in gallery.offered_orders(without, group)
    assert "Weight, high first" in gallery.offered_orders(without, group)
