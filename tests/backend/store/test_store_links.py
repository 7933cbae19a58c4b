"""Links between runs: who said so, taken back, undone, and which are mere retrains."""

from __future__ import annotations

import pytest

from backend.core.errors import InputError
from backend.store import Store

OLD, NEW, SEED = "a" * 64, "b" * 64, "c" * 64


@pytest.fixture
def store(tmp_path, database):
    store = Store(home=tmp_path)
    yield store
    store.close()


def said(store, bundle=NEW):
    return [(one.older, one.name, one.unchanged, one.linked, one.author) for one in store.run_links(bundle)]  # fmt: skip


def test_a_link_has_an_author_and_is_taken_back_and_undone(store, tmp_path):
    event = store.link_runs(NEW, OLD, name="run 1", author="Ada")
    assert event.summary == "linked it to the older run 'run 1'"
    assert said(store) == [(OLD, "run 1", False, True, "Ada")]
    assert said(Store(home=tmp_path)) == said(store) and store.run_links(NEW)[0].time == event.time
    assert store.unlink_runs(NEW, OLD, name="run 1", author="Bob").summary.startswith("took the")
    assert said(store) == [(OLD, "run 1", False, False, "Bob")]
    store.undo(NEW, "Bob")
    assert said(store) == [(OLD, "run 1", False, True, "Ada")]
    store.undo(NEW, "Ada")
    assert said(store) == [] and said(store, OLD) == []
    store.redo(NEW, "Ada")
    assert said(store) == [(OLD, "run 1", False, True, "Ada")]


def test_retrains_stand_beside(store):
    store.link_runs(NEW, OLD, name="run 1")
    event = store.link_runs(SEED, OLD, name="run 1", unchanged=True)
    assert event.summary.endswith("the same with another seed")
    assert [one.bundle for one in store.retrains_of(OLD, [NEW, SEED])] == [SEED]
    store.unlink_runs(SEED, OLD, name="run 1")
    assert store.retrains_of(OLD, [NEW, SEED]) == []


@pytest.mark.parametrize(
    ("older", "name", "said"), [(NEW, "itself", "to another one"), (OLD, " ", "1 to 200")]
)
def test_links_that_are_refused(store, older, name, said):
    with pytest.raises(InputError, match=said):
        store.link_runs(NEW, older, name=name)
    assert store.run_links(NEW) == []
