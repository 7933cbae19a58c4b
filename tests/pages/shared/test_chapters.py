"""What pages showed last outlives a reload, and stays with whoever it was shown to."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from backend.access import Person
from pages.components.door import identity
from pages.components.shared import services


def page() -> None:
    from types import SimpleNamespace

    import streamlit as st

    from pages.components.shared import chapters

    bundle = SimpleNamespace(digest="d" * 64)
    if "repair" in st.session_state:
        chapters.remember(bundle, "repair", options={"members": [1, 2]}, about="coats")  # type: ignore[arg-type]
    st.session_state["found"] = chapters.remembered(bundle)  # type: ignore[arg-type]


def opened(shown: Any = "", **held: Any) -> AppTest:
    at = AppTest.from_function(page)
    if shown:
        at.query_params["shown"] = shown
    for key, value in held.items():
        at.session_state[key] = value
    at.run()
    assert not at.exception
    return at


REPAIR = {"repair": {"options": {"members": [1, 2]}, "about": "coats"}}


def test_a_reload_keeps_what_was_shown_and_another_session_keeps_its_own(home: Path) -> None:
    first = opened(repair=True)
    assert first.session_state["found"] == REPAIR
    word = first.query_params["shown"]
    again = opened(word)
    own = again.query_params["shown"]
    assert again.session_state["found"] == REPAIR and own != word
    assert opened(own).session_state["found"] == REPAIR
    alone = opened()
    assert alone.session_state["found"] == {} and "shown" not in alone.query_params
    for foreign in ("0" * 16, "../../etc"):
        assert opened(foreign).session_state["found"] == {}


def test_where_people_sign_in_an_address_shows_it_to_the_same_person_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "gate", lambda: SimpleNamespace(check=lambda *asked: None))
    monkeypatch.setattr(identity, "person", lambda: person)
    person = Person("@ada", "Ada")
    word = opened(repair=True).query_params["shown"]
    assert opened(word).session_state["found"] == REPAIR
    person = Person("@bob", "Bob")
    assert opened(word).session_state["found"] == {}


def test_a_disk_that_refuses_leaves_it_in_the_session(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from backend.core.errors import CacheError

    def refuse(*given: object) -> None:
        raise CacheError("the disk is full")

    monkeypatch.setattr(services.cache(), "write", refuse)
    assert opened(repair=True).session_state["found"] == REPAIR
