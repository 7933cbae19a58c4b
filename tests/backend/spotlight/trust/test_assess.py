"""Is a region real? Paper examples, twins, planted truth, noise, and the cases that say nothing."""

import itertools
import json
import re
import time

import numpy as np
import pytest
import torch

from backend.core.errors import InputError, JobCancelled
from backend.core.progress import ignore_progress
from backend.core.statistics import UNDEFINED, Interval
from backend.spotlight import (
    assess_spotlight,
    assess_spotlights,
    find_spotlights,
    members,
    spotlight_objective,
)
from backend.spotlight.options import SearchOptions
from backend.spotlight.solver.rows import Rows
from backend.spotlight.trust.assess import _refit_rows, _shuffles
from backend.spotlight.trust.claim import MaxT, clip_losses, kernel_weights, max_t, split_halves
from backend.spotlight.trust.effort import SHUFFLED_S, search_cost
from backend.spotlight.trust.findings import format_p, write_sentence
from backend.spotlight.trust.halves import AssessCall
from backend.spotlight.trust.refits import SearchNull, match, search_null
from tests.benchmarks.assess_calibration import (
    NOISES,
    Case,
    assess_case,
    make_planted,
)

CHEAP = {"n_permutations": 0, "n_bootstrap": 0, "starts": 4, "device": "cpu"}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def planted():
    """1000 examples, the first 20 a cluster with doubled losses."""
    return make_planted(Case("", 0, 0.5, 0))


@pytest.fixture(scope="module")
def assessed(planted):
    embeddings, losses, _ = planted
    return assess_spotlights(
        embeddings,
        losses,
        n_spotlights=3,
        starts=4,
        n_permutations=39,
        n_bootstrap=4,
    )


# --- the claim ------------------------------------------------------------------------------------


def test_halves_are_balanced_within_labels():
    labels = np.repeat([0, 1, 2], [40, 7, 5])
    for seed in range(5):
        first = split_halves(52, labels, np.random.default_rng(seed))
        assert set(np.bincount(labels[first])[1:] - [3, 2]) <= {0, 1}
        assert first[:40].sum() == 20 and first.sum() == 26
    other = split_halves(52, None, np.random.default_rng(0))
    assert other.sum() == 26 and (other != first).any()


def exact_z(weights, losses, labels):
    """Twin: by listing every shuffle within labels."""
    places = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    sums = []
    for parts in itertools.product(*(itertools.permutations(place) for place in places)):
        shuffled = np.empty_like(losses)
        for place, part in zip(places, parts, strict=True):
            shuffled[place] = losses[list(part)]
        sums.append(weights @ shuffled)
    return (weights @ losses - np.mean(sums)) / np.std(sums)


@pytest.mark.parametrize("labels", [np.zeros(7, int), np.array([2, 0, 2, 0, 0, 2, 2])])
def test_z_is_exact(labels):
    random = np.random.default_rng(1)
    losses, weights = random.exponential(size=7), 0.5 + random.random(7) / 2
    got = max_t(
        weights[None],
        losses,
        labels,
        share=6 / 7,
        n_shuffles=2,
        generator=random,
        progress=ignore_progress,
    )
    heaviest = np.argsort(-weights)[:6]
    twins = [
        exact_z(k, reading, labels)
        for k in (weights, np.isin(np.arange(7), heaviest).astype(float))
        for reading in (losses, clip_losses(losses))
    ]
    assert got.z[0] == pytest.approx(max(twins), abs=1e-8)


def test_shuffles_stay_within_labels_and_the_null_is_the_maximum():
    random = np.random.default_rng(2)
    labels = np.repeat([0, 1], 30)
    losses = 5.0 * labels + random.random(60)
    weights = random.random((3, 60))
    # All weight on label 1: worse than everything, no worse than its label.
    weights[0] = labels
    options = {"share": 0.5, "n_shuffles": 199, "progress": ignore_progress}
    inside = max_t(weights, losses, labels, generator=np.random.default_rng(0), **options)
    everywhere = max_t(weights, losses, None, generator=np.random.default_rng(0), **options)
    assert inside.z[0] == 0 and inside.p[0] > 0.5
    assert everywhere.p[0] == 1 / 200
    alone = max_t(weights[:1], losses, None, generator=np.random.default_rng(0), **options)
    assert (everywhere.null >= alone.null).all() and (everywhere.null > alone.null).any()


