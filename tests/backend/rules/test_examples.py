"""What rules on a bundle could say: suggestions taken, values offered, rules to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backend.bundle import Bundle, read_bundle, write_bundle
from backend.rules import KnownValues, evaluate, example_rules, problem_of, with_suggestion
from backend.rules.evaluate import checked

HOSTILE = 'say "x" and\nmore'


def made(folder: Path, examples: dict[str, Any], **fields: Any) -> Bundle:
    frame = pd.DataFrame({"id": [f"e {row}" for row in range(8)], **examples})
    given = {"embeddings": np.eye(8), "losses": np.arange(8.0), "examples": frame}
    return read_bundle(write_bundle(folder / "run.npz", **given, **fields))


@pytest.fixture(scope="module")
def misspelt(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Three classes, one of which no example has; columns of text and of truth."""
    return made(
        tmp_path_factory.mktemp("misspelt"),
        {
            "kind": list("aabbccdd"),
            "skin tone": ["light", "dark"] * 4,
            "outdoor": [True, False] * 4,
        },
        labels=np.arange(8) % 2,
        classes=["Shirt", "Coat", "Never"],
    )


@pytest.mark.parametrize(
    ("rule", "word", "whole"),
    [
        ("", "label", "label"),
        ("la", "label", "label"),
        ("width > 2 and la", "label", "width > 2 and label"),
        ('label = "Sh', '"Shirt"', 'label = "Shirt"'),
        ("label = sh", '"Shirt"', 'label = "Shirt"'),
        ("`skin t", "`skin tone`", "`skin tone`"),
        ("width > 2 ", "and", "width > 2 and"),
        ("width > 2", "and", "width > 2 and"),
        ("nota = 1 or n", "not", "nota = 1 or not"),
    ],
)
def test_a_suggestion_completes_the_last_word(rule: str, word: str, whole: str) -> None:
    assert with_suggestion(rule, word) == whole


def test_values_of_classes_and_of_text_are_offered(tmp_path: Path) -> None:
    kinds = ["a", "b", "b", "b", "", "c", "c", "d"]
    bundle = made(
        tmp_path,
        {"kind": kinds, "width": np.arange(8.0)},
        labels=np.arange(8) % 2,
        classes=["x", "y"],
    )
    values = KnownValues(bundle)
    assert values["label"] == ("x", "y") and values["kind"] == ("b", "c", "a", "d")
    assert values["width"] == values["loss"] == values["id"] == ()
    assert list(values) == ["label", "loss", "id", "kind", "width"]


@pytest.mark.parametrize(
    ("rule", "told", "instead"),
    [
        ("label = Shirt and kind != a", None, ()),
        ("label = Never", None, ()),  # a class without an example
        ("tagged seen and loss > 2 and id in ('e 0', 'e 7')", None, ()),
        ("loss >", "expected a value, got the end", ()),
        ("labl = Shirt", "no column 'labl'", ("label = Shirt",)),
        ("not `skin` = dark", "no column 'skin'", ("not `skin tone` = dark",)),
        (
            "loss > 1 and label = shirt",
            'no example has label = "shirt"',
            ('loss > 1 and label = "Shirt"',),
        ),
        (
            "label in (Shirt, Caot) or loss > 1",
            'label = "Caot"',
            ('label in (Shirt, "Coat") or loss > 1',),
        ),
        ("`skin tone` != 'lihgt ' and loss > 1", "lihgt", ('`skin tone` != "light" and loss > 1',)),
        ("kind = zzz", 'kind = "zzz"', ()),
        ("tagged sen", "no example is tagged 'sen'", ('tagged "seen"',)),
        (
            "near 'e 9' top 3",
            "no example with id 'e 9'",
            ('near "e 7" top 3',),
        ),
        ("outdoor = maybe", "is true or false", ()),
        (
            "near 'e 1' within (label = Shit)",
            'label = "Shit"',
            ("near 'e 1' within (label = \"Shirt\")",),
        ),
    ],
)
def test_what_is_misspelt_is_said_with_what_is_nearest(
    rule: str, told: str | None, instead: tuple[str, ...], misspelt: Bundle
) -> None:
    problem = problem_of(rule, misspelt, {"seen": ["e 1"]})
    if told is None:
        assert problem is None
        return
    assert problem is not None and told in problem.told
    assert problem.instead[:1] == instead and len(problem.instead) <= 3
    for better in problem.instead:
        checked(better, misspelt, {"seen": ["e 1"]})  # it can be read at least


@pytest.mark.parametrize(
    "examples",
    [
        {},
        {"width": [np.nan, 2.5, *range(6)]},
        {"kind": list("aabbccdd")},
        {"kind": list("aabbccdd"), "skin tone": np.arange(8) / 3},
        {"kind": [HOSTILE, *"abcdefg"], "loss": [np.nan] * 8},
        {"only": ["x"] * 8, "empty": [np.nan] * 8},
    ],
)
def test_rules_to_begin_with_mean_something(examples: dict[str, Any], tmp_path: Path) -> None:
    bundle = made(tmp_path, examples)
    rules = example_rules(bundle, KnownValues(bundle))
    assert 1 <= len(rules) <= 2
    for rule in rules:
        assert evaluate(rule, bundle).shape == (8,)


def test_rules_to_begin_with_name_the_bundles_own_columns(tmp_path: Path) -> None:
    bundle = made(tmp_path, {"kind": list("aabbccdd"), "width": [np.nan, 0.25, *range(6)]})
    rules = example_rules(bundle, KnownValues(bundle))
    assert rules == ['kind = "a" and width > 0.25', 'kind in ("a", "b")']
