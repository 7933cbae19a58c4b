"""The store on PostgreSQL: who may open it at once, what it waits for, what it says when it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from backend.core.errors import StoreError
from backend.locks.turns import Turns
from backend.store import Store
from backend.store.database import HEAD, MIGRATIONS, WRITING, database_url
from backend.store.database.trouble import _STATES
from tests import postgres

PROJECT = Path(__file__).resolve().parents[3]
BUNDLE = "ab" * 32
HOLDING = f"SELECT pg_advisory_lock({WRITING})"


@pytest.fixture
def url(cluster):
    with postgres.fresh(cluster) as url:
        yield url


@pytest.fixture(scope="module")
def second(cluster):
    with postgres.Cluster(postgres.FAST) as server:
        yield server


@pytest.fixture
def own(second):
    """A server that a test may end."""
    if second.process is None:
        second.start()
    return second


def held(url, bundle=BUNDLE):
    with closing(Store(url)) as store:
        return store.tags(bundle)["id"].tolist()


# Opening

OPENER = """
import sys
from alembic import command
from backend.store import Store
ran, upgrade = [], command.upgrade
command.upgrade = lambda *given: (ran.append(1), upgrade(*given))
sys.stdin.readline()
for url in sys.argv[3:]:
    del ran[:]
    store = Store(url, wait_s=60)
    event = store.tag(sys.argv[1], [sys.argv[2]], "x", author=sys.argv[2])
    print(len(ran), event.seq)
    store.close()
