"""Rules that confirm themselves, by what they name and by what their tags were set on; old cards."""

from __future__ import annotations

import pytest

from backend.rules import RuleError
from backend.rules.cards import VERDICTS, card_now
from backend.rules.circular import columns_behind, reliance
from backend.rules.mentions import mentions


def filters(*rules):
    return [{"what": {"rule": rule}, "on": True} for rule in rules]


LASSO = {"map": "umap", "layout": "k", "shape": "lasso", "points": [[0, 0], [1, 0], [1, 1]]}
HIGH = {"kind": "high loss", "quantile": 0.98}
SOURCES = {
    "hard": [HIGH],
    "from hard": [{"kind": "picked", "from": HIGH}],
    "typed": [{"kind": "keyboard", "from": {"kind": "picked", "from": HIGH}}],
    "filtered": [{"kind": "filter", "rules": filters("width > 2", "not loss < 1")}],
    "wrong": [{"kind": "filter", "rules": filters("label != prediction")}],
    "wide": [{"kind": "filter", "rules": filters("width > 2", "label = Coat")}],
    "said coat": [{"kind": "rule", "rule": "prediction = Coat"}],
    "lasso": [{"kind": "selection", "filters": [], "steps": [{"do": "new", "what": LASSO}]}],
    "hard lasso": [
        {
            "kind": "selection",
            "filters": filters("loss > 1"),
            "steps": [{"do": "new", "what": LASSO}],
        }
    ],
    "stepped": [{"kind": "selection", "steps": [{"do": "new", "what": {"rule": "correct = no"}}]}],
    "region": [{"kind": "region", "index": 0, "center": [0.0], "precision": 1.0}],
    "worst of region": [{"kind": "region", "index": 0, "within": filters("loss > 2")}],
    "random": [{"kind": "random", "seed": 0}],
    "first by loss": [{"kind": "picked", "from": {"kind": "random"}, "order": "Loss, high first"}],
    "first by id": [{"kind": "picked", "from": {"kind": "random"}, "order": "Id"}],
    "nobody knows": [None],
    "both": [{"kind": "random"}, HIGH],
    "pie": [{"kind": "pie", "baseline": "a", "compressed": "b"}],
    "reviewed": [{"kind": "review", "of": "pie"}],
    "reviewed random": [{"kind": "review", "of": "random"}],
    "failed": [{"kind": "shared failures", "at_least": 3}],
    "worst": [{"kind": "method", "method": "highest_loss"}],
    "mixture": [{"kind": "method", "method": "mixture"}],
    "group": [{"kind": "subgroup", "group": "label=3", "attributes": ["label", "sex"]}],
    "again": [{"kind": "tag", "tag": "hard"}],
    "all": [{"kind": "tag", "tags": ["lasso", "hard"]}],
    "itself": [{"kind": "rule", "rule": "tagged itself or tagged again"}],
    "unreadable": [{"kind": "rule", "rule": "loss >"}],
    "odd": [{"kind": "filter", "rules": 3, "from": [1]}],
}


def sources_of(tag):
    return SOURCES.get(tag, ())


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("width > 2", ""),
        ("label = Shirt", ""),
        ("target > 2", ""),
        ("near e1 top 5 within (label = Shirt)", ""),
        ("text contains loss", ""),
        ("label = loss", "circular"),  # a bare field on the right is the column
        ('label = "loss"', ""),
        ("loss > 1", "circular"),
        ("width > 2 and not loss < 1", "circular"),
        ("`loss (attribute)` > 1", "circular"),
        ("correct = false", "circular"),
        ("width > 2 or correct = yes", "circular"),
        ("near e1 top 5 within (loss > 1)", "circular"),
        ("label != prediction", "circular"),
        ("label = Shirt and prediction = Coat", "circular"),
        ("label in (Shirt) or (width > 2 and prediction = Coat)", "circular"),
        ("target > 2 and prediction between 1 and 2", "circular"),
        ("prediction = Shirt", "note"),
        ("prediction = Shirt and width > 2", "note"),
        ("tagged hard", "circular"),
        ("not tagged hard", "circular"),
        ("tagged 'from hard'", "circular"),
        ("tagged typed", "circular"),
        ("tagged filtered", "circular"),
        ("tagged wrong", "circular"),
        ("tagged wide", ""),
        ("tagged wide and prediction = Shirt", "circular"),  # the label by way of the tag
        ("tagged 'said coat'", "note"),
        ("tagged 'said coat' and label = Shirt", "circular"),
        ("tagged lasso", ""),
        ("tagged 'hard lasso'", "circular"),
        ("tagged stepped", "circular"),
        ("tagged region", ""),
        ("tagged 'worst of region'", "circular"),
        ("tagged random", ""),
        ("tagged 'first by loss'", "circular"),
        ("tagged 'first by id'", ""),
        ("tagged 'nobody knows'", ""),
        ("tagged both", "circular"),
        ("tagged pie", "note"),
        ("tagged pie and label = Shirt", "circular"),
        ("tagged reviewed", "note"),
        ("tagged 'reviewed random'", ""),
        ("tagged failed", "circular"),
        ("tagged worst", "circular"),
        ("tagged mixture", "circular"),
        ("tagged group and prediction = Shirt", "circular"),
        ("tagged again", "circular"),
        ("tagged all", "circular"),
        ("tagged itself", "circular"),
        ("tagged unreadable", ""),
        ("tagged odd", ""),
        ("tagged unknown", ""),
    ],
)
def test_what_confirms_itself(rule, expected):
    said = reliance(rule, sources_of)
    assert {"circular": bool(said.circular), "note": bool(said.note)} == {
        "circular": expected == "circular",
        "note": expected == "note",
    }


