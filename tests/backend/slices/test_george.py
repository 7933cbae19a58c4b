"""GEORGE's clusters: the rules of the paper, on data small enough to know the answer."""

import numpy as np
import pytest
from sklearn.metrics import silhouette_samples

from backend.core.errors import InputError
from backend.slices import george_clusters
from backend.slices.george.silhouette import separation, silhouettes


def blobs(*centers, n=60, d=None, noise=0.05, seed=0):
    random = np.random.default_rng(seed)
    centers = np.asarray(centers, dtype=float)
    return np.concatenate(
        [c + noise * random.standard_normal((n, centers.shape[1])) for c in centers]
    )


@pytest.mark.parametrize("seed", range(4))
def test_silhouettes_equal_the_slow_twin(seed):
    random = np.random.default_rng(seed)
    points = random.standard_normal((70, 3))
    clusterings = [random.integers(0, k, 70) for k in (2, 3, 7)]
    clusterings.append(np.r_[0, np.ones(69, dtype=int)])  # one point alone
    for clusters, found in zip(clusterings, silhouettes(points, clusterings), strict=True):
        np.testing.assert_allclose(found, silhouette_samples(points, clusters), atol=1e-12)
        slow = np.mean(
            [
                silhouette_samples(points, clusters)[clusters == k].mean()
                for k in np.unique(clusters)
            ]
        )
        assert separation(clusters, found) == pytest.approx(slow)


def test_silhouettes_by_hand():
    # On a line: 0 and 1 against 10. a = 1, b = 10 and 9; the point alone has 0 by definition.
    found = silhouettes(np.array([[0.0], [1.0], [10.0]]), [np.array([0, 0, 1])])[0]
    np.testing.assert_allclose(found, [0.9, 8 / 9, 0.0])
    # Small clusters count like large ones: the mean over clusters, not over points.
    assert separation(np.array([0, 0, 1]), found) == pytest.approx((0.9 + 8 / 9) / 4)
    assert separation(np.zeros(3, dtype=int), np.zeros(3)) == -np.inf


def test_the_worst_cluster_of_each_class_is_found():
    a = blobs([5, 0, 0], [0, 5, 0], [0, 0, 5])
    embeddings = np.concatenate([a, blobs([5, 5, 0], [0, 5, 5], seed=1)])
    labels = np.repeat([0, 1], [180, 120])
    truth = np.repeat(np.arange(5), 60)
    losses = np.where(truth == 1, 3.0, np.where(truth == 4, 2.0, 0.1))
    found = george_clusters(embeddings, losses, labels, n_groups=2)
    np.testing.assert_array_equal(found.weights, [truth == 1, truth == 4])
    np.testing.assert_allclose(found.mean_losses, [3.0, 2.0])
    assert found.classes["k"].tolist() == [3, 2]
    assert (found.classes["score"] > 0.8).all()
    # Ids are disjoint across classes and cover every example.
    assert set(found.assignment[:180]).isdisjoint(found.assignment[180:])
    np.testing.assert_array_equal(found.clusters["n"], np.bincount(found.assignment))
    assert any("PCA to 2" in note and "UMAP" in note for note in found.notes)
    # The rule puts unseen examples where they belong, and other classes nowhere.
    new = np.array([[0, 4.9, 0.1], [0, 4.9, 0.1], [0, 5, 5.0]])
    np.testing.assert_array_equal(found.score(new, labels=[0, 1, 1])[:, [0, 2]], [[1, 0], [0, 1]])


def test_row_scaling_makes_length_meaningless():
    embeddings = blobs([5, 0], [0, 5], noise=0.2)
    losses = np.repeat([0.0, 1.0], 60)
    scale = np.random.default_rng(1).uniform(0.1, 10, (120, 1))
    labels = np.zeros(120, dtype=int)
    plain = george_clusters(embeddings, losses, labels)
    scaled = george_clusters(embeddings * scale, losses, labels)
    np.testing.assert_array_equal(plain.assignment, scaled.assignment)
    assert (
        george_clusters(embeddings, losses, labels, normalize=False).parameters["normalize"]
        is False
    )


def test_ties_go_to_the_larger_number_of_clusters():
    # Four corners, one point each twice: every k up to 4 that separates perfectly has score 1,
    # but only k = 4 does. With two places k = 2 is all there is, however large max_k.
    corners = np.repeat([[1.0, 0], [0, 1.0], [-1.0, 0], [0, -1.0]], 8, axis=0)
    found = george_clusters(corners, np.arange(32.0), np.zeros(32, int), clusterer="kmeans")
    assert found.classes["k"].tolist() == [4] and found.classes["score"].tolist() == [1.0]
    two = george_clusters(corners[:16], np.arange(16.0), np.zeros(16, int))
    assert two.classes["k"].tolist() == [2]


def test_equal_scores_take_the_larger_k(monkeypatch):
    from backend.slices.george import one_class

    monkeypatch.setattr(one_class, "separation", lambda clusters, values: 0.5)
    embeddings = np.random.default_rng(0).standard_normal((100, 4))
    found = george_clusters(embeddings, np.ones(100), np.zeros(100, int), max_k=6)
    assert found.classes["k"].tolist() == [6]


