"""Hypothesis cards and blind checks in the store: written, changed, undone, counted, exported."""

from __future__ import annotations

import io
import json

import numpy as np
import pandas as pd
import pytest

from backend import report
from backend.bundle import read_bundle, write_bundle
from backend.core.errors import InputError
from backend.core.statistics import adjust_p, wilson_interval
from backend.report.blind import ANSWERS
from backend.store import Store
from tests.bundles import planted

KEY = "k"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    fields = planted(600)
    hard = fields.pop("planted")
    random = np.random.default_rng(0)
    examples = pd.DataFrame(
        {
            "id": [f"e{row}" for row in range(600)],
            "hard": np.where(hard, "yes", "no"),
            "coin": np.where(random.random(600) < 0.5, "heads", "tails"),
        }
    )
    path = tmp_path_factory.mktemp("cards") / "run.npz"
    return read_bundle(write_bundle(path, **fields, examples=examples))


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.delenv("ERRORSCOPE_DATABASE", raising=False)
    return Store(home=tmp_path)


def sentences(bundle, store):
    return report.hypotheses(bundle, store)["sentence"].tolist()


def test_a_card_holds_sentence_rule_and_verdict(bundle, store):
    store.tag(bundle, bundle.ids[:40].tolist(), "looked at")
    verdict, event = report.keep_hypothesis(
        bundle,
        store,
        "The planted ones are hard",
        report.parse("hard = yes and not tagged 'looked at'"),
        source={"kind": "region", "index": 0},
        author="Ada",
        used_rows=np.arange(40),
    )
    assert verdict.supported
    assert event.summary == "wrote the hypothesis 'The planted ones are hard'"
    table = report.hypotheses(bundle, store)
    card = table.iloc[0]
    assert card["rule"] == 'hard = "yes" and not tagged "looked at"'
    assert (card["author"], card["verdict"], card["tests"]) == ("Ada", "supported", 1)
    assert card["n_used"] == 40
    assert card["p"] == card["p_adjusted"] == verdict.p
    assert json.loads(card["source"]) == {"kind": "region", "index": 0}
    again = report.test_hypothesis(
        bundle, card["rule"], tags=store.tags(bundle), used_rows=np.arange(40)
    )
    assert again == verdict


def test_editing_and_deleting_are_events_that_undo_takes_back(bundle, store):
    report.keep_hypothesis(bundle, store, "first", "coin = heads", key=KEY)
    report.keep_hypothesis(bundle, store, "second", "coin = tails", key="other")
    report.keep_hypothesis(bundle, store, "better said", "coin = heads", key=KEY, author="Bob")
    assert sentences(bundle, store) == ["better said", "second"]
    report.delete_hypothesis(bundle, store, KEY)
    assert sentences(bundle, store) == ["second"]
    assert store.undo(bundle).summary == "undid: deleted a hypothesis"
    assert sentences(bundle, store) == ["better said", "second"]
    store.undo(bundle, "Bob")
    assert sentences(bundle, store) == ["first", "second"]
    store.redo(bundle, "Bob")
    assert sentences(bundle, store) == ["better said", "second"]
    store.undo(bundle)
    assert sentences(bundle, store) == ["better said"]
    store.undo(bundle)  # the test itself; the rewording holds the card, and stands
    assert sentences(bundle, store) == ["better said"]
    assert [event.kind for event in store.events(bundle, kind="hypothesis")] == ["hypothesis"] * 4


def test_another_process_sees_the_same_cards(bundle, store, tmp_path):
    report.keep_hypothesis(bundle, store, "first", "coin = heads", key=KEY)
    other = Store(home=tmp_path)
    assert sentences(bundle, other) == ["first"]
    report.delete_hypothesis(bundle, other, KEY)
    assert sentences(bundle, store) == []
    store.undo(bundle)
    assert sentences(bundle, other) == ["first"]


