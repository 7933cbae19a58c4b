"""The page Before and after: linked by hand and by itself, what got worse, what fails newly, taken back."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from backend.bundle import import_bundle
from backend.store import Store
from tests.backend.tasks.test_before_after_task import fields
from tests.bundles import npz
from tests.pages.running import APP, ended, texts


@pytest.fixture(scope="module")
def runs(home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A run before, one after, and one that says itself what it was made from."""
    folder, found = tmp_path_factory.mktemp("runs"), {}
    for name, given in (("before", fields(1)), ("after", fields(2, 0.35))):
        (folder / f"{name}.npz").write_bytes(npz(**given))
        found[name] = import_bundle(folder / f"{name}.npz", name=name).digest
    made = fields(3) | {"made_from": np.array([found["before"], "repaired: a region counts more"])}
    (folder / "made.npz").write_bytes(npz(**made))
    return found | {"made": import_bundle(folder / "made.npz", name="made").digest}


def opened(digest: str, page: str = "before_after", **query: str) -> AppTest:
    at = AppTest.from_file(APP, default_timeout=60)
    at.query_params["bundle"] = digest[:12]
    for name, value in query.items():
        at.query_params[name] = value
    return ended(at.switch_page(f"pages/{page}.py").run())


def test_two_runs_are_linked_by_hand_and_compared(runs: dict[str, str]) -> None:
    at = opened(runs["after"])
    assert "linked to no older run" in texts(at)
    at = at.selectbox(key="link_older").set_value(runs["before"]).run()
    at = ended(at.button(key="link_runs").click().run())
    told = texts(at)
    assert "fail newly" in told and "No unchanged retrain" in told
    table = next(one.value for one in at.dataframe if "verdict" in one.value.columns)
    assert table["group"].iloc[0] == "all examples"
    night = table[table["group"] == "column: time=night"].iloc[0]
    assert night["verdict"] == "worse" and night["from"] > 0
    (held,) = at.segmented_control(key="changed").options[1:2]
    assert held.startswith("Newly failing · ")
    at = ended(at.segmented_control(key="changed").set_value("failed").run())
    assert any("Tag" in one.label for one in at.button)


def test_a_bundle_that_says_what_it_was_made_from_is_linked_until_that_is_taken_back(
    runs: dict[str, str],
) -> None:
    at = opened(runs["made"], page="bundles")
    assert "the bundle itself" in texts(at)
    at = at.button(key=f"unlink_{runs['before'][:12]}").click().run()
    assert "the bundle itself" not in texts(at)
    with closing(Store()) as store:
        (said,) = store.run_links(runs["made"])
    assert (said.older, said.linked) == (runs["before"], False)