def test_candidates_of_few_examples_are_left_out():
    weights = np.zeros((2, 50))
    weights[0, :3], weights[1, :5] = 1, 1
    losses = np.zeros(50)
    losses[:3] = 9
    got = max_t(
        weights,
        losses,
        None,
        share=0.1,
        n_shuffles=99,
        generator=np.random.default_rng(0),
        progress=ignore_progress,
    )
    assert got.z[0] == -np.inf and np.isnan(got.p[0]) and got.p[1] <= 0.05


def test_p_counts_ties():
    assert MaxT(np.array([2.0, -np.inf]), np.array([1.0, 2.0, 3.0])).p[0] == 3 / 4


def test_clipping_keeps_rare_errors():
    losses = np.zeros(100)
    losses[:3] = 1
    np.testing.assert_array_equal(clip_losses(losses) > 0, losses > 0)
    assert clip_losses(np.arange(100.0)).max() == pytest.approx(89.1)


@pytest.mark.parametrize("kernel", ["gaussian", "squared_distance"])
@pytest.mark.parametrize("kind", ["spherical", "diagonal", "full"])
def test_weights_elsewhere_are_those_of_the_objective(kernel, kind):
    random = np.random.default_rng(3)
    values = 100 + 5 * random.normal(size=(60, 3))
    centers = values[:2] + 0.1
    root = random.normal(size=(2, 3, 3)) / 10
    precisions = {
        "spherical": np.array([0.02, 0.1]),
        "diagonal": random.random((2, 3)) / 10,
        "full": root @ root.transpose(0, 2, 1),
    }[kind]
    got = kernel_weights(Rows.normalised(values, CPU), centers, precisions, kernel)
    for row, center, precision in zip(got, centers, precisions, strict=True):
        told = spotlight_objective(
            values, np.zeros(60), center, precision, min_weight=0, kernel=kernel
        )
        np.testing.assert_allclose(row, told.weights, atol=1e-9)


# --- refits ---------------------------------------------------------------------------------------


def test_counterparts_are_one_to_one_by_overlap():
    shown = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1.0]])
    found = np.array([[0, 1, 0.5, 0], [1, 1, 0, 0.0]])
    which, overlap = match(shown, found)
    np.testing.assert_array_equal(which, [1, 0, -1])
    np.testing.assert_allclose(overlap, [1, 1.5 / 2, 0])
    # Both want the same one; the better total decides.
    which, _ = match(np.array([[1, 1, 0.0], [1, 0, 0]]), np.array([[1, 1, 0.0], [0, 0, 1]]))
    np.testing.assert_array_equal(which, [0, 1])


def test_search_p_on_paper():
    null = SearchNull(np.array([1.0, 5.0, 2.0, 4.0]), limit=3)
    # 4.5 is beaten once; a later region counts as no better than those before it.
    np.testing.assert_allclose(null.p(np.array([4.5, 9.0, 4.0])), [2 / 5, 2 / 5, 3 / 5])
    # Third exceedance at the fourth shuffle: 3 / 4 (Besag and Clifford).
    np.testing.assert_allclose(null.p(np.array([1.5])), [3 / 4])
    assert np.isnan(SearchNull(np.empty(0), 3).p(np.array([1.0]))).all()


@pytest.mark.parametrize(("best", "made", "p"), [(-np.inf, 5, 1.0), (np.inf, 39, 1 / 40)])
def test_shuffled_searches_stop_when_nothing_can_come_of_them(best, made, p):
    random = np.random.default_rng(4)
    null = search_null(
        random.normal(size=(60, 2)),
        random.random(60),
        best,
        SearchOptions(size=10, starts=1),
        device=CPU,
        n_permutations=39,
        level=0.12,
        progress=ignore_progress,
    )
    assert len(null.maxima) == made and null.p(np.array([best]))[0] == p


# --- the whole ------------------------------------------------------------------------------------


