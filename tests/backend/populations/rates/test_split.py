"""How divided models are over each example."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from backend.core.errors import InputError
from backend.populations import disagreement, split_votes


def test_it_is_the_share_of_pairs_that_differ() -> None:
    answers = [["a", "a", "a"], ["a", "b", "b"], ["a", "b", "c"]]
    np.testing.assert_allclose(split_votes(answers), [0, 2 / 3, 1])


@pytest.mark.parametrize("models", [2, 5, 9])
def test_a_plain_count_of_pairs_gives_the_same(models: int) -> None:
    answers = np.random.default_rng(models).integers(0, 4, (models, 60))
    pairs = np.array([answers[a] != answers[b] for a, b in combinations(range(models), 2)])
    np.testing.assert_allclose(split_votes(answers), pairs.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(split_votes(answers).mean(), disagreement(answers), atol=1e-12)


def test_one_model_cannot_differ() -> None:
    with pytest.raises(InputError, match="2 or more models to differ: got 1"):
        split_votes([[1, 2]])
