"""What rules take, what of them is worked out where it is asked for, and what a worker does."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from backend.bundle import read_bundle, write_bundle
from backend.core.errors import JobCancelled
from backend.describe import tokenize
from backend.rules import Budget, RuleError, evaluate, here, keep_pieces, kept, left_to_worker
from backend.tasks import complete_options
from backend.tasks.rules import run_rules
from backend.tasks.task import no_parts

N_TEXTS = 20_000
WORDS = [f"word{k:04}" for k in range(130)]


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """Texts of six words of 2,000, and a column of kinds."""
    random = np.random.default_rng(0)
    written = [
        " ".join(f"word{k:04}" for k in row) for row in random.integers(0, 2_000, (N_TEXTS, 6))
    ]
    examples = pd.DataFrame(
        {
            "id": [f"e{row}" for row in range(N_TEXTS)],
            "text": written,
            "kind": random.choice(["a", "b"], N_TEXTS),
        }
    )
    path = write_bundle(
        tmp_path_factory.mktemp("texts") / "run.npz",
        embeddings=random.normal(size=(N_TEXTS, 8)).astype(np.float32),
        losses=random.exponential(size=N_TEXTS),
        examples=examples,
    )
    return read_bundle(path)


def in_worker(bundle, pieces, progress=lambda fraction, message: None):
    """What the task "rules" makes of pieces, as the worker hands it back."""
    options = complete_options("rules", {"pieces": pieces})
    arrays, _ = run_rules(replace(bundle), options, progress, no_parts)
    return [arrays[f"piece-{at}"] for at in range(len(pieces))]


@pytest.mark.parametrize(
    ("rule", "n_pieces"),
    [
        ("kind = a and loss > 1", 2),
        ("loss > 1 or (loss > 1 and not loss > 1)", 1),
        ("text contains word0001 and text not contains 'word0002 word0003'", 2),
        ("near e1, e2 top 5 or near e1, e2 top 900 within (kind = a)", 2),
        ("near e7 top 50 within (tagged seen) and tagged seen", 1),
        ("kind in (a, c) and kind != b and loss between 0.5 and 2 and loss <= loss", 4),
    ],
)
def test_a_worker_gives_the_rows_that_are_found_here(texts, monkeypatch, rule, n_pieces):
    tags = {"seen": ["e1", "e5", "e8"]}
    expected = evaluate(rule, replace(texts), tags)
    bundle = replace(texts)
    monkeypatch.setattr(here, "HERE_STEPS", 0)
    pieces = left_to_worker([rule, "loss >", "nothing = 1", rule], bundle)
    assert len(pieces) == n_pieces == len(set(pieces))
    keep_pieces(pieces, in_worker(bundle, pieces), bundle)
    assert left_to_worker([rule], bundle) == []
    got = evaluate(rule, bundle, tags, Budget(steps=0))  # nothing is left to look at
    assert got.tolist() == expected.tolist() and 0 < got.sum() < N_TEXTS


def test_a_hundred_and_thirty_clauses_of_words_are_read_once_and_by_a_worker(texts, monkeypatch):
    read = []
    monkeypatch.setattr(kept, "tokenize", lambda text: read.append(text) or tokenize(text))
    rules = [" or ".join(f"text contains {word}" for word in WORDS[at : at + 65]) for at in (0, 65)]
    bundle = replace(texts)
    began = time.perf_counter()
    pieces = left_to_worker(rules, bundle)
    assert time.perf_counter() - began < 2  # it read no text
    assert len(pieces) == 130 and not read
    answers = in_worker(bundle, pieces)
    assert len(read) == len(set(read)) <= N_TEXTS
    keep_pieces(pieces, answers, bundle)
    words = [set(text.split()) for text in bundle.examples["text"]]
    told = np.logical_or.reduce([evaluate(rule, bundle, budget=Budget(steps=0)) for rule in rules])
    assert told.tolist() == [not one.isdisjoint(WORDS) for one in words]
    assert left_to_worker([*rules, "loss > 1"], bundle) == []  # one cheap clause more stays here


def test_what_takes_longer_than_it_seemed_goes_to_a_worker_and_can_be_stopped(texts, monkeypatch):
    monkeypatch.setattr(here, "HERE_STEPS", 10**12)
    monkeypatch.setattr(here, "HERE_S", 0.0)
    rule = "text contains word0001"
    assert left_to_worker([rule], replace(texts)) == ['text contains "word0001"']
    with pytest.raises(RuleError, match=r"longer than the 0\.1 s"):
        evaluate(rule, replace(texts), budget=Budget(seconds=0.1, began=time.monotonic() - 1))
    reports = []

    def stop(fraction, message):
        reports.append((fraction, message))
        if len(reports) == 5:
            raise JobCancelled

    with pytest.raises(JobCancelled):
        in_worker(texts, [f"text contains {word}" for word in WORDS[:3]], stop)
    assert reports[0] == (0, "clause 1 of 3")


@pytest.mark.parametrize(
    ("budget", "rule", "told"),
    [
        (Budget(steps=8 * N_TEXTS - 1), "near e1", "160,000 and 159,999 are left. Name fewer"),
        (
            Budget(answers=2 * N_TEXTS),
            "loss > 1 and (loss > 2 or not loss > 3)",
            "Write fewer clauses",
        ),
        (Budget(answers=20 * N_TEXTS - 1), "near e1", "Write fewer clauses"),
    ],
)
def test_rules_have_a_bound_wherever_they_are_worked_out(texts, budget, rule, told):
    with pytest.raises(RuleError, match=told.replace(".", r"\.")):
        evaluate(rule, replace(texts), budget=budget)


def test_what_is_kept_has_a_bound_that_spares_what_was_just_asked_for(texts, monkeypatch):
    bundle = replace(texts)
    monkeypatch.setattr(kept, "KEPT_BYTES", 3 * N_TEXTS)
    rules = [f"loss > {k}" for k in range(20)]
    assert left_to_worker(rules, bundle) == []
    memory = kept.kept_of(bundle)
    assert len(memory.pieces) == 20  # of 2,500 bytes each
    evaluate("near e1 top 3", bundle)  # 160,000 bytes
    assert list(memory.pieces) == ['\nnear "e1" top 1']
    assert left_to_worker(["near e1 top 9"], bundle) == []
