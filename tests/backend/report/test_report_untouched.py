"""Region, Hypothesis, Test, nothing changed: there are always enough unused examples for an answer."""

from __future__ import annotations

import numpy as np
import pytest

from backend import report
from backend.bundle import import_bundle, read_bundle, write_bundle
from backend.core.effects import measure_effect
from backend.core.found import FoundRegion
from backend.core.parts import bundle_aside
from backend.demo import demo_path
from backend.report.confirmation import MIN_SIDE
from backend.rules.evaluate import nearest_to
from backend.spotlight import find_regions, find_spotlights, members
from backend.store import Store
from tests.bundles import planted

ANSWERS = {"supported", "contradicted", "not shown"}


def try_untouched(bundle, rows, store, *, method="regions", labels=()):
    """The verdict on the hypothesis that a region starts with, as it is."""
    aside = bundle_aside(bundle)
    effect = measure_effect(rows, aside, bundle.losses) if method == "regions" else None
    record = FoundRegion(
        key="job:0", index=0, number=1, labels=labels, method=method, version=8, effect=effect
    )
    source = record.to_source()
    start = report.suggest_hypothesis(bundle, source, rows, report.Origins(bundle, store))
    plan = report.plan_hypothesis(bundle, start.rule, used_rows=start.used)
    assert min(plan.n_matching, plan.n_other) >= MIN_SIDE and not plan.shortage
    verdict = report.test_hypothesis(bundle, start.rule, used_rows=start.used)
    assert (verdict.n_matching, verdict.n_other) == (plan.n_matching, plan.n_other)
    if method == "regions":
        assert verdict.n == aside.sum()
    assert verdict.verdict in ANSWERS, verdict.reason
    return verdict


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.delenv("ERRORSCOPE_DATABASE", raising=False)
    return Store(home=tmp_path)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    fields = planted(1200, share=0.15)
    fields.pop("planted")
    return read_bundle(write_bundle(tmp_path_factory.mktemp("untouched") / "run.npz", **fields))


def test_every_region_of_a_planted_bundle_gets_an_answer(bundle, store):
    names = bundle.label_names
    found = find_regions(bundle.embeddings, bundle.losses, labels=names, device="cpu")
    assert len(found.members) >= 3
    verdicts = [
        try_untouched(bundle, rows, store, labels=tuple(map(str, labels)))
        for rows, labels in zip(found.members, found.scope_labels, strict=True)
    ]
    assert verdicts[0].supported


def test_every_spotlight_of_a_planted_bundle_gets_an_answer(bundle, store):
    found = find_spotlights(bundle.embeddings, bundle.losses, size=0.05, n_spotlights=3, starts=4)
    for weights, total in zip(found.weights, found.total_weights, strict=True):
        try_untouched(bundle, members(weights, total), store, method="spotlights")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return import_bundle(demo_path(), home=tmp_path_factory.mktemp("demo"))


@pytest.mark.parametrize(
    ("label", "size"),
    [("Shirt", 200), ("Coat", 100), ("Pullover", 100), ("Ankle boot", 50), ("T-shirt/top", 30)],
)
def test_a_corner_of_a_label_of_the_demo_gets_an_answer(demo, store, label, size):
    """What a search finds there, without the search: the surroundings of the worst that found it."""
    mine = np.flatnonzero(demo.label_names == label)
    finding = mine[~bundle_aside(demo)[mine]]
    worst = finding[np.argsort(-demo.losses[finding])[:1]]
    rows = nearest_to(demo, worst, mine)[:size]
    try_untouched(demo, rows, store, labels=(label,))
