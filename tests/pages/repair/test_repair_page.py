"""The repair page: a first view, a class, a rule and a tag, words that lead to a repair, what it needs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from backend.bundle import import_bundle, list_bundles
from backend.store import Store
from pages.components.shared import services
from tests.backend.tasks.test_repair_task import fields
from tests.bundles import npz

APP = str(Path(__file__).parents[3] / "app.py")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One home folder, and so one set of warm workers, for all tests of this file."""
    folder = tmp_path_factory.mktemp("repair") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ERRORSCOPE_HOME", str(folder))
        st.cache_resource.clear()
        yield folder
        services.jobs().close()
        services.store().close()
        st.cache_resource.clear()


@pytest.fixture(scope="module")
def digest(home: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("bundle") / "b.npz"
    path.write_bytes(npz(**fields()))
    return import_bundle(path).digest


def opened(digest: str, **query: str) -> AppTest:
    at = AppTest.from_file(APP, default_timeout=60)
    at.query_params["bundle"] = digest[:12]
    for name, value in query.items():
        at.query_params[name] = value
    return ended(at.switch_page("pages/repair.py").run())


def ended(at: AppTest) -> AppTest:
    deadline = time.monotonic() + 300
    while at.get("progress") and time.monotonic() < deadline:
        at.run()
    assert not at.exception, [element.message for element in at.exception]
    return at


def texts(at: AppTest) -> str:
    kinds = ("markdown", "caption", "info", "warning", "error", "subheader")
    return "\n".join(str(element.value) for kind in kinds for element in at.get(kind))


def test_words_lead_to_a_repair(digest: str) -> None:
    at = opened(digest, repair_part="In words")
    assert "held-out failures have it" in texts(at)
    lines = at.dataframe[0].value
    assert {"label", "context", "verdict"} <= set(lines.columns)
    assert lines["context"].str.contains("night").any()
    at = ended(at.button(key="repair_context").click().run())
    assert at.text_input(key="repair_rule").value.count("night") == 1
    told = texts(at)
    assert "The group gains" in told and "points (" in told
    arms = [one.value for one in at.dataframe if "what" in one.value.columns][-1]
    assert arms["what"].tolist()[:2] == ["before", "plain refit"]
    assert "never one that refitted" in told


def test_a_tag_and_the_worst_class(digest: str) -> None:
    at = opened(digest, repair="tag")
    assert "Nothing is tagged yet" in texts(at)
    with closing(Store()) as store:
        store.tag(digest, [str(row) for row in range(300)], "mine", author="Ann")
    told = texts(opened(digest, repair="tag"))
    assert "mine" in told and "300 examples" in told
    at = opened(digest, repair="worst", repair_worst="time")
    told = texts(at)
    assert "those kept aside" in told and "had no part in finding the group" in told
    at = ended(at.select_slider(key="repair_strength").set_value(2.0).run())
    assert "×2" in texts(at)


@pytest.mark.parametrize(
    ("rule", "said"),
    [("", "Write which examples"), ("time = dusk", "No example fits"), ("nothing = 1", "nothing")],
)
def test_a_rule_that_means_nobody(digest: str, rule: str, said: str) -> None:
    at = opened(digest, repair="rule", repair_rule=rule)
    assert said in texts(at)


def test_without_labels_it_says_what_is_needed(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "b.npz"
    rng = np.random.default_rng(0)
    path.write_bytes(npz(embeddings=rng.normal(size=(50, 3)), losses=rng.random(50)))
    import_bundle(path)
    digest = next(one.digest for one in list_bundles() if one.n == 50)
    told = texts(opened(digest))
    assert "needs labels and predictions" in told and "classes" in told
