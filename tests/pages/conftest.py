"""One set of warm workers for the tests of pages, and an empty home folder for each file of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st

from backend.jobs import serving
from pages.components.shared import services


@pytest.fixture(scope="session")
def _workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home folder whose workers, once started, serve all files: each would import PyTorch anew."""
    folder = tmp_path_factory.mktemp("pages") / "home"
    folder.mkdir()
    yield folder
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ERRORSCOPE_HOME", str(folder))
        serving().close()


@pytest.fixture(scope="module")
def home(_workshop: Path) -> Iterator[Path]:
    """The home folder of one file's tests, also in ``ERRORSCOPE_HOME``.

    It begins without bundles and tags. Results of other files are still there, which nobody gets
    who does not ask for the same of the same bundle.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ERRORSCOPE_HOME", str(_workshop))
        st.cache_resource.clear()
        yield _workshop
        for job in list(services.jobs()._jobs.values()):
            for watcher in [*job.waiting, ""]:
                job.cancel(watcher)
        services.store().close()
        st.cache_resource.clear()
    for path in _workshop.iterdir():
        if path.name != "cache":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