def test_small_classes_are_capped_or_left_whole_and_noted():
    random = np.random.default_rng(0)
    labels = np.repeat(["two", "five", "equal", "large"], [2, 5, 30, 60])
    embeddings = random.standard_normal((97, 6))
    embeddings[labels == "equal"] = 1.0
    found = george_clusters(embeddings, random.random(97), labels)
    table = found.classes.set_index("class")
    assert table.loc["two", "k"] == 1 and "2 examples" in table.loc["two", "note"]
    assert 2 <= table.loc["five", "k"] <= 4 and "at most 4" in table.loc["five", "note"]
    assert table.loc["equal", "k"] == 1 and "1 of them distinct" in table.loc["equal", "note"]
    assert table.loc["large", "note"] == "" and np.isnan(table.loc["two", "score"])
    assert any("Class five" in note for note in found.notes)


def test_a_piece_is_kept_only_when_it_earns_it():
    # One cluster of five tight blobs in a ring, one of them hard, beside a cluster without parts.
    angles = 2 * np.pi * np.arange(5) / 5
    ring = blobs(*np.stack([np.cos(angles), np.sin(angles)], axis=1), n=30, noise=0.02)
    embeddings = np.concatenate([ring, blobs([8, 0], n=150, noise=0.3, seed=1)])
    losses = np.full(300, 1.0)
    losses[:30] = 4.0
    losses[150:] = np.linspace(0, 2, 150)
    labels = np.zeros(300, int)
    options = {"reduction": "none", "normalize": False, "max_k": 2}
    whole = george_clusters(embeddings, losses, labels, **options)
    np.testing.assert_allclose(whole.mean_losses, [1.6, 1.0])
    split = george_clusters(embeddings, losses, labels, overcluster=True, **options)
    # The hard blob stands alone. The easy ones separate as well but are milder than the parent;
    # pieces of the other cluster are hard at times but separate worse than the whole.
    assert len(split.clusters) == 3
    np.testing.assert_array_equal(split.weights[0], np.arange(300) < 30)
    assert sorted(split.clusters["n"]) == [30, 120, 150]
    np.testing.assert_array_equal(split.score(embeddings, labels=labels), split.weights)
    # A piece below 25 examples goes back as well.
    few = np.r_[0:20, 30:300]
    small = george_clusters(embeddings[few], losses[few], labels[few], overcluster=True, **options)
    assert len(small.clusters) == 2


def test_hardness_starts_with_the_normal_of_the_decision():
    random = np.random.default_rng(0)
    embeddings = random.standard_normal((300, 5)) * [1, 1, 1, 1, 6]
    predictions = (embeddings[:, 0] > 0).astype(int)
    labels = np.where(random.random(300) < 0.3, 1 - predictions, predictions)
    losses = (labels != predictions) * 2.0
    found = george_clusters(
        embeddings, losses, labels, predictions, reduction="hardness", n_components=1,
        normalize=False, n_groups=2,
    )  # fmt: skip
    # Along the decision alone, the worst cluster of a class lies on the wrong side of it.
    for group in range(2):
        assert (labels != predictions)[found.weights[group] == 1].mean() > 0.9


def test_large_classes_are_sampled_and_say_so():
    embeddings = np.random.default_rng(0).standard_normal((400, 4))
    found = george_clusters(
        embeddings, np.ones(400), np.zeros(400, int), max_fit=200, max_silhouette=100
    )
    assert "fitted on 200 of 400" in found.classes["note"][0] and len(found.assignment) == 400


def test_umap_is_used_when_asked_for():
    embeddings = blobs([5, 0, 0], [0, 5, 0], n=20)
    losses = np.repeat([0.0, 1.0], 20)
    labels = np.r_[np.zeros(40, int)]
    found = george_clusters(embeddings, losses, labels, reduction="umap", max_k=3)
    assert found.mean_losses[0] == 1.0 and "UMAP to 2" in found.notes[0]
    few = george_clusters(embeddings[:8], losses[:8], labels[:8], reduction="umap")
    assert "PCA instead of UMAP" in few.classes["note"][0]


@pytest.mark.parametrize(
    "options, text",
    [
        ({"labels": None}, "george_clusters needs labels: got none. Give the true class"),
        ({"losses": None}, "george_clusters needs losses"),
        ({"reduction": "tsne"}, "reduction must be one of 'pca', 'umap', 'none', 'hardness'"),
        ({"reduction": "hardness"}, "needs predictions: got none"),
        ({"max_k": 1}, "max_k must be at least 2: got 1"),
        ({"n_groups": 0}, "n_groups must be a whole number of at least 1: got 0"),
        (
            {"labels": [0.5] * 20},
            "labels must be classes, as whole numbers or text: got dtype float",
        ),
        ({"labels": [0] * 19}, "labels must be one per embedding: got shape \\(19,\\) for 20"),
        (
            {"labels": [0, 1] * 10, "classes": ["a"]},
            "labels must name one of the classes \\(a\\): got 1",
        ),
        (
            {"labels": [0, 1, 2, 0] * 5, "predictions": [0] * 20, "reduction": "hardness"},
            "needs two classes.*got 3",
        ),
    ],
)
def test_what_it_refuses(options, text):
    arguments = {"losses": np.ones(20), "labels": np.zeros(20, int), **options}
    with pytest.raises(InputError, match=text):
        george_clusters(np.eye(20), **arguments)
