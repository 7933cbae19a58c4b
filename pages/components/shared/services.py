"""What all sessions of one server share: workers, tags, open bundles."""

from __future__ import annotations

import os
import uuid

import streamlit as st

from backend.bundle import Bundle, list_bundles, open_bundle
from backend.cache import Cache
from backend.core.home import home_folder, stand_in_cache
from backend.jobs import Job, Jobs, serving
from backend.store import Reader, Store
from backend.tasks import default_options
from pages.components.shared import keys


@st.cache_resource(show_spinner=False)
def jobs() -> Jobs:
    """The worker processes. One set serves everybody, also after somebody emptied the caches."""
    _place_results()
    return serving()


@st.cache_resource(show_spinner=False)
def store() -> Store:
    """Tags and events. Whatever is kept or leaves asks here, and is told when that cannot be."""
    return Store(later=True)


@st.cache_resource(show_spinner=False)
def known() -> Reader:
    """Tags and events as far as they can be read now, for what a page shows beside other things."""
    return Reader(store())


@st.cache_resource(show_spinner=False)
def cache() -> Cache:
    """Results on disk."""
    _place_results()
    return Cache()


def _place_results() -> None:
    """Have results kept for as long as this server runs where the home folder takes none."""
    elsewhere = stand_in_cache()
    if elsewhere:
        os.environ["ERRORSCOPE_CACHE"] = elsewhere  # the workers read it, too


@st.cache_resource(show_spinner=False, max_entries=16)
def bundle_of(digest: str, layer: str = "") -> Bundle:
    """An imported bundle at one of its layers, opened by memory map and kept open."""
    if layer:
        opened: Bundle = bundle_of(digest)
        return opened.at_layer(layer)
    return open_bundle(digest)


def choose_layer(digest: str, layer: str) -> None:
    """Have this session ask for results of this layer of the bundle; "" for its own embeddings."""
    st.session_state[keys.OPEN_LAYER] = (digest, layer)


def layer_of(digest: str) -> str:
    """The layer of the bundle that this session looks at."""
    chosen: tuple[str, str] = st.session_state.get(keys.OPEN_LAYER, ("", ""))
    return chosen[1] if chosen[0] == digest else ""


def known_bundles() -> list[str]:
    """Digests of the imported bundles, newest first."""
    return list(names_of_bundles())


def names_of_bundles() -> dict[str, str]:
    """Digest -> name of the imported bundles, newest first. None of them is opened for it."""
    return {info.digest: info.name for info in list_bundles(home_folder())}


def watcher() -> str:
    """A name for this browser tab's session, so that a job knows who still waits for it."""
    if keys.WATCHER not in st.session_state:
        st.session_state[keys.WATCHER] = uuid.uuid4().hex
    return str(st.session_state[keys.WATCHER])


def remember(bundle: Bundle, chapter: str, **asked: object) -> None:
    """Keep for the report what a page shows now: options of its result, what it is about."""
    held = st.session_state.get(keys.CHAPTERS, {})
    own = held.get(bundle.digest, {})
    st.session_state[keys.CHAPTERS] = {**held, bundle.digest: {**own, chapter: asked}}


def remembered(bundle: Bundle) -> dict[str, dict[str, object]]:
    """What pages of this session showed of a bundle last, by chapter of the report."""
    found: dict[str, dict[str, object]] = st.session_state.get(keys.CHAPTERS, {}).get(
        bundle.digest, {}
    )
    return found


def ask(task: str, digest: str, **options: object) -> Job:
    """Start a task, or join the one that already computes the same, or reopen its result.

    A task that reads embeddings reads those of the session's layer, unless ``layer`` names one.
    """
    asked = {**default_options(task), **options}
    if "layer" in asked:
        asked["layer"] = asked["layer"] or layer_of(digest)
    who = str(st.session_state.get(keys.PERSON, ""))
    return jobs().submit(task, digest, asked, watcher=watcher(), person=who)
