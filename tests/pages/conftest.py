"""One set of warm workers and a home folder for each file of tests of pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st

from backend.jobs import serving
from pages.components.shared import services


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home folder of one file's tests, also in ``ERRORSCOPE_HOME``, with workers of its own."""
    folder = tmp_path_factory.mktemp("pages") / "home"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ERRORSCOPE_HOME", str(folder))
        st.cache_resource.clear()
        yield folder
        services.shared_store().close()
        serving().close()
        st.cache_resource.clear()
