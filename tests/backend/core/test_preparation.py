"""Preparations: what they compute, that they can be made again, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from backend.core import preparation
from backend.core.errors import InputError
from backend.core.preparation import fit_preparation, prepare_embeddings
from backend.core.wording import percent


def data(n=300, d=12, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, d)) * rng.uniform(0.1, 5, d) + 1000).astype(np.float32)


def test_standardised_as_scikit_learn_does():
    x = data()
    x[:, 3] = 7.0  # a constant dimension stays at 0
    ready = prepare_embeddings(x, "standardise")
    assert ready.values == pytest.approx(StandardScaler().fit_transform(x.astype(float)), abs=1e-5)
    assert not ready.values[:, 3].any()
    assert "standard deviation 1" in ready.note


def test_principal_components_as_scikit_learn_finds():
    x = data()
    ready = prepare_embeddings(x, "pca", components=3)
    twin = PCA(3).fit(x.astype(float))
    assert np.abs(ready.values) == pytest.approx(np.abs(twin.transform(x.astype(float))), abs=1e-3)
    assert f"{percent(twin.explained_variance_ratio_.sum())} of the variance" in ready.note


def test_a_projection_keeps_distances_and_is_drawn_again_from_its_seed():
    x = np.random.default_rng(1).normal(size=(40, 3000))
    one = prepare_embeddings(x, "projection", components=400, seed=5)
    again = prepare_embeddings(x, "projection", components=400, seed=5)
    other = prepare_embeddings(x, "projection", components=400, seed=6)
    assert np.array_equal(one.values, again.values)
    assert not np.allclose(one.values, other.values)
    pairs = np.triu_indices(40, 1)
    ratio = np.linalg.norm(one.values[pairs[0]] - one.values[pairs[1]], axis=1) / np.linalg.norm(
        x[pairs[0]] - x[pairs[1]], axis=1
    )
    assert ratio.min() > 0.85 and ratio.max() < 1.15
    # The bits behind it never change: a manifest of today is replayed in years.
    assert one.preparation.matrix[:, 0].nonzero()[0].tolist() == FIRST_PLACES


FIRST_PLACES = [16, 80, 146, 165, 204, 269, 306, 385]


def test_rows_alone_are_prepared_as_among_all():
    x = data()
    for prepare, components in (("standardise", None), ("pca", 4), ("projection", 5)):
        ready = prepare_embeddings(x, prepare, components=components, seed=3)
        options = ready.preparation.to_dict() | {"components": components}
        made = fit_preparation(x, **options)
        assert made.apply(x[[7, 2]]) == pytest.approx(ready.values[[7, 2]], rel=1e-5, abs=1e-5)


def test_large_results_live_in_a_file_and_statistics_come_from_a_sample(monkeypatch, tmp_path):
    x = data(2000)
    plain = prepare_embeddings(x, "pca", components=2)
    np.save(tmp_path / "x.npy", x)
    monkeypatch.setattr(preparation, "_HELD", 0)
    monkeypatch.setattr("backend.core.blocks._BLOCK_VALUES", 500)
    mapped = prepare_embeddings(np.load(tmp_path / "x.npy", mmap_mode="r"), "pca", components=2)
    assert isinstance(mapped.values, np.memmap)
    assert np.asarray(mapped.values) == pytest.approx(plain.values, abs=1e-2)
    monkeypatch.setattr(preparation, "_SAMPLE", 100)
    assert "measured on 100 evenly spaced examples" in prepare_embeddings(x, "standardise").note


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"prepare": "whiten"}, "prepare must be one of 'none'"),
        ({"prepare": "pca"}, "needs components, a whole number from 1, below the 12 dimensions"),
        ({"prepare": "pca", "components": 12}, "got 12"),
        ({"prepare": "projection", "components": True}, "got True"),
        ({"prepare": "none", "components": 3}, "components belongs to prepare 'pca'"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, told):
    with pytest.raises(InputError, match=told):
        prepare_embeddings(data(), **options)


def test_wide_embeddings_are_sent_to_the_projection():
    with pytest.raises(InputError, match=r"at most 4096 dimensions: got 5000[.] Take 'projection'"):
        prepare_embeddings(np.ones((3, 5000)), "pca", components=2)
