"""Searches on prepared embeddings: found, told, and evaluated again."""

from __future__ import annotations

import json

import numpy as np
import pytest

from backend.core.errors import InputError
from backend.core.found import FoundRegion
from backend.spotlight import find_spotlights, members

CASES = [("standardise", None), ("pca", 3), ("projection", 6)]


def stretched(n=500, seed=0):
    """A hard cluster that a dimension of large spread and no meaning hides."""
    rng = np.random.default_rng(seed)
    x, losses = rng.normal(size=(n, 8)), rng.exponential(0.2, n)
    x[:50, :3] = 4 + 0.3 * rng.normal(size=(50, 3))
    losses[:50] += 2.0
    x[:, 7] *= 200.0
    return x, losses


def test_standardising_finds_what_scale_hides():
    x, losses = stretched()
    options = {"size": 40, "n_spotlights": 1}
    plain = find_spotlights(x, losses, **options)
    found = find_spotlights(x, losses, prepare="standardise", **options)
    assert np.mean(members(found.weights[0], 40) < 50) > 0.9
    assert found.weighted_losses[0] > plain.weighted_losses[0] + 0.5
    assert found.options["prepare"] == "standardise"
    assert found.notes == (found.preparation.note,)
    assert json.loads(json.dumps(found.to_dict()))["preparation"]["prepare"] == "standardise"


@pytest.mark.parametrize(("prepare", "components"), CASES)
def test_an_export_evaluates_prepared_regions_again(prepare, components):
    x, losses = stretched()
    options = {"prepare": prepare, "components": components, "seed": 2}
    found = find_spotlights(x, losses, size=40, n_spotlights=1, **options)
    source = {
        "center": found.centers[0].tolist(),
        "precision": found.precisions[0].tolist(),
        "options": options,
    }
    shape = FoundRegion.from_source(json.loads(json.dumps(source))).place(8)
    assert shape.weights(x) == pytest.approx(found.weights[0], abs=1e-5)
    rows = np.array([3, 400])
    assert shape.weights(x, rows=rows) == pytest.approx(found.weights[0][rows], abs=1e-5)


def test_a_changed_manifest_is_refused():
    source = {"center": [0.0] * 3, "precision": 1.0, "options": {"prepare": "pca"}}
    with pytest.raises(InputError, match="the preparation of a region: prepare 'pca' needs comp"):
        FoundRegion.from_source(source).place(8)
    source["options"] = {"prepare": "pca", "components": 4}
    with pytest.raises(InputError, match="center of a region must have the 4 numbers"):
        FoundRegion.from_source(source).place(8)


def test_a_full_precision_counts_the_prepared_dimensions():
    x, losses = stretched()
    with pytest.raises(InputError, match="per dimension"):
        find_spotlights(x, losses, size=20, precision="full")
    found = find_spotlights(
        x, losses, size=20, precision="full", prepare="pca", components=3, n_spotlights=1
    )
    assert found.precisions.shape == (1, 3, 3)
