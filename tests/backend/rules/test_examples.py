"""What rules on a bundle could say: suggestions taken, values offered, rules to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backend.bundle import Bundle, read_bundle, write_bundle
from backend.rules import evaluate, example_rules, suggested_values, with_suggestion

HOSTILE = 'say "x" and\nmore'


def made(folder: Path, examples: dict[str, Any], **fields: Any) -> Bundle:
    frame = pd.DataFrame({"id": [f"e {row}" for row in range(8)], **examples})
    given = {"embeddings": np.eye(8), "losses": np.arange(8.0), "examples": frame}
    return read_bundle(write_bundle(folder / "run.npz", **given, **fields))


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
    values = suggested_values(bundle, most=2)
    assert values["label"] == ["x", "y"] and values["kind"] == ["b", "c"]
    assert values["width"] == values["loss"] == values["id"] == []


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
    rules = example_rules(bundle, suggested_values(bundle))
    assert 1 <= len(rules) <= 2
    for rule in rules:
        assert evaluate(rule, bundle).shape == (8,)


def test_rules_to_begin_with_name_the_bundles_own_columns(tmp_path: Path) -> None:
    bundle = made(tmp_path, {"kind": list("aabbccdd"), "width": [np.nan, 0.25, *range(6)]})
    rules = example_rules(bundle, suggested_values(bundle))
    assert rules == ['kind = "a" and width > 0.25', 'kind in ("a", "b")']