def test_a_planted_region_is_real_and_its_numbers_are_near_the_truth(planted, assessed):
    embeddings, losses, rows = planted
    shown = find_spotlights(embeddings, losses, n_spotlights=3, starts=4)
    assert np.isin(rows, members(shown.weights[0], shown.total_weights[0])).mean() > 0.5
    first = assessed.regions[0]
    assert first.verdict == "real" and first.p_value <= first.p_adjusted <= 0.05
    assert first.search_p == 1 / 40 and first.p_claim <= 0.05
    # The better of two tests, paid for twice.
    assert first.p_value == 2 * min(first.search_p, first.p_claim)
    # Lower than in-sample, higher than base: at its own center the soft region reads as much.
    assert 1.15 < first.held_out_lift.low < first.held_out_lift.value
    assert first.held_out_lift.value < shown.weighted_losses[0] / losses.mean() + 0.2
    assert first.held_out_loss.value == pytest.approx(first.held_out_lift.value * losses.mean())
    assert min(first.overlaps) > 0.2 and 0.3 < first.stability.value <= 1
    assert re.fullmatch(
        r"held-out ×\d\.\d base \(\d\.\d–\d\.\d\), p (= \.\d+|< \.001) over 6 searched candidates",
        first.sentence,
    )
    assert [region.verdict for region in assessed.regions[1:]].count("real") == 0
    assert assessed.n_candidates == 6 and len(assessed) == 3


def test_results_can_be_stored(assessed):
    told = json.loads(json.dumps(assessed.to_dict(), allow_nan=False))
    assert told["regions"][0]["verdict"] == "real" and told["n_permutations"] == 39
    assert told["regions"][0]["p_within_labels"] is None
    shapes = {name: array.shape for name, array in assessed.arrays().items()}
    assert shapes == {
        "claim_z": (2, 3),
        "claim_null": (2, 999),
        "null_maxima": (39,),
        "stability_samples": (4, 3),
        "held_out_lifts": (3, 3),
    }


def test_one_region_is_that_of_the_list_and_found_ones_are_not_searched_again(planted):
    embeddings, losses, _ = planted
    listed = assess_spotlights(embeddings, losses, n_spotlights=2, **CHEAP)
    one = assess_spotlight(embeddings, losses, region=1, **CHEAP)
    assert one.to_dict() == listed.regions[1].to_dict()
    shown = find_spotlights(embeddings, losses, n_spotlights=2, starts=4)
    again = assess_spotlights(embeddings, losses, n_spotlights=2, found=shown, **CHEAP)
    assert again.to_dict() == listed.to_dict()


def test_noise_is_seldom_real():
    """Over 16 bundles of 8 kinds; 3 or more would come by chance in 4 % of correct programs."""
    seen = [
        assess_case(Case(list(NOISES)[seed % len(NOISES)], 1000 + seed, None, 0))
        for seed in range(16)
    ]
    assert sum(one.real for one in seen) <= 2
    finite = [one.list_lift for one in seen if one.kind != "normal"]
    assert 0.9 < np.mean(finite) < 1.1


def test_doubled_losses_are_mostly_found():
    seen = [assess_case(Case("spread 0.5", 1000 + seed, 0.5, 0)) for seed in range(8)]
    assert sum(one.found for one in seen) >= 6


def test_a_label_that_fails_as_a_whole_is_told_from_a_slice_inside_it():
    random = np.random.default_rng(5)
    labels = np.repeat(["cat", "dog", "owl"], 300)
    embeddings = random.normal(size=(900, 4)) + 6 * np.eye(3, 4)[np.repeat(range(3), 300)]
    losses = random.gamma(4, 0.25, 900)
    owls = losses + 3 * (labels == "owl")
    first = assess_spotlight(embeddings, owls, size=0.1, labels=labels, **CHEAP)
    assert first.verdict == "real" and first.class_level and first.p_within_labels > 0.05
    assert first.sentence.endswith("not shown to be worse than its labels are as a whole")

    embeddings[:30] += 4
    inside = owls + 6 * (np.arange(900) < 30)
    cats = assess_spotlight(embeddings, inside, size=0.03, labels=labels, **CHEAP)
    assert cats.verdict == "real" and not cats.class_level and cats.p_within_labels < 0.02


def test_the_whole_search_tells_what_the_halves_cannot():
    """Losses that spread little: a region of 12 is clear on all rows, its halves of 6 are not."""
    random = np.random.default_rng(3)
    embeddings, losses = random.normal(size=(240, 6)), random.gamma(16, 1 / 16, 240)
    embeddings[:12] = random.normal(size=6) + 0.3 * embeddings[:12]
    losses[:12] *= 1.25
    options = {"size": 0.05, "n_spotlights": 2, "starts": 4, "n_bootstrap": 0, "device": "cpu"}
    alone = assess_spotlights(embeddings, losses, n_permutations=0, **options)
    both = assess_spotlights(embeddings, losses, n_permutations=39, **options)
    assert alone.regions[0].verdict != "real" and alone.regions[0].p_value > 0.05
    first = both.regions[0]
    assert first.p_claim == alone.regions[0].p_value
    assert first.verdict == "real" and first.p_value == 2 * first.search_p <= 0.05


