"""What all sessions of one server share: workers, tags, open bundles."""

from __future__ import annotations

import uuid

import streamlit as st

from backend.bundle import Bundle, list_bundles, open_bundle
from backend.cache import Cache
from backend.core.home import home_folder
from backend.jobs import Job, Jobs
from backend.store import Store
from backend.tasks import default_options
from pages.components import keys


@st.cache_resource(show_spinner=False)
def jobs() -> Jobs:
    """The worker processes. One set serves everybody."""
    return Jobs(warm=True)


@st.cache_resource(show_spinner=False)
def store() -> Store:
    """Tags and events."""
    return Store()


@st.cache_resource(show_spinner=False)
def cache() -> Cache:
    """Results on disk."""
    return Cache()


@st.cache_resource(show_spinner=False, max_entries=8)
def bundle_of(digest: str) -> Bundle:
    """An imported bundle, opened by memory map and kept open."""
    return open_bundle(digest)


def known_bundles() -> list[str]:
    """Digests of the imported bundles, newest first."""
    return [info.digest for info in list_bundles(home_folder())]


def watcher() -> str:
    """A name for this browser tab's session, so that a job knows who still waits for it."""
    if keys.WATCHER not in st.session_state:
        st.session_state[keys.WATCHER] = uuid.uuid4().hex
    return str(st.session_state[keys.WATCHER])


def ask(task: str, digest: str, **options: object) -> Job:
    """Start a task, or join the one that already computes the same, or reopen its result."""
    return jobs().submit(task, digest, {**default_options(task), **options}, watcher=watcher())
