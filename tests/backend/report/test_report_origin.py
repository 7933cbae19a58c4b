"""What a hypothesis was read from: the rows set aside, the rule it starts with, circular ones."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from backend import report
from backend.bundle import read_bundle, write_bundle
from backend.core.effects import measure_effect
from backend.core.found import FoundRegion, short
from backend.core.parts import bundle_aside
from backend.report.suggest import ANCHORS, SURROUNDINGS, UNUSED
from backend.rules import Budget, here, keep_pieces, left_to_worker, pieces
from backend.store import Store
from backend.tasks.methods import group_source
from backend.views import Query, View

N = 900
CLASSES = ["Bag", "Coat", "Shirt"]


def fields(losses=None):
    """Three labels on three islands; the first hundred Shirts are a hard corner of theirs."""
    random = np.random.default_rng(4)
    labels = np.repeat([0, 1, 2], N // 3)
    embeddings = random.normal(size=(N, 4)) + 9 * np.eye(3, 4)[labels]
    hard = np.zeros(N, dtype=bool)
    hard[600:700] = True
    embeddings[hard] += 3.0
    examples = pd.DataFrame(
        {
            "id": [f"e{row}" for row in range(N)],
            "width": np.arange(N) % 50,
            "pair": [f"pair {row // 2}" for row in range(N)],
        }
    )
    made = random.gamma(2.0, 0.2, N) + 1.5 * hard if losses is None else losses
    predictions = np.where(np.arange(N) % 9 == 0, (labels + 1) % 3, labels)
    return {
        "embeddings": embeddings.astype(np.float32),
        "losses": made,
        "labels": labels,
        "predictions": predictions,
        "classes": CLASSES,
        "examples": examples,
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("origins")


@pytest.fixture(scope="module")
def bundle(folder):
    return read_bundle(write_bundle(folder / "run.npz", **fields()))


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.delenv("ERRORSCOPE_DATABASE", raising=False)
    return Store(home=tmp_path)


@pytest.fixture
def origins(bundle, store):
    return report.Origins(bundle, store)


HARD = np.arange(600, 700)


def region(bundle, rows=HARD, *, method="regions", effect=True, groups=None, **more):
    """The source of a region as a search and the page make it."""
    aside = bundle_aside(bundle, groups)
    record = FoundRegion(
        key="job:0",
        index=0,
        number=1,
        name="corner of Shirt",
        labels=("Shirt",),
        method=method,
        version=8 if effect else 7,
        options={"seed": 0, "groups": groups},
        center=np.asarray(bundle.embeddings[rows], dtype=float).mean(axis=0),
        precision=np.asarray(1.0),
        effect=measure_effect(rows, aside, bundle.losses) if effect else None,
        more=more,
    )
    return json.loads(json.dumps(record.to_source()))


def mask_of(rows):
    mask = np.zeros(N, dtype=bool)
    mask[rows] = True
    return mask


def same(found, expected):
    if expected is None:
        return found is None
    return found is not None and np.array_equal(found, expected)


# Which rows were used


def test_a_region_leaves_the_rows_kept_aside_from_its_search(bundle, origins):
    source = region(bundle)
    aside = bundle_aside(bundle)
    assert 0 < aside[HARD].sum() < len(HARD)
    assert same(origins.rows_used(source, HARD), ~aside)
    for kind in ("picked", "keyboard", "members with", "group"):
        inner = {"kind": kind, "from": source}
        assert same(origins.rows_used(inner, HARD[:3]), ~aside)
        assert same(origins.rows_used({"kind": "keyboard", "from": inner}, HARD[:3]), ~aside)


def test_groups_of_the_search_stay_on_one_side(bundle, origins):
    source = region(bundle, groups="pair")
    used = origins.rows_used(source, HARD)
    assert same(used, ~bundle_aside(bundle, "pair"))
    assert (used[::2] == used[1::2]).all()
    assert report.suggest_hypothesis(bundle, source, HARD, origins).groups == "pair"
    gone = region(bundle) | {"options": {"groups": "column of another bundle"}}
    assert report.suggest_hypothesis(bundle, gone, HARD, origins).groups is None


@pytest.mark.parametrize(
    ("method", "effect"), [("spotlights", False), ("spotlights", True), ("regions", False)]
)
def test_where_no_row_was_kept_aside_the_members_are_used(bundle, origins, method, effect):
    source = region(bundle, method=method, effect=effect)
    assert same(origins.rows_used(source, HARD), mask_of(HARD))


def test_a_look_at_losses_uses_up_what_it_left(bundle, origins):
    within = [{"what": {"rule": "loss > 1"}, "on": True}]
    some = HARD[bundle.losses[HARD] > 1]
    used = origins.rows_used(region(bundle, within=within), some)
    assert same(used, ~bundle_aside(bundle) | mask_of(some))
    harmless = [{"what": {"rule": "width > 1"}, "on": True}]
    assert same(origins.rows_used(region(bundle, within=harmless), some), ~bundle_aside(bundle))


def method(name, **more):
    """The source of a group of a comparison, as the page makes it."""
    meta = {
        "version": 4,
        "options": {"regions": {"groups": None}},
        "methods": {name: {"parameters": {}}},
    }
    return group_source(meta, name) | {"index": 0, "name": "group 0"} | more


FINDERS, MEMBERS, NOBODY = "all but those kept aside", "the members", "a random half is set aside"


@pytest.mark.parametrize(
    ("source", "used", "circular"),
    [
        (None, NOBODY, False),
        ({"kind": "keyboard"}, NOBODY, False),
        ({"kind": "random", "seed": 0}, NOBODY, False),
        ({"kind": "rule", "rule": "width < 9"}, NOBODY, False),
        ({"kind": "filter", "rules": [{"what": {"rule": "width < 9"}}]}, NOBODY, False),
        ({"kind": "filter", "rules": [{"what": {"rule": "correct = no"}}]}, MEMBERS, True),
        ({"kind": "filter", "rules": [{"what": {"rule": "prediction = Bag"}}]}, MEMBERS, False),
        ({"kind": "selection", "filters": [], "steps": [{"what": "lasso"}]}, NOBODY, False),
        ({"kind": "selection", "filters": [{"what": {"rule": "loss > 1"}}]}, MEMBERS, True),
        ({"kind": "subgroup", "attributes": ["width"]}, NOBODY, False),
        ({"kind": "high loss", "quantile": 0.9}, MEMBERS, True),
        ({"kind": "pie"}, MEMBERS, False),
        ({"kind": "review", "of": "random"}, MEMBERS, False),
        ({"kind": "tag", "tag": "nobody's"}, NOBODY, False),
        (region, FINDERS, False),
        (lambda bundle: short(region(bundle)), FINDERS, False),  # as a key stores it
        (lambda bundle: {"kind": "picked", "from": region(bundle)}, FINDERS, False),
        (lambda bundle: region(bundle, method="spotlights"), MEMBERS, False),
        ({"kind": "region", "center": "nowhere", "precision": 1}, MEMBERS, False),
        (method("george"), FINDERS, False),
        (method("directions"), FINDERS, False),
        (method("error_clusters"), FINDERS, False),
        (method("regions"), FINDERS, False),
        (method("mixture"), FINDERS, True),  # who is in it is said by label and answer
        (method("spotlights"), MEMBERS, False),
        (method("highest_loss"), MEMBERS, True),
        (short(method("george")), FINDERS, False),
        ({"kind": "keyboard", "from": short(method("george"))}, FINDERS, False),
        (method("george", within=[{"what": {"rule": "loss > 1"}}]), "both", True),
        ({"kind": "method", "method": "george"}, MEMBERS, False),  # of before it was recorded
        ({"kind": "of a later version"}, MEMBERS, False),
    ],
)
def test_what_every_kind_of_group_leaves_to_test_on(bundle, store, origins, source, used, circular):
    """Which rows a group uses up, in a hypothesis from it and in one of its tag, and which turn."""
    source = source(bundle) if callable(source) else source
    rows = np.arange(600, 620)
    aside = bundle_aside(bundle)
    expected = {
        FINDERS: ~aside,
        MEMBERS: mask_of(rows),
        NOBODY: None,
        "both": ~aside | mask_of(rows),
    }[used]
    assert same(origins.rows_used(source, rows), expected)
    store.tag(bundle, bundle.ids[rows].tolist(), "mine", source=source)
    plan = report.plan_hypothesis(
        bundle,
        'tagged "mine"',
        tags=store.tags(bundle),
        origins=report.Origins(bundle, store),
    )
    assert plan.halved == (expected is None)
    assert expected is None or np.array_equal(plan.used, expected)
    assert bool(plan.reliance.circular) == circular


def test_a_group_of_another_method_is_tested_on_rows_kept_aside(bundle, origins):
    """Its rule comes from the members that found it, and reaches as many as it has."""
    aside = bundle_aside(bundle)
    start = report.suggest_hypothesis(bundle, method("mixture"), HARD, origins)
    assert same(start.used, ~aside)
    finders = HARD[~aside[HARD]]
    again = report.suggest_hypothesis(
        bundle, method("mixture"), np.concatenate([finders, np.arange(40)[aside[:40]]]), origins
    )
    assert again.rule == start.rule
    verdict = report.test_hypothesis(bundle, start.rule, used_rows=start.used)
    assert verdict.n == aside.sum()


def test_the_origin_of_a_tag_is_that_of_the_examples_that_carry_it(bundle, store):
    ids = bundle.ids.tolist()
    spot = region(bundle, method="spotlights", effect=False)
    store.tag(bundle, ids[600:640], "spot", source=spot)
    store.tag(bundle, ids[:9], "spot", source={"kind": "selection", "steps": []})
    store.untag(bundle, ids[600:610], "spot")
    store.tag(bundle, ids[600:602], "region", source={"kind": "keyboard", "from": region(bundle)})
    store.tag(bundle, ids[602:604], "region", source={"kind": "keyboard", "from": region(bundle)})
    store.tag(bundle, ids[5:9], "second", source={"kind": "rule", "rule": "tagged spot"})
    store.tag(bundle, ids[5:9], "free")
    store.tag(bundle, ids[5:9], "loop", source={"kind": "tag", "tag": "loop"})
    found = report.Origins(bundle, store)
    assert same(found.of("spot").used, mask_of(range(610, 640)))
    assert len(found.of("region").sources) == 1
    assert same(found.of("region").used, ~bundle_aside(bundle))
    assert same(found.of("second").used, mask_of(range(610, 640)))
    for tag in ("free", "loop", "nobody's"):
        assert found.of(tag).used is None
    assert same(found.of_regions(), mask_of(range(610, 640)))


# The test


def test_only_kept_aside_rows_say_whether_a_region_is_hard(bundle, folder, store, origins):
    """Other losses of the rows that found it change nothing, bit for bit; those kept aside do."""
    source, aside = region(bundle), bundle_aside(bundle)
    losses = np.where(aside, bundle.losses, bundle.losses[::-1] * 7)
    other = read_bundle(write_bundle(folder / "other.npz", **fields(losses)))
    start = report.suggest_hypothesis(bundle, source, HARD, origins)
    told = [
        report.test_hypothesis(one, start.rule, used_rows=start.used) for one in (bundle, other)
    ]
    numbers = [
        {k: v for k, v in one.to_dict().items() if k not in ("fingerprint",)} for one in told
    ]
    assert numbers[0] == numbers[1] and told[0].supported
    assert told[0].n == aside.sum()
    changed = np.where(aside, losses[::-1], losses)
    third = read_bundle(write_bundle(folder / "third.npz", **fields(changed)))
    again = report.test_hypothesis(third, start.rule, used_rows=start.used)
    assert again.matching_loss != told[0].matching_loss


@pytest.mark.parametrize("found_by", ["nothing", "the region"])
def test_a_tag_put_on_a_region_is_tested_on_rows_kept_aside(bundle, store, found_by):
    store.tag(bundle, bundle.ids[HARD].tolist(), "corner", source=region(bundle))
    options = {} if found_by == "nothing" else {"used_rows": ~bundle_aside(bundle)}
    verdict, _ = report.keep_hypothesis(bundle, store, "hard", "tagged corner", **options)
    aside = bundle_aside(bundle)
    assert (verdict.n, verdict.n_matching) == (aside.sum(), aside[HARD].sum())
    assert verdict.supported and verdict.discovery_difference is None


def test_a_lasso_and_a_filter_leave_a_random_half(bundle, store, origins):
    lasso = {"kind": "selection", "filters": [], "steps": [{"do": "new", "what": {"shape": "box"}}]}
    store.tag(bundle, bundle.ids[HARD].tolist(), "drawn", source=lasso)
    verdict, _ = report.keep_hypothesis(bundle, store, "hard", "tagged drawn")
    assert verdict.n == N // 2 and verdict.supported
    assert verdict.discovery_difference > 1
    rules = View().filtered(Query("width < 7")).told()["filters"]
    start = report.suggest_hypothesis(
        bundle, {"kind": "filter", "rules": rules}, np.arange(7), origins
    )
    assert (start.rule, start.used) == ("width < 7", None)


@pytest.mark.parametrize(
    ("rule", "word"),
    [
        ("correct = false", "whether the answer is right"),
        ("loss > 1 and label = Shirt", "the loss itself"),
        ("label != prediction", "label and prediction together"),
        ("tagged hardest", "The tag 'hardest' goes by the loss itself"),
    ],
)
def test_what_confirms_itself_is_not_tested_and_counts_for_nothing(bundle, store, rule, word):
    rows = np.argsort(-bundle.losses)[:48]
    source = {"kind": "high loss", "quantile": 0.95}
    store.tag(bundle, bundle.ids[rows].tolist(), "hardest", source=source)
    report.keep_hypothesis(bundle, store, "a real one", "width < 5", key="real")
    before = report.hypotheses(bundle, store).iloc[0]
    verdict, _ = report.keep_hypothesis(bundle, store, "circular", rule, key="circular")
    assert (verdict.verdict, verdict.supported, verdict.p) == ("circular", False, None)
    assert word in verdict.reason and verdict.low is None
    cards = report.hypotheses(bundle, store).set_index("key")
    assert cards.loc["circular", "verdict_adjusted"] == "circular"
    assert cards.loc["real", "p_adjusted"] == before["p_adjusted"]
    assert cards["tests"].tolist() == [1, 1]
    assert b",circular,circular," in report.hypotheses_csv(bundle, store)
    plan = report.plan_hypothesis(
        bundle, rule, tags=store.tags(bundle), origins=report.Origins(bundle, store)
    )
    assert word in plan.reliance.circular


def test_the_prediction_alone_is_tested_and_marked(bundle):
    verdict = report.test_hypothesis(bundle, "prediction = Shirt")
    assert verdict.p is not None
    assert verdict.reason.endswith("not about what the examples are.")
    assert report.plan_hypothesis(bundle, "prediction = Shirt").reliance.note


def test_old_cards_are_shown_in_the_words_of_today(bundle, store):
    true = report.test_hypothesis(bundle, "label = Shirt", used_rows=[]).to_dict()
    low = report.test_hypothesis(bundle, "label = Bag", used_rows=[]).to_dict()
    old = {
        "opposite": ("label = Bag", low | {"verdict": "refused"}),
        "unclear": ("width < 5", low | {"verdict": "refused", "low": -1.0, "high": 1.0, "p": 0.4}),
        "circular": ("loss > 1", true | {"p": 0.001, "fingerprint": "c"}),
        "true": ("label = Shirt", true),
    }
    for at, (key, (rule, verdict)) in enumerate(old.items()):
        verdict = verdict | {"version": 1, "fingerprint": f"{at}"}
        card = {"sentence": key, "rule": rule, "verdict": verdict}
        store.write_hypothesis(bundle, key, card)
    cards = report.hypotheses(bundle, store).set_index("key")
    assert cards["verdict"].to_dict() == {
        "opposite": "contradicted",
        "unclear": "not shown",
        "circular": "circular",
        "true": "supported",
    }
    assert (cards["tests"] == 3).all() and np.isnan(cards.loc["circular", "p_adjusted"])
    held = json.loads(report.hypotheses_json(bundle, store))["hypotheses"]
    assert [one["verdict"]["verdict"] for one in held] == cards["verdict"].tolist()


# What is said before


@pytest.mark.parametrize("groups", [None, "pair"])
def test_the_plan_is_what_the_test_is_made_on(bundle, store, origins, groups):
    for rule, used in [
        ("width < 9", None),
        ("label = Shirt", []),
        ("width < 9", HARD),
        ("id = e3", None),
    ]:
        options = {"used_rows": used, "groups": groups, "origins": origins}
        plan = report.plan_hypothesis(bundle, rule, **options)
        verdict = report.test_hypothesis(bundle, rule, **options)
        assert plan.n_meant == report.evaluate(rule, bundle).sum()
        assert (plan.n_matching, plan.n_other, plan.n_used) == (
            verdict.n_matching,
            verdict.n_other,
            verdict.n_used,
        )
        assert bool(plan.shortage) == (verdict.verdict == "too few examples")
        assert plan.shortage in verdict.reason


# Rules to begin with


def test_a_region_is_said_by_the_nearest_of_its_label(bundle, origins):
    start = report.suggest_hypothesis(bundle, region(bundle), HARD, origins)
    ids = ", ".join(f'"{one}"' for one in bundle.ids[HARD[:ANCHORS]])
    assert start.rule == f'near {ids} top 100 within (label = "Shirt")'
    match = report.evaluate(start.rule, bundle)
    assert (bundle.label_names[match] == "Shirt").all()
    assert match[HARD].mean() > 0.8  # the corner itself, out of all that is near
    plan = report.plan_hypothesis(bundle, start.rule, used_rows=start.used)
    assert plan.n_meant == 100 and 25 < plan.n_matching < 42


def test_a_rule_that_needs_many_distances_is_left_open_until_they_are_known(
    bundle, origins, monkeypatch
):
    fresh = replace(bundle)  # nothing is known of it yet
    whole = report.suggest_hypothesis(bundle, region(bundle), HARD, origins)
    with monkeypatch.context() as patch:
        patch.setattr(here, "HERE_STEPS", 0)
        patch.setattr(pieces, "distances_to", lambda *given: pytest.fail("measured here"))
        first = report.suggest_hypothesis(fresh, region(bundle), HARD, origins, patient=False)
        assert first.rule == "" and same(first.used, whole.used)
        left = left_to_worker([first.around], fresh)
    keep_pieces(left, pieces.work_out(left, replace(bundle), Budget()), fresh)
    monkeypatch.setattr(pieces, "distances_to", lambda *given: pytest.fail("measured here"))
    again = report.suggest_hypothesis(fresh, region(bundle), HARD, origins, patient=False)
    assert again.rule == whole.rule and again.around == ""
    assert report.evaluate(again.rule, fresh).sum() == 100  # which asks for no other distances


def test_a_small_region_reaches_as_far_as_enough_unused_examples(bundle, origins):
    start = report.suggest_hypothesis(bundle, region(bundle, HARD[:7]), HARD[:7], origins)
    plan = report.plan_hypothesis(bundle, start.rule, used_rows=start.used)
    assert plan.n_matching == UNUSED and 40 < plan.n_meant < 90
    pairs = region(bundle, HARD[:7], groups="pair")
    start = report.suggest_hypothesis(bundle, pairs, HARD[:7], origins)
    plan = report.plan_hypothesis(bundle, start.rule, used_rows=start.used, groups=start.groups)
    assert plan.table["match"].sum() == UNUSED


def test_a_spotlight_reaches_beyond_its_members(bundle, origins):
    source = region(bundle, method="spotlights", effect=False) | {"labels": None}
    start = report.suggest_hypothesis(bundle, source, HARD, origins)
    assert start.rule.endswith(f" top {SURROUNDINGS * len(HARD)}")
    assert same(start.used, mask_of(HARD))
    many = np.arange(400)
    wide = report.suggest_hypothesis(bundle, source, many, origins)
    assert wide.rule.endswith(f" top {N // 2}")  # or there would be nobody to compare with


@pytest.mark.parametrize(
    ("source", "rule"),
    [
        ({"kind": "tag", "tag": 'a "b"'}, 'tagged "a ""b"""'),
        ({"kind": "tag", "tags": ["a", "b"]}, 'tagged "a" or tagged "b"'),
        ({"kind": "rule", "rule": "width<3"}, "width<3"),
        (
            {"kind": "filter", "rules": [{"what": {"rule": r}} for r in ("width < 3", "id = e1")]},
            'width < 3 and id = "e1"',
        ),
        (
            {
                "kind": "filter",
                "rules": [
                    {"what": {"rule": r}} for r in ("width < 3 or width > 9", "id=e1 and width=2")
                ],
            },
            '(width < 3 or width > 9) and id = "e1" and width = 2',
        ),
    ],
)
def test_what_people_wrote_stays_as_it_is(bundle, origins, source, rule):
    start = report.suggest_hypothesis(bundle, source, np.arange(30), origins)
    assert (start.rule, start.used) == (rule, None)


