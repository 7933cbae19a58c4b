"""What a repair of a group buys: planted gains, no gain where there is none, splits, errors."""

import numpy as np
import pytest

from backend.core.errors import InputError, JobCancelled
from backend.repair import gain, repair_group, repair_verdict, repaired_outputs, vary_group
from backend.repair.asked import RepairCall
from backend.repair.tally import BEFORE, GROUP, RANDOM, REFIT, REST, TARGETED


def planted(n: int = 1500, size: int = 150, *, turned: bool = True, seed: int = 0):
    """A group whose label follows a rule of its own, which a head can learn when it counts more."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6)).astype(np.float32)
    inside = np.arange(n) < size
    x[inside, 5] += 3
    score = np.where(inside & turned, -x[:, 0], x[:, 0]) + 0.5 * rng.normal(size=n)
    y = (score > 0).astype(int)
    x[:, 4] = x[:, 0] * (x[:, 5] > 1.5)  # what the group's rule needs
    predictions = (x[:, 0] > 0).astype(int)
    return {"embeddings": x, "labels": y, "members": np.arange(size), "predictions": predictions}


FOUND = repair_group(**planted(), key="a", strengths=(0.5, 2.0), seeds=3)


def accuracy(found, arm, part=GROUP, strength=0.0):
    table = found.table.set_index(["arm", "strength", "part"])["accuracy"]
    return float(table[arm, strength, part])


def test_a_group_with_a_rule_of_its_own_gains():
    assert accuracy(FOUND, BEFORE) < 0.3 < accuracy(FOUND, TARGETED, strength=2.0)
    assert accuracy(FOUND, TARGETED, strength=2.0) > accuracy(FOUND, REFIT) + 0.05
    assert accuracy(FOUND, RANDOM, strength=2.0) < accuracy(FOUND, REFIT) + 0.02
    assert repair_verdict(FOUND, 2.0) == gain.HELPS
    own = FOUND.gains[(FOUND.gains["part"] == GROUP) & (FOUND.gains["against"] == REFIT)]
    assert (own["gain"] > 0.1).all() and (own["low"] < own["gain"]).all()
    ends = FOUND.table[["low", "high"]].to_numpy()
    assert ends.min() >= 0 and ends.max() <= 1
    assert FOUND.n_refit == 750 and FOUND.n_counted + FOUND.n_measured == 150
    assert abs(FOUND.n_counted - 75) < 3
    assert FOUND.n_balanced and set(FOUND.outcomes) == {"converged"}


def test_the_numbers_are_those_of_the_examples():
    right = FOUND.right[TARGETED, 2.0]
    inside = np.arange(1500) < 150
    assert 0.8 < np.isfinite(right).mean() < 1  # three halves leave an eighth unmeasured
    base = FOUND.right[REFIT, 0.0]
    change = (right - base)[inside & np.isfinite(right)]
    line = FOUND.gains[
        (FOUND.gains["strength"] == 2) & (FOUND.gains["part"] == GROUP)
        & (FOUND.gains["against"] == REFIT)
    ]  # fmt: skip
    assert line["gain"].item() == pytest.approx(change.mean())
    assert line["n"].item() == len(change)
    before = planted()
    wrong = before["predictions"] != before["labels"]
    known = np.isfinite(FOUND.right[BEFORE, 0.0])
    np.testing.assert_array_equal(FOUND.right[BEFORE, 0.0][known], ~wrong[known])


def test_the_same_asked_again_is_the_same_and_another_key_is_not():
    again = repair_group(**planted(), key="a", strengths=(0.5, 2.0), seeds=3)
    other = repair_group(**planted(), key="b", strengths=(0.5, 2.0), seeds=3)
    assert again.table.equals(FOUND.table) and again.gains.equals(FOUND.gains)
    assert not other.table.equals(FOUND.table)


def test_random_members_gain_nothing():
    asked = planted(turned=False)
    members = np.random.default_rng(1).permutation(1500)[:150]
    found = repair_group(**{**asked, "members": members}, strengths=(1.0,), seeds=3)
    assert repair_verdict(found, 1.0) in (gain.NOTHING, gain.NOT_MORE)
    own = found.gains[(found.gains["part"] == REST) & (found.gains["against"] == REFIT)]
    assert abs(own["gain"].item()) < 0.01


def test_rows_that_may_not_measure_never_do_and_near_duplicates_stay_together():
    asked = planted()
    measurable = np.arange(1500) % 3 == 0
    found = repair_group(**asked, measurable=measurable, strengths=(1.0,), seeds=2)
    seen = np.isfinite(found.right[REFIT, 0.0])
    assert seen.any() and not seen[~measurable].any()
    assert found.n_refit == 1250
    twins = np.arange(1500) // 2
    whole = RepairCall.of(
        *(asked[name] for name in ("embeddings", "labels", "members", "predictions")),
        None, None, twins, None,
    )  # fmt: skip
    measures = whole.split("x").reshape(-1, 2)
    assert (measures[:, 0] == measures[:, 1]).all() and 0.4 < measures.mean() < 0.6


def test_a_training_part_refits_and_the_group_is_put_beside_it():
    asked, train = planted(seed=1), planted(seed=2, size=0)
    given = (train["embeddings"], train["labels"])
    found = repair_group(**asked, train=given, strengths=(1.0,), seeds=2)
    assert found.n_refit == 1500 + found.n_counted and 70 < found.n_counted < 80
    assert accuracy(found, TARGETED, strength=1.0) > accuracy(found, REFIT) + 0.3
    with pytest.raises(InputError, match="train embeddings must have the dimensions"):
        repair_group(**asked, train=(given[0][:, :2], given[1]), seeds=2)


def test_the_worst_group_is_told_where_enough_is_measured():
    asked = planted()
    groups = np.where(np.arange(1500) < 150, 1, 0)
    found = repair_group(**asked, worst_of=groups, strengths=(1.0,), seeds=2)
    line = found.table[(found.table["arm"] == BEFORE) & (found.table["part"] == "worst class")]
    assert line["accuracy"].item() == pytest.approx(accuracy(found, BEFORE))
    assert line["n"].item() == 75


def test_progress_rises_and_can_stop_it():
    told = []
    repair_group(
        **planted(300, 60), strengths=(1.0,), seeds=2,
        progress=lambda share, message: told.append(share),
    )  # fmt: skip
    assert told == sorted(told) and told[-1] == 1 and len(told) > 20

    def stop(share, message):
        if share > 0.3:
            raise JobCancelled("stopped")

    with pytest.raises(JobCancelled):
        repair_group(**planted(300, 60), strengths=(1.0,), seeds=2, progress=stop)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"members": [0]}, "members on both sides, to refit and to measure: it has 1 of 1"),
        ({"members": []}, "members must be rows, each once"),
        ({"members": [3, 3]}, "each once"),
        ({"members": [9999]}, "rows from 0 to 1499: got 9999"),
        ({"measurable": np.arange(1500) > 1000}, "it has 0 kept aside of 150"),
        ({"labels": np.zeros(1500, int), "predictions": None}, "two classes or more"),
        ({"seeds": 1}, "two splits or more and strengths above 0: got 1"),
        ({"strengths": [0.0]}, r"strengths above 0: got 2 and \[0.0\]"),
        ({"strengths": [1.0, -0.5]}, r"strengths above 0: got 2 and \[1.0, -0.5\]"),
        ({"together": [1, 2]}, "together must be one per embedding"),
    ],
)
def test_errors(changed, message):
    with pytest.raises(InputError, match=message):
        repair_group(**{**planted(), "seeds": 2, **changed})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"strength": -0.5}, "strength must be 0 or more .* got -0.5 and 2"),
        ({"n_classes": 1}, "n_classes at least 2: got 1.0 and 1"),
        ({"members": [0]}, "members on both sides"),
    ],
)
def test_errors_of_repaired_outputs(changed, message):
    asked = {name: one for name, one in planted().items() if name != "predictions"}
    with pytest.raises(InputError, match=message):
        repaired_outputs(**{**asked, "strength": 1.0, "n_classes": 2, **changed})


def test_examples_from_elsewhere_or_made_from_the_group_count_in_its_place():
    asked, other = planted(), planted(seed=7)
    there = (other["embeddings"][:150], other["labels"][:150])
    found = repair_group(**asked, debug=there, strengths=(1.0,), seeds=2)
    assert accuracy(found, TARGETED, strength=1.0) > accuracy(found, REFIT)
    told = []

    def made(x, y, seed):
        told.append((len(y), seed))
        return vary_group(x, y, seed=seed)

    varied = repair_group(**asked, debug=made, strengths=(1.0,), seeds=2)
    assert [seed for _, seed in told] == [0, 1] and all(70 <= size <= 80 for size, _ in told)
    assert accuracy(varied, TARGETED, strength=1.0) > accuracy(varied, REFIT)
    for wrong, message in (
        ((there[0][:, :3], there[1]), "debug embeddings must have the dimensions .* got 3 and 6"),
        ((there[0], there[1] + 1), "debug labels must be below 2: got 2"),
        ((there[0], there[1][:4]), "debug labels must be one per embedding"),
    ):
        with pytest.raises(InputError, match=message):
            repair_group(**asked, debug=wrong, seeds=2)


def test_variations_have_the_mean_and_covariance_of_the_members():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, 9)) @ rng.normal(size=(9, 9))  # fewer members than dimensions
    made, labels = vary_group(x, [3] * 6, per_row=4000, seed=1)
    scale = np.abs(np.cov(x.T)).max()
    np.testing.assert_allclose(made.mean(0), x.mean(0), atol=0.05 * np.sqrt(scale))
    np.testing.assert_allclose(np.cov(made.T), np.cov(x.T), atol=0.05 * scale)
    assert set(labels) == {3}
    with pytest.raises(InputError, match="per_row must be 1 or more"):
        vary_group(x, [3] * 6, per_row=0)