def test_tags_are_untouched_by_cards(bundle, store):
    store.tag(bundle, ["e1"], "x")
    report.keep_hypothesis(bundle, store, "first", "coin = heads")
    store.record_blind_check(bundle, {"answer": "first", "correct": True})
    store.undo(bundle)
    store.undo(bundle)
    assert store.tag_counts(bundle) == {"x": 1}
    store.undo(bundle)
    assert store.tag_counts(bundle) == {}


def test_every_different_test_counts_also_deleted_and_undone_ones(bundle, store):
    first, _ = report.keep_hypothesis(bundle, store, "hard", "hard = yes", key=KEY)
    second, _ = report.keep_hypothesis(bundle, store, "heads", "coin = heads", key="b")
    third, _ = report.keep_hypothesis(bundle, store, "tails", "coin = tails", key="c")
    report.keep_hypothesis(bundle, store, "the very same", "coin != heads", key="d")  # one test
    report.keep_hypothesis(bundle, store, "few", "id = e1", key="few")  # no p-value
    report.delete_hypothesis(bundle, store, "b")
    store.undo(bundle)
    store.undo(bundle)
    report.delete_hypothesis(bundle, store, "d")
    report.delete_hypothesis(bundle, store, "c")
    table = report.hypotheses(bundle, store).set_index("key")
    assert list(table.index) == [KEY, "b"]
    expected = adjust_p([first.p, second.p, third.p])
    assert table["tests"].tolist() == [3, 3]
    assert table["p_adjusted"].tolist() == pytest.approx(expected[:2].tolist())


def test_a_lucky_hypothesis_does_not_survive_its_siblings(bundle, store):
    verdict = report.test_hypothesis(bundle, "coin = heads")
    lucky = {**verdict.to_dict(), "verdict": "supported", "p": 0.04}
    store.write_hypothesis(bundle, "luck", {"sentence": "lucky", "verdict": lucky})
    assert report.hypotheses(bundle, store)["verdict_adjusted"].tolist() == ["supported"]
    for seed in range(1, 6):
        report.keep_hypothesis(bundle, store, f"try {seed}", "coin = heads", seed=seed)
    table = report.hypotheses(bundle, store)
    assert table.loc[0, "verdict"] == "supported"
    assert table.loc[0, "verdict_adjusted"] == "not supported among 6 tests"


def test_exports_hold_every_card_and_run_nothing(bundle, store):
    report.keep_hypothesis(bundle, store, '=HYPERLINK("http://x")', "hard = yes")
    report.keep_hypothesis(bundle, store, "few", "id = e1")
    read = pd.read_csv(io.BytesIO(report.hypotheses_csv(bundle, store)), keep_default_na=False)
    assert read["sentence"].tolist() == ['\'=HYPERLINK("http://x")', "few"]
    assert read["p"].tolist()[1] == ""
    held = json.loads(report.hypotheses_json(bundle, store))
    assert held["bundle"] == bundle.digest
    assert [card["verdict"]["verdict"] for card in held["hypotheses"]] == [
        "supported",
        "too few examples",
    ]
    assert held["hypotheses"][1]["p_adjusted"] is None


def test_an_empty_store_has_empty_tables(bundle, store):
    assert report.hypotheses(bundle, store).empty
    assert report.hypotheses_csv(bundle, store).startswith(b"key,sentence,rule,verdict,")
    assert json.loads(report.hypotheses_json(bundle, store))["hypotheses"] == []
    summary = report.blind_summary(bundle, store)
    assert (summary.n, summary.share) == (0, None)


def test_cards_that_cannot_be_kept_are_refused(bundle, store):
    for sentence, told in (("", "1 to 1000"), ("a\nb", "line breaks"), (None, "must be text")):
        with pytest.raises(InputError, match=told):
            report.keep_hypothesis(bundle, store, sentence, "coin = heads")
    with pytest.raises(InputError, match="no hypothesis 'nobody'"):
        report.delete_hypothesis(bundle, store, "nobody")
    with pytest.raises(InputError, match="card must be a dict"):
        store.write_hypothesis(bundle, "k", "text")
    with pytest.raises(InputError, match="blind check must be a dict"):
        store.record_blind_check(bundle, {})
    with pytest.raises(InputError, match="kind must be one of"):
        store.events(bundle, kind="secret")
    assert store.events(bundle) == []


