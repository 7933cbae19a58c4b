"""Weights of examples that were tagged one by one in the gallery of a region."""

from __future__ import annotations

import json

import numpy as np
import pytest

from backend.cache import Cache, key_of
from backend.export import export_flagged
from backend.export.regions import completed, region_of
from tests.backend.export.test_export import D, make_bundle, region, store

__all__ = ["store"]

OPTIONS = {"kernel": "gaussian", "prepare": "none"}


def by_key(**changes):
    """The short source of a key stroke in a region's gallery."""
    named = {"kind": "region", "index": 1, "key": "k", "name": "coats", "kernel": "gaussian"}
    return {"kind": "keyboard", "from": named | changes}


def by_hand(bundle, center, precision):
    """Gaussian weights of all examples, one loop a row."""
    points = np.asarray(bundle.embeddings, dtype=float)
    return [
        float(
            np.exp(-0.5 * sum(precision * (x - c) ** 2 for x, c in zip(row, center, strict=True)))
        )
        for row in points
    ]


def kept_result(home, bundle, centers, precisions):
    key = key_of("spotlights", bundle.digest, OPTIONS, version=1)
    Cache(home).write(key, {"centers": np.array(centers), "precisions": np.array(precisions)}, {})
    return key


def test_examples_picked_in_a_region_have_its_weight(store):
    bundle = make_bundle()
    store.tag(bundle, ["e1", "e3"], "x", source={"kind": "picked", "from": region()})
    rows = export_flagged(bundle, store).rows
    expected = by_hand(bundle, [0.0, 0.0], 0.5)
    assert rows["weight"].tolist() == pytest.approx([expected[1], expected[3]], rel=1e-12)
    assert rows["region"].tolist() == ["2", "2"]


def test_a_key_stroke_takes_the_region_from_the_result_of_its_search(store, tmp_path):
    bundle = make_bundle()
    key = kept_result(tmp_path, bundle, [[9.0, 9.0], [1.0, 0.5]], [1.0, 0.75])
    stroke = by_key(key=f"{key}:1", options=OPTIONS)
    store.tag(bundle, ["e0"], "x", source=stroke)
    store.tag(bundle, ["e4"], "x", source=stroke)
    export = export_flagged(bundle, store, home=tmp_path)
    expected = by_hand(bundle, [1.0, 0.5], 0.75)
    assert export.rows["weight"].tolist() == pytest.approx([expected[0], expected[4]], rel=1e-12)
    assert export.rows["region"].tolist() == ["coats", "coats"]
    (source,) = json.loads(export.manifest_json)["sources"]
    assert source["from"]["center"] == [1.0, 0.5]  # replay needs no result
    assert "center" not in store.events(bundle.digest)[0].source["from"]


def test_a_key_stroke_takes_the_region_from_another_tag_that_describes_it(store):
    bundle = make_bundle()
    store.tag(bundle, ["e0"], "other", source=region())
    store.tag(bundle, ["e5"], "x", source=by_key())
    rows = export_flagged(bundle, store, tags=["x"]).rows
    assert rows["weight"].tolist() == pytest.approx([by_hand(bundle, [0.0, 0.0], 0.5)[5]])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"key": "0" * 64 + ":0", "options": OPTIONS},
        {"key": "../../x:1", "options": OPTIONS},
        {"key": 7, "options": OPTIONS},
        {"key": {"a": [1]}, "options": OPTIONS},
    ],
)
def test_a_region_that_is_nowhere_described_keeps_its_name_and_has_no_weight(
    store, tmp_path, changes
):
    bundle = make_bundle()
    store.tag(bundle, ["e0"], "x", source=by_key(**changes))
    rows = export_flagged(bundle, store, home=tmp_path).rows
    assert rows["region"].tolist() == ["coats"]
    assert rows["weight"].isna().all()


def test_a_result_with_fewer_regions_or_without_how_it_was_searched_is_not_used(store, tmp_path):
    bundle = make_bundle()
    key = kept_result(tmp_path, bundle, np.zeros((1, D)), [1.0])
    store.tag(bundle, ["e0"], "x", source=by_key(key=f"{key}:1", options=OPTIONS))
    store.tag(bundle, ["e1"], "x", source=by_key(key=f"{key}:0"))  # an old record: which kernel?
    assert export_flagged(bundle, store, home=tmp_path).rows["weight"].isna().all()


def test_a_new_name_reaches_what_was_picked_in_the_region(store):
    bundle = make_bundle()
    store.tag(bundle, ["e1"], "x", source={"kind": "picked", "from": region()})
    store.rename_region(bundle, "k", "coat-like")
    assert export_flagged(bundle, store).rows["region"].tolist() == ["coat-like"]


def test_sources_are_completed_without_being_changed():
    short = by_key()
    (long,) = completed([short], [region()])
    assert "center" not in short["from"]
    assert long["from"]["center"] == [0.0, 0.0] and long["from"]["name"] == "coats"
    untouched = [{"kind": "high loss"}, {"kind": "keyboard"}, {"kind": "picked", "from": "x"}]
    assert completed(untouched, [None, region()]) == untouched
    assert [region_of(one) for one in [*untouched, None]] == [None] * 4
