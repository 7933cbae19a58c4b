"""The two long tails of a bundle: whose confidence, known subsets, two axes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backend.bundle import Bundle, read_bundle, write_bundle
from backend.core.errors import InputError
from backend.scores import tails
from backend.scores.tails import (
    epoch_lines,
    follow_tails,
    followed_rows,
    known_subsets,
    least_confident,
    tail_table,
    two_axes,
)

N, EPOCHS = 50, 6


def planted() -> dict[str, Any]:
    """Ten noisy examples that are never believed, ten atypical ones that augmentation helps."""
    rng = np.random.default_rng(0)
    kind = np.repeat(["noisy", "atypical", "typical"], [10, 10, 30])
    low, rising = np.full(EPOCHS, 0.05), np.linspace(0.1, 0.7, EPOCHS)
    sure = np.full(EPOCHS, 0.9)
    wobble = rng.random((N, EPOCHS)) * 0.02

    def confidence(atypical: np.ndarray) -> np.ndarray:
        return np.array([{"noisy": low, "atypical": atypical, "typical": sure}[k] for k in kind])

    return {
        "embeddings": rng.normal(size=(N, 3)),
        "losses": rng.random(N),
        "msp": {"none": confidence(rising * 0.6) + wobble, "targeted": confidence(rising) + wobble},
        "train": {
            "msp-none": confidence(rising)[:20] + wobble[:20],
            "msp-targeted": confidence(rising)[:20],
            "flipped": kind[:20] == "noisy",
        },
        "examples": pd.DataFrame({"id": np.arange(N).astype(str), "kind": kind}),
    }


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder: Path = tmp_path_factory.mktemp("tails")
    return read_bundle(write_bundle(folder / "b.npz", **planted()))


def test_confidence_is_of_the_examples_or_of_the_training_set(bundle: Bundle) -> None:
    held = followed_rows(bundle)
    assert [(one.name, one.n, list(one.msp)) for one in held.values()] == [
        ("examples", N, ["none", "targeted"]),
        ("training set", 20, ["none", "targeted"]),
    ]
    assert list(held["examples"].columns) == ["kind"]
    assert list(held["training set"].columns) == ["flipped"]


def test_collected_confidence_of_the_training_set_is_followed(tmp_path: Path) -> None:
    fields = planted() | {"msp": None, "train": {"msp": np.full((7, 4), 0.5)}}
    held = followed_rows(read_bundle(write_bundle(tmp_path / "b.npz", **fields)))
    assert list(held) == ["training set"] and list(held["training set"].msp) == ["training"]


def test_both_tails_are_found_and_told_apart_by_the_gain(bundle: Bundle) -> None:
    found = follow_tails(followed_rows(bundle)["examples"], truth="kind", share=0.4)
    assert set(np.flatnonzero(found.candidates)) == set(range(20))
    axes = two_axes(found)
    assert axes.y[:10].max() < axes.y[10:20].min() and axes.y_title.startswith("gain")
    last = found.separation[found.separation["epoch"] == EPOCHS - 1].set_index(
        ["subset", "variant"]
    )
    noisy = last.loc[("noisy", "targeted")]
    assert noisy["precision"] == 1.0 and noisy["prevalence"] == pytest.approx(0.2)
    assert set(least_confident(found, np.flatnonzero(found.candidates))[:10]) == set(range(10))
    table = tail_table(found, np.array([12, 3]))
    assert table["gain"].tolist() == [found.gain[12], found.gain[3]]


def test_without_a_second_variant_the_slope_takes_the_place_of_the_gain(bundle: Bundle) -> None:
    rows = followed_rows(bundle)["examples"]
    one = tails.FollowedRows(rows.name, {"mine": rows.msp["targeted"]}, {})
    axes = two_axes(follow_tails(one))
    assert axes.y_title.startswith("slope") and axes.y[15] > axes.y[40]


def test_all_candidates_are_drawn_where_not_everything_can_be(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tails, "MOST_POINTS", 24)
    found = follow_tails(followed_rows(bundle)["examples"], share=0.4)
    drawn = two_axes(found).drawn
    assert len(drawn) == 24 and set(range(20)) <= set(drawn) and (np.diff(drawn) > 0).all()


def test_lines_hold_every_epoch_of_the_table_once(bundle: Bundle) -> None:
    found = follow_tails(followed_rows(bundle)["examples"], truth="kind")
    lines = epoch_lines(found.curves, "mean_msp")
    assert len(lines) == 2 * 4 and all(line.epochs.tolist() == [1, 2, 3, 4, 5, 6] for line in lines)
    assert sum(len(line.values) for line in lines) == len(found.curves)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([True, False]), {"x": [0]}),
        (np.array([1, 0, 1]), {"x": [0, 2]}),
        (np.array(["b", "a", "b", ""], object), {"a": [1], "b": [0, 2]}),
        (np.array([2, 3, 3]), {"2": [0], "3": [1, 2]}),
    ],
    ids=["truth", "0 and 1", "text", "numbers"],
)
def test_a_column_says_its_subsets(values: np.ndarray, expected: dict[str, list[int]]) -> None:
    found = {
        name: np.flatnonzero(mask).tolist() for name, mask in known_subsets("x", values).items()
    }
    assert found == expected


def test_an_unknown_column_is_refused(bundle: Bundle) -> None:
    with pytest.raises(InputError, match="truth must be one of kind: got 'other'"):
        follow_tails(followed_rows(bundle)["examples"], truth="other")
