"""The tag store: what the log says, what it survives, what it refuses."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.core.errors import InputError, StoreError
from backend.store import Store
from backend.store.database import HEAD, MIGRATIONS, events, metadata

PROJECT = Path(__file__).resolve().parents[3]
BUNDLE = "ab" * 32


@pytest.fixture
def store(tmp_path, database):
    return Store(home=tmp_path)


@pytest.fixture
def in_a_file(tmp_path, monkeypatch):
    monkeypatch.delenv("ERRORSCOPE_DATABASE", raising=False)
    return Store(home=tmp_path)


def state(store, bundle=BUNDLE):
    return store.tags(bundle).to_csv(index=False)


def pairs(store, bundle=BUNDLE):
    table = store.tags(bundle)
    return list(zip(table["id"], table["tag"], table["author"], strict=True))


# By hand


def test_tagged_examples_are_listed_by_tag_then_id(store):
    first = store.tag(BUNDLE, ["c", "a"], "blurred", author="Ada")
    store.tag(BUNDLE, ["a"], "angle", author="Bob")
    assert pairs(store) == [("a", "angle", "Bob"), ("a", "blurred", "Ada"), ("c", "blurred", "Ada")]
    assert store.tag_counts(BUNDLE) == {"angle": 1, "blurred": 2}
    assert store.tags_of(BUNDLE, "a") == ["angle", "blurred"]
    assert store.tags_of(BUNDLE, "never seen") == []
    assert store.tags(BUNDLE)["source_seq"].tolist() == [first.seq + 1, first.seq, first.seq]
    assert first.summary == "tagged 2 examples 'blurred'"
    assert store.tags("another bundle").empty


def test_a_pair_tagged_twice_keeps_its_first_author(store):
    store.tag(BUNDLE, ["a"], "x", author="Ada")
    store.tag(BUNDLE, ["a", "b"], "x", author="Bob")
    assert pairs(store) == [("a", "x", "Ada"), ("b", "x", "Bob")]


def test_taking_back_ones_own_tag_leaves_the_other_persons(store):
    store.tag(BUNDLE, ["a"], "x", author="Ada")
    store.tag(BUNDLE, ["a"], "x", author="Bob")
    store.undo(BUNDLE, "Ada")
    assert pairs(store) == [("a", "x", "Bob")]


def test_taking_back_an_untag_restores_what_another_tagged(store):
    store.tag(BUNDLE, ["a", "b"], "x", author="Ada")
    store.untag(BUNDLE, ["a"], "x", author="Bob")
    assert pairs(store) == [("b", "x", "Ada")]
    assert store.undo(BUNDLE, "Bob").summary == "undid: took 'x' off 1 example"
    assert pairs(store) == [("a", "x", "Ada"), ("b", "x", "Ada")]


def test_fifty_undo_steps_lead_back_and_fifty_redo_steps_forth(store):
    states = [state(store)]
    for step in range(50):
        store.tag(BUNDLE, [f"e{step}", "shared"], f"tag {step % 3}")
        states.append(state(store))
    for expected in reversed(states[:-1]):
        assert store.undo(BUNDLE) is not None
        assert state(store) == expected
    assert store.undo(BUNDLE) is None
    for expected in states[1:]:
        store.redo(BUNDLE)
        assert state(store) == expected
    assert store.redo(BUNDLE) is None
    assert len(store.events(BUNDLE)) == 150  # the log only grew


def test_a_new_change_forgets_what_could_be_redone(store):
    store.tag(BUNDLE, ["a"], "x")
    store.undo(BUNDLE)
    assert store.redoable(BUNDLE).tag == "x"
    store.tag(BUNDLE, ["b"], "x", author="another author does not matter")
    assert store.redoable(BUNDLE).tag == "x"
    store.tag(BUNDLE, ["b"], "y")
    assert store.redo(BUNDLE) is None
    assert store.undoable(BUNDLE).tag == "y"


def test_region_names_follow_renames_and_undo(store):
    store.rename_region(BUNDLE, "k1", "  shirts ")
    store.rename_region(BUNDLE, "k1", "coat-like shirts")
    store.rename_region(BUNDLE, "k2", "bags")
    assert store.region_names(BUNDLE) == {"k1": "coat-like shirts", "k2": "bags"}
    store.undo(BUNDLE)
    store.undo(BUNDLE)
    assert store.region_names(BUNDLE) == {"k1": "shirts"}
    store.rename_region(BUNDLE, "k1", "")
    assert store.region_names(BUNDLE) == {}


def test_the_history_reads_well_newest_first(store):
    store.tag(BUNDLE, [str(i) for i in range(1212)], "shirts", author="Ada", source={"index": 0})
    store.write_setting(BUNDLE, "page size", 48, author="Bob")
    store.undo(BUNDLE, "Ada")
    history = store.events(BUNDLE)
    assert [event.summary for event in history] == [
        "undid: tagged 1,212 examples 'shirts'",
        "set page size",
        "tagged 1,212 examples 'shirts'",
    ]
    assert [event.undone for event in history] == [False, False, True]
    assert history[2].source == {"index": 0}
    assert history[2].ids == tuple(str(i) for i in range(1212))
    assert [event.seq for event in store.events(BUNDLE, limit=2)] == [3, 2]
    assert [event.seq for event in store.events_at(BUNDLE, [3, 1, 1])] == [1, 3]
    assert history[0].time.endswith("Z")


def test_arrays_in_a_source_become_lists_with_the_same_numbers(store):
    center = np.array([0.1, -2.5e-7, 3.0])
    event = store.tag(BUNDLE, np.array(["a"]), "x", source={"center": center, "n": np.int64(3)})
    again = store.events(BUNDLE)[0].source
    assert event.source == again == {"center": center.tolist(), "n": 3}


def test_a_table_given_out_can_be_changed_without_changing_the_store(store):
    store.tag(BUNDLE, ["a"], "x")
    table = store.tags(BUNDLE)
    table.loc[0, "tag"] = "spoiled"
    assert pairs(store) == [("a", "x", "local")]


# Against an obvious twin

ACTIONS = st.tuples(
    st.sampled_from(["tag", "untag", "rename", "undo", "redo", "setting"]),
    st.sampled_from(["Ada", "Bob"]),
    st.sampled_from(["x", "y"]),
    st.sets(st.sampled_from("abcd"), min_size=1),
)


class Twin:
    """Keeps every change, refolds everything every time."""

    def __init__(self):
        self.changes = []  # [seq, author, kind, tag, ids, live]
        self.redoable = {}

    def act(self, seq, kind, author, tag, ids):
        if kind in ("tag", "untag", "rename"):
            self.changes.append([seq, author, kind, tag, ids, True])
            self.redoable[author] = []
            return True
        if kind == "undo":
            mine = [change for change in self.changes if change[1] == author and change[5]]
            if not mine:
                return False
            # The latest that is live: a change brought back by redo counts from the redo on, but
            # everything younger was reverted before it, so the largest seq is the latest.
            mine[-1][5] = False
            self.redoable.setdefault(author, []).append(mine[-1])
            return True
        stack = self.redoable.get(author, [])
        if not stack:
            return False
        stack.pop()[5] = True
        return True

    def state(self):
        held, names = {}, {}
        for seq, author, kind, tag, ids, live in self.changes:
            if live and kind == "rename":
                names[tag] = "".join(sorted(ids))
            elif live:
                for name in ids:
                    if kind == "tag":
                        held.setdefault((tag, name), (author, seq))
                    else:
                        held.pop((tag, name), None)
        return [(name, tag, *held[tag, name]) for tag, name in sorted(held)], names


def folds_like_the_twin(actions):
    bundle = uuid.uuid4().hex  # on PostgreSQL all examples share one database
    with tempfile.TemporaryDirectory() as home:
        stores = {"Ada": Store(home=home), "Bob": Store(home=home)}  # as if in two processes
        twin = Twin()
        for kind, author, tag, ids in actions:
            one = stores[author]
            if kind == "setting":
                one.write_setting(bundle, "page size", 48, author=author)
                continue
            if kind == "rename":
                event = one.rename_region(bundle, tag, "".join(sorted(ids)), author=author)
            elif kind in ("undo", "redo"):
                event = getattr(one, kind)(bundle, author)
            else:
                event = getattr(one, kind)(bundle, sorted(ids), tag, author=author)
            happened = twin.act(event and event.seq, kind, author, tag, ids)
            assert happened == (event is not None)
            expected, names = twin.state()
            for reader in stores.values():
                table = reader.tags(bundle)
                columns = [table[name] for name in ("id", "tag", "author", "source_seq")]
                assert list(zip(*columns, strict=True)) == expected
                assert reader.region_names(bundle) == names
        fresh = Store(home=home)
        assert state(fresh, bundle) == state(stores["Ada"], bundle)
        for one in (*stores.values(), fresh):
            one.close()


def test_any_history_of_two_authors_folds_like_the_twin(database):
    often = settings(max_examples=15 if database else 60, deadline=None)
    often(given(st.lists(ACTIONS, max_size=25))(folds_like_the_twin))()


# What it survives

TAGGER = """
import sys
from backend.store import Store
store = Store(home=sys.argv[1])
for step in range(100_000):
    event = store.tag(sys.argv[2], [f"e{step}"], "x", author=sys.argv[3])
    sys.stdout.write(f"{event.seq} e{step}\\n")
    sys.stdout.flush()
