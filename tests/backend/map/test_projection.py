import numpy as np
import pytest

from backend.core.errors import InputError, JobCancelled
from backend.map.project import project


def blobs(n=600, d=8, groups=3, seed=0, spread=12.0):
    random = np.random.default_rng(seed)
    group = random.integers(groups, size=n)
    centers = random.standard_normal((groups, d)) * spread
    return centers[group] + random.standard_normal((n, d)), group


def by_svd(values):
    """Scores and shares of the first two components, the slow and obvious way."""
    centred = np.asarray(values, dtype=np.float64)
    centred = centred - centred.mean(axis=0)
    left, singular, right = np.linalg.svd(centred, full_matrices=False)
    lead = right[np.arange(2), np.abs(right[:2]).argmax(axis=1)]
    return left[:, :2] * singular[:2] * np.sign(lead), singular[:2] ** 2 / (singular**2).sum()


def test_four_points_on_a_line():
    made = project([[0, 0, 0], [1, 0, 0], [2, 0, 0], [5, 0, 0]])
    np.testing.assert_allclose(made.xy, [[-2, 0], [-1, 0], [0, 0], [3, 0]], atol=1e-6)
    assert made.explained == pytest.approx((1.0, 0.0))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(300, 7), (5, 9), (3, 3)])
def test_pca_agrees_with_an_svd(shape, dtype):
    values = (np.random.default_rng(1).standard_normal(shape) * np.arange(1, shape[1] + 1)).astype(
        dtype
    )
    made = project(values)
    scores, shares = by_svd(values)
    np.testing.assert_allclose(made.xy, scores, atol=2e-5 * np.abs(scores).max())
    np.testing.assert_allclose(made.explained, shares, rtol=1e-4)
    assert made.xy.dtype == np.float32


def test_blocks_do_not_change_the_map(monkeypatch):
    values, _ = blobs()
    whole = project(values).xy
    monkeypatch.setattr("backend.core.blocks._BLOCK_VALUES", 100)
    np.testing.assert_allclose(project(values).xy, whole, atol=1e-4)


def test_distance_from_the_origin_and_scale_do_not_matter():
    values, _ = blobs()
    near = project(values).xy
    np.testing.assert_allclose(project(values + 1e7).xy, near, atol=1e-3)
    np.testing.assert_allclose(project(values * 1e25).xy / 1e25, near, rtol=1e-4, atol=1e-4)


def test_order_of_rows_does_not_matter():
    values, _ = blobs()
    order = np.random.default_rng(3).permutation(len(values))
    np.testing.assert_allclose(project(values[order]).xy, project(values).xy[order], atol=1e-4)


@pytest.mark.parametrize("method", ["pca", "umap"])
def test_up_to_two_dimensions_are_drawn_as_they_are(method):
    plane = np.array([[0.5, -2], [3, 4], [5, 6]], dtype=np.float32)
    made = project(plane, method=method)
    np.testing.assert_array_equal(made.xy, plane)
    assert "as they are" in made.note and made.explained is None
    line = project(plane[:, :1], method=method)
    np.testing.assert_array_equal(line.xy, np.c_[plane[:, 0], np.zeros(3)])
    assert "second axis is 0" in line.note


@pytest.mark.parametrize("method", ["pca", "umap"])
@pytest.mark.parametrize("rows", [1, 9])
def test_equal_embeddings_are_one_point(rows, method):
    made = project(np.full((rows, 4), 0.1), method=method)
    np.testing.assert_array_equal(made.xy, np.zeros((rows, 2)))
    assert made.explained is None


def test_progress_rises_and_can_stop_it(monkeypatch):
    monkeypatch.setattr("backend.core.blocks._BLOCK_VALUES", 100)
    values, _ = blobs()
    seen = []
    project(values, progress=lambda fraction, message: seen.append(fraction))
    assert seen == sorted(seen) and seen[-1] == 1.0 and len(seen) > 20

    def stop(fraction, message):
        if fraction > 0.3:
            raise JobCancelled()

    with pytest.raises(JobCancelled):
        project(values, progress=stop)


@pytest.mark.parametrize(
    ("values", "options", "text"),
    [
        (np.ones((3, 4)), {"method": "tsne"}, "method must be one of 'pca', 'umap': got 'tsne'"),
        (np.ones(3), {}, r"embeddings must be a non-empty \(n, d\) array"),
        (np.array([[1.0, np.nan, 2.0]]), {}, "embeddings must be finite: row 0"),
        (np.ones((3, 4)), {"losses": [1.0]}, "got 1 losses and 3 embeddings"),
        (np.ones((3, 4)), {"sample": 0}, "sample must be at least 1: got 0"),
    ],
)
def test_what_cannot_be_drawn_is_refused(values, options, text):
    with pytest.raises(InputError, match=text):
        project(values, **options)


