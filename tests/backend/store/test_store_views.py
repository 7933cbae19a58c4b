"""Saved views, settings, and operations that are done once: more of what the log holds."""

from __future__ import annotations

import sqlite3
import threading

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from backend.core.errors import InputError
from backend.store import Author, Store, author_of
from backend.store.database import MIGRATIONS

BUNDLE = "ab" * 32


@pytest.fixture
def store(tmp_path, database):
    return Store(home=tmp_path)


def names(store):
    return {view.name: view.state for view in store.views(BUNDLE)}


# Saved views


def test_a_view_is_saved_replaced_and_deleted(store):
    first = store.save_view(BUNDLE, " shirts ", {"filter": "label = 6", "page": 2}, author="Ada")
    store.save_view(BUNDLE, "bags", {"filter": ""}, author="Bob")
    store.save_view(BUNDLE, "shirts", {"filter": "label = 6 and loss > 1"}, author="Bob")
    assert names(store) == {"shirts": {"filter": "label = 6 and loss > 1"}, "bags": {"filter": ""}}
    assert [view.author for view in store.views(BUNDLE)] == ["Bob", "Bob"]
    assert store.views(BUNDLE)[0].key == first.payload["key"]
    deleted = store.delete_view(BUNDLE, first.payload["key"], author="Ada")
    assert names(store) == {"bags": {"filter": ""}}
    assert deleted.summary == "deleted the view 'shirts'"


def test_undo_and_redo_lead_through_every_version_of_a_view(store):
    states = [names(store)]
    for change in (
        lambda: store.save_view(BUNDLE, "a", {"x": 1}),
        lambda: store.save_view(BUNDLE, "a", {"x": 2}),
        lambda: store.delete_view(BUNDLE, "a"),
        lambda: store.save_view(BUNDLE, "b", {}),
    ):
        change()
        states.append(names(store))
    for expected in reversed(states[:-1]):
        store.undo(BUNDLE)
        assert names(store) == expected
    for expected in states[1:]:
        store.redo(BUNDLE)
        assert names(store) == expected


def test_an_empty_state_is_a_view_and_not_a_deleted_one(store, tmp_path):
    store.save_view(BUNDLE, "everything", {})
    assert names(store) == {"everything": {}}
    assert names(Store(home=tmp_path)) == {"everything": {}}


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda store: store.save_view(BUNDLE, " ", {}), "name of a view must have 1 to 80"),
        (lambda store: store.save_view(BUNDLE, "a", ["x"]), "must be a dict: got list"),
        (lambda store: store.delete_view(BUNDLE, "gone"), "no saved view 'gone'"),
    ],
)
def test_views_that_are_refused(store, act, message):
    store.save_view(BUNDLE, "one", {"x": 1})
    store.save_view(BUNDLE, "two", {"x": 2})
    with pytest.raises(InputError, match=message):
        act(store)
    assert names(store) == {"one": {"x": 1}, "two": {"x": 2}}


# Settings


def test_a_setting_is_its_authors_and_undo_passes_it_by(store):
    store.tag(BUNDLE, ["a"], "x", author="Ada")
    store.write_setting(BUNDLE, "keys", {"1": "x"}, author="Ada")
    store.write_setting(BUNDLE, "keys", {"1": "y"}, author="Bob")
    store.write_setting(BUNDLE, "keys", {"2": "x"}, author="Ada")
    assert store.setting(BUNDLE, "keys", author="Ada") == {"2": "x"}
    assert store.setting(BUNDLE, "keys", author="Bob") == {"1": "y"}
    assert store.setting(BUNDLE, "other", author="Ada") is None
    assert store.undo(BUNDLE, "Ada").summary == "undid: tagged 1 example 'x'"
    assert store.setting(BUNDLE, "keys", author="Ada") == {"2": "x"}


# Operations


def test_the_same_operation_is_done_once(store):
    first = store.tag(BUNDLE, ["a"], "x", operation="k-1")
    again = store.tag(BUNDLE, ["a"], "x", operation="k-1")
    assert again.seq == first.seq and len(store.events(BUNDLE)) == 1
    undone = store.undo(BUNDLE, operation="k-2")
    store.tag(BUNDLE, ["b"], "x")
    assert store.undo(BUNDLE, operation="k-2").seq == undone.seq  # does not take "b" back
    assert store.tag_counts(BUNDLE) == {"x": 1}
    assert [event.operation for event in store.events(BUNDLE)] == [None, "k-2", "k-1"]
    assert store.tag("another bundle", ["a"], "x", operation="k-1").seq not in (first.seq, None)


