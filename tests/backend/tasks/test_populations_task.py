"""What a worker found comes out of the cache as it would have been answered at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backend.bundle import Bundle, read_bundle, write_bundle
from backend.cache import Cache, key_of
from backend.core.progress import ignore_progress
from backend.populations import OWN, answer
from backend.populations.answers import QUESTIONS
from backend.tasks import (
    TRUE_CLASS,
    answer_of,
    category_column,
    evaluation_of,
    grouping_columns,
    run_populations,
)
from backend.tasks.populations import training_columns

PAIR = {"baseline": "baseline", "compressed": "pruned"}
AUDIT = {
    "source": OWN, "model": 0, "positive": "b <b>", "attributes": ["place"], "order": 1, "min_n": 30,
}  # fmt: skip
ASKED: list[tuple[str, dict[str, Any]]] = [
    ("compare", {"baseline": "baseline", "tie": "largest"}),
    ("classes", PAIR),
    ("subgroups", {**PAIR, "attributes": ["place"], "positive": "a", "order": 1}),
    ("representation", {**PAIR, "attributes": ["place"], "kind": "modal", "share": 0.1, "tie": "largest"}),
    ("audit", {**AUDIT, "mode": "generic"}),
    ("audit", {**AUDIT, "mode": "target"}),
    ("worst", AUDIT),
    ("thresholds", AUDIT),
    ("pairs", {**AUDIT, "attributes": ["version"]}),
    ("shades", {**AUDIT, "mode": "target"}),
    ("shades", {**AUDIT, "mode": "generic"}),
    ("tests", {"population": "pruned", "attributes": ["place"], "tags": {"odd": [1, 3]}, "min_n": 2}),
    ("robustness", {"attributes": ["place"], "tags": {}, "min_n": 2}),
    ("components", {"population": "pruned", "models": []}),
    ("overlap", {"populations": []}),
]  # fmt: skip


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    random = np.random.default_rng(6)
    labels = random.integers(0, 2, 120)
    said = np.where(random.random((2, 4, 120)) < 0.8, labels, 1 - labels)
    place = np.where(random.random(120) < 0.3, "", "near")  # a missing text makes a group too
    paired = {"pair_id": np.arange(120) // 2, "version": ["light", "dark"] * 60}
    path = write_bundle(
        tmp_path_factory.mktemp("bundle") / "b",
        embeddings=random.normal(size=(120, 3)),
        losses=random.random(120),
        labels=labels,
        predictions=said[0, 0],
        probabilities=np.eye(3)[said[0, 0]] * 0.7 + 0.1,
        classes=["a", "b <b>", "never"],
        examples=pd.DataFrame({"id": np.arange(120).astype(str), "place": place, **paired}),
        populations={"baseline": said[0], "pruned": said[1]},
    )
    return read_bundle(path)


@pytest.mark.parametrize(("what", "options"), ASKED, ids=[what for what, _ in ASKED])
def test_an_answer_comes_back_as_it_was_given(
    what: str, options: dict[str, Any], bundle: Bundle, tmp_path: Path
) -> None:
    given = {"what": what, "options": options}
    arrays, meta = run_populations(bundle, given, ignore_progress, lambda *_: None)
    cache, key = Cache(tmp_path), key_of("populations", "0" * 64, given, version=meta["version"])
    cache.write(key, arrays, meta)
    kept = Cache(tmp_path).read(key)
    assert kept is not None
    found = answer_of(kept)
    wanted = answer(what, evaluation_of(bundle, options.get("attributes", ())), options)
    assert set(found.arrays) == set(wanted.arrays) and set(found.tables) == set(wanted.tables)
    for name, held in wanted.arrays.items():
        assert np.array_equal(found.arrays[name], held, equal_nan=held.dtype.kind == "f")
    for name, table in wanted.tables.items():
        pd.testing.assert_frame_equal(found.tables[name], table, check_exact=True)


def test_every_question_is_asked() -> None:
    assert {what for what, _ in ASKED} == set(QUESTIONS)


def test_columns_that_make_no_groups_are_left_out_with_the_reason(tmp_path: Path) -> None:
    columns = {
        "id": [f"{row}" for row in range(80)],
        "size": np.linspace(0, 1, 80),
        "place": ["near", "far"] * 40,
        "serial": [f"s{row}" for row in range(80)],
        "same": ["x"] * 80,
        "far away": [np.inf, *range(79)],
    }
    bundle = read_bundle(
        write_bundle(
            tmp_path / "b",
            embeddings=np.eye(80),
            losses=np.arange(80.0),
            labels=np.arange(80) % 2,
            examples=pd.DataFrame(columns),
        )
    )
    found = grouping_columns(bundle)
    assert found.usable == ("size", "place") and found.first == ("place", "size")
    assert found.left_out == {
        "serial": "80 different values", "same": "one value only", "far away": "infinite values",
    }  # fmt: skip
    labelled = grouping_columns(bundle, with_label=True)
    assert labelled.usable == (TRUE_CLASS, "size", "place")
    assert labelled.first == (TRUE_CLASS, "place", "size")
    assert category_column(bundle, TRUE_CLASS).tolist() == ["0", "1"] * 40


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_few_fractions_make_groups_of_short_names_in_both_sets(tmp_path: Path, kind: type) -> None:
    third = (np.arange(1, 41) % 4 / 3).astype(kind)
    bundle = read_bundle(
        write_bundle(
            tmp_path / "b",
            embeddings=np.eye(40),
            losses=np.arange(40.0),
            examples=pd.DataFrame({"third": third}),
            train={"embeddings": np.eye(3, 40), "third": np.array([1, 2, 7], kind) / kind(3)},
        )
    )
    named = category_column(bundle, "third")
    assert sorted({str(one) for one in named.tolist()}) == ["0.0", "0.333", "0.667", "1.0"]
    assert [str(one) for one in training_columns(bundle, ["third"])["third"][:2]] == [
        "0.333",
        "0.667",
    ]
