"""Two layers of which one separates the failure: chosen above the page, everything follows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from backend.bundle import import_bundle
from backend.core.neighbours import nearest
from backend.export import export_flagged, read_export, replay
from backend.rules import evaluate
from backend.views import Query, View, encode
from pages.components.gallery import example
from pages.components.shared import keys, services
from tests.bundles import npz
from tests.pages.running import APP, ended, texts

N, PLANTED = 600, 60
DEEP = "layer4.*deep* <b>"


@pytest.fixture(scope="module")
def digests(home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A bundle with the layer, and one without any."""
    random = np.random.default_rng(4)
    deep = random.normal(size=(N, 6)).astype(np.float32)
    deep[:PLANTED] = [4, 4, 0, 0, 0, 0] + 0.3 * random.normal(size=(PLANTED, 6))
    losses = random.gamma(2.0, 0.1, N)
    losses[:PLANTED] += 2
    plain = {
        "embeddings": random.normal(size=(N, 4)).astype(np.float32),
        "losses": losses,
        "labels": random.integers(0, 2, N),
        "classes": np.array(["cat", "dog"]),
    }
    found = []
    for name, more in (("two", {f"layers/{DEEP}": deep}), ("one", {})):
        path = tmp_path_factory.mktemp("upload") / f"{name}.npz"
        path.write_bytes(npz(**plain, **more))
        found.append(import_bundle(path).digest)
    return found[0], found[1]


def open_page(page: str, **query: str) -> AppTest:
    at = AppTest.from_file(APP, default_timeout=60)
    for name, value in query.items():
        at.query_params[name] = value
    at.switch_page(f"pages/{page}.py").run()
    return ended(at)


def first_region(at: AppTest) -> Any:
    _, choices = at.session_state[keys.KNOWN_GROUPS]
    return next(choice for choice in choices if choice.key == "region-1")


def planted_share(at: AppTest) -> float:
    return float((first_region(at).group.rows < PLANTED).mean())


def layers_offered(at: AppTest) -> list[Any]:
    return [one for one in at.selectbox if one.label == "Layer"]


def test_choosing_the_layer_finds_the_failure_there(digests: tuple[str, str], home: Path) -> None:
    at = open_page("spotlights", bundle=digests[0][:12])
    assert not at.exception
    (choice,) = layers_offered(at)
    assert choice.value == "" and len(choice.options) == 2
    assert "layer" not in at.query_params
    assert "4 dimensions" in texts(at)
    shallow = planted_share(at)
    at = ended(choice.select(DEEP).run())
    assert not at.exception
    assert at.query_params["layer"] == DEEP
    assert "6 dimensions" in texts(at)
    assert planted_share(at) > 0.9 > 0.5 > shallow
    region = first_region(at)
    assert region.source["layer"] == DEEP and region.source["options"]["layer"] == DEEP

    # Its weights leave as they are on screen, and come back from the manifest alone.
    bundle = services.bundle_of(digests[0], DEEP)
    ids = bundle.ids[region.group.rows].tolist()
    services.store().tag(bundle.digest, ids, "deep failure", author="Ada", source=region.source)
    export = export_flagged(bundle, services.store())
    rows = read_export(export.csv)
    order = rows["id"].astype(int).to_numpy()
    found = services.jobs().get(region.source["key"].partition(":")[0])
    assert found is not None
    kept = found.result()["weights"][region.source["index"]]
    assert np.abs(rows["weight"].to_numpy() - kept[order]).max() <= 1e-5
    assert replay(export.manifest_json, home=home).identical is True

    # The other layer again: its results come back, the address forgets the layer.
    (choice,) = layers_offered(at)
    at = ended(choice.select("").run())
    assert "layer" not in at.query_params and planted_share(at) == shallow


def test_a_link_opens_the_layer_and_results_are_keyed_by_it(digests: tuple[str, str]) -> None:
    at = open_page("spotlights", bundle=digests[0][:12], layer=DEEP)
    assert not at.exception and planted_share(at) > 0.9
    assert layers_offered(at)[0].value == DEEP
    job = first_region(at).source["key"].partition(":")[0]
    with_layer = services.jobs().get(job)
    assert with_layer is not None and with_layer.options["layer"] == DEEP
    plain = services.jobs().submit("regions", digests[0], {}, watcher="test")
    assert plain.key != job


def test_near_means_near_in_the_layer(digests: tuple[str, str]) -> None:
    rule = "near '0' top 30"
    deep, plain = services.bundle_of(digests[0], DEEP), services.bundle_of(digests[0])
    wanted = {one.layer: evaluate(rule, one) for one in (plain, deep)}
    assert not np.array_equal(wanted[""], wanted[DEEP])
    state = encode(View().filtered(Query(rule)))
    counts = {}
    for layer in ("", DEEP):
        at = open_page("spotlights", bundle=digests[0][:12], layer=layer, state=state)
        shown = next(c for c in at.session_state[keys.KNOWN_GROUPS][1] if c.key == "filtered")
        counts[layer] = set(shown.group.rows.tolist())
        assert counts[layer] == set(np.flatnonzero(wanted[layer]).tolist())
    assert counts[""] != counts[DEEP]


def test_nearest_examples_are_kept_apart_by_layer(digests: tuple[str, str]) -> None:
    deep, plain = services.bundle_of(digests[0], DEEP), services.bundle_of(digests[0])
    for bundle in (plain, deep, plain):
        found = example.neighbours_of(bundle.digest, bundle.layer, 3, bundle)
        assert np.array_equal(found.rows, nearest(bundle.embeddings, 3, k=10).rows)
    assert (example.neighbours_of(deep.digest, DEEP, 3, deep).rows < PLANTED).all()


def test_a_bundle_without_layers_shows_no_choice(digests: tuple[str, str]) -> None:
    at = open_page("bundles", bundle=digests[1][:12])
    assert not at.exception and not layers_offered(at)
    assert "layer" not in at.query_params


@pytest.mark.parametrize("page", ["hardest", "subgroups", "flagged", "bundles"])
def test_a_link_to_a_layer_that_is_not_there_opens_the_embeddings(
    page: str, digests: tuple[str, str]
) -> None:
    for digest in digests:
        at = open_page(page, bundle=digest[:12], layer="../<script>")
        assert not at.exception
        assert "layer" not in at.query_params and "4 dimensions" in texts(at)


def test_the_bundles_page_lists_the_layers(digests: tuple[str, str]) -> None:
    at = open_page("bundles", bundle=digests[0][:12], layer=DEEP)
    assert not at.exception
    table = next(one.value for one in at.dataframe if "field" in one.value and "type" in one.value)
    shapes = dict(zip(table["field"], table["shape"], strict=True))
    assert (shapes["embeddings"], shapes[f"layers/{DEEP}"]) == ("600 × 4", "600 × 6")


def test_another_bundle_opens_at_its_embeddings_and_the_layer_is_remembered(
    digests: tuple[str, str],
) -> None:
    at = open_page("hardest", bundle=digests[0][:12], layer=DEEP)
    assert "6 dimensions" in texts(at)
    (picker,) = [one for one in at.selectbox if one.label == "Bundle"]
    at = ended(picker.select(digests[1][:12]).run())
    assert not at.exception and "4 dimensions" in texts(at)
    assert "layer" not in at.query_params and not layers_offered(at)
    assert keys.NOTICE not in at.session_state and not at.toast, "nobody followed a link"
