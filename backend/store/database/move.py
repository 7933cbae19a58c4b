"""Moving everything that is stored to another database: a file to PostgreSQL, or the other way."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection

from backend.core.errors import InputError, StoreError
from backend.core.progress import Progress, ignore_progress, share_of
from backend.store.database.opening import (
    database_url,
    file_of,
    is_postgresql,
    open_database,
    where,
    writing,
)
from backend.store.database.schema import metadata

AT_ONCE = 200
"""Rows that are held in memory; each may name 100,000 examples."""


@dataclass(frozen=True)
class Moved:
    """What was moved.

    Attributes
    ----------
    origin, target : str
        The databases, as they are told to people.
    rows : dict of str to int
        Table -> rows.
    digest : str
        Of every value of every row, the same in both.
    """

    origin: str
    target: str
    rows: dict[str, int]
    digest: str


def move_database(
    target: str,
    origin: str | None = None,
    home: str | os.PathLike[str] | None = None,
    *,
    progress: Progress = ignore_progress,
    wait_s: float = 10.0,
) -> Moved:
    """Copy all tables to a database that holds nothing, and compare every value.

    Numbers, ids, times and authors stay as they are. Nobody writes to either meanwhile: they wait,
    and are told that it is locked. The target has everything or, whatever happens, nothing; the
    origin is left as it is, brought to the present schema.

    Parameters
    ----------
    target : str
        SQLAlchemy URL; its tables are made where they are absent.
    origin : str, optional
        SQLAlchemy URL; the database in use by default, as for ``Store``.
    home : path, optional
        Home folder, as for ``Store``.
    progress : Progress
        Told what is being done.
    wait_s : float
        As for ``Store``.

    Raises
    ------
    InputError
        If the target holds something already, or is the origin.
    StoreError
        If one of them cannot be opened, read or written, or what was written reads differently.
    """
    source, goal = database_url(origin, home), database_url(target, home)
    if source.get_backend_name() == "sqlite" and file_of(source) is None:
        raise InputError(f"there is no database {where(source)} to move. Name it with --from.")
    if _same(source, goal):
        raise InputError(
            f"both are the database {where(goal)}. Name the one to move from with --from."
        )
    with ExitStack() as stack:
        engines = []
        for url in (source, goal):
            engines.append(open_database(url, wait_s=wait_s))
            stack.callback(engines[-1].dispose)
        reading = stack.enter_context(writing(engines[0], source))
        filling = stack.enter_context(writing(engines[1], goal))
        if held := sum(_counted(filling, table) for table in metadata.sorted_tables):
            raise InputError(
                f"{where(goal)} must be empty: got {held:,} rows. Make another database, or name the "
                "one that it is in ERRORSCOPE_DATABASE."
            )
        before, rows = _read(reading, share_of(progress, 0.0, 0.7), "Copying", _filler(filling))
        _count_on(filling, goal)
        after, _ = _read(filling, share_of(progress, 0.7, 1.0), "Comparing")
        if after != before:
            raise StoreError(
                f"what was written to {where(goal)} reads differently from {where(source)}. Nothing "
                "was kept there: check its encoding, UTF8, and that no other program writes to it."
            )
    progress(1.0, "Moved")
    return Moved(where(source), where(goal), rows, after)


Taking = Callable[[sa.Table, list[dict[str, object]]], None]


def _filler(connection: Connection) -> Taking:
    def fill(table: sa.Table, rows: list[dict[str, object]]) -> None:
        connection.execute(table.insert(), rows)

    return fill


def _read(
    connection: Connection, progress: Progress, doing: str, take: Taking = lambda table, rows: None
) -> tuple[str, dict[str, int]]:
    """A digest of everything, whatever the order of rows, and how many rows each table has."""
    counts = {table.name: _counted(connection, table) for table in metadata.sorted_tables}
    total, done, whole = sum(counts.values()), 0, hashlib.sha256()
    for table in metadata.sorted_tables:
        mixed = 0
        for part in _parts(connection, table):
            take(table, part)
            for row in part:
                value = hashlib.sha256(repr([_plain(one) for one in row.values()]).encode())
                mixed += int.from_bytes(value.digest(), "big")
            done += len(part)
            progress(done / total, f"{doing}: {done:,} of {total:,} rows")
        whole.update(f"{table.name} {counts[table.name]} {mixed % 2**256:x}\n".encode())
    return whole.hexdigest(), counts


def _parts(connection: Connection, table: sa.Table) -> Iterator[list[dict[str, object]]]:
    query = sa.select(table).order_by(*table.primary_key.columns)
    found = connection.execute(query, execution_options={"yield_per": AT_ONCE})
    for part in found.mappings().partitions():
        yield [dict(row) for row in part]


def _plain(value: object) -> object:
    """A value as both drivers give it."""
    return bytes(value) if isinstance(value, (bytes, bytearray, memoryview)) else value


def _counted(connection: Connection, table: sa.Table) -> int:
    return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def _count_on(connection: Connection, url: URL) -> None:
    """Have PostgreSQL give out numbers after the last; SQLite does so by itself."""
    if is_postgresql(url):
        last = "SELECT setval(pg_get_serial_sequence('events', 'seq'), max(seq)) FROM events"
        connection.execute(sa.text(last))


def _same(first: URL, second: URL) -> bool:
    if first.get_backend_name() == "sqlite" == second.get_backend_name():
        return file_of(first) is not None and file_of(first) == file_of(second)
    return where(first) == where(second)
