"""Questions by name: what they need, what they refuse, and which examples count as changed."""

from __future__ import annotations

import numpy as np
import pytest

from backend.core.errors import InputError
from backend.core.progress import ignore_progress
from backend.populations import (
    OWN,
    Evaluation,
    answer,
    cie_mask,
    disaggregate,
    make_ensemble,
    select_pies,
    taxicab,
)

RNG = np.random.default_rng(11)
TRUTH = RNG.integers(0, 3, 200)
BEFORE = np.where(RNG.random((5, 200)) < 0.9, TRUTH, 0)
AFTER = np.where(RNG.random((5, 200)) < 0.6, TRUTH, 1)
NAMES = ("cat", "dog", "cow")
PLACE = np.where(RNG.random(200) < 0.4, "far", "near")


def evaluation(**given) -> Evaluation:
    labels = np.asarray(NAMES, dtype=object)[TRUTH]
    held = {
        "ensemble": make_ensemble({"baseline": BEFORE, "pruned": AFTER}, TRUTH, NAMES),
        "labels": labels,
        "predictions": np.asarray(NAMES, dtype=object)[BEFORE[0]],
        "losses": RNG.random(200),
        "attributes": {"place": PLACE},
    }
    return Evaluation(**{**held, **given})


def test_modal_examples_are_the_pies():
    assert (cie_mask(BEFORE, AFTER) == select_pies(BEFORE, AFTER).mask).all()


def test_taxicab_examples_are_the_most_divergent():
    mask = cie_mask(BEFORE, AFTER, kind="taxicab", share=0.1)
    distance = taxicab(BEFORE, AFTER)
    assert mask.sum() == 20
    assert distance[mask].min() >= distance[~mask].max()
    assert not cie_mask(BEFORE, BEFORE, kind="taxicab", share=0.1).any()
    with pytest.raises(InputError, match="share must be in"):
        cie_mask(BEFORE, AFTER, kind="taxicab", share=0.0)


def test_subgroups_take_the_positive_class_by_name():
    options = {
        "baseline": "baseline", "compressed": "pruned", "attributes": ["place"],
        "positive": "cow", "order": 1,
    }  # fmt: skip
    found = answer("subgroups", evaluation(), options).tables["subgroups"]
    twin = disaggregate(BEFORE, AFTER, TRUTH, {"place": PLACE}, positive=2, order=1)
    assert found["baseline"].to_numpy() == pytest.approx(twin["baseline"].to_numpy(), nan_ok=True)
    with pytest.raises(InputError, match="positive must be one of the classes"):
        answer("subgroups", evaluation(), {**options, "positive": "horse"})


def test_gaps_leave_out_rates_out_of_a_handful():
    place = np.where(np.arange(200) < 40, "few", "many")
    labels = np.where(np.arange(200) % 40 == 0, "cat", "dog").astype(object)  # 1 cat of 40 is few
    said = np.full(200, "dog", dtype=object)
    data = evaluation(labels=labels, predictions=said, attributes={"place": place})
    options = {
        "mode": "generic", "source": OWN, "model": 0, "positive": "cat",
        "attributes": ["place"], "order": 1, "min_n": 30,
    }  # fmt: skip
    gaps = answer("audit", data, options).tables["gaps"].set_index("metric")
    assert gaps.loc["fnr", "n_groups"] == 0  # 1 and 4 cats
    assert gaps.loc["error", "n_groups"] == 2


def test_overlap_counts_failures_per_example():
    found = answer("overlap", evaluation(), {"populations": []})
    wrong = np.concatenate([BEFORE != TRUTH, AFTER != TRUTH])
    assert (found.arrays["n_failing"] == wrong.sum(0)).all()
    assert found.arrays["iou"].shape == (10, 10)
    assert found.tables["models"]["n_failed"].tolist() == wrong.sum(1).tolist()
    assert len(found.tables["families"]) == 3


@pytest.mark.parametrize("what", ["compare", "classes", "overlap", "robustness"])
def test_without_populations_it_is_said(what):
    options = {
        "baseline": "a", "compressed": "b", "tie": "largest", "populations": [], "attributes": [],
        "tags": {}, "min_n": 30,
    }  # fmt: skip
    with pytest.raises(InputError, match="needs populations"):
        answer(what, evaluation(ensemble=None), options)


def test_unknown_questions_and_populations_are_refused():
    with pytest.raises(InputError, match="what must be one of"):
        answer("weather", evaluation(), {})
    with pytest.raises(InputError, match="compressed must be one of"):
        answer(
            "classes", evaluation(), {"baseline": "baseline", "compressed": "x"}, ignore_progress
        )


def test_tests_of_a_number_stand_in_its_order():
    width = np.array(["10–20", "5–10", "0.5–5", "unknown"], dtype=object)[np.arange(200) % 4]
    given = evaluation(attributes={"width": width})
    options = {"population": "pruned", "attributes": ["width"], "tags": {}, "min_n": 1}
    assert list(answer("tests", given, options).tables["metrics"])[1:] == [
        "width=0.5–5", "width=5–10", "width=10–20", "width=unknown",
    ]  # fmt: skip
