"""The Bundles page offers the demos that are on this machine, and says how to make the others."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from backend.bundle import import_bundle, list_bundles
from backend.core.home import PROJECT
from backend.demo import DEMOS
from pages.components.shared import keys, services
from tests.bundles import npz
from tests.pages.running import APP, ended


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "home"
    monkeypatch.setenv("ERRORSCOPE_HOME", str(folder))
    st.cache_resource.clear()
    yield folder
    services.jobs().close()
    services.shared_store().close()
    st.cache_resource.clear()


def small_bundle(path: Path, shift: float) -> Path:
    path.write_bytes(npz(embeddings=[[shift, 1.0], [2.0, 3.0]], losses=[0.1, 0.2]))
    return path


def test_demos_open_with_one_click_and_stay_where_they_are(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_bundle(small_bundle(tmp_path / "open.npz", 0.0))
    shipped = small_bundle(tmp_path / "demo.npz", 9.0)
    places = dict.fromkeys(DEMOS, tmp_path / "none.zip") | {"compression": shipped}
    takers = (
        "pages.components.shared.frame",
        "pages.components.bundles.demos",
        "backend.tasks.demos",
    )
    for place in takers:
        monkeypatch.setattr(f"{place}.demo_path", places.__getitem__)
    at = AppTest.from_file(APP, default_timeout=60)
    at.switch_page("pages/bundles.py").run()
    assert [button.label for button in at.button if button.label.startswith("Open ")] == [
        "Open compression"
    ]
    assert at.button(key="demo_adult").label == "Make adult"
    at.button(key="demo_compression").click().run()
    ended(at)
    assert [info.name for info in list_bundles()].count("fashion-mnist compression") == 1
    assert shipped.is_file()
    assert toured(at) == "1 of 4"  # on the page of its first step
    assert at.header[0].value == "Who pays for compression?"
    assert toured(at.button(key="tour_next").click().run()) == "2 of 4"
    assert toured(at.button(key="tour_close").click().run()) == ""
    at.switch_page("pages/bundles.py").run()
    assert toured(at) == ""  # remembered
    assert toured(at.button(key="tour_again").click().run()) == "1 of 4"


def toured(at: AppTest) -> str:
    """Which step of the tour is shown."""
    said = [str(one.value).partition("**Tour, ")[2] for one in at.markdown]
    return next((one.partition("**")[0] for one in said if one), "")


@pytest.mark.parametrize("name", DEMOS)
def test_every_tour_has_four_steps_to_what_pages_have(name: str) -> None:
    """Pages, what their addresses say, and the parts these name, by the names that stand in the code."""
    parameters = {one for one in vars(keys).values() if isinstance(one, str)}
    code = {path: path.read_text() for path in (PROJECT / "pages").rglob("*.py")}
    assert len(DEMOS[name].tour) == 4
    for step in DEMOS[name].tour:
        assert PROJECT / "pages" / f"{step.page}.py" in code
        for parameter, value in step.shows.items():
            assert parameter in parameters or any(f'"{parameter}"' in one for one in code.values())
            if parameter in (
                "view",
                "words",
                keys.AUDIT_PART,
                keys.HARD_PART,
                keys.PART,
                keys.TRAINING_PART,
            ):
                assert any(f'"{value}"' in one for one in code.values()), value