def test_what_was_drawn_is_said_by_what_its_members_share(bundle, origins):
    rows = np.flatnonzero(bundle.examples["width"] < 5)
    rows = rows[bundle.label_codes[rows] == 1]
    drawn = {"kind": "filter", "rules": [{"what": {"shape": "lasso"}}]}
    start = report.suggest_hypothesis(bundle, drawn, rows, origins)
    assert 'label = "Coat"' in start.rule and "width" in start.rule
    lasso = {"kind": "selection", "filters": [], "steps": []}
    assert same(report.suggest_hypothesis(bundle, lasso, rows, origins).used, mask_of(rows))


def test_a_group_that_shares_nothing_is_said_by_what_lies_around_it(bundle, origins):
    rows = np.arange(0, N, 31)
    start = report.suggest_hypothesis(bundle, {"kind": "random"}, rows, origins)
    assert start.rule.startswith('near "e0", "e31", ') and "within" not in start.rule
    assert report.evaluate(start.rule, bundle).sum() == SURROUNDINGS * len(rows)


def test_a_label_that_fails_as_a_whole_is_its_label(bundle, origins):
    source = region(bundle, np.arange(600, 900)) | {"region_kind": "label"}
    start = report.suggest_hypothesis(bundle, source, np.arange(600, 900), origins)
    assert start.rule == 'label = "Shirt"'
    assert report.test_hypothesis(bundle, start.rule, used_rows=start.used).supported


