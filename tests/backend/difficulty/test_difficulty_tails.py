"""Two long tails: by hand, against slow twins, planted subsets, and errors."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score

from backend.core.errors import InputError
from backend.difficulty import long_tails
from backend.difficulty.tails import average_precision


def test_worked_by_hand():
    msp = {
        "none": [[0.0, 0.2, 0.4], [0.5, 0.5, 0.5], [0.9, 0.3, 0.3]],
        "targeted": [[0.0, 0.5, 1.0], [0.5, 0.5, 0.5], [0.9, 0.3, 0.0]],
    }
    right = {
        "none": [[False, False, True], [False, True, True], [True, False, False]],
        "targeted": [[True, True, True], [True, False, True], [False, False, False]],
    }
    right = {name: np.array(rows) for name, rows in right.items()}
    found = long_tails(msp, correct=right, share=0.4)
    assert found.variants == ("none", "targeted")
    assert found.auc.tolist() == [pytest.approx([0.2, 0.5, 0.5]), pytest.approx([0.5, 0.5, 0.4])]
    assert found.slope[0].tolist() == pytest.approx([0.2, 0, -0.3])
    assert found.gain.tolist() == pytest.approx([0.3, 0, -0.1])
    assert found.recovery[0].tolist() == pytest.approx([2, 1, np.nan], nan_ok=True)
    assert found.recovery[1].tolist() == pytest.approx([0, 2, np.nan], nan_ok=True)
    assert found.candidates.tolist() == [False, False, True]
    assert (found.reference, found.epoch) == ("none", 2)
    assert long_tails(msp, epoch=0).candidates.tolist() == [True, False, False]


@pytest.mark.parametrize("seed", range(3))
def test_curves_and_separation_agree_with_their_twins(seed):
    rng = np.random.default_rng(seed)
    msp = {name: rng.integers(0, 6, (40, 3)) / 5 for name in ("none", "standard")}  # tied ranks
    known = {"noisy": rng.random(40) < 0.2, "atypical": rng.random(40) < 0.3}
    found = long_tails(msp, known=known)
    rows = iter(found.curves.to_dict("records"))
    for variant, own in msp.items():
        for epoch in range(3):
            ranks = (stats.rankdata(own[:, epoch]) - 1) / 39
            for subset, mask in ({"all": np.ones(40, bool)} | known).items():
                row = next(rows)
                assert (row["variant"], row["epoch"], row["subset"]) == (variant, epoch, subset)
                assert row["n"] == mask.sum()
                assert row["mean_msp"] == pytest.approx(own[mask, epoch].mean(), abs=1e-9)
                assert row["mean_rank"] == pytest.approx(ranks[mask].mean(), abs=1e-9)
    assert len(found.separation) == 2 * 2 * 3
    for row in found.separation.to_dict("records"):
        mask, own = known[row["subset"]], msp[row["variant"]][:, row["epoch"]]
        assert row["precision"] == pytest.approx(average_precision_score(mask, -own), abs=1e-9)
        assert row["prevalence"] == mask.mean()


@pytest.mark.parametrize("seed", range(3))
def test_slopes_agree_with_polyfit(seed):
    values = np.random.default_rng(seed).random((20, 7))
    found = long_tails({"only": values})
    assert np.allclose(found.slope[0], np.polyfit(np.arange(7), values.T, 1)[0])
    assert found.reference == "only"
    assert found.gain is None
    assert found.recovery is None
    assert len(found.separation) == 0


def test_planted_noise_stays_unsure_and_rare_examples_gain():
    rng = np.random.default_rng(0)
    time = np.linspace(0, 1, 10)
    noisy, rare = np.arange(500) < 50, (np.arange(500) >= 50) & (np.arange(500) < 100)
    ceiling = np.where(noisy, 0.15, np.where(rare, 0.3, 0.9))
    helped = np.where(rare, 0.8, ceiling)
    msp = {
        name: np.clip(own[:, None] * time + rng.normal(0, 0.03, (500, 10)), 0, 1)
        for name, own in (("none", ceiling), ("targeted", helped))
    }
    found = long_tails(msp, known={"noisy": noisy, "rare": rare})
    assert found.candidates.sum() == 100
    assert found.candidates[:100].mean() > 0.95
    assert found.gain[rare].min() > found.gain[noisy].max()
    last = found.separation[found.separation["epoch"] == 9].set_index(["subset", "variant"])
    assert last.loc[("noisy", "none"), "precision"] > 0.95
    assert last.loc[("rare", "none"), "precision"] < 0.5


def test_undefined_by_rule():
    found = long_tails({"none": [[0.5]]}, known={"nobody": np.array([False])})
    assert np.isnan(found.slope).all()
    assert found.candidates.tolist() == [True]
    assert found.separation["precision"].isna().all()
    assert np.isnan(average_precision(np.ones(3), np.zeros(3, bool)))


@pytest.mark.parametrize(
    ("msp", "options", "message"),
    [
        ({}, {}, "at least one training variant"),
        ({"a": [[1.2]]}, {}, r"msp 'a' must lie in \[0, 1\]: row 0"),
        ({"a": [[0.5]], "b": [[0.5, 0.5]]}, {}, r"got \(1, 2\) and \(1, 1\)"),
        ({"a": [0.5]}, {}, r"non-empty \(n, d\) array"),
        ({"a": [[0.5]]}, {"known": {"x": [1]}}, "known subset 'x' must be booleans"),
        ({"a": [[0.5]]}, {"correct": {"b": [[True]]}}, "'a' is missing"),
        (
            {"a": [[0.5]]},
            {"correct": {"a": [[1]]}},
            r"correct 'a' must be booleans of shape \(1, 1\)",
        ),
        ({"a": [[0.5]]}, {"epoch": 1}, "one of the 1 recorded: got 1"),
        ({"a": [[0.5]]}, {"share": 0}, r"share must be in \(0, 1\]"),
    ],
)
def test_errors(msp, options, message):
    with pytest.raises(InputError, match=message):
        long_tails(msp, **options)