def test_equal_losses_are_no_finding():
    embeddings = np.random.default_rng(6).normal(size=(200, 3))
    said = assess_spotlights(embeddings, np.full(200, 0.1), size=0.1, n_spotlights=2, **CHEAP)
    assert [region.p_value for region in said.regions] == [1.0, 1.0]
    assert {region.verdict for region in said.regions} == {"not distinguishable from chance"}


def test_few_examples_say_nothing():
    random = np.random.default_rng(7)
    for n, size in [(12, 0.3), (200, 2)]:
        losses = random.exponential(size=n)
        said = assess_spotlights(
            random.normal(size=(n, 2)), losses, size=size, n_spotlights=1, **CHEAP
        )
        assert said.regions[0].verdict == "too small to tell"
        assert np.isnan([said.regions[0].p_value, said.regions[0].p_adjusted]).all()
        assert said.regions[0].sentence.startswith("too few examples")
        json.dumps(said.to_dict(), allow_nan=False)


def test_negative_losses_have_no_lift():
    random = np.random.default_rng(8)
    losses = random.normal(-3, 1, 300)
    first = assess_spotlight(random.normal(size=(300, 2)), losses, size=0.1, **CHEAP)
    assert np.isnan(first.held_out_lift.value) and np.isfinite(first.held_out_loss.value)
    assert first.sentence.startswith("held-out loss -")


def test_a_slow_machine_gives_the_same_p(planted, monkeypatch):
    embeddings, losses, _ = planted
    options = {"n_spotlights": 1, "starts": 2, "n_permutations": 5, "n_bootstrap": 2}
    quick = assess_spotlights(embeddings, losses, **options)
    hours = itertools.count(0, 3600)
    for clock in ("monotonic", "perf_counter", "time"):
        monkeypatch.setattr(time, clock, lambda: float(next(hours)))
    slow = assess_spotlights(embeddings, losses, **options)
    assert slow.to_dict() == quick.to_dict()
    np.testing.assert_array_equal(slow.null_maxima, quick.null_maxima)
    assert len(slow.null_maxima) == 5 and len(slow.stability_samples) == 2


@pytest.mark.parametrize(
    ("rows", "d", "precision", "made"),
    [
        (10_000, 64, "spherical", 199),
        (50_000, 512, "spherical", 154),
        (50_000, 4096, "spherical", 68),
        (50_000, 32, "diagonal", 91),
        (50_000, 512, "diagonal", 0),
        (500, 4, "full", 59),
        (50_000, 64, "full", 0),
    ],
)
def test_how_much_is_searched_again_is_a_matter_of_size(rows, d, precision, made):
    shape = np.broadcast_to(np.float32(0), (rows, d))
    refit = SearchOptions(precision=precision)
    call = AssessCall(shape, np.zeros(rows), None, refit, CPU, 0.05, ignore_progress)
    drawn = len(_refit_rows(call))
    cost = search_cost(drawn, d, refit)
    notes: list[str] = []
    assert _shuffles(199, cost, 0.05, notes) == made
    assert len(notes) == (made < 199)
    assert cost * made <= SHUFFLED_S
    # What is asked for and cheap enough is made, even where p cannot become small.
    assert _shuffles(2, 1.0, 0.05, notes) == 2


def test_refits_that_cost_too_much_are_left_out_and_told(planted):
    embeddings, losses, _ = planted
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("backend.spotlight.trust.assess.search_cost", lambda *given: 5.0)
        said = assess_spotlights(embeddings, losses, n_spotlights=1, starts=4)
    assert said.regions[0].verdict == "real" and np.isnan(said.regions[0].search_p)
    assert said.regions[0].p_value == said.regions[0].p_claim  # one test, paid for once
    assert "too few shuffled searches to say anything: none is made" in said.note
    assert "allows 3 of 20 bootstrap refits" in said.note and len(said.stability_samples) == 3


