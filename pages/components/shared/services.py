"""What all sessions of one server share: workers, tags, open bundles.

Every door here asks ``backend.access`` on behalf of whoever is signed in, and pages have no other: what
stands below *Unguarded* is for this module, the server and its routes, which a test holds.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable
from typing import Any, TypeVar, cast

import streamlit as st

from backend.access import Gate, GuardedStore, Person, Right
from backend.access.guarded import RIGHTS
from backend.bundle import (
    Bundle,
    BundleInfo,
    RemovedBundle,
    bundle_stamp,
    delete_removed,
    open_bundle,
    remove_bundle,
    rename_bundle,
    restore_bundle,
    sweep_removed,
)
from backend.cache import Cache, Entry
from backend.cache.keys import owner_of
from backend.core.errors import AccessError, StoreError
from backend.core.home import stand_in_cache
from backend.jobs import Job, Jobs, serving
from backend.retraining.stored import drop_results
from backend.store import Author, Reader, Store
from backend.store.authors import LOCAL, key_of
from backend.tasks import default_options
from pages.components.door import identity
from pages.components.shared import keys
from pages.components.shared.downloads import HANDED

Made = TypeVar("Made", str, bytes)

# --- guarded ---------------------------------------------------------------------------------------


def store() -> Store:
    """Tags and events. Whatever is kept or leaves asks here, and is told when that cannot be."""
    return cast(Store, GuardedStore(shared_store(), gate(), identity.person()))


def known() -> Reader:
    """Tags and events as far as they can be read now, for what a page shows beside other things."""
    return Reader(store(), _refused())


def bundle_of(digest: str, layer: str = "") -> Bundle:
    """An imported bundle at one of its layers, opened by memory map and kept open.

    Raises
    ------
    AccessError
        If whoever is signed in may not look at it.
    """
    return bundle_for(identity.person(), digest, layer)


def bundle_for(person: Person, digest: str, layer: str = "") -> Bundle:
    """The same for a person who asks by a route."""
    gate().check(person, Right.LOOK, digest)
    return open_bundle_of(digest, layer)


def may_look(person: Person, digest: str) -> bool:
    """Whether a person who asks by a route may look at a bundle now."""
    return gate().right(person, digest) >= Right.LOOK


def may_fetch(person: Person, name: str) -> bool:
    """Whether a person may have the file of this name now, which a page of theirs was given."""
    of = HANDED.bundles(person.key, name)
    return of is not None and any(not one or may_look(person, one) for one in of)


def bundles() -> list[BundleInfo]:
    """The imported bundles that may be looked at, newest first. None of them is opened for it."""
    return gate().bundles(identity.person())


def may(right: Right, digest: str) -> bool:
    """Whether a button is worth showing; whatever it does asks again."""
    return gate().right(identity.person(), digest) >= right


def refused(act: str, digest: str) -> str | None:
    """Why whoever is signed in may not use this method of the store on a bundle; None where they may."""
    try:
        gate().check(identity.person(), RIGHTS[act]["bundle"], digest)
    except AccessError as error:
        return str(error)
    return None


def adding_refused() -> str | None:
    """Why whoever is signed in may not add bundles; None where they may."""
    try:
        gate().check_adding(identity.person())
    except AccessError as error:
        return str(error)
    return None


def may_add() -> bool:
    """Whether bundles can be added by whoever is signed in."""
    return adding_refused() is None


def job(key: str) -> Job | None:
    """The latest job under a key, if there is one of a bundle that may be looked at."""
    found = jobs().get(key)
    if found is None or (found.digest and not may(Right.LOOK, found.digest)):
        return None
    return found


def retry(job: Job) -> Job:
    """Compute a job that failed or was cancelled again."""
    gate().check_task(identity.person(), job.digest, job.options)
    return jobs().retry(job, watcher=watcher(), person=_asks())


def kept(digest: str, key: str) -> Entry | None:
    """A result of this bundle that is kept under a key."""
    gate().check(identity.person(), Right.LOOK, digest)
    return cache().read(key) if key.startswith(owner_of(digest)) else None


def keep(digest: str, key: str, meta: dict[str, Any]) -> None:
    """Keep plain values of this bundle under a key among its results, which may go to make room."""
    gate().check(identity.person(), Right.LOOK, digest)
    if key.startswith(owner_of(digest)):
        cache().write(key, {}, meta)


def remove(digest: str) -> None:
    """Remove a bundle, with results that are soon made anew; it can be taken back for some days."""
    gate().check(identity.person(), Right.OWN, digest)
    remove_bundle(digest)
    cache().drop(digest)
    _sweep()
    opened.clear()
    _note(digest, "removed")


def removed() -> list[RemovedBundle]:
    """The removed bundles that can be taken back by whoever is signed in; late ones go here."""
    _sweep()
    return gate().removed(identity.person())


def restore(digest: str) -> None:
    """Take a removed bundle back."""
    gate().check_removed(identity.person(), digest)
    restore_bundle(digest)
    _note(digest, "restored")


def delete(digest: str) -> None:
    """Delete a removed bundle before its time."""
    gate().check_removed(identity.person(), digest)
    if delete_removed(digest):
        drop_results(digest)
    _note(digest, "deleted")


def rename(digest: str, name: str) -> str:
    """Call a bundle by another name; the name as it is kept."""
    gate().check(identity.person(), Right.OWN, digest)
    called = rename_bundle(digest, name)
    _note(digest, "renamed", called)
    return called


def imported(digest: str) -> None:
    """Write down that a bundle was imported by whoever is signed in."""
    gate().check(identity.person(), Right.LOOK, digest)
    with contextlib.suppress(StoreError):  # it is there, and says itself whose it is and since when
        _note(digest, "imported")


def repair_asked(digest: str, what: str) -> None:
    """Write down that a repair was asked for."""
    gate().check(identity.person(), Right.LOOK, digest)
    with contextlib.suppress(StoreError):  # what comes of it says itself when and of what
        _note(digest, "repair", what)


def handed(digest: str, what: str, make: Callable[[Store], Made]) -> Callable[[], Made]:
    """What a download hands out, for ``data`` of its button: made at the click, and written down.

    Streamlit calls it outside of the session, so whose click it is is remembered here.

    Parameters
    ----------
    digest : str
        Of the bundle that it is about.
    what : str
        What is taken out, in words for the log.
    make : callable
        Makes the content from the store as this person may read it.
    """
    whose, own, author = identity.person(), store(), who()

    def made() -> Made:
        of = digest.partition(":")[0]
        gate().check(whose, Right.LOOK, of)
        content = make(own)
        shared_store().note(of, "exported", author=author, what=what)
        HANDED.note(whose.key, content, of)
        return content

    return made


def _sweep() -> None:
    for gone in sweep_removed():
        drop_results(gone)


def _note(digest: str, kind: str, what: str = "") -> None:
    shared_store().note(digest, kind, author=who(), what=what)


# --- unguarded -------------------------------------------------------------------------------------


@st.cache_resource(show_spinner=False)
def gate() -> Gate:
    """Answers who may do what."""
    return Gate(shared_store())


@st.cache_resource(show_spinner=False)
def jobs() -> Jobs:
    """The worker processes. One set serves everybody, also after somebody emptied the caches."""
    _place_results()
    return serving()


@st.cache_resource(show_spinner=False)
def shared_store() -> Store:
    """The database of this server."""
    return Store(later=True)


@st.cache_resource(show_spinner=False)
def _refused() -> dict[str, tuple[float, str]]:
    """What all readers know of refusals of the database."""
    return {}


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


def open_bundle_of(digest: str, layer: str = "") -> Bundle:
    """An imported bundle, whoever asks; opened anew where any server that shares the folder changed it."""
    found: Bundle = opened(digest, layer, bundle_stamp(digest))
    return found


@st.cache_resource(show_spinner=False, max_entries=16)
def opened(digest: str, layer: str, stamp: int) -> Bundle:
    """A bundle that is kept open, as its manifest of this stamp tells it."""
    if layer:
        whole: Bundle = opened(digest, "", stamp)
        return whole.at_layer(layer)
    return open_bundle(digest)


# --- this session ----------------------------------------------------------------------------------


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
    return {info.digest: info.name for info in bundles()}


def who() -> Author:
    """Who tags: the name that is shown, and the key by which people are told apart."""
    signed_in = identity.present()
    if signed_in is not None:
        return signed_in
    name = str(st.session_state.get(keys.AUTHOR, "").strip() or LOCAL)
    return Author(name, key_of(name))


def person() -> Person:
    """Whoever uses this session, with key and role."""
    return identity.person()


def people_sign_in() -> bool:
    """Whether people sign in here, so that bundles have owners."""
    return identity.configured()


def watcher() -> str:
    """A name for this browser tab's session, so that a job knows who still waits for it."""
    if keys.WATCHER not in st.session_state:
        st.session_state[keys.WATCHER] = uuid.uuid4().hex
    return str(st.session_state[keys.WATCHER])


def ask(task: str, digest: str, **options: object) -> Job:
    """Start a task, or join the one that already computes the same, or reopen its result.

    A task that reads embeddings reads those of the session's layer, unless ``layer`` names one.
    """
    asked = {**default_options(task), **options}
    if "layer" in asked:
        asked["layer"] = asked["layer"] or layer_of(digest)
    return submit(task, digest, asked)


def submit(task: str, digest: str, options: dict[str, Any]) -> Job:
    """The same with exactly these options. What it makes belongs to whoever is signed in.

    Raises
    ------
    AccessError
        If it reads a bundle that may not be looked at, or adds one and that is not allowed.
    """
    whose = identity.person()
    gate().check_task(whose, digest, options)
    if "owner" in options and whose.key:
        options = options | {"owner": whose.key}
    return jobs().submit(task, digest, options, watcher=watcher(), person=_asks())


def _asks() -> str:
    """Whose tasks are counted: who is signed in, else the name that was typed when the page began."""
    return identity.person().key or str(st.session_state.get(keys.PERSON, ""))