def test_long_ids_leave_room_for_fewer_of_them(folder, store):
    long = fields()
    long["examples"]["id"] = [f"{row:0600d}" for row in range(N)]
    bundle = read_bundle(write_bundle(folder / "long.npz", **long))
    source = region(bundle, method="spotlights", effect=False)
    start = report.suggest_hypothesis(bundle, source, HARD, report.Origins(bundle, store))
    assert start.rule.count(",") == 2
    assert report.evaluate(start.rule, bundle).sum() == 300  # every Shirt


def test_an_empty_group_has_no_rule(bundle, origins):
    nothing = np.zeros(0, dtype=np.int64)
    assert report.suggest_hypothesis(bundle, region(bundle), nothing, origins).rule == ""


def test_a_group_out_of_a_table_of_rates_is_said_to_have_been_rated_whole():
    subgroup = {"kind": "subgroup", "group": "width=1", "attributes": ["width"]}
    assert "times the number of groups" in report.chosen_by_rate(subgroup)
    picked = {"kind": "picked", "from": subgroup}
    assert report.chosen_by_rate(picked) == report.chosen_by_rate(subgroup)
    for other in (None, {"kind": "lasso"}, {"kind": "rule", "rule": "width = 1"}):
        assert report.chosen_by_rate(other) == ""