def test_the_sentence_says_what_it_goes_by():
    assert reliance("loss > 1").circular == (
        "The rule goes by the loss itself, which is what the test compares."
    )
    assert reliance("width > 1 and tagged hard", sources_of).circular.startswith("The tag 'hard' ")
    assert "label and prediction together" in reliance("label != prediction").circular
    mixed = reliance("tagged wide and prediction = 3", sources_of).circular
    assert mixed.startswith("The rule, with its tags, goes by label and prediction")
    assert "target and prediction" in reliance("target = 2 and prediction = 3").circular


def test_nothing_is_known_of_tags_without_their_sources():
    assert reliance("tagged hard") == reliance("width > 2")


def test_mentions_are_found_wherever_they_stand():
    found = mentions("not (a = b and c in (1) or near x within (d between 1 and 2 and tagged t))")
    assert found.columns == {"a", "c", "d"} and found.tags == {"t"}
    assert mentions("a = `b`").columns == {"a", "b"}
    with pytest.raises(RuleError):
        mentions("a >")


@pytest.mark.parametrize("source", [None, {}, [], "x", {"kind": 3}, {"kind": "tag", "tag": None}])
def test_a_source_may_be_anything(source):
    assert columns_behind(source, sources_of) == frozenset()


# Cards of earlier versions


def card(verdict, rule="width > 1", **numbers):
    return {"sentence": "s", "rule": rule, "verdict": {"verdict": verdict, "p": 0.2, **numbers}}


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-0.9, -0.1, "contradicted"),
        (0.1, 0.9, "contradicted"),  # of a hypothesis that says lower
        (-0.1, 0.9, "not shown"),
        (0.0, 0.0, "not shown"),
        (None, None, "not shown"),
    ],
)
def test_refused_was_two_answers(low, high, expected):
    old = card("refused", low=low, high=high)
    now = card_now(old)
    assert now["verdict"]["verdict"] == expected and expected in VERDICTS
    assert {**now["verdict"], "verdict": "refused"} == old["verdict"]
    assert old["verdict"]["verdict"] == "refused"


def test_a_circular_card_no_longer_counts():
    now = card_now(card("supported", "loss > 1", low=0.5, high=0.9, difference=0.7))["verdict"]
    assert (now["verdict"], now["p"], now["low"], now["difference"]) == (
        "circular",
        None,
        None,
        0.7,
    )
    assert now["reason"].startswith("Nothing was tested: it confirms itself. The rule goes by")
    assert card_now(card("supported", "tagged hard"))["verdict"]["verdict"] == "supported"
    tagged = card_now(card("supported", "tagged hard"), sources_of)["verdict"]
    assert tagged["verdict"] == "circular" and "'hard'" in tagged["reason"]


@pytest.mark.parametrize(
    "given",
    [
        {"sentence": "s"},
        {"sentence": "s", "verdict": None},
        {"sentence": "s", "verdict": {"p": 0.5}},
        card("supported"),
        card("too few examples"),
        card("supported", rule=""),
        card("supported", rule="width >"),
        card("supported", rule=None),
    ],
)
def test_other_cards_stay_as_they_are(given):
    assert card_now(given) == given