def test_threads_that_ask_for_the_same_operations_do_each_once(tmp_path, database):
    stores = [Store(home=tmp_path) for _ in range(4)]

    def work(store):
        for step in range(25):
            store.tag(BUNDLE, [f"e{step}"], "x", operation=f"k-{step}")

    threads = [threading.Thread(target=work, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stores[0].events(BUNDLE)) == 25
    assert stores[0].tag_counts(BUNDLE) == {"x": 25}


@pytest.mark.parametrize("name", ["", "x" * 81, "two\nlines", 7])
def test_operations_with_improper_names_are_refused(store, name):
    with pytest.raises(InputError, match="the name of an operation must"):
        store.tag(BUNDLE, ["a"], "x", operation=name)


# Reading a page of examples


def test_tags_on_some_examples_and_the_changes_that_name_one(store):
    store.tag(BUNDLE, ["a", "b"], "x", author="Ada")
    store.tag(BUNDLE, ["b"], "angle", author="Bob")
    store.untag(BUNDLE, ["a"], "x", author="Bob")
    store.undo(BUNDLE, "Bob")
    assert store.tags_on(BUNDLE, ["b", "a", "never seen"]) == {"a": ["x"], "b": ["angle", "x"]}
    assert [event.summary for event in store.events_of(BUNDLE, "a")] == [
        "tagged 2 examples 'x'",
        "took 'x' off 1 example",
    ]
    assert [event.undone for event in store.events_of(BUNDLE, "a")] == [False, True]
    assert store.events_of(BUNDLE, "never seen") == []
    assert store.last_seq(BUNDLE) == 4 and store.last_seq("another bundle") == 0


# Who it was


@pytest.mark.parametrize(
    "writes, asks, same",
    [
        ("Ada", " ada ", True),
        ("Ada  Lovelace", "ada lovelace", True),
        ("@ada", "Ada", True),  # nobody types the key of somebody who signed in
        ("Ada", "Bob", False),
        (Author("Ada", "@1"), Author("Countess", "@1"), True),
        (Author("Ada", "@1"), Author("Ada", "@2"), False),
        (Author("Ada", "@1"), "Ada", False),
        (Author("Ada", "@1"), "@1", False),
    ],
)
def test_ones_own_actions_are_told_by_the_key(store, writes, asks, same):
    store.tag(BUNDLE, ["a"], "x", author=writes)
    store.write_setting(BUNDLE, "size", 48, author=writes)
    assert store.setting(BUNDLE, "size", author=asks) == (48 if same else None)
    assert (store.undoable(BUNDLE, asks) is not None) == same
    assert (store.undo(BUNDLE, asks) is not None) == same
    assert (store.redoable(BUNDLE, asks) is not None) == same
    first, name = store.events(BUNDLE)[-1], getattr(writes, "name", writes)
    assert (first.author, first.author_key) == (name, author_of(writes).key)


# Regions that are set aside


def test_a_region_is_set_aside_for_everybody_and_taken_back_by_who_did_it(store):
    first = store.set_aside(BUNDLE, ["b", "a"], " label noise ", name="2 shirts", author="Ada")
    store.set_aside(
        BUNDLE, ["c"], "seen", name="bags", note="in May", source={"number": 3}, author="Bob"
    )
    key = first.payload["key"]
    held = store.known_regions(BUNDLE)
    assert [(one.name, one.reason, one.note, one.ids, one.author_key) for one in held] == [
        ("2 shirts", "label noise", "", ("b", "a"), "ada"),
        ("bags", "seen", "in May", ("c",), "bob"),
    ]
    assert held[1].source == {"number": 3} and first.summary == (
        "set aside '2 shirts', 2 examples: label noise"
    )
    assert [event.kind for event in store.events_of(BUNDLE, "a")] == ["known"]
    assert store.tags(BUNDLE).empty  # nothing is tagged by it

    def names():
        return [one.name for one in store.known_regions(BUNDLE)]

    with pytest.raises(InputError, match="set aside by Ada, who alone can take it back"):
        store.take_back(BUNDLE, key, author="Bob")
    taken = store.take_back(BUNDLE, key, author="ada")
    assert names() == ["bags"] and taken.summary == "took back '2 shirts', which was set aside"
    with pytest.raises(InputError, match="not set aside any more"):
        store.take_back(BUNDLE, key, author="Ada")
    for act, left in [("undo", 2), ("undo", 1), ("redo", 2), ("redo", 1)]:
        assert getattr(store, act)(BUNDLE, "Ada") is not None
        assert len(names()) == left
    assert store.undo(BUNDLE, "Bob") is not None and names() == []


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"ids": []}, "at least one example"),
        ({"reason": " "}, "the reason must have 1 to 80"),
        ({"name": "x" * 201}, "the name of a region must have 1 to 200"),
        ({"note": "x" * 1001}, "the note must have 1 to 1000"),
    ],
)
def test_what_cannot_be_set_aside(store, changes, message):
    given = {"ids": ["a"], "reason": "known", "name": "shirts"} | changes
    with pytest.raises(InputError, match=message):
        store.set_aside(BUNDLE, **given)
    assert store.known_regions(BUNDLE) == []


# Databases of the version before


@pytest.mark.parametrize("version", ["0001", "0002"])
def test_a_database_of_an_earlier_version_is_brought_up_to_date_and_keeps_its_tags(
    tmp_path, version
):
    path = tmp_path / "errorscope.sqlite"
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, version)
    engine.dispose()
    with sqlite3.connect(path) as raw:
        raw.execute(
            "INSERT INTO events (bundle, author, time, kind, n_ids, payload, ids) VALUES "
            "(?, 'Ada ', '2026-11-01T00:00:00.000Z', 'rename_region', 0, ?, X'')",
            (BUNDLE, '{"key": "k1", "name": "shirts"}'),
        )
    raw.close()
    store = Store(home=tmp_path)
    assert store.region_names(BUNDLE) == {"k1": "shirts"}
    assert [event.author_key for event in store.events(BUNDLE)] == ["ada"]
    store.tag(BUNDLE, ["a"], "x", operation="k-1")
    with sqlite3.connect(path) as raw:  # a program of the version before may still be writing
        raw.execute("UPDATE events SET author_key = NULL")
    raw.close()
    store = Store(home=tmp_path)
    assert [event.author_key for event in store.events(BUNDLE)] == ["local", "ada"]
    assert store.undo(BUNDLE, "Ada").summary == "undid: named a region 'shirts'"
