"""Scores of difficulty of a bundle: which there are, what they are, and where they can be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backend.bundle import Bundle, read_bundle, write_bundle
from backend.core.errors import InputError
from backend.core.groups import sharp_group
from backend.difficulty import high_loss, variance_of_gradients
from backend.populations import select_pies, split_votes, taxicab
from backend.rules import columns_of, evaluate, read_column
from backend.rules.circular import reliance
from backend.scores import (
    hardest_rows,
    is_slow,
    keep_values,
    known_scores,
    missing_scores,
    pie_columns,
    score_values,
    values,
)
from backend.views import member_table

N = 60


def fields(**more: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, N)
    return {
        "embeddings": rng.normal(size=(N, 4)).astype(np.float32),
        "losses": rng.gamma(2, 1, N),
        "labels": labels,
        "predictions": np.where(rng.random(N) < 0.8, labels, (labels + 1) % 3),
        **more,
    }


def everything() -> dict[str, Any]:
    rng = np.random.default_rng(1)
    return {
        "gradients": rng.normal(size=(6, N, 5)),
        "msp": {"none": rng.random((N, 4)), "targeted": rng.random((N, 4))},
        "populations": {
            "int8": rng.integers(0, 3, (5, N)),
            "baseline": rng.integers(0, 3, (4, N)),
        },
    }


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder: Path = tmp_path_factory.mktemp("scores")
    return read_bundle(write_bundle(folder / "b.npz", **fields(**everything())))


def read(folder: Path, **more: Any) -> Bundle:
    return read_bundle(write_bundle(folder / "b.npz", **fields(**more)))


def test_every_score_is_the_function_that_it_says(full: Bundle) -> None:
    gradients, labels = full.extras["gradients"], full.labels
    of = full.populations
    expected = {
        "loss": full.losses,
        "vog": variance_of_gradients(gradients, labels).normalized,
        "vog raw": variance_of_gradients(gradients).raw,
        "vog early": variance_of_gradients(gradients[:2], labels).normalized,
        "vog middle": variance_of_gradients(gradients[2:4], labels).normalized,
        "vog late": variance_of_gradients(gradients[4:], labels).normalized,
        "confidence over training, none": full.msp["none"].mean(axis=1),
        "confidence over training, targeted": full.msp["targeted"].mean(axis=1),
        "disagreement of int8": split_votes(of["int8"]),
        "disagreement of baseline": split_votes(of["baseline"]),
        "taxicab of int8": taxicab(of["baseline"], of["int8"]),
    }
    assert list(known_scores(full)) == list(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(score_values(full, name), value, atol=1e-12, err_msg=name)
    assert not missing_scores(full)
    [(name, make)] = pie_columns(full).items()
    assert name == "pie of int8"
    np.testing.assert_array_equal(make(), select_pies(of["baseline"], of["int8"]).mask)


@pytest.mark.parametrize("name", ["vog late", "disagreement of int8", "vog raw"])
def test_a_score_is_a_rule_and_a_column_of_the_table(full: Bundle, name: str) -> None:
    value = score_values(full, name)
    middle = float(np.median(value))
    assert columns_of(full)[name] == "number"
    np.testing.assert_array_equal(evaluate(f"`{name}` > {middle!r}", full), value > middle)
    np.testing.assert_array_equal(read_column(full, name).values, value)
    group = sharp_group("x", [3, 1], full.losses)
    table = member_table(full, group, pd.DataFrame({"id": [], "tag": []}))
    np.testing.assert_array_equal(table[name], value[[3, 1]])
    assert evaluate("`pie of int8` = yes", full).any()


@pytest.mark.parametrize("name", ["loss", "vog", "confidence over training, none"])
def test_the_hardest_come_first_whichever_end_is_hard(full: Bundle, name: str) -> None:
    difficulty = score_values(full, name) * (-1 if name.startswith("conf") else 1)
    rows = hardest_rows(full, name, 0.9)
    assert set(rows) == set(np.flatnonzero(high_loss(difficulty, quantile=0.9)))
    assert (np.diff(difficulty[rows]) <= 0).all()


@pytest.mark.parametrize(
    ("more", "known", "lacking"),
    [
        ({}, {"loss"}, "gradients"),
        ({"vog": np.arange(N) / N}, {"loss", "vog", "vog raw"}, "VoG, early, middle and late"),
        ({"gradients": np.ones((2, N, 3))}, {"loss", "vog", "vog raw"}, "4 checkpoints"),
        ({"populations": {"a": np.zeros((1, N), int)}}, {"loss"}, "PIE and taxicab"),
    ],
    ids=["nothing", "vog alone", "two checkpoints", "one model"],
)
def test_only_what_a_bundle_can_give_is_offered(
    tmp_path: Path, more: dict[str, Any], known: set[str], lacking: str
) -> None:
    bundle = read(tmp_path, **more)
    assert set(known_scores(bundle)) == known
    assert lacking in str(missing_scores(bundle))
    with pytest.raises(InputError, match=r"score must be one of 'loss'.*: got 'vog mid'"):
        score_values(bundle, "vog mid")


def test_a_column_of_the_users_keeps_its_name(tmp_path: Path) -> None:
    bundle = read(
        tmp_path,
        vog=np.arange(N) / N,
        examples=pd.DataFrame({"id": np.arange(N).astype(str), "vog": np.full(N, 7.0)}),
    )
    assert set(known_scores(bundle)) == {"loss", "vog (score)", "vog raw"}
    assert (read_column(bundle, "vog").values == 7).all()
    assert len(set(score_values(bundle, "vog (score)"))) > 10


def test_what_a_worker_made_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = read(tmp_path, gradients=np.random.default_rng(0).normal(size=(6, N, 3)))
    monkeypatch.setattr(values, "SLOW", 10)
    assert is_slow(bundle, "vog late") and not is_slow(bundle, "loss")
    keep_values(bundle, "vog late", np.full(N, 5.0))
    assert not is_slow(bundle, "vog late") and (score_values(bundle, "vog late") == 5).all()


@pytest.mark.parametrize(
    ("rule", "circular", "note"),
    [
        ("`confidence over training, none` < 0.2", True, False),
        ("`vog late` > 1", False, False),
        ("`disagreement of int8` > 0.5", False, True),
        ("`pie of int8` = yes and label = 1", True, False),
        ("tagged hard", True, False),
    ],
)
def test_a_rule_by_a_score_says_what_it_goes_by(rule: str, circular: bool, note: bool) -> None:
    source = {"kind": "hardest", "score": "confidence over training, none", "quantile": 0.9}
    found = reliance(rule, lambda tag: [source])
    assert (bool(found.circular), bool(found.note)) == (circular, note)