"""


def at_revision(url, revision):
    """A database as an earlier version of Errorscope left it, with one event."""
    from alembic import command
    from alembic.config import Config

    engine = sa.create_engine(database_url(url, None))
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.execute(
            sa.text(
                "INSERT INTO events (bundle, author, time, kind, tag, n_ids, payload, ids) VALUES "
                "(:bundle, 'Ada ', '2026-11-01T00:00:00.000Z', 'rename_region', NULL, 0, :told, '')"
            ),
            {"bundle": BUNDLE, "told": '{"key": "k1", "name": "shirts"}'},
        )
    engine.dispose()


def test_of_programs_that_open_it_at_once_one_makes_the_tables(cluster):
    empty, earlier = cluster.database(), cluster.database()
    at_revision(earlier, "0002")
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", OPENER, BUNDLE, f"e{one}", empty, earlier],
            cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for one in range(3)
    ]  # fmt: skip
    for one in programs:
        one.stdin.write("go\n")
        one.stdin.flush()
    told = [one.communicate(timeout=120)[0].splitlines() for one in programs]
    assert [one.returncode for one in programs] == [0] * 3
    for place, url in enumerate((empty, earlier)):
        ran, seqs = zip(*(lines[place].split() for lines in told), strict=True)
        assert sorted(ran) == ["0", "0", "1"]
        assert sorted(map(int, seqs)) == [place + 1, place + 2, place + 3]
        assert held(url) == ["e0", "e1", "e2"]
        with closing(Store(url)) as store:
            assert store.region_names(BUNDLE) == ({"k1": "shirts"} if place else {})
            with store._reading() as connection:
                asked = sa.text("SELECT version_num FROM alembic_version")
                assert connection.execute(asked).scalars().all() == [HEAD]


def test_it_opens_while_somebody_writes_unless_tables_are_to_be_made(url):
    with psycopg.connect(url) as other:
        other.execute(HOLDING)
        with pytest.raises(StoreError, match="is locked by another program"):
            Store(url, wait_s=0.2)
        other.execute("SELECT pg_advisory_unlock_all()")
        other.commit()
        Store(url).close()
        other.execute(HOLDING)
        with closing(Store(url, wait_s=0.2)) as store:
            assert store.tag_counts(BUNDLE) == {}


def test_tables_of_another_program_and_of_a_later_version_are_left_alone(url):
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("CREATE TABLE events (wedding text)")
        with pytest.raises(StoreError, match="holds tables of another program"):
            Store(url)
        tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        assert other.execute(tables).fetchall() == [("events",)]
        other.execute("DROP TABLE events")
        Store(url).close()
        other.execute("UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(StoreError, match="another version of Errorscope"):
            Store(url)


def test_a_database_that_cannot_hold_every_letter_is_refused(cluster):
    url = cluster.database("ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(StoreError, match="must have the encoding UTF8: got LATIN1"):
        Store(url)


# What it promises


def test_what_is_acknowledged_is_on_disk_however_the_server_is_set(cluster, url):
    assert cluster.settings["synchronous_commit"] == "off"
    with closing(Store(url)) as store, store._reading() as connection:
        assert connection.execute(sa.text("SHOW synchronous_commit")).scalar() == "on"
    cluster.sql(f"ALTER DATABASE {url.rpartition('/')[2]} SET synchronous_commit = remote_apply")
    with closing(Store(url)) as store, store._reading() as connection:
        assert connection.execute(sa.text("SHOW synchronous_commit")).scalar() == "remote_apply"


def test_a_look_sees_one_state_and_who_writes_the_latest(url):
    with closing(Store(url)) as store, closing(Store(url)) as other:
        counted = sa.text("SELECT count(*) FROM events")
        with store._reading() as looking, store._writing() as writing:
            assert looking.execute(counted).scalar() == 0
            assert writing.execute(counted).scalar() == 0
            adding = threading.Thread(target=other.tag, args=(BUNDLE, ["a"], "x"))
            adding.start()
            adding.join(0.3)
            assert adding.is_alive()  # one writes at a time
        adding.join(30)
        with store._reading() as looking:
            assert looking.execute(counted).scalar() == 1
            other.tag(BUNDLE, ["b"], "x")
            assert looking.execute(counted).scalar() == 1
        with store._writing() as writing:
            assert writing.execute(counted).scalar() == 2


def test_what_the_url_says_goes_before(url):
    given = f"{url}?application_name=mine&options=-c%20statement_timeout%3D1234"
    with closing(Store(url)), closing(Store(given, wait_s=7)) as store:
        assert store.place == f"'{url.rpartition('/')[2]}' at 127.0.0.1:{url.split(':')[3][:5]}"
        with store._reading() as connection:
            for name, value in (
                ("application_name", "mine"),
                ("statement_timeout", "1234ms"),
                ("lock_timeout", "7s"),
                ("default_transaction_isolation", "read committed"),
                ("transaction_isolation", "repeatable read"),
                ("transaction_read_only", "on"),
            ):
                assert connection.execute(sa.text(f"SHOW {name}")).scalar() == value, name


# What it says


def test_who_cannot_come_in_is_told_why(cluster, monkeypatch):
    cluster.sql("CREATE ROLE nobody LOGIN PASSWORD 'p'")
    template = cluster.database()
    cases = {
        cluster.url("nowhere"): "there is no such database: 'nowhere' at 127.0.0.1",
        cluster.url("postgres", password="secret"): "refused user or password",
        cluster.url("postgres", user="who", password="secret"): "refused user or password",
        f"postgresql://u:secret@127.0.0.1:{free_port()}/x": "does not answer. Nothing was changed",
        "postgresql://u:secret@host.invalid/x": "is not known here",
        f"postgresql://u:secret@/x?host={cluster.folder}/none": "does not answer",
        template.replace(f"{postgres.USER}:{postgres.PASSWORD}", "nobody:p"): "may not do this",
    }
    for url, told in cases.items():
        with pytest.raises(StoreError, match=told) as caught:
            Store(url, wait_s=2)
        assert "secret" not in str(caught.value).replace("secret@", ""), url
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match=r"pip install -r postgres\.lock"):
        Store(template)


def free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_locked_and_a_slow_database_say_so_and_change_nothing(url):
    with closing(Store(url, wait_s=0.3)) as store, psycopg.connect(url) as other:
        store.tag(BUNDLE, ["before"], "x")
        other.execute(HOLDING)
        with pytest.raises(StoreError, match="is locked by another program"):
            store.tag(BUNDLE, ["during"], "x")
        assert store.tag_counts(BUNDLE) == {"x": 1}  # reading goes on
        other.rollback()
        other.execute("SELECT pg_advisory_unlock_all()")
        other.execute("LOCK TABLE events")
        with pytest.raises(StoreError, match="is locked by another program"):
            store.tags(BUNDLE)
        other.rollback()
        with pytest.raises(StoreError, match="took too long to answer"), store._writing() as slow:
            slow.execute(sa.text("SELECT pg_sleep(30)"))
        store.tag(BUNDLE, ["after"], "x")
    assert held(url) == ["after", "before"]


def test_who_holds_the_right_to_write_and_does_not_go_on_loses_it(url, monkeypatch):
    monkeypatch.setattr("backend.store.database.opening._LONGEST_IDLE_S", 0.3)
    with (
        closing(Store(url)) as store,
        closing(Store(url)) as other,
        pytest.raises(StoreError, match="took too long to answer"),
        store._writing() as hung,
    ):
        other.tag(BUNDLE, ["b"], "x")
        hung.execute(sa.text("SELECT 1"))
    assert held(url) == ["b"]


def test_too_many_at_once_are_told_and_wait_their_turn(url, own, monkeypatch):
    monkeypatch.setattr("backend.store.database.opening._MOST_CONNECTIONS", 0)
    with closing(Store(url, wait_s=0.3)) as store:
        with ExitStack() as stack:
            for _ in range(5):
                stack.enter_context(store._reading())
            with pytest.raises(StoreError, match="too many use the database"):
                store.tags(BUNDLE)
        assert store.tags(BUNDLE).empty
    own.stop()
    own.start(max_connections="4", superuser_reserved_connections="0")
    crowd = [psycopg.connect(own.url("postgres")) for _ in range(4)]
    with pytest.raises(StoreError, match="too many use the database"):
        Store(own.url("postgres"))
    for one in crowd:
        one.close()
    own.stop()


def test_a_server_that_is_killed_or_stopped_says_so_and_goes_on_when_it_is_back(own, tmp_path):
    url = own.database()
    with closing(Store(url, wait_s=2)) as store, closing(Store(url, wait_s=2)) as other:
        store.tag(BUNDLE, ["a"], "x")
        other.tag(BUNDLE, ["b"], "x")
        assert store.tag_counts(BUNDLE) == {"x": 2}
        for end in (own.kill, own.stop):
            with pytest.raises(StoreError, match="ended the connection"), store._writing() as half:
                half.execute(sa.text("DELETE FROM events"))
                end()
                half.execute(sa.text("SELECT 1"))
            for _ in range(2):
                with pytest.raises(StoreError, match="does not answer"):
                    store.tags(BUNDLE)
            own.start()
            assert store.tag_counts(BUNDLE) == other.tag_counts(BUNDLE) == {"x": 2}
        store.tag(BUNDLE, ["c"], "x")
        assert other.tag_counts(BUNDLE) == {"x": 3}


def test_a_connection_that_ends_while_it_is_kept_is_told_as_undecided(own):
    with closing(Store(own.database(), wait_s=2)) as store:
        with pytest.raises(StoreError, match="It is there or it is not: look"), store._writing():
            own.kill()
        own.start()
        assert store.tags(BUNDLE).empty


def test_every_state_that_is_known_is_one_of_postgresqls():
    assert all(psycopg.errors.lookup(state).sqlstate == state for state in _STATES)


# Locks


def test_advisory_locks_are_one_programs_and_end_with_its_connection(url, own):
    mine, others = Turns(database_url(url, None)), Turns(database_url(url, None))
    assert mine.take(7) and others.take(8)
    assert others.take(7) is False and mine.take(8) is False
    mine.leave(7)
    assert others.take(7)
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert mine.take(8)  # which is free by now, over a new connection
    mine.leave(8)
    for one in (mine, others):
        one._let_go()
    gone = Turns(database_url(own.database(), None))
    assert gone.take(7)
    own.kill()
    assert gone.take(9) is None  # nobody can tell: files decide
    own.start()
    assert gone.take(9) is None  # it is not asked at once again
    gone._asked_again = 0.0
    assert gone.take(9)
    gone._let_go()


def test_a_program_that_forks_leaves_its_connection_to_the_first(url):
    turns = Turns(database_url(url, None))
    assert turns.take(7)
    child = os.fork()
    if child == 0:
        taken = [turns.take(number) for number in (7, 8)]
        os._exit((None, False, True).index(taken[0]) * 3 + (None, False, True).index(taken[1]))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5  # another's, and free
    assert turns.take(9)
    turns._let_go()
