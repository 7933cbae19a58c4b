"""Regions and spotlights beside the other methods: what their own tasks list, under the same names."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from backend.bundle import import_bundle, write_bundle
from backend.core.device import choose_device
from backend.core.parts import bundle_aside
from backend.core.progress import ignore_progress
from backend.slices import compare_groups
from backend.slices.inputs import check_inputs
from backend.spotlight import find_spotlights
from backend.spotlight.options import NO_MORE_OPTIMA, SearchOptions
from backend.tasks import complete_options, run_methods, run_regions, run_spotlights
from backend.tasks.compared import spotlight_groups
from backend.tasks.methods import named_rows
from backend.tasks.regions import count_shown
from backend.tasks.results import fewer_listed


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """600 examples of two classes; 40 of class "b" lie together and fail; rows come in pairs."""
    random = np.random.default_rng(3)
    embeddings, labels = random.normal(size=(600, 6)), np.arange(600) % 2
    losses = random.gamma(4, 0.25, 600)
    rows = np.arange(1, 80, 2)
    embeddings[rows] = 2.5 + 0.5 * embeddings[rows]
    losses[rows] += 3
    home = tmp_path_factory.mktemp("compared")
    path = write_bundle(
        home / "run.npz",
        embeddings=embeddings,
        losses=losses,
        labels=labels,
        predictions=np.where(np.isin(np.arange(600), rows), 0, labels),
        classes=np.array(["a", "b"]),
        examples=pd.DataFrame({"pair": np.arange(600) // 2}),
    )
    return import_bundle(path, home=home / "home")


def made(run, task, bundle, **options):
    return run(bundle, complete_options(task, options), ignore_progress, lambda *part: None)


@pytest.mark.parametrize("own", [{}, {"groups": "pair", "sizes": [0.05], "seed": 3}])
def test_regions_are_those_of_their_task_with_its_numbers(bundle, own):
    arrays, meta = made(run_regions, "regions", bundle, **own)
    asked = {"regions": own or None, "methods": ["regions", "george"], "n_groups": 3}
    found, said = made(run_methods, "methods", bundle, **asked)
    rows = [row for row in said["table"] if row["method"] == "regions"]
    assert rows and len(rows) == count_shown(meta["regions"], 3)
    for at, (row, fact) in enumerate(zip(rows, meta["regions"], strict=False)):
        assert row["group"] == f"{fact['number']} {fact['name']}"
        assert (row["p"], row["effect"]) == (fact["p"], fact["effect"])
        np.testing.assert_array_equal(
            *(
                values[values >= 0]
                for values in (found["members_regions"][at], arrays["members"][at])
            )
        )
    # What somebody called one wins; the key is that of the task's own result.
    named = named_rows(said, {f"{said['keys']['regions']}:0": "mine"})
    assert [row["group"] for row in named[:1]] == ["1 mine"]
    # Groups of other methods are measured on the same rows.
    aside = bundle_aside(bundle, own.get("groups"))
    first = said["table"][len(rows)]
    members = found["members_george"][0]
    assert first["effect"]["n"] == aside[members[members >= 0]].sum()
    assert said["n_aside"] == aside.sum()


@pytest.mark.parametrize(
    "own",
    [
        {"size": 40, "n_spotlights": 2},
        {"size": 0.1, "n_spotlights": 2, "prepare": "pca", "components": 3, "seed": 2},
        {"size": 40, "n_spotlights": 8, "starts": 2, "mode": "distinct"},
    ],
)
def test_spotlights_are_those_of_their_task(bundle, own):
    arrays, _ = made(run_spotlights, "spotlights", bundle, **own)
    found, said = made(run_methods, "methods", bundle, spotlights=own, methods=["spotlights"])
    np.testing.assert_allclose(found["weights_spotlights"], arrays["weights"], atol=1e-5)
    rows, notes = said["table"], " ".join(said["methods"]["spotlights"]["notes"])
    assert [row["group"].partition(" ")[0] for row in rows] == [
        str(at + 1) for at in range(len(arrays["weights"]))
    ]
    fewer = f"{len(rows)} of {own['n_spotlights']}: {NO_MORE_OPTIMA}."
    assert (fewer in notes) == (len(rows) < own["n_spotlights"])
    # The list of the page says it in the same words.
    below = fewer_listed("spotlights", rows, own["n_spotlights"])
    assert below == said["methods"]["spotlights"]["fewer"] == (fewer if fewer in notes else "")
    # They were found on all examples: what is measured was found without those kept aside.
    assert all("found on all examples" in row["note"] for row in rows)
    first = rows[0]
    assert first["p"] <= 0.05 and first["effect"]["error"] > 0.5 > 5 * first["effect"]["error_base"]


def test_what_stands_for_a_spotlight_of_noise_is_not_chosen_by_what_is_reported():
    said, seen = [], []
    for seed in range(8):
        random = np.random.default_rng(seed)
        embeddings, losses = random.normal(size=(240, 2)), random.gamma(2, 0.5, 240)
        aside = np.arange(240) % 3 == 0
        found = spotlight_groups(
            check_inputs("test", embeddings, losses),
            SearchOptions(size=0.1, n_spotlights=2, starts=2),
            device=choose_device("cpu"),
            progress=ignore_progress,
        )
        table = compare_groups([found], losses, kept_aside=aside, held_out=False, seed=seed)
        assert all(effect is not None for effect in table.effects)
        said += [effect.loss for effect in table.effects]
        seen += [losses[found.members(at)].mean() for at in range(2)]
    # Found on all examples they look bad; losses are 1 on average everywhere.
    print(np.mean(seen), np.mean(said))
    assert np.mean(seen) > 1.1 > np.mean(said) > 0.9


def test_a_spotlight_gives_unseen_rows_the_weight_of_its_kernel(bundle):
    same = find_spotlights(bundle.embeddings, bundle.losses, size=40, n_spotlights=2)
    found = spotlight_groups(
        check_inputs("test", bundle.embeddings, bundle.losses),
        SearchOptions(size=40, n_spotlights=2),
        device=choose_device("auto"),
        progress=ignore_progress,
    )
    some = SimpleNamespace(embeddings=bundle.embeddings[5:50])
    np.testing.assert_allclose(found.rule(some)[0], same.weights[:, 5:50], atol=1e-6)