# Blind checks


def test_the_random_group_has_the_same_labels_and_no_member(bundle):
    rows = np.flatnonzero(bundle.examples["hard"] == "yes")
    check = report.make_blind_check(bundle, rows, seed=3)
    pair = {"first": check.first, "second": check.second}
    group = pair.pop(check.group_is)
    (drawn,) = pair.values()
    assert sorted(group) == rows.tolist()
    assert len(set(drawn)) == len(rows)
    assert not set(drawn) & set(rows)
    assert check.matched
    counts = [np.bincount(bundle.label_codes[side], minlength=3) for side in (group, drawn)]
    assert counts[0].tolist() == counts[1].tolist()
    assert check.worse == check.group_is


def test_the_order_depends_on_the_seed_alone(bundle):
    rows = np.arange(50)
    sides = [report.make_blind_check(bundle, rows, seed=seed).group_is for seed in range(40)]
    assert 8 < sides.count("first") < 32
    one, other = (report.make_blind_check(bundle, rows[::-1], seed=5) for _ in range(2))
    assert one.first.tolist() == other.first.tolist()
    assert one.first.tolist() != sorted(one.first.tolist())


def test_a_label_with_too_few_others_is_filled_up(bundle):
    rows = np.flatnonzero(bundle.label_codes == 1)
    check = report.make_blind_check(bundle, rows, seed=0)
    assert not check.matched
    assert len(check.first) == len(check.second) == len(rows)
    assert len(set(check.first) | set(check.second)) == 2 * len(rows)


def test_answers_are_counted_with_their_interval_and_taken_back_ones_told(bundle, store):
    rows = np.flatnonzero(bundle.examples["hard"] == "yes")
    for seed in range(5):
        check = report.make_blind_check(bundle, rows, seed=seed)
        wrong = next(a for a in ANSWERS if a != check.worse)
        answer = wrong if seed == 4 else check.worse
        event = report.answer_blind_check(bundle, store, check, answer, author="Ada")
    assert event.payload["check"]["correct"] is False
    assert event.payload["check"]["group_loss"] > event.payload["check"]["random_loss"]
    report.answer_blind_check(bundle, store, check, "cannot tell", author="Bob")
    summary = report.blind_summary(bundle, store)
    assert (summary.n, summary.n_correct, summary.cannot_tell) == (5, 4, 1)
    low, high = wilson_interval(4, 5)
    assert (summary.share, summary.low, summary.high) == (0.8, float(low), float(high))
    store.undo(bundle, "Ada")
    summary = report.blind_summary(bundle, store, author="Ada")
    assert (summary.n, summary.n_correct, summary.taken_back) == (4, 4, 1)


def test_blind_checks_that_make_no_sense_are_refused(bundle, store, tmp_path):
    with pytest.raises(InputError, match="needs a group of rows"):
        report.make_blind_check(bundle, [])
    with pytest.raises(InputError, match="needs a group of rows"):
        report.make_blind_check(bundle, [600])
    with pytest.raises(InputError, match="as many other examples"):
        report.make_blind_check(bundle, np.arange(301))
    check = report.make_blind_check(bundle, np.arange(10))
    with pytest.raises(InputError, match="answer must be one of"):
        report.answer_blind_check(bundle, store, check, "both")
    flat = read_bundle(
        write_bundle(tmp_path / "flat.npz", embeddings=np.ones((9, 2)), losses=np.ones(9))
    )
    check = report.make_blind_check(flat, [0, 1])
    assert (check.worse, check.matched) == ("neither", False)
    with pytest.raises(InputError, match="same mean loss"):
        report.answer_blind_check(flat, store, check, "first")
