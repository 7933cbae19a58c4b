"""Opening the database, an SQLite file or PostgreSQL, with errors in plain words."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from filelock import FileLock, Timeout
from sqlalchemy.engine import URL, Connection, Engine

from backend.core.errors import HomeError, StoreError
from backend.core.home import home_folder
from backend.core.journal import tell

MIGRATIONS = Path(__file__).with_name("migrations")
HEAD = "0005"
"""Revision this version of Errorscope reads and writes; the newest file in ``migrations``."""

_ADVISORY_LOCK = 0x4572_7273  # any fixed number, the same in every process

_MOST_CONNECTIONS = 20
"""To one server, beside the five that stay open."""

_URL_ADVICE = (
    "It looks like postgresql+psycopg://user:password@host/name or sqlite:////folder/file.sqlite; "
    "check ERRORSCOPE_DATABASE."
)

metadata = sa.MetaData()

events = sa.Table(
    "events",
    metadata,
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("bundle", sa.String(128), nullable=False),
    sa.Column("author", sa.String(200), nullable=False),
    sa.Column("time", sa.String(32), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("tag", sa.String(80)),
    sa.Column("target", sa.BigInteger),
    sa.Column("n_ids", sa.Integer, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("ids", sa.LargeBinary, nullable=False),
    sa.Column("operation", sa.String(80)),
    sa.Column("author_key", sa.String(200)),
    sa.Index("events_of_bundle", "bundle", "seq"),
    sa.Index(
        "events_once", "bundle", "operation", unique=True
    ),  # those without a name are not bound
    sqlite_autoincrement=True,  # a number is never given out twice
)

sign_ins = sa.Table(
    "sign_ins",
    metadata,
    sa.Column("id", sa.String(80), primary_key=True),
    sa.Column("author_key", sa.String(200), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("began", sa.Float, nullable=False),
    sa.Column("ended", sa.Float),
    sa.Index("sign_ins_of_person", "author_key"),
)

grants = sa.Table(
    "grants",
    metadata,
    sa.Column("bundle", sa.String(128), primary_key=True),
    sa.Column("grantee", sa.String(330), primary_key=True),
    sa.Column("right", sa.String(8), nullable=False),
    sa.Index("grants_of_person", "grantee"),
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
    sqlite = url.get_backend_name() == "sqlite"
    if sqlite and (not url.database or url.database == ":memory:"):
        raise StoreError("tags need a database file: an SQLite database in memory is not kept.")
    try:
        engine = sa.create_engine(
            url,
            connect_args=_patience(url, wait_s),
            pool_pre_ping=not sqlite,
            # A file takes any number of readers; those who wait for it must not keep them out.
            max_overflow=-1 if sqlite else _MOST_CONNECTIONS,
            pool_timeout=wait_s,
        )
    except sa.exc.ArgumentError as error:
        raise StoreError(
            f"there is no database of kind '{url.drivername}'. {_URL_ADVICE}"
        ) from error
    except ImportError as error:  # not there, or there without the library it stands on
        raise StoreError(
            f"the driver for {url.drivername} is not installed ({error}). For PostgreSQL, in the "
            "folder of Errorscope: pip install -r postgres.lock."
        ) from error
    with plain_errors(url):
        if not sqlite:
            _bring_up_to_date(engine)
            return engine
        sa.event.listen(engine, "connect", _on_connect)
        sa.event.listen(engine, "begin", _on_begin)
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
    return engine


def _patience(url: URL, wait_s: float) -> dict[str, Any]:
    """How long a driver waits: for a locked file, or for a server that does not answer."""
    if url.get_backend_name() == "sqlite":
        return {"timeout": wait_s}
    if url.drivername in ("postgresql", "postgresql+psycopg", "postgresql+psycopg2"):
        return {"connect_timeout": max(2, round(wait_s)), "tcp_user_timeout": round(wait_s * 1000)}
    return {}


@contextmanager
def writing(engine: Engine, url: URL) -> Iterator[Connection]:
    """A transaction that holds the only right to write, so that ``seq`` grows as commits do.

    Leaving the block commits; what was committed survives a crash of the program and, on SQLite,
    of the machine.
    """
    with (
        plain_errors(url),
        engine.connect().execution_options(writes=True) as connection,
        connection.begin(),
    ):
        _hold(connection)
        yield connection


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
    with plain_errors(url), engine.connect() as connection:
        yield connection


@contextmanager
def plain_errors(url: URL) -> Iterator[None]:
    """Turn what the driver raises into a ``StoreError`` that says what to do."""
    try:
        yield
    except (sa.exc.DBAPIError, sa.exc.TimeoutError, OSError) as error:
        raised = getattr(error, "orig", None) or error
        text = str(raised).strip()
        named = getattr(raised, "sqlite_errorname", type(raised).__name__)
        tell("database trouble", reason=named)
        raise StoreError(f"{_explain(where(url), text)} ({text})") from error


def where(url: URL) -> str:
    """The database as told to people: no password."""
    if url.get_backend_name() == "sqlite":
        return f"'{url.database}'"
    return url.render_as_string(hide_password=True)


def _explain(place: str, text: str) -> str:
    if "locked" in text or "busy" in text:
        return (
            f"the database {place} is locked by another program. Nothing was lost or changed: "
            "wait until that program is done, or close it, and try again."
        )
    if "is full" in text or "No space left" in text or "quota" in text:
        return (
            f"the disk of the database {place} is full. Nothing was changed: free some space there, "
            "then try again."
        )
    if "disk I/O" in text:
        return (
            f"the disk of the database {place} refuses, most often because it is full. Nothing was "
            "changed: free some space there and try again; if it stays, check the disk."
        )
    if "not a database" in text or "malformed" in text:
        return (
            f"{place} is damaged or not a database. It was not changed: move it to another "
            "place, then restore a copy or start with an empty one."
        )
    if "already exists" in text:
        return (
            f"{place} holds tables of another program. It was not changed: name another database "
            "in ERRORSCOPE_DATABASE or another folder in ERRORSCOPE_HOME."
        )
    unwritable = (
        "readonly",
        "read-only",
        "unable to open",
        "permission denied",
        "not a directory",
        "file exists",
    )
    if any(sign in text.lower() for sign in unwritable):
        return (
            f"the database {place} cannot be written. Check that the folder exists, belongs to "
            "you and has room, or name another one in ERRORSCOPE_HOME."
        )
    return f"the database {place} cannot be used. Check that it runs and that you may use it."


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


def _hold(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))


def _bring_up_to_date(engine: Engine) -> None:
    """Run the migrations that are missing; refuse a database of a later version."""
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        _hold(connection)
        version = None
        if sa.inspect(connection).has_table("alembic_version"):
            version = connection.execute(
                sa.text("SELECT version_num FROM alembic_version")
            ).scalar()
        if version == HEAD:
            return
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
