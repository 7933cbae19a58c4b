"""The list of a sample that comes before the list of a large bundle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backend.bundle import Bundle, import_bundle, open_bundle
from backend.core.effects import Effect
from backend.core.parts import bundle_aside
from backend.core.progress import ignore_progress
from backend.tasks import default_options, regions, run_regions, sampled
from backend.tasks.task import no_parts
from tests.bundles import npz, planted

OPTIONS = default_options("regions")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle that counts as large where a sample has 400 rows."""
    fields = planted(1200, 6, seed=2, share=0.08)
    fields.pop("planted")
    folder = tmp_path_factory.mktemp("large")
    path = folder / "large.npz"
    path.write_bytes(npz(**fields, **{"examples/side": np.arange(1200) % 2}))
    return open_bundle(import_bundle(path, home=folder / "home").digest, folder / "home")


def run(bundle: Bundle, part: Any) -> tuple[Any, Any]:
    return run_regions(bundle, OPTIONS, ignore_progress, part, device="cpu")


def test_a_large_bundle_is_first_told_by_a_sample(
    large: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampled, "SAMPLE", 400)
    parts: list[tuple[Any, Any]] = []
    arrays, meta = run(large, lambda arrays, meta: parts.append((arrays, meta)))
    assert len(parts) == 1
    first, told = parts[0]
    rows = sampled.sample_of(large.n)
    assert rows is not None and told["sample"] == len(rows) == 400
    assert len(first["members"]) == len(told["regions"]) > 0 and "sample" not in meta
    aside = bundle_aside(large)
    for line, fact in zip(first["members"], told["regions"], strict=True):
        members = line[line >= 0]
        assert set(members) <= set(rows) and len(members) == fact["n_members"]
        held, effect = members[aside[members]], Effect.from_dict(fact["effect"])
        assert effect.n == len(held)
        np.testing.assert_allclose(effect.loss, large.losses[held].mean() if len(held) else np.nan)
        others = np.setdiff1d(rows[aside[rows]], members)
        np.testing.assert_allclose(effect.loss_base, large.losses[others].mean())
    assert len({fact["name"] for fact in told["regions"]}) == len(told["regions"])

    # What the whole gives has nothing of the sample in it, and nobody who waits pays for one.
    monkeypatch.setattr(regions, "taken", None)
    again, meta_again = run(large, no_parts)
    assert [one["name"] for one in meta["regions"]] == [
        one["name"] for one in meta_again["regions"]
    ]
    for name in arrays:
        np.testing.assert_array_equal(arrays[name], again[name])
    monkeypatch.setattr(sampled, "SAMPLE", 600)  # twice that is no more than the bundle has
    assert sampled.sample_of(large.n) is None


@pytest.mark.parametrize(
    ("members", "lists", "place"),
    [
        ([1, 2, 3], [[9], [2, 3, 4]], 1),
        ([1, 2, 3, 4], [[1, 9], [4, 8]], 0),
        ([1, 2, 3, 4, 5], [[1, 9], [8]], None),
        ([1, 2], [], None),
        ([], [[1]], None),
    ],
)
def test_what_a_sample_showed_is_found_again(
    members: list[int], lists: list[list[int]], place: int | None
) -> None:
    assert sampled.found_again(np.array(members, int), [np.array(one) for one in lists]) == place
