"""Regions and spotlights beside the other methods: same groups, and a rule for unseen rows."""

from types import SimpleNamespace

import numpy as np
import pytest

from backend.core.progress import ignore_progress
from backend.core.shape import cut_between
from backend.slices import compare_groups
from backend.spotlight import find_regions, find_spotlights
from backend.tasks.compared import region_groups, spotlight_groups

COMMON = {"n_groups": 2, "seed": 0, "progress": ignore_progress}


@pytest.fixture(scope="module")
def data():
    """600 examples of two classes; 40 of class "b" lie together and fail."""
    random = np.random.default_rng(3)
    embeddings = random.normal(size=(600, 6))
    labels = np.array(["a", "b"], dtype=object)[np.arange(600) % 2]
    losses = random.gamma(4, 0.25, 600)
    rows = np.arange(1, 80, 2)
    embeddings[rows] = 2.5 + 0.5 * embeddings[rows]
    losses[rows] += 3
    return embeddings, losses, labels, rows


def test_regions_keep_members_labels_and_kernel(data):
    embeddings, losses, labels, rows = data
    plain = find_regions(embeddings, losses, labels=labels, n_regions=2)
    found = region_groups(embeddings, losses, fields={"labels": labels}, **COMMON)
    np.testing.assert_allclose(found.weights, plain.weights, atol=1e-9)
    bound = list(plain.scope_labels).index(("b",))
    assert found.names[bound] == f"region {bound + 1}, among b"
    assert np.isin(found.members(bound)[:10], rows).all()
    # The rule gives the examples the weights they were found with, and none to another label.
    again = found.score(embeddings, labels=labels)
    np.testing.assert_allclose(again, found.weights, atol=1e-6)
    assert (again[bound][labels == "a"] == 0).all()


def test_both_stand_in_one_table_and_are_tested_on_the_other_half(data):
    embeddings, losses, labels, _ = data
    regions = region_groups(embeddings, losses, fields={"labels": labels}, **COMMON)
    spots = spotlight_groups(embeddings, losses, fields={"labels": labels}, size=40, **COMMON)
    same = find_spotlights(embeddings, losses, size=40, n_spotlights=2)
    np.testing.assert_allclose(spots.weights, same.weights, atol=1e-6)
    table = compare_groups([regions, spots], losses).table
    worst = table[table["held_out_ratio"] > 2]
    assert set(worst["method"]) == {"regions", "spotlights"} and (worst["p"] <= 0.05).all()


def test_without_labels_regions_lie_among_all(data):
    embeddings, losses, _, rows = data
    found = region_groups(embeddings, losses, fields={}, **COMMON)
    assert found.names[0] == "region 1, all examples" and found.sees == ()
    assert np.isin(found.members(0)[:10], rows).all()
    equal = region_groups(embeddings, np.ones(600), fields={}, **COMMON)
    assert len(equal) == 0 and equal.weights.shape == (0, 600) and equal.notes


def test_directions_and_labels_have_a_rule_for_unseen_rows_too(data, monkeypatch):
    embeddings, losses, labels, _ = data
    codes = (labels == "b").astype(int)
    vector = np.array([1.0, -0.5, 0.25, 0.0, 2.0, 0.125])
    cut = cut_between(embeddings, vector, np.flatnonzero(codes == 1), 30)
    weights = np.stack([codes == 1, np.isin(np.arange(600), cut.members)]).astype(float)
    scores = np.where(codes == 1, [np.arange(600), embeddings @ vector], -np.inf)
    found = SimpleNamespace(
        kinds=("label", "direction"),
        scope_labels=((1,), (1,)),
        vectors=np.stack([np.full(6, np.nan), vector]),
        cuts=np.array([np.nan, cut.cut]),
        weights=weights,
        scores=scores,
        notes=(),
    )
    monkeypatch.setattr("backend.tasks.compared.find_regions", lambda *given, **options: found)
    groups = region_groups(embeddings, losses, fields={"labels": labels}, **COMMON)
    np.testing.assert_array_equal(groups.score(embeddings, labels=labels), weights)
    some = np.arange(599, 0, -7)
    unseen = groups.score(embeddings[some], labels=labels[some])
    np.testing.assert_array_equal(unseen, weights[:, some])
    assert groups.members(1).tolist() == cut.members.tolist()
