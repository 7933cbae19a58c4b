"""Tasks at a layer compute what they compute on a bundle whose embeddings are that layer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from backend.bundle import import_bundle, write_bundle
from backend.cache import Cache
from backend.core.errors import InputError
from backend.jobs.worker import entry_point
from backend.tasks import TASKS, complete_options
from backend.tasks.report import run_report
from tests.bundles import planted

READERS = ("spotlights", "regions", "projection", "assess", "methods", "report")


@pytest.fixture(scope="module")
def fields() -> dict[str, Any]:
    made = planted(200, 5)
    made.pop("planted")
    return made


@pytest.fixture
def bundles(fields: dict[str, Any], home: Any, tmp_path: Any) -> tuple[Any, Any]:
    """One with the planted layer beside noise, one with it as its embeddings."""
    noise = np.random.default_rng(8).normal(size=(200, 3)).astype(np.float32)
    changed = {**fields, "embeddings": noise, "layers": {"deep": fields["embeddings"]}}
    return (
        import_bundle(write_bundle(tmp_path / "layered.npz", **changed)),
        import_bundle(write_bundle(tmp_path / "plain.npz", **fields)),
    )


def run(task: str, bundle: Any, options: dict[str, Any]) -> tuple[Any, Any]:
    complete = complete_options(task, options)
    made = entry_point(TASKS[task].entry)(bundle, complete, lambda *a: None, lambda *a: None)
    return made


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("spotlights", {"n_spotlights": 1, "size": 20, "starts": 4}),
        ("spotlights", {"n_spotlights": 1, "size": 20, "starts": 4, "prepare": "standardise"}),
        ("regions", {"n_regions": 2}),
        ("projection", {}),
        ("methods", {"methods": ["mixture"], "n_groups": 2, "held_out": False}),
        (
            "assess",
            {"n_spotlights": 1, "size": 20, "starts": 4, "n_permutations": 3, "n_bootstrap": 2},
        ),
    ],
)
def test_a_layer_gives_what_its_embeddings_give(
    task: str, options: dict[str, Any], bundles: tuple[Any, Any]
) -> None:
    layered, plain = bundles
    plain = replace(plain, content=layered.content)  # which rows are kept aside follows from it
    at_layer, meta = run(task, layered, {**options, "layer": "deep"})
    expected, _ = run(task, plain, options)
    assert meta["options"]["layer"] == "deep"
    assert at_layer.keys() == expected.keys()
    for name in expected:
        np.testing.assert_array_equal(at_layer[name], expected[name], err_msg=name)
    beside, _ = run(task, layered, options)
    assert any(not np.array_equal(beside[name], expected[name]) for name in expected)


def test_a_report_reads_one_layer_throughout(bundles: tuple[Any, Any], home: Any) -> None:
    layered, _ = bundles
    options = complete_options(
        "report",
        {
            "regions": {"n_regions": 1, "layer": ""},
            "methods": {"methods": ["mixture"], "n_groups": 1, "held_out": False},
            "layer": "deep",
        },
    )
    run_report(layered, options, lambda *a: None, None)
    kept = [entry for entry in (Cache(home).read(key) for key in keys_of(home)) if entry]
    assert len(kept) == 2
    assert {entry.meta["options"]["layer"] for entry in kept} == {"deep"}


def keys_of(home: Any) -> list[str]:
    """Names of the results that the cache of this home folder holds."""
    return [meta.parent.name for meta in (home / "cache").rglob("meta.json")]


@pytest.mark.parametrize("task", READERS)
def test_layers_that_cannot_be_are_refused(task: str, bundles: tuple[Any, Any]) -> None:
    for layer in (3, None, ["deep"], "x" * 201):
        with pytest.raises(InputError, match="layer must name a layer"):
            complete_options(task, {"layer": layer})
    with pytest.raises(InputError, match=r"no layer 'conv' .*'deep'"):
        run(task, bundles[0], {"layer": "conv"})
