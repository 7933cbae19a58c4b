"""Tags that are carried over to a bundle of the same examples: counted, one step to undo."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.core.errors import InputError
from backend.store import Author, CarriedTags, Store

OLD, NEW = "ab" * 32, "cd" * 32
IDS = [str(row) for row in range(10)]


@pytest.fixture
def store(tmp_path: Path, database: str) -> Store:
    store = Store(home=tmp_path)
    region = {"kind": "region", "center": [1.0], "precision": 2.0}
    store.tag(OLD, ["1", "2", "gone"], "blurred", author="Ada", source=region)
    store.tag(OLD, ["3"], "blurred", author="Bob", source={"kind": "keyboard", "from": region})
    store.tag(OLD, ["4", "5"], "angle", author="Bob")
    store.tag(OLD, ["6"], "mistake", author="Bob")
    store.untag(OLD, ["6"], "mistake", author="Ada")
    return store


def pairs(store: Store, bundle: str = NEW) -> list[tuple[str, str, str]]:
    table = store.tags(bundle)
    return list(zip(table["tag"], table["id"], table["author"], strict=True))


CAROL = Author("Carol", "@carol")
CARRIED = [("angle", one, "Carol") for one in "45"] + [("blurred", one, "Carol") for one in "123"]


def test_tags_in_force_are_carried_by_id_counted_and_undone_in_one_step(store: Store) -> None:
    before = pairs(store, OLD)
    done = store.carry_tags(OLD, NEW, IDS, author=CAROL)
    assert done == CarriedTags(("angle", "blurred"), carried=5, known=0, missing=1)
    assert pairs(store) == CARRIED and pairs(store, OLD) == before
    kinds = {event.source["from"] and event.source["from"]["kind"] for event in store.events(NEW)}
    assert kinds == {"region", "keyboard", None}  # what they were set by stays known
    assert {event.source["bundle"] for event in store.events(NEW)} == {OLD}

    undone = store.undo(NEW, CAROL)
    assert undone is not None and "2 sets more" in undone.summary
    assert pairs(store) == [] and store.undoable(NEW, CAROL) is None
    store.redo(NEW, CAROL)
    assert pairs(store) == CARRIED and store.redoable(NEW, CAROL) is None
    assert store.carry_tags(OLD, NEW, IDS, author="Dan") == CarriedTags((), 0, 5, 1)
    assert len(store.events(NEW)) == 9  # three sets, undone and redone


def test_one_step_is_one_step_between_other_changes(store: Store) -> None:
    store.tag(NEW, ["1"], "blurred", author="Dan")
    store.tag(NEW, ["9"], "before", author=CAROL)
    assert store.carry_tags(OLD, NEW, IDS, author=CAROL).known == 1
    store.tag(NEW, ["9"], "after", author=CAROL)
    with_all = pairs(store)
    for expected in (
        {"before", "angle", "blurred"},
        {"before", "blurred"},  # Dan's
        {"blurred"},
    ):
        store.undo(NEW, CAROL)
        assert {tag for tag, *_ in pairs(store)} == expected
    for _ in range(3):
        store.redo(NEW, CAROL)
    assert pairs(store) == with_all
    assert store.redo(NEW, CAROL) is None
    assert ("blurred", "1", "Dan") in with_all


def test_a_bundle_is_not_carried_to_itself(store: Store) -> None:
    with pytest.raises(InputError, match="another bundle"):
        store.carry_tags(OLD, OLD, IDS)
    assert store.carry_tags("ef" * 32, NEW, IDS) == CarriedTags()
