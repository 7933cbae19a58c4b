"""Whoever may only look finds every control that changes something switched off, with the reason."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from backend.access import Right
from backend.access.gate import LOOK_ONLY, READER
from backend.access.guarded import RIGHTS
from backend.bundle import Bundle
from backend.store import Author
from pages.components.gallery import keyboard
from pages.components.gallery.shown import Shown
from pages.components.shared import keys, services
from tests.pages.door.test_who_sees_what import PEOPLE, enter, secret, share  # noqa: F401
from tests.pages.running import APP

PROJECT = Path(APP).parent
CHANGING = {name for name, needs in RIGHTS.items() if max(needs.values()) == Right.TAG}
"""What only people do who may tag."""
ADD = "ADD"
OF_A_RUN = {
    # What a run of the page does because a callback asked for it.
    "pages.components.flagged.hypotheses._test": "pages.components.flagged.hypotheses._ask_for_test",
}
ABSENT = ("pages.bundles.", "pages.components.bundles.")
"""The page of bundles leaves out what adds one, for who may not (below)."""


def sources(folder: str) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((PROJECT / folder).rglob("*.py")):
        name = ".".join(path.relative_to(PROJECT).with_suffix("").parts)
        yield name, ast.parse(path.read_text(encoding="utf-8"))


@cache
def backend_acts() -> dict[str, frozenset[str]]:
    """Function of the backend that is handed a store -> what it changes with it."""
    found = {}
    for _, tree in sources("backend"):
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                attributes = [one for one in ast.walk(node) if isinstance(one, ast.Attribute)]
                acts = {
                    one.attr
                    for one in attributes
                    if one.attr in CHANGING and ast.unparse(one.value) == "store"
                }
                if acts:
                    found[node.name] = frozenset(acts)
    return found


class Pages:
    """All functions of the pages: what each changes, what it calls, and its widgets."""

    def __init__(self) -> None:
        self.direct: dict[str, set[str]] = {}
        self.calls: dict[str, set[str]] = {}
        self.widgets: list[tuple[str, ast.Call, set[str]]] = []
        """Function that draws it, the call, and the functions that it calls back."""
        for module, tree in sources("pages"):
            if module == "pages.components.shared.services":
                continue  # the door itself
            names = self._names(module, tree)
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef):
                    self._read(f"{module}.{node.name}", node, names)

    @staticmethod
    def _names(module: str, tree: ast.Module) -> dict[str, str]:
        """What the names of a module stand for."""
        names = {
            node.name: f"{module}.{node.name}"
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pages"):
                names |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
        return names

    def _read(self, name: str, function: ast.FunctionDef, names: dict[str, str]) -> None:
        acts, calls = self.direct.setdefault(name, set()), self.calls.setdefault(name, set())
        for node in ast.walk(function):
            if isinstance(node, ast.Attribute) and node.attr in CHANGING:
                acts |= {node.attr} if "store" in ast.unparse(node.value) else set()
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            acts |= backend_acts().get(called, frozenset())
            if called == "services.ask" and any(one.arg == "owner" for one in node.keywords):
                acts.add(ADD)
            calls |= self._aims(node.func, names)
            back = [
                one.value
                for one in node.keywords
                if one.arg and one.arg.startswith("on_") and not isinstance(one.value, ast.Constant)
            ]
            if back:
                told = {aim for one in back for aim in self._aims(one, names)}
                self.widgets.append((name, node, told))

    @classmethod
    def _aims(cls, node: ast.AST, names: dict[str, str]) -> set[str]:
        """The functions that an expression stands for."""
        if isinstance(node, ast.Name):
            return {names[node.id]} if node.id in names else set()
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            return {f"{names[node.value.id]}.{node.attr}"} if node.value.id in names else set()
        if isinstance(node, ast.Lambda):
            inner = [one for one in ast.walk(node.body) if isinstance(one, ast.Call)]
            return {aim for one in inner for aim in cls._aims(one.func, names)}
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "partial":
            return cls._aims(node.args[0], names)
        return set()

    def behind(self, start: set[str]) -> set[str]:
        """These functions and all that they call."""
        seen, left = set(), set(start)
        while left:
            seen |= left
            left = {aim for one in left for aim in self.calls.get(one, ())} - seen
        return seen

    def acts(self, start: set[str]) -> set[str]:
        return {act for one in self.behind(start) for act in self.direct.get(one, ())}


def asked(drawing: str, widget: ast.Call, bodies: dict[str, str]) -> str:
    """What is written of the right to use a widget: in its call, or in a name that it is handed."""
    told = ast.unparse(widget)
    held = any(one.arg is None and ast.unparse(one.value) == "told" for one in widget.keywords)
    return told + (bodies[drawing] if held else "")


def test_every_control_that_changes_something_is_off_for_who_may_not() -> None:
    pages, seen, checked = Pages(), set(), set()
    bodies = {
        f"{module}.{node.name}": ast.unparse(node)
        for module, tree in sources("pages")
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    }
    for drawing, widget, back in pages.widgets:
        acts = pages.acts(back | {of for of, flag in OF_A_RUN.items() if flag in back})
        if not acts or (acts == {ADD} and drawing.startswith(ABSENT)):
            continue
        said = asked(drawing, widget, bodies)
        named = ["allowed.control(allowed.ADD"] if ADD in acts else []
        named += [f"allowed.control('{act}'" for act in acts - {ADD}]
        named += [f"allowed.refusal('{act}'" for act in acts - {ADD}]
        named += ["allowed.control(word.lower()"] if acts == {"undo", "redo"} else []
        named += ["allowed.refusal('answer_question' if asked else 'tag'"]
        place = f"{drawing}: {ast.unparse(widget)[:120]} leads to {sorted(acts)}: hand it {named[0]}, digest, disabled=..., help=...), two stars before it"
        assert any(one in said for one in named), place
        checked.add(drawing)
        seen |= pages.behind(back)
    assert len(checked) > 15
    reached = {name for name, acts in pages.direct.items() if acts & CHANGING and name in seen}
    acting = {name for name, acts in pages.direct.items() if acts & CHANGING}
    drawn = {name for name in acting if name in checked}  # with the callback inside of it
    assert acting - reached - drawn == set(OF_A_RUN)


@pytest.mark.parametrize(("who", "why"), [("member", LOOK_ONLY), ("reader", READER)])
def test_they_say_why_and_are_there_again_with_the_right(
    secret: Bundle,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    who: str,
    why: str,
) -> None:
    enter(monkeypatch, PEOPLE[who])
    share(secret, "look")
    services.shared_store().tag(secret.digest, ["0"], "t", author=Author("Own", "@other"))

    def open_page(page: str, **query: str) -> AppTest:
        at = AppTest.from_file(APP, default_timeout=60)
        at.query_params["bundle"] = secret.digest[:12]
        for name, value in query.items():
            at.query_params[name] = value
        at = at.switch_page(f"pages/{page}.py").run()
        assert not at.exception
        return at

    at = open_page("flagged", sheet="Hypotheses")
    for key in ("hypothesis_test", "undo", "redo", "untag"):
        assert (at.button(key=key).disabled, at.button(key=key).help) == (True, why), key
    at = open_page("bundles")
    labels = {one.label for one in at.button}
    assert not labels & {"Remove", "Rename", "Share", "Import the demo"}
    assert bool(at.get("file_uploader")) is (who == "member")
    share(secret, "tag")
    if who == "member":
        at = open_page("flagged", sheet="Hypotheses")
        assert not at.button(key="hypothesis_test").disabled


def test_a_key_that_was_typed_before_the_right_ended_is_refused_once_and_not_sent_for_ever(
    secret: Bundle,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    enter(monkeypatch, PEOPLE["member"])
    share(secret, "look")
    rows = np.arange(3)
    shown = Shown(secret, "gallery", rows, 0, rows)
    item = {"n": 1, "operation": "late-1", "kind": "tag", "bundle": secret.digest, "tag": "late"}
    queue = {"instance": "an-instance", "sent": 1, "items": [{**item, "ids": [str(secret.ids[0])]}]}
    state: dict[str, Any] = {"gallery_keys": {"queue": queue, "opened": None}}
    monkeypatch.setattr(st, "session_state", state)
    keyboard._apply(shown)
    ledger = state[f"{keys.LEDGER}_gallery"]
    assert ledger["problem"] == LOOK_ONLY and ledger["done"] == {"an-instance": 1}
    assert "late" not in services.shared_store().tag_counts(secret.digest)


def test_everybody_may_where_nobody_signs_in(
    secret: Bundle,  # noqa: F811
) -> None:
    allowed = importlib.import_module("pages.components.shared.allowed")
    for act in CHANGING:
        assert services.refused(act, secret.digest) is None
    assert allowed.control("tag", secret.digest, help="x") == {"disabled": False, "help": "x"}
