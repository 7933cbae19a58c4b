"""The database: a file or PostgreSQL, its tables, what it says when it cannot, how it is moved."""

from backend.store.database.move import Moved, move_database
from backend.store.database.opening import (
    HEAD,
    MIGRATIONS,
    WRITING,
    database_url,
    engine_of,
    file_of,
    is_postgresql,
    open_database,
    plain_errors,
    reading,
    vanished,
    where,
    writing,
)
from backend.store.database.schema import events, grants, metadata, sign_ins

__all__ = [
    "HEAD",
    "MIGRATIONS",
    "WRITING",
    "Moved",
    "database_url",
    "engine_of",
    "events",
    "file_of",
    "grants",
    "is_postgresql",
    "metadata",
    "move_database",
    "open_database",
    "plain_errors",
    "reading",
    "sign_ins",
    "vanished",
    "where",
    "writing",
]
