"""Mixtures, directions, error clusters and the highest losses find what was planted."""

import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest
from scipy.sparse import csr_array

from backend.core.errors import InputError, JobCancelled
from backend.core.home import PROJECT
from backend.slices import (
    METHODS,
    error_clusters,
    failure_directions,
    find_groups,
    highest_loss,
    mixture_slices,
)
from backend.slices.axes import principal_axes
from backend.slices.found import told_apart
from tests.bundles import planted

SHARP = ("george", "directions", "error_clusters", "highest_loss")


@pytest.fixture(scope="module")
def given():
    return planted(1200, 10)


def fields(given):
    return {name: given[name] for name in ("embeddings", "losses", "labels", "predictions")}


@pytest.mark.parametrize("method", METHODS)
def test_the_worst_group_is_the_planted_one(method, given):
    found = find_groups(method, **fields(given), n_groups=3)
    truth = given["planted"]
    assert truth[found.members(0)[:10]].all()
    assert found.mean_losses[0] > 2.0
    assert len(found) <= 3 and found.weights.shape == found.scores.shape == (len(found), 1200)
    assert found.weights.min() >= 0 and found.weights.max() <= 1
    np.testing.assert_allclose(found.sizes, found.weights.sum(axis=1))
    np.testing.assert_allclose(found.mean_losses, found.weights @ given["losses"] / found.sizes)
    assert (np.diff(found.mean_losses[1:]) <= 1e-12).all()
    if method in SHARP:
        assert set(np.unique(found.weights)) == {0.0, 1.0}
        for group in range(len(found)):  # the ranking agrees with the border
            inside = found.weights[group] == 1
            assert found.scores[group][inside].min() >= found.scores[group][~inside].max()


