"""Opening the database, an SQLite file or PostgreSQL, with errors in plain words."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa
from filelock import FileLock, Timeout
from sqlalchemy.engine import URL, Connection, Engine

from backend.core.errors import HomeError, StoreError
from backend.core.home import home_folder
from backend.core.journal import tell
from backend.store.database.trouble import check_encoding, explain, undecided

MIGRATIONS = Path(__file__).parents[1] / "migrations"
HEAD = "0005"
"""Revision this version of Errorscope reads and writes; the newest file in ``migrations``."""

WRITING = 0x4572_7273
"""Number of the advisory lock that whoever writes holds: any, and the same in every process."""

_MOST_CONNECTIONS = 20
"""To one server, beside the five that stay open."""

_STATEMENTS = 3
"""A query may take so many times as long as one waits for others."""

_LONGEST_IDLE_S = 60

_URL_ADVICE = (
    "It looks like postgresql://user:password@host/name or sqlite:////folder/file.sqlite; "
    "check ERRORSCOPE_DATABASE."
)


def database_url(url: str | None, home: str | os.PathLike[str] | None) -> URL:
    """Where tags are: ``url``, else ``ERRORSCOPE_DATABASE``, else a file in the home folder."""
    text = url or os.environ.get("ERRORSCOPE_DATABASE")
    if text:
        try:
            return sa.make_url(text)
        except (
            sa.exc.ArgumentError,
            ValueError,
        ) as error:  # a port that is no number is the latter
            raise StoreError(f"the database URL cannot be read. {_URL_ADVICE}") from error
    try:
        folder = home_folder(home)
    except HomeError as error:
        raise StoreError(f"the home folder cannot be used: {error}") from error
    return URL.create("sqlite", database=str(folder / "errorscope.sqlite"))


def is_postgresql(url: URL) -> bool:
    """Whether a database is PostgreSQL, by whichever driver."""
    return url.get_backend_name() == "postgresql"


def open_database(url: URL, *, wait_s: float) -> Engine:
    """An engine whose database exists and has the present schema.

    Two processes may open at once: on SQLite a lock file, on PostgreSQL an advisory lock lets one
    of them migrate while the other waits. A file that is not a database is never written to.

    Parameters
    ----------
    wait_s : float
        Seconds to wait for another program that is writing.

    Raises
    ------
    StoreError
        If the database cannot be opened, read, written or understood; says what to do.
    """
    if url.get_backend_name() == "sqlite" and (not url.database or url.database == ":memory:"):
        raise StoreError("tags need a database file: an SQLite database in memory is not kept.")
    engine = engine_of(url, wait_s=wait_s)
    try:
        with plain_errors(url):
            _prepare(engine, url, wait_s)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _prepare(engine: Engine, url: URL, wait_s: float) -> None:
    """See to the schema."""
    if url.get_backend_name() != "sqlite":
        with engine.connect() as connection:
            known = _version(connection)
        if known != HEAD:  # else there is nothing to wait for, whoever writes
            _bring_up_to_date(engine)
        return
    try:
        # Switching to the write-ahead log does not wait for other programs, so one at a time.
        with FileLock(f"{url.database}.lock", timeout=max(wait_s, 1.0)):
            _bring_up_to_date(engine)
            _write_ahead(engine)
    except Timeout as error:
        raise StoreError(
            f"the database {where(url)} is being opened by another program that does not "
            "finish. Close it and try again."
        ) from error


def engine_of(url: URL, *, wait_s: float, lasting: bool = False) -> Engine:
    """An engine for a database, whether or not that exists.

    Parameters
    ----------
    wait_s : float
        Seconds to wait for another program, or for a server that does not answer.
    lasting : bool
        For PostgreSQL: one connection that is kept for its locks, and commits by itself.

    Raises
    ------
    StoreError
        If there is no such kind of database, or its driver is not installed.
    """
    sqlite = url.get_backend_name() == "sqlite"
    more: dict[str, Any] = {"poolclass": sa.pool.NullPool, "isolation_level": "AUTOCOMMIT"}
    if not lasting:
        more = {
            # A server that was started anew, or a line that was cut, is noticed before it matters.
            "pool_pre_ping": not sqlite,
            # A file takes any number of readers; those who wait for it must not keep them out.
            "max_overflow": -1 if sqlite else _MOST_CONNECTIONS,
            "pool_timeout": wait_s,
        }
    try:
        engine = sa.create_engine(url, connect_args=_patience(url, wait_s), **more)
    except sa.exc.ArgumentError as error:
        raise StoreError(
            f"there is no database of kind '{url.drivername}'. {_URL_ADVICE}"
        ) from error
    except ImportError as error:  # not there, or there without the library it stands on
        raise StoreError(
            f"the driver for {url.drivername} is not installed ({error}). For PostgreSQL, in the "
            "folder of Errorscope: pip install -r postgres.lock."
        ) from error
    if sqlite:
        sa.event.listen(engine, "connect", _on_connect)
        sa.event.listen(engine, "begin", _on_begin)
    elif is_postgresql(url):
        sa.event.listen(engine, "connect", _on_postgresql)
    return engine


def _patience(url: URL, wait_s: float) -> dict[str, Any]:
    """How long a driver waits: for a locked file, or for a server that does not answer.

    What the URL says itself goes before.
    """
    if url.get_backend_name() == "sqlite":
        return {"timeout": wait_s}
    if url.drivername not in ("postgresql", "postgresql+psycopg", "postgresql+psycopg2"):
        return {}
    waited = round(wait_s * 1000)
    settings = {
        "lock_timeout": waited,
        "statement_timeout": _STATEMENTS * waited,
        # Whoever holds the right to write and does not go on loses it.
        "idle_in_transaction_session_timeout": 1000 * _LONGEST_IDLE_S,
        # The server, too, notices within half a minute that a machine is gone, with what it held.
        "tcp_keepalives_idle": 10,
        "tcp_keepalives_interval": 5,
        "tcp_keepalives_count": 3,
    }
    given: dict[str, Any] = {
        "connect_timeout": max(2, round(wait_s)),
        "tcp_user_timeout": waited,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "application_name": "errorscope",
        "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
    }
    if own := url.query.get("options"):
        given["options"] += f" {own}"
    return {k: v for k, v in given.items() if k == "options" or k not in url.query}


@contextmanager
def writing(engine: Engine, url: URL) -> Iterator[Connection]:
    """A transaction that holds the only right to write, so that ``seq`` grows as commits do.

    Leaving the block commits; what was committed survives a crash of the program, and of the
    machine that the database is on.
    """
    with (
        plain_errors(url),
        engine.connect().execution_options(writes=True) as connection,
        connection.begin() as transaction,
    ):
        _hold(connection)
        yield connection
        try:
            transaction.commit()
        except sa.exc.DBAPIError as error:
            if not error.connection_invalidated:
                raise
            tell("database trouble", reason=type(error.orig).__name__)
            raise undecided(where(url), error) from error


def file_of(url: URL) -> tuple[int, int] | None:
    """Which file an SQLite database is now, None where there is none; the same for all others.

    A file that is taken away while it is open can still be written, and what is written is lost.
    """
    if url.get_backend_name() != "sqlite" or not url.database:
        return (0, 0)
    try:
        found = Path(url.database).stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino)


def vanished(url: URL) -> StoreError:
    """The sentence about a file that is no longer there."""
    tell("database trouble", reason="taken_away")
    return StoreError(
        f"the database {where(url)} was taken away while it was in use. Nothing was kept: put the file "
        "back, or a copy of it, and try again. To begin with an empty one, restart the program."
    )


@contextmanager
def reading(engine: Engine, url: URL) -> Iterator[Connection]:
    """A connection for queries that see one state of the log."""
    one_state: dict[str, Any] = {}
    if is_postgresql(url):  # where else each query would see what was committed before it
        one_state = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with plain_errors(url), engine.connect().execution_options(**one_state) as connection:
        yield connection


@contextmanager
def plain_errors(url: URL) -> Iterator[None]:
    """Turn what the driver raises into a ``StoreError`` that says what to do."""
    try:
        yield
    except (sa.exc.DBAPIError, sa.exc.TimeoutError, OSError) as error:
        raised = getattr(error, "orig", None) or error
        named = getattr(raised, "sqlite_errorname", type(raised).__name__)
        tell("database trouble", reason=named)
        raise StoreError(explain(where(url), raised)) from error


def where(url: URL) -> str:
    """The database as told to people: neither user nor password, nor how it is reached."""
    port = f":{url.port}" if url.port else ""
    return f"'{url.database}'" + (f" at {url.host}{port}" if url.host else "")


def _on_connect(connection: Any, record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves; the driver would say it too late
    connection.execute("PRAGMA synchronous=FULL")


def _write_ahead(engine: Engine) -> None:
    raw = engine.raw_connection()  # outside of a transaction, where alone the mode can change
    try:
        raw.cursor().execute("PRAGMA journal_mode=WAL")
    finally:
        raw.close()


def _on_begin(connection: Connection) -> None:
    # A transaction that reads first and writes later can fail half-way; writers ask at once.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _on_postgresql(connection: Any, record: Any) -> None:
    """What is acknowledged is on disk, however the server is set; a stricter setting stays."""
    before, connection.autocommit = connection.autocommit, True
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('synchronous_commit', 'on', false) "
            "WHERE current_setting('synchronous_commit') IN ('off', 'local')"
        )
    connection.autocommit = before


def _hold(connection: Connection) -> None:
    """Take the only right to write on PostgreSQL, for the transaction.

    Its other statements must not see the state from before: in REPEATABLE READ they would.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(WRITING)))


def _version(connection: Connection) -> str | None:
    """The revision of the schema; None where there is none yet."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    asked = sa.text("SELECT version_num FROM alembic_version")
    return cast("str | None", connection.execute(asked).scalar())


def _bring_up_to_date(engine: Engine) -> None:
    """Run the migrations that are missing; refuse a database of a later version."""
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        _hold(connection)
        version = _version(connection)
        if version == HEAD:
            return
        if connection.dialect.name == "postgresql":
            check_encoding(where(engine.url), connection)
            connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
        # Imported where it is needed: a database that is up to date opens without it.
        from alembic import command, util
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except util.CommandError as error:
            raise StoreError(
                f"the database was written by another version of Errorscope (schema {version}, "
                f"this one knows {HEAD}). It was not changed: install the newer version."
            ) from error
