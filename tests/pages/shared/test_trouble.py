"""What is out of reach says so on every page, the rest of the page works, and it recovers alone."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from backend.bundle import import_bundle, list_bundles
from backend.core.errors import StoreError
from backend.store import Store
from pages.components.shared import services
from tests.bundles import npz, planted
from tests.pages.running import APP, components, ended

PAGES = ("spotlights", "hardest", "compression", "subgroups", "stress", "flagged", "bundles")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home folder with one bundle and one tag."""
    folder = tmp_path_factory.mktemp("trouble") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ERRORSCOPE_HOME", str(folder))
        st.cache_resource.clear()
        fields = planted(120, 5, seed=1)
        fields.pop("planted")
        fields |= {
            "populations/baseline": np.tile(np.arange(120) % 3, (3, 1)),
            "populations/int8": np.tile((np.arange(120) + (np.arange(120) % 10 == 0)) % 3, (2, 1)),
        }
        path = folder.parent / "bundle.npz"
        path.write_bytes(npz(**fields))
        bundle = import_bundle(path)
        services.store().tag(bundle.digest, [str(bundle.ids[0])], "blurred")
        yield folder
        services.jobs().close()
        services.shared_store().close()
        st.cache_resource.clear()


def shown(page: str) -> AppTest:
    """A page of the app, as it is when nothing is being computed."""
    at = AppTest.from_file(APP, default_timeout=60)
    at.switch_page(f"pages/{page}.py").run()
    return ended(at)


def gone_meanwhile(home: Path, patch: pytest.MonkeyPatch) -> None:
    path = home / "gone.sqlite"
    Store(url=f"sqlite:///{path}").close()
    with closing(sqlite3.connect(path)) as raw:  # it opens, and everything asked of it fails
        raw.execute("DROP TABLE events")
    patch.setenv("ERRORSCOPE_DATABASE", f"sqlite:///{path}")


def no_driver(home: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setitem(sys.modules, "psycopg2", None)
    patch.setenv("ERRORSCOPE_DATABASE", "postgresql+psycopg2://ada:secret@127.0.0.1/tags")


def no_database(home: Path, patch: pytest.MonkeyPatch) -> None:
    (home / "notes.txt").write_text("no database " * 99)
    patch.setenv("ERRORSCOPE_DATABASE", f"sqlite:///{home}/notes.txt")


def read_only_home(home: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("ERRORSCOPE_CACHE", "")  # so that what is chosen is taken back after the test
    patch.setenv("ERRORSCOPE_DATABASE", f"sqlite:///{home}/notes.txt/below.sqlite")
    (home / "cache").rename(home / "cache away")
    (home / "cache").write_text("in the way")  # whatever is written there is refused
    patch.setattr("backend.core.home.os.access", lambda *_: False)
    services.jobs().close()


SOME = ("spotlights", "flagged")
CASES: dict[str, tuple[Callable[[Path, pytest.MonkeyPatch], None], str, tuple[str, ...]]] = {
    "it fails when asked": (gone_meanwhile, "cannot be used", PAGES),
    "the driver is missing": (no_driver, "is not installed", SOME),
    "the file is no database": (no_database, "damaged or not a database", SOME),
    "the home is read-only": (read_only_home, "cannot be written", SOME),
}


@pytest.mark.parametrize("case", CASES)
def test_every_page_works_without_its_database_and_says_why(
    home: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    breaks, why, names = CASES[case]
    breaks(home, monkeypatch)
    monkeypatch.setattr("backend.store.reader.RETRY_S", 60.0)
    st.cache_resource.clear()
    try:
        pages = {page: shown(page) for page in names}
        for page, at in pages.items():
            assert not at.exception, (page, at.exception)
            said = [one.value for one in at.warning if "cannot be shown or kept now" in one.value]
            assert len(said) == 1 and why in said[0].replace("\\", ""), (page, said)
            assert "secret" not in said[0]
        groups = pages["spotlights"].radio(key="group")
        assert len(groups.options) > 2 and components(pages["spotlights"], "map")
        with pytest.raises(StoreError, match=why):
            services.store().tag(list_bundles()[0].digest, ["1"], "kept nowhere")
    finally:
        if case == "the home is read-only":
            services.jobs().close()
            (home / "cache").unlink()
            (home / "cache away").rename(home / "cache")
        monkeypatch.undo()
        monkeypatch.setenv("ERRORSCOPE_HOME", str(home))
        st.cache_resource.clear()
    # The same session sees the tags again, without being told to.
    assert not [one for one in shown("flagged").warning if "cannot be shown" in one.value]
    assert services.known().tag_counts(list_bundles()[0].digest) == {"blurred": 1}