@pytest.mark.parametrize("method", METHODS)
def test_same_seed_same_groups_and_order_of_arguments_kept(method, given):
    before = {name: values.copy() for name, values in fields(given).items()}
    one, two = (find_groups(method, **fields(given), seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.weights, two.weights)
    assert one.to_dict() == two.to_dict()
    for name, values in before.items():
        np.testing.assert_array_equal(values, given[name])


@pytest.mark.parametrize("method", METHODS)
def test_lists_names_and_numbers_are_one_input(method, given):
    names = given["classes"]
    plain = find_groups(method, **fields(given))
    told = find_groups(
        method,
        given["embeddings"].tolist(),
        given["losses"].tolist(),
        names[given["labels"]].tolist(),
        names[given["predictions"]].tolist(),
        classes=names.tolist(),
    )
    np.testing.assert_allclose(plain.weights, told.weights, atol=1e-6)


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"directions"}))
def test_the_rule_repeats_itself_on_the_examples_it_saw(method, given):
    found = find_groups(method, **fields(given))
    again = found.score(
        given["embeddings"],
        losses=given["losses"],
        labels=given["labels"],
        predictions=given["predictions"],
    )
    np.testing.assert_allclose(again, found.weights, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_the_rule_needs_what_it_looks_at_and_the_dimension(method, given):
    found = find_groups(method, **fields(given))
    everything = {name: given[name] for name in ("losses", "labels", "predictions")}
    with pytest.raises(InputError, match=r"must have the 10 dimensions .* got 3"):
        found.score(np.ones((1200, 3)), **everything)
    for missing in METHODS[method].sees:
        some = {name: values for name, values in everything.items() if name != missing}
        with pytest.raises(InputError, match=f"the rule of {method} needs {missing}: got none"):
            found.score(given["embeddings"], **some)


@pytest.mark.parametrize("method", METHODS)
def test_a_missing_field_is_named(method, given):
    for missing in METHODS[method].needs:
        some = {name: values for name, values in fields(given).items() if name != missing}
        with pytest.raises(InputError, match=f"{METHODS[method].function} needs {missing}"):
            find_groups(method, **{"losses": None, **some})
    with pytest.raises(InputError, match="needs losses"):
        find_groups(method, **{**fields(given), "losses": None})


@pytest.mark.parametrize("method", METHODS)
def test_progress_can_stop_it(method, given):
    def stop(fraction, message):
        assert 0 <= fraction <= 1 and message
        raise JobCancelled

    with pytest.raises(JobCancelled):
        find_groups(method, **fields(given), progress=stop)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("odd", ["constant", "one_class", "tiny", "identical"])
def test_awkward_data_gives_groups_or_none(method, odd):
    random = np.random.default_rng(0)
    n = 12 if odd == "tiny" else 60
    embeddings = np.ones((n, 4)) if odd == "identical" else random.standard_normal((n, 4))
    losses = np.ones(n) if odd == "constant" else random.random(n)
    labels = np.zeros(n, int) if odd == "one_class" else random.integers(0, 3, n)
    predictions = labels if odd == "one_class" else random.integers(0, 3, n)
    found = find_groups(method, embeddings, losses, labels, predictions, size=2) if METHODS[
        method
    ].takes_size else find_groups(method, embeddings, losses, labels, predictions)  # fmt: skip
    assert np.isfinite(found.weights).all() and np.isfinite(found.scores).all()
    assert np.isfinite(found.mean_losses).all()


@pytest.mark.parametrize(
    ("names", "apart"),
    [
        ([], ()),
        (["Bag", "Shirt"], ("Bag", "Shirt")),
        (["Shirt", "Bag", "Shirt", "Shirt"], ("Shirt", "Bag", "Shirt (2)", "Shirt (3)")),
        (["Shirt", "Shirt", "Shirt (2)"], ("Shirt", "Shirt (3)", "Shirt (2)")),
        (["Shirt (2)", "Shirt", "Shirt"], ("Shirt (2)", "Shirt", "Shirt (3)")),
    ],
)
def test_no_two_groups_of_a_list_have_one_name(names, apart):
    assert told_apart(names) == apart


@pytest.mark.parametrize("method", METHODS)
def test_every_method_tells_its_groups_apart(method, given):
    names = find_groups(method, **fields(given), n_groups=12).names
    assert len(set(names)) == len(names)


def test_unknown_methods_are_refused():
    with pytest.raises(InputError, match="method must be one of 'mixture', 'george'"):
        find_groups("domino", np.eye(4), np.ones(4))


# --- mixture --------------------------------------------------------------------------------------


def test_a_mixture_separates_kinds_of_mistakes_at_one_place():
    random = np.random.default_rng(0)
    embeddings = random.standard_normal((900, 6))
    labels = random.integers(0, 3, 900)
    predictions = labels.copy()
    cell = (labels == 0) & (embeddings[:, 0] > 0.8)
    predictions[cell] = 2
    losses = np.where(cell, 3.0, 0.1)
    found = mixture_slices(embeddings, losses, labels, predictions, n_groups=2)
    assert found.names[0] == "0 called 2"
    held = found.weights[0] > 0.5
    assert cell[held].mean() > 0.99 and found.mean_losses[0] > 2.9


def test_probabilities_take_the_place_of_predictions(given):
    hot = np.eye(3)[given["predictions"]]
    data = given["embeddings"], given["losses"], given["labels"]
    plain = mixture_slices(*data, given["predictions"])
    for soft in (mixture_slices(*data, hot), mixture_slices(*data, probabilities=hot)):
        np.testing.assert_allclose(soft.weights, plain.weights, atol=1e-9)
    with pytest.raises(InputError, match=r"probabilities must be 0 or more and sum to 1.*row 0"):
        mixture_slices(*data, probabilities=2 * hot)


def test_parts_weigh_answers_as_a_plain_loop_does():
    mixture = import_module("backend.slices.mixture")
    random = np.random.default_rng(3)
    n, k, axes, classes = 7, 3, 2, 4
    part = mixture._Mixture(
        np.log(random.dirichlet(np.ones(k))),
        random.standard_normal((k, axes)),
        random.random((k, axes)) + 0.5,
        np.log(random.dirichlet(np.ones(classes), k)),
        np.log(random.dirichlet(np.ones(classes), k)),
    )
    points = random.standard_normal((n, axes))
    labels = np.eye(classes)[random.integers(classes, size=n)]
    options = mixture._MixtureOptions(1, k, axes, 3.0, 2.0, 1, 0.0, n, 0)
    for answers in (random.dirichlet(np.ones(classes), n), labels, csr_array(labels)):
        made = mixture._log_joint(part, points, labels, answers, options)
        hat = answers.toarray() if isinstance(answers, csr_array) else answers
        for i in range(n):
            for s in range(k):
                spread = part.variances[s]
                density = np.exp(-0.5 * np.square(points[i] - part.means[s]) / spread)
                density = density / np.sqrt(2 * np.pi * spread)
                label = sum(labels[i, j] * np.exp(part.log_labels[s, j]) for j in range(classes))
                answer = sum(hat[i, j] * np.exp(part.log_predictions[s, j]) for j in range(classes))
                whole = np.exp(part.log_shares[s]) * density.prod() * label**3 * answer**2
                assert made[i, s] == pytest.approx(np.log(whole))


def test_a_mixture_does_not_depend_on_units_or_origin(given):
    data = given["losses"], given["labels"], given["predictions"]
    plain = mixture_slices(given["embeddings"].astype(float), *data)
    moved = mixture_slices(1000 * given["embeddings"].astype(float) - 500, *data)
    np.testing.assert_allclose(plain.weights, moved.weights, atol=1e-4)


def test_memberships_of_all_parts_sum_to_one(given):
    found = mixture_slices(**fields(given), n_components=4, n_groups=4)
    if len(found) == 4:
        np.testing.assert_allclose(found.weights.sum(axis=0), 1)
    assert (found.sizes >= 10).all()


def test_a_mixture_says_what_it_cut_short(given):
    found = mixture_slices(**fields(given), max_steps=1, max_fit=150, n_components=25)
    text = " ".join(found.notes)
    assert "sample of 150 of 1,200" in text
    assert "15 parts instead of 25" in text and "still changing after 1 steps" in text


# --- directions -----------------------------------------------------------------------------------


def test_a_direction_finds_a_linear_failure():
    random = np.random.default_rng(0)
    embeddings = random.standard_normal((1000, 20))
    normal = random.standard_normal(20)
    normal /= np.linalg.norm(normal)
    labels = np.repeat([0, 1], 500)
    wrong = (embeddings @ normal > 1) & (labels == 1)
    found = failure_directions(embeddings, wrong * 2.0, labels, labels ^ wrong, size=40)
    assert found.names == ("class 1",) and found.sizes.tolist() == [40]
    assert wrong[found.members(0)].mean() > 0.95
    assert "balanced accuracy 0.9" in found.group_notes[0]
    assert any("0 (0 wrong of 500)" in note for note in found.notes)
    fresh = random.standard_normal((4000, 20))
    chosen = found.score(fresh, labels=np.ones(4000, int))[0] == 1
    assert (fresh @ normal)[chosen].min() > 0.5 and chosen.any()
    assert not found.score(fresh, labels=np.zeros(4000, int)).any()


def test_a_direction_through_noise_is_at_chance():
    random = np.random.default_rng(0)
    embeddings = random.standard_normal((400, 60))
    wrong = random.random(400) < 0.3
    found = failure_directions(embeddings, wrong * 1.0, np.zeros(400, int), wrong.astype(int))
    # Cross-validated: a plane that saw these examples would seem to separate them.
    assert abs(float(found.group_notes[0].split()[2]) - 0.5) < 0.08
    assert found.mean_losses[0] < 0.75


# --- error clusters and the hardest ---------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["kmeans", "agglomerative", "dbscan"])
def test_errors_that_lie_together_are_one_cluster(algorithm, given):
    found = error_clusters(**fields(given), algorithm=algorithm, n_groups=2)
    held = found.weights[0] == 1
    assert given["planted"][held].mean() > 0.95
    # Right examples at the same place belong to the group too.
    right = given["labels"] == given["predictions"]
    assert (held & right).any()


def test_hard_means_wrong_where_known_and_high_loss_elsewhere(given):
    assert "wrong ones" in error_clusters(**fields(given)).notes[0]
    plain = error_clusters(given["embeddings"], given["losses"])
    assert "120 with a loss above" in plain.notes[0]
    assert given["planted"][plain.members(0)].mean() > 0.95
    with pytest.raises(InputError, match="error_clusters needs labels"):
        error_clusters(given["embeddings"], given["losses"], of="wrong")
    with pytest.raises(InputError, match=r"quantile must be in \(0, 1\): got 1"):
        error_clusters(given["embeddings"], given["losses"], quantile=1)


def test_highest_loss_by_hand():
    losses = np.array([5.0, 1, 4, 9, 9, 2])
    found = highest_loss(np.eye(6), losses, [0, 0, 0, 1, 1, 1], size=2)
    assert found.names == ("all classes", "class 1", "class 0")
    np.testing.assert_array_equal(found.weights[0], [0, 0, 0, 1, 1, 0])
    np.testing.assert_array_equal(found.members(0), [3, 4])
    np.testing.assert_array_equal(found.members(1), [3])  # never more than half the class
    np.testing.assert_array_equal(found.members(2), [0])
    assert highest_loss(np.eye(6), losses, size=2).names == ("all classes",)
    with pytest.raises(InputError, match="examples below 6: got 6"):
        highest_loss(np.eye(6), losses, size=6)


# --- shared ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(300, 12), (40, 2100)])
def test_principal_axes_are_those_of_an_svd(shape):
    values = np.random.default_rng(0).standard_normal(shape) * np.linspace(3, 1, shape[1]) + 7
    centred = values - values.mean(axis=0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    made = principal_axes(values, 5).apply(values)
    expected = left[:, :5] * singular[:5]
    expected /= np.sqrt(np.square(expected).sum() / len(values))
    np.testing.assert_allclose(np.abs(made), np.abs(expected), atol=1e-6)


def test_pages_can_read_the_table_without_loading_any_method():
    code = (
        "import sys; from backend.slices import METHODS; from backend.slices.methods import Method;"
        "assert len(METHODS) == 5; "
        "print([m for m in ('sklearn', 'torch', 'umap', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_table_names_functions_that_say_what_they_do():
    import backend.slices as slices

    for method, row in METHODS.items():
        function = getattr(slices, row.function)
        assert function.__doc__ and "Returns" in function.__doc__, method
        assert row.definition.endswith(".")
    for name in slices.__all__:
        assert getattr(slices, name) is not None
