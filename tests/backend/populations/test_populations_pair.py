"""Two populations beside each other: which examples differ, and who voted how."""

from __future__ import annotations

import numpy as np
import pytest

from backend.core.errors import InputError
from backend.populations import (
    PopulationPair,
    cie_mask,
    compare_populations,
    make_ensemble,
    make_pair,
    select_pies,
)

# Five examples: alike, another mode, a tie at the baseline, right only when compressed, alike.
BEFORE = np.array([[0, 0, 0, 2, 1], [0, 0, 1, 2, 1], [0, 1, 2, 2, 1]])
AFTER = np.array([[0, 1, 2, 3, 1], [0, 1, 2, 3, 1]])
LABELS = np.array([0, 0, 2, 3, 1])
NAMES = ("a", "b", "c", "d", "never")


def pair(kind: str = "modal", labels: np.ndarray | None = LABELS) -> PopulationPair:
    ensemble = make_ensemble({"baseline": BEFORE, "pruned": AFTER}, labels, NAMES)
    found = compare_populations(ensemble, "baseline", tie="smallest")
    return make_pair(ensemble, found.arrays, "baseline", "pruned", kind=kind, share=0.4)


def test_the_examples_that_differ_are_the_pies() -> None:
    held = pair()
    pies = select_pies(BEFORE, AFTER, LABELS, tie="smallest")
    assert held.mask.tolist() == pies.mask.tolist() == [False, True, True, True, False]
    assert held.word == "PIE"
    assert held.rows().tolist() == [3, 1, 2], "taxicab 2, then 4/3 twice: the lower row"
    counts = held.counts
    assert (counts.n, counts.n_tied) == (pies.n_pies, pies.n_tied) == (3, 1)
    assert counts.n_baseline_right == pies.n_baseline_right == 1
    assert counts.n_compressed_right == pies.n_compressed_right == 2


def test_the_most_divergent_are_those_of_the_mask() -> None:
    held = pair("taxicab")
    assert held.mask.tolist() == cie_mask(BEFORE, AFTER, kind="taxicab", share=0.4).tolist()
    assert held.word == "taxicab CIE" and held.counts.n == 2
    assert held.source() == {
        "kind": "pie", "selection": "taxicab", "baseline": "baseline", "compressed": "pruned",
    }  # fmt: skip


def test_without_labels_no_side_is_right() -> None:
    counts = pair(labels=None).counts
    assert counts.n == 3 and counts.n_baseline_right is counts.n_compressed_right is None
    assert "true class" not in pair(labels=None).table(np.array([1]))


def test_the_table_says_what_both_populations_say() -> None:
    table = pair().table(np.array([2, 0]))
    assert table.to_dict("list") == {
        "true class": ["c", "a"],
        "baseline mode": ["a", "a"],
        "compressed mode": ["c", "a"],
        "taxicab": pytest.approx([4 / 3, 0.0]),
        "changed": [1.0, 0.0],
        "tie": [True, False],
    }


def test_the_votes_of_an_example_add_up() -> None:
    votes = pair().votes(2)
    assert votes.table["label"].tolist() == ["c", "a", "b"], "ties: the lower class"
    assert votes.table["baseline"].tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3])
    assert votes.table["compressed"].tolist() == [1.0, 0.0, 0.0]
    assert votes.table["n baseline"].tolist() == [1, 1, 1]
    assert votes.table["n compressed"].tolist() == [2, 0, 0]
    assert votes.answers.tolist() == [[0, 1, 2], [2, 2, -1]]
    assert votes.kinds.tolist()[0] == [0.0, 0.5, 1.0]
    assert votes.kinds[1].tolist() == pytest.approx([1.0, 1.0, np.nan], nan_ok=True)
    assert votes.changed is None, "three models cannot be set beside two"


def test_models_of_one_place_are_compared_where_there_are_equally_many() -> None:
    ensemble = make_ensemble({"one": [[0, 1], [1, 1]], "other": [[0, 0], [0, 1]]})
    arrays = compare_populations(ensemble, "one").arrays
    changed = make_pair(ensemble, arrays, "one", "other").votes(0).changed
    assert changed is not None and changed.tolist() == [False, True]


def test_only_classes_that_occur_are_named() -> None:
    assert pair().occurring() == ["a", "b", "c", "d"]
    assert pair().ensemble.occurring(BEFORE[0]) == ["a", "b", "c", "d"]
    assert pair(labels=None).ensemble.occurring(BEFORE[0]) == ["a", "b", "c"]


def test_a_population_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match="a pair needs populations of 'baseline', 'pruned': got"):
        make_pair(pair().ensemble, {}, "baseline", "gone")