"""


def start_tagger(home, author):
    command = [sys.executable, "-c", TAGGER, str(home), BUNDLE, author]
    return subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)


def test_what_was_acknowledged_survives_kill_9(tmp_path, database):
    with start_tagger(tmp_path, "Ada") as process:
        told = [process.stdout.readline().split() for _ in range(40)]
        os.kill(process.pid, signal.SIGKILL)
        told += [line.split() for line in process.stdout if line.endswith("\n")]
    assert process.returncode == -signal.SIGKILL
    store = Store(home=tmp_path)
    kept = {event.seq: event.ids for event in store.events(BUNDLE)}
    assert all(kept[int(seq)] == (name,) for seq, name in told)
    assert set(store.tags(BUNDLE)["id"]) >= {name for _, name in told}
    store.tag(BUNDLE, ["after"], "x")  # and the file still takes more


def test_a_database_that_is_taken_away_is_said_and_a_copy_is_taken_up(tmp_path):
    store = Store(home=tmp_path)
    store.tag(BUNDLE, ["e0"], "x")
    file, copy = tmp_path / "errorscope.sqlite", tmp_path / "copy.sqlite"
    with sqlite3.connect(file) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    store.tag(BUNDLE, ["e1"], "x")
    for path in tmp_path.glob("errorscope.sqlite*"):
        path.rename(tmp_path / f"gone-{path.name}")
    for ask in (
        lambda: store.tag(BUNDLE, ["e2"], "x"),
        lambda: store.tags(BUNDLE),
        lambda: store.undo(BUNDLE, "local"),
        lambda: store.last_seq(BUNDLE),
    ):
        with pytest.raises(StoreError, match="was taken away while it was in use"):
            ask()
    assert not file.exists()  # no empty one was put in its place
    copy.rename(file)
    assert store.tags(BUNDLE)["id"].tolist() == ["e0"]  # what the copy holds, and no more
    store.tag(BUNDLE, ["e3"], "x")
    with closing(Store(home=tmp_path)) as another:
        assert another.tags(BUNDLE)["id"].tolist() == ["e0", "e3"]


def test_a_database_that_is_taken_away_while_a_tag_is_written_does_not_acknowledge_it(tmp_path):
    store = Store(home=tmp_path)
    with pytest.raises(StoreError, match="taken away"), store._writing():
        (tmp_path / "errorscope.sqlite").unlink()


def test_two_processes_open_and_tag_at_once(tmp_path, database):
    writers = [start_tagger(tmp_path, author) for author in ("Ada", "Bob")]
    told = []
    for writer in writers:
        told += [int(writer.stdout.readline().split()[0]) for _ in range(40)]
    for writer in writers:
        writer.kill()
        told += [int(line.split()[0]) for line in writer.stdout if line.endswith("\n")]
        writer.stdout.close()
        writer.wait()
    assert len(told) == len(set(told))
    kept = Store(home=tmp_path).events(BUNDLE)
    assert set(told) <= {event.seq for event in kept}
    assert {event.author for event in kept} == {"Ada", "Bob"}


def test_threads_of_one_store_lose_and_double_nothing(store):
    def work(author):
        for step in range(50):
            store.tag(BUNDLE, [f"{author}{step}"], "x", author=author)
            if step % 5 == 4:
                store.undo(BUNDLE, author)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.events(BUNDLE)) == 4 * 60
    assert store.tag_counts(BUNDLE) == {"x": 4 * 40}


def test_settings_that_make_it_durable_are_on(in_a_file):
    with in_a_file._open()[0].connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 10_000


# What it refuses


@pytest.mark.parametrize(
    ("ids", "tag", "message"),
    [
        ([], "x", "at least one example: got none"),
        ("abc", "x", "got the single text 'abc'"),
        ([1, 2], "x", r"ids must be text, .* got 1 \(int\)"),
        (["a"], "   ", "1 to 80 characters: got 0"),
        (["a"], "x" * 81, "1 to 80 characters: got 81"),
        (["a"], "two\nlines", r"control characters .* got U\+000A"),
        (["a"], "half \ud800", r"got U\+D800"),
        (["a", "half \ud800"], "x", "proper Unicode"),
        (["a"], None, "a tag must be text: got NoneType"),
    ],
)
def test_what_cannot_be_tagged(store, ids, tag, message):
    with pytest.raises(InputError, match=message):
        store.tag(BUNDLE, ids, tag)
    assert store.events(BUNDLE) == []


def test_names_at_the_border_are_kept_trimmed(store):
    assert store.tag(BUNDLE, ["a"], f" {'é' * 80} ").tag == "é" * 80
    assert store.tag(BUNDLE, ["a"], "=1+1").tag == "=1+1"


@pytest.mark.parametrize("source", [{"center": [float("nan")]}, {"x": object()}, ["region"]])
def test_a_source_that_json_cannot_hold_is_refused(store, source):
    with pytest.raises(InputError, match="source must"):
        store.tag(BUNDLE, ["a"], "x", source=source)


def test_an_author_must_have_a_name(store):
    with pytest.raises(InputError, match="an author must have 1 to 200"):
        store.tag(BUNDLE, ["a"], "x", author="")


def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path):
    path = tmp_path / "errorscope.sqlite"
    path.write_bytes(b"my thesis, in a file of the wrong name" * 100)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"is damaged or not a database\. It was not changed"):
        Store(home=tmp_path)
    assert path.read_bytes() == before


def test_damage_inside_the_file_is_told_and_not_mended(tmp_path):
    store = Store(home=tmp_path)
    for step in range(60):
        store.tag(BUNDLE, [f"{step}-{i}" for i in range(300)], "x")
    store.close()
    path = tmp_path / "errorscope.sqlite"
    data = bytearray(path.read_bytes())
    data[4096 * 5 :] = b"\xff" * (len(data) - 4096 * 5)
    path.write_bytes(data)
    with pytest.raises(StoreError, match="damaged"):
        Store(home=tmp_path).tags(BUNDLE)
    assert path.read_bytes()[4096 * 5 :] == data[4096 * 5 :]


@pytest.mark.parametrize("column", ["ids", "payload"])
def test_a_damaged_event_is_named(store, column):
    store.tag(BUNDLE, ["a"], "x", source={"kind": "lasso"})
    with store._writing() as connection:
        junk = b"junk" if column == "ids" else "junk"
        connection.execute(events.update().values({column: junk}))
    with pytest.raises(StoreError, match="event 1 is damaged"):
        [event.ids for event in store.events(BUNDLE)]


def test_a_locked_database_says_so_and_changes_nothing(tmp_path, caplog):
    caplog.set_level("INFO", "errorscope")
    store = Store(home=tmp_path, wait_s=0.05)
    raw = sqlite3.connect(tmp_path / "errorscope.sqlite", isolation_level=None)
    raw.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="is locked by another program"):
        store.tag(BUNDLE, ["a"], "x")
    assert [one.facts for one in caplog.records] == [{"reason": "SQLITE_BUSY"}]
    assert store.tags(BUNDLE).empty  # reading goes on
    raw.execute("ROLLBACK")
    raw.close()
    store.tag(BUNDLE, ["a"], "x")
    assert store.tag_counts(BUNDLE) == {"x": 1}


def test_a_store_of_a_moment_knows_nothing_later(store, tmp_path):
    store.tag(BUNDLE, ["a", "b"], "x", author="Ada")
    moment = store.write_hypothesis(BUNDLE, "h", {"sentence": "s", "n": 1}, author="Ada").seq
    store.write_hypothesis(BUNDLE, "h", {"sentence": "s", "n": 2}, author="Ada")
    store.tag(BUNDLE, ["c"], "x", author="Ada")
    store.untag(BUNDLE, ["a"], "x", author="Bob")
    store.save_view(BUNDLE, "later", {})
    then = Store(home=tmp_path, until=moment)
    assert then.tag_counts(BUNDLE) == {"x": 2} and then.views(BUNDLE) == []
    assert [card.payload["card"]["n"] for card in then.hypotheses(BUNDLE)] == [1]
    assert then.last_seq(BUNDLE) == then.events(BUNDLE)[0].seq == moment
    with pytest.raises(InputError, match="for reading only"):
        then.tag(BUNDLE, ["a"], "x")


def test_who_waits_for_a_locked_file_holds_up_nobody(tmp_path):
    store = Store(home=tmp_path, wait_s=20)
    raw = sqlite3.connect(tmp_path / "errorscope.sqlite", isolation_level=None)
    raw.execute("BEGIN IMMEDIATE")
    waiting = [
        threading.Thread(target=store.tag, args=(BUNDLE, [f"{i}"], "x"), daemon=True)
        for i in range(20)  # more than the connections that a pool keeps
    ]
    for thread in waiting:
        thread.start()
    time.sleep(0.3)
    began = time.monotonic()
    assert store.tag_counts(BUNDLE) == {} and store.undoable(BUNDLE) is None
    assert time.monotonic() - began < 5, "reading waited for those who write"
    raw.execute("ROLLBACK")
    raw.close()
    for thread in waiting:
        thread.join(timeout=60)
    assert store.tag_counts(BUNDLE) == {"x": 20}


def test_a_store_may_be_made_before_its_database(tmp_path, monkeypatch):
    monkeypatch.setattr("backend.store.keeper.RETRY_S", 0.2)
    folder = tmp_path / "folder"
    folder.write_text("a file in the way")
    store = Store(url=f"sqlite:///{folder}/tags.sqlite", later=True)
    for _ in range(2):
        with pytest.raises(StoreError, match="cannot be written"):
            store.tags(BUNDLE)
    folder.unlink()
    with pytest.raises(StoreError, match="cannot be written"):
        store.tag(BUNDLE, ["a"], "x")  # it is not tried again at once
    time.sleep(0.25)
    store.tag(BUNDLE, ["a"], "x")
    assert store.tag_counts(BUNDLE) == {"x": 1}


def test_a_home_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="ERRORSCOPE_HOME"):
        Store(home=tmp_path / "file" / "below")
    (tmp_path / "errorscope.sqlite").mkdir()
    with pytest.raises(StoreError, match="cannot be written"):
        Store(home=tmp_path)


def test_a_database_of_a_later_version_is_not_touched(tmp_path):
    Store(home=tmp_path).close()
    path = tmp_path / "errorscope.sqlite"
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.close()
    with pytest.raises(StoreError, match="another version of Errorscope"):
        Store(home=tmp_path)


def test_tables_of_another_program_are_not_touched(tmp_path):
    with sqlite3.connect(tmp_path / "errorscope.sqlite") as raw:
        raw.execute("CREATE TABLE events (wedding TEXT)")
    raw.close()
    before = (tmp_path / "errorscope.sqlite").read_bytes()
    with pytest.raises(StoreError, match="tables of another program"):
        Store(home=tmp_path)
    assert (tmp_path / "errorscope.sqlite").read_bytes() == before


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("no url", "the database URL cannot be read"),
        ("sqlite://", "is not kept"),
        ("postgresql://u:secret@host:port/x", "the database URL cannot be read"),
        ("clay://tablet", "no database of kind 'clay'"),
        ("postgresql+psycopg2://u:secret@localhost/x", "is not installed"),
    ],
)
def test_urls_that_cannot_be_used(url, message, monkeypatch):
    monkeypatch.setenv("ERRORSCOPE_DATABASE", url)
    monkeypatch.setitem(sys.modules, "psycopg2", None)  # as if it were not installed
    with pytest.raises(StoreError, match=message) as caught:
        Store()
    assert "secret" not in str(caught.value)


# The schema


def test_the_migrations_make_the_tables_that_the_code_uses(store):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with store._open()[0].connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    newest = max(path.name for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))
    assert newest.startswith(f"{HEAD}_")


def test_the_schema_can_be_written_for_postgresql():
    from sqlalchemy.dialects import postgresql
    from sqlalchemy.schema import CreateTable

    text = str(CreateTable(events).compile(dialect=postgresql.dialect()))
    assert "seq BIGSERIAL" in text and "ids BYTEA" in text


def test_importing_the_store_loads_neither_torch_nor_streamlit():
    code = (
        "import sys, backend.store; sys.exit(any(m in sys.modules for m in ('torch', 'streamlit')))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True)
