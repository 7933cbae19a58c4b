"""Region, Hypothesis, Test, nothing changed: there are always enough unused examples for an answer."""

from __future__ import annotations

import numpy as np
import pytest

from backend import report
from backend.bundle import import_bundle, read_bundle, write_bundle
from backend.core.effects import measure_effect
from backend.core.found import FoundRegion, one_region
from backend.core.parts import bundle_aside
from backend.core.progress import ignore_progress
from backend.demo import demo_path
from backend.report.confirmation import MIN_SIDE
from backend.rules.pieces import nearest_to
from backend.spotlight import find_spotlights, members, region_arrays, region_facts
from backend.store import Store
from backend.tasks import complete_options
from backend.tasks.regions import search_regions
from tests.bundles import planted

ANSWERS = {"supported", "contradicted", "not shown"}


def try_untouched(bundle, rows, record, store):
    """The verdict on the hypothesis that a region starts with, as it is."""
    source = record.to_source()
    start = report.suggest_hypothesis(bundle, source, rows, report.Origins(bundle, store))
    plan = report.plan_hypothesis(bundle, start.rule, used_rows=start.used)
    assert min(plan.n_matching, plan.n_other) >= MIN_SIDE and not plan.shortage
    verdict = report.test_hypothesis(bundle, start.rule, used_rows=start.used)
    assert (verdict.n_matching, verdict.n_other) == (plan.n_matching, plan.n_other)
    if record.method == "regions":
        assert verdict.n == bundle_aside(bundle).sum()
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
    options = complete_options("regions", {"n_regions": 3})
    found = search_regions(bundle, options, device="cpu", progress=ignore_progress)
    arrays, facts = region_arrays(found), region_facts(found, bundle.losses)
    verdicts = []
    for index, rows in enumerate(found.members):
        part = one_region(arrays, index)
        told = {"job": "job", "index": index, "method": "regions", "options": options}
        record = FoundRegion.from_result(part, facts[index], **told)
        assert record.effect.n == bundle_aside(bundle)[rows].sum()
        verdicts.append(try_untouched(bundle, rows, record, store))
    assert len(verdicts) >= 2 and verdicts[0].supported


def test_every_spotlight_of_a_planted_bundle_gets_an_answer(bundle, store):
    found = find_spotlights(bundle.embeddings, bundle.losses, size=0.05, n_spotlights=3, starts=4)
    for weights, total in zip(found.weights, found.total_weights, strict=True):
        record = FoundRegion(key="job:0", index=0, method="spotlights")
        try_untouched(bundle, members(weights, total), record, store)


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
    effect = measure_effect(rows, bundle_aside(demo), demo.losses)
    record = FoundRegion(key="job:0", index=0, labels=(label,), method="regions", effect=effect)
    try_untouched(demo, rows, record, store)