def nearest_share(xy, group):
    """How many points have a nearest neighbour of their own group."""
    distance = ((xy[:, None] - xy[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distance, np.inf)
    return (group[distance.argmin(axis=1)] == group).mean()


def test_umap_keeps_planted_groups_together():
    values, group = blobs(n=300, d=60)
    made = project(values, method="umap", seed=1)
    assert made.xy.shape == (300, 2) and made.sampled is None
    assert nearest_share(made.xy, group) > 0.98
    np.testing.assert_array_equal(made.xy, project(values, method="umap", seed=1).xy)


def test_umap_places_the_rest_among_its_sample():
    values, group = blobs(n=900, d=6)
    losses = np.random.default_rng(4).random(900)
    made = project(values, method="umap", sample=200, losses=losses)
    assert made.sampled == 200 and "200 of 900 examples" in made.note
    assert np.isfinite(made.xy).all() and nearest_share(made.xy, group) > 0.98


def test_placed_examples_keep_their_neighbours_as_the_laid_out_ones_do():
    from scipy.spatial import cKDTree

    from backend.map.umap_layout import sample_rows

    values, _ = blobs(n=4000, d=6, groups=5, spread=2.0)
    made = project(values, method="umap", sample=1000, seed=2)
    rows = sample_rows(4000, 1000, None, seed=2)
    others = np.setdiff1d(np.arange(4000), rows)
    space, plane = cKDTree(values[rows]), cKDTree(made.xy[rows])

    def kept(here, own):
        """Share of the 15 nearest sampled examples that are so on the map too."""
        near = space.query(values[here], k=own + 15)[1][:, own:]
        seen = plane.query(made.xy[here], k=own + 15)[1][:, own:]
        return (near[:, :, None] == seen[:, None]).any(axis=2).mean()

    assert kept(others, 0) > 0.85 * kept(rows, 1), "with the plain mean of five it is 0.73"
    again = project(values, method="umap", sample=1000, seed=2)
    np.testing.assert_array_equal(made.xy, again.xy)


def test_an_example_equal_to_a_sampled_one_lies_on_it():
    from backend.map.umap_layout import sample_rows

    values = np.repeat(blobs(n=300, d=5)[0], 2, axis=0)
    made = project(values, method="umap", sample=400, seed=3)
    rows = sample_rows(600, 400, None, seed=3)
    twin = np.setdiff1d(np.arange(600), rows)
    twin = twin[np.isin(twin ^ 1, rows)]
    assert len(twin) > 50
    np.testing.assert_allclose(made.xy[twin], made.xy[twin ^ 1], atol=1e-2)


STAGES = (
    "Reading embeddings",
    "Finding principal axes",
    "Placing the examples",
    "Finding neighbours",
    "Laying out 250 examples with UMAP",
    "Placing the other 350 examples",
)


def test_umap_tells_every_stage_and_moves_within_it(monkeypatch):
    monkeypatch.setattr("backend.core.blocks._BLOCK_VALUES", 400)
    monkeypatch.setattr("backend.map.umap_layout._BLOCK_ROWS", 50)
    seen = []
    project(blobs()[0], method="umap", sample=250, progress=lambda *report: seen.append(report))
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert list(dict.fromkeys(message for _, message in seen)) == [*STAGES, "Done"]
    for stage in STAGES:
        if stage != "Finding neighbours":
            assert len({fraction for fraction, message in seen if message == stage}) > 1, stage


@pytest.mark.parametrize("stage", STAGES)
def test_umap_stops_at_every_stage(stage):
    def stop(fraction, message):
        if message == stage:
            raise JobCancelled()

    with pytest.raises(JobCancelled):
        project(blobs()[0], method="umap", sample=250, progress=stop)


def test_the_note_says_what_was_sampled_and_from_what():
    values, _ = blobs(n=300, d=6)
    told = "200 of 300 examples, drawn {}, were laid out; each of the others was placed by its near"
    made = project(values, method="umap", sample=200)
    assert told.format("uniformly") in made.note
    made = project(values, method="umap", sample=200, losses=np.arange(300.0))
    assert len(made.note) < 400, "the page shows this many letters"
    assert told.format("in proportion to their losses") in made.note
    assert "laid out" not in project(values, method="umap", sample=300).note


def test_umap_of_a_handful():
    values, _ = blobs(n=7, d=5)
    assert np.isfinite(project(values, method="umap").xy).all()


def test_a_sample_holds_every_level_of_loss():
    from backend.map.umap_layout import sample_rows

    losses = np.random.default_rng(5).permutation(1000).astype(float)
    rows = sample_rows(1000, 100, losses, seed=0)
    assert sorted(losses[rows] // 10) == list(range(100))
    assert len(np.unique(sample_rows(1000, 100, np.zeros(1000), seed=0))) == 100
    assert len(np.unique(sample_rows(1000, 100, None, seed=0))) == 100
    np.testing.assert_array_equal(sample_rows(50, 100, None, seed=0), np.arange(50))
