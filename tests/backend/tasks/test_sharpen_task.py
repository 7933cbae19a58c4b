"""The task that ranks by answers: it gives what the functions give, and reads embeddings once."""

from __future__ import annotations

import numpy as np
import pytest

from backend.bundle import import_bundle
from backend.cache import Cache, key_of
from backend.core.errors import InputError
from backend.core.progress import ignore_progress
from backend.sharpen import principal_parts, sharpen, start_ranking
from backend.tasks import TASKS, complete_options
from backend.tasks.sharpen import run_sharpen
from tests.bundles import npz, planted


def test_it_gives_what_the_functions_give_and_keeps_the_components(tmp_path, monkeypatch):
    monkeypatch.setenv("ERRORSCOPE_HOME", str(tmp_path / "home"))
    fields = planted(400, 6, seed=2, share=0.2)
    members = np.flatnonzero(fields.pop("planted"))
    path = tmp_path / "bundle.npz"
    path.write_bytes(npz(**fields))
    bundle = import_bundle(path)
    asked = {
        "start": members[:20].tolist(),
        "answered": [int(members[0]), int(members[30]), 3],
        "answers": [True, True, False],
        "chances": [None, 0.2, None],
        "passed": [5],
    }
    options = complete_options("sharpen", asked)
    arrays, meta = run_sharpen(bundle, options, ignore_progress, None)
    parts = principal_parts(bundle.embeddings)
    told = sharpen(
        None,
        start_ranking(parts, members[:20]),
        asked["answered"],
        asked["answers"],
        skipped=[5],
        chances=[np.nan, 0.2, np.nan],
        labels=bundle.label_codes,
        parts=parts,
    )
    for name in ("scores", "next", "chances", "audit", "audit_weights"):
        np.testing.assert_array_equal(arrays[name], getattr(told, name))
    assert (meta["expected"], meta["cut"], meta["drawn"]) == (told.expected, told.cut, 1)
    key = key_of("components", bundle.digest, {"seed": 0, "layer": ""}, TASKS["components"].version)
    assert Cache().read(key) is not None
    monkeypatch.setattr("backend.tasks.sharpen.principal_parts", None)  # a second round is without
    again, _ = run_sharpen(bundle, options, ignore_progress, None)
    np.testing.assert_array_equal(again["scores"], arrays["scores"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "start must name at least one row"),
        ({"start": 3}, "start must be a list"),
        ({"start": [-1]}, "a row of start"),
        ({"start": [1], "ranked": 1}, "ranked must be"),
        ({"start": [1], "seed": -1}, "seed"),
        ({"start": [1], "answered": "x"}, "answered must be a list"),
    ],
    ids=str,
)
def test_options_are_checked(change, words):
    with pytest.raises(InputError, match=words):
        complete_options("sharpen", change)