def test_what_is_searched_otherwise_is_told():
    random = np.random.default_rng(9)
    embeddings, losses = random.normal(size=(150, 4)), random.random(150)
    said = assess_spotlights(embeddings, losses, size=30, n_spotlights=1, precision="full", **CHEAP)
    assert "too small for a full precision" in said.note
    assert said.regions[0].verdict == "too small to tell"
    large = random.normal(size=(10_000, 2))
    said = assess_spotlights(
        large, random.random(10_000), n_spotlights=1, **{**CHEAP, "n_permutations": 1}
    )
    assert "used 4096 of 10000 rows" in said.note


def test_the_claim_comes_early_and_progress_never_falls(planted):
    embeddings, losses, _ = planted
    events = []
    said = assess_spotlights(
        embeddings,
        losses,
        n_spotlights=2,
        starts=2,
        n_permutations=3,
        n_bootstrap=2,
        progress=lambda fraction, message: events.append((fraction, message)),
        early=lambda assessment: events.append(assessment),
    )
    at = [i for i, event in enumerate(events) if not isinstance(event, tuple)]
    first, second = (events[i] for i in at)
    events = [event for event in events if isinstance(event, tuple)]
    assert first.pending and np.isnan(first.regions[0].search_p) and first.null_maxima.size == 0
    assert first.regions[0].p_value == min(1, 2 * first.regions[0].p_claim)
    assert first.regions[0].verdict == "real" or first.regions[0].sentence.endswith("so far")
    assert not second.pending and len(second.null_maxima) == 3
    assert [r.p_value for r in second.regions] == [r.p_value for r in said.regions]
    assert np.isnan(second.regions[0].stability.value)
    fractions = [fraction for fraction, _ in events]
    assert fractions == sorted(fractions) and fractions[-1] == 1
    told = " ".join(message for _, message in events)
    for part in ("half 2 of 2", "shuffles of held-out", "shuffled losses, 3", "resampled"):
        assert part in told


@pytest.mark.parametrize("word", ["half 1", "shuffles of held-out", "shuffled losses", "resampled"])
def test_it_can_be_stopped_anywhere(planted, word):
    def stop(fraction, message):
        if word in message:
            raise JobCancelled()

    with pytest.raises(JobCancelled):
        assess_spotlights(
            *planted[:2],
            n_spotlights=1,
            starts=2,
            n_permutations=1,
            n_bootstrap=1,
            progress=stop,
        )


def test_sentences():
    assert [format_p(p) for p in (0.0004, 0.005, 0.05, 0.62, 1.0)] == [
        "< .001",
        "= .005",
        "= .050",
        "= .62",
        "= 1",
    ]
    sentence = write_sentence(
        loss=Interval(54, 41, 68),
        lift=Interval(5.4, 4.1, 6.8),
        base=10,
        p=0.005,
        n_candidates=40,
        verdict="real",
        class_level=False,
        found_again=True,
    )
    assert sentence == "held-out ×5.4 base (4.1–6.8), p = .005 over 40 searched candidates"
    lost = {
        "loss": UNDEFINED,
        "lift": UNDEFINED,
        "base": 10,
        "n_candidates": 40,
        "class_level": False,
        "found_again": False,
    }
    sentence = write_sentence(p=0.01, verdict="real", **lost)
    assert sentence.startswith("p = .010 against the same search on shuffled losses; each half")
    sentence = write_sentence(
        p=0.3, verdict="not distinguishable from chance", pending=True, **lost
    )
    assert sentence.endswith("not distinguishable from chance so far")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"labels": [1, 2]}, r"labels must be one per embedding: got shape \(2,\) for 30"),
        ({"n_permutations": -1}, "n_permutations must be a whole number of at least 0: got -1"),
        ({"n_bootstrap": 1.5}, "n_bootstrap must be a whole number"),
        ({"level": 0}, r"level must be in \(0, 1\): got 0"),
        ({"size": 30}, "size must be a share"),
    ],
)
def test_what_cannot_be_used_is_refused(options, text):
    random = np.random.default_rng(10)
    with pytest.raises(InputError, match=text):
        assess_spotlights(random.normal(size=(30, 2)), random.random(30), **options)


def test_regions_of_other_data_are_refused(planted):
    embeddings, losses, _ = planted
    shown = find_spotlights(embeddings, losses, n_spotlights=1, starts=2)
    with pytest.raises(InputError, match=r"found must hold 1 regions of 999 examples"):
        assess_spotlights(embeddings[1:], losses[1:], n_spotlights=1, found=shown, **CHEAP)
    with pytest.raises(InputError, match="region must be from 0 to 1: got 2"):
        assess_spotlight(embeddings, losses, region=2, n_spotlights=2)
