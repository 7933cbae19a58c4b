"""One set of warm workers and a home folder for each file of tests of pages."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.components.v2 import manifest_scanner

from backend.jobs import serving
from backend.tasks import PRELOAD
from pages.components.shared import services


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home folder of one file's tests, also in ``ERRORSCOPE_HOME``, with workers of its own."""
    folder = tmp_path_factory.mktemp("pages") / "home"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ERRORSCOPE_HOME", str(folder))
        for lane in PRELOAD:  # what a file asks for is loaded then, and no more
            patch.setitem(PRELOAD, lane, ())
        st.cache_resource.clear()
        yield folder
        services.shared_store().close()
        serving().close()
        st.cache_resource.clear()


@pytest.fixture(scope="session", autouse=True)
def _packages_are_read_once() -> Iterator[None]:
    """Streamlit looks for components in every installed package, for every page a test opens anew.

    That took longer than most pages; the packages stay the same while tests run.
    """
    with pytest.MonkeyPatch.context() as patch:
        once = functools.cache(manifest_scanner.scan_component_manifests)
        patch.setattr(manifest_scanner, "scan_component_manifests", once)
        yield
