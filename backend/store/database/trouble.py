"""What the database raises, in plain words: what happened, what became of it, what to do."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from backend.core.errors import StoreError

LOCKED = (
    "the database {place} is locked by another program. Nothing was lost or changed: "
    "wait until that program is done, or close it, and try again."
)
FULL = (
    "the disk of the database {place} is full. Nothing was changed: free some space there, "
    "then try again."
)
FOREIGN = (
    "{place} holds tables of another program. It was not changed: name another database "
    "in ERRORSCOPE_DATABASE or another folder in ERRORSCOPE_HOME."
)
SLOW = (
    "the database {place} took too long to answer. Nothing was changed: try again in a moment; if "
    "it stays so, look what else its machine does."
)
CROWDED = (
    "too many use the database {place} at once. Nothing was changed: try again in a moment; if it "
    "stays so, raise max_connections there."
)
GONE = (
    "the database {place} ended the connection: it was stopped or started anew. Nothing was "
    "changed: try again in a moment; if it stays so, look into its log and whether its disk is full."
)
STARTING = (
    "the database {place} is starting or stopping. Nothing was changed: try again in a moment."
)
SILENT = (
    "the database {place} does not answer. Nothing was changed: start it, or check host and port in "
    "ERRORSCOPE_DATABASE, and try again."
)
UNKNOWN_HOST = (
    "the machine of the database {place} is not known here. Check its name in ERRORSCOPE_DATABASE."
)
STRANGER = (
    "the database {place} refused user or password. Check both, in ERRORSCOPE_DATABASE or the file "
    "that PGPASSFILE names, and what pg_hba.conf allows there."
)
ABSENT = (
    "there is no such database: {place}. Make it, or check its name in ERRORSCOPE_DATABASE; "
    "assets/deploy/postgresql.md says how."
)
NOT_ALLOWED = (
    "the user of the database {place} may not do this there. Make it the owner: ALTER DATABASE name "
    "OWNER TO user."
)
A_COPY = (
    "the database {place} can only be read, as a stand-by can. Nothing was changed: name the one that is "
    "written in ERRORSCOPE_DATABASE."
)
UNDECIDED = (
    "the database {place} ended the connection while it kept this. It is there or it is not: look "
    "before you do it again."
)
OTHER = "the database {place} cannot be used. Check that it runs and that you may use it."

_STATES = {
    "53100": FULL,
    "53300": CROWDED,
    "55P03": LOCKED,
    "57014": SLOW,
    "57P01": GONE,
    "57P02": GONE,
    "57P03": STARTING,
    "57P05": GONE,
    "25P03": SLOW,
    "28000": STRANGER,
    "28P01": STRANGER,
    "3D000": ABSENT,
    "42501": NOT_ALLOWED,
    "42P07": FOREIGN,
    "25006": A_COPY,
}
"""SQLSTATE -> sentence (PostgreSQL, appendix A)."""

_WORDS = (
    # A connection that was not made has no SQLSTATE, only words.
    ("No space left", FULL),
    ("too many clients", CROWDED),
    ("remaining connection slots", CROWDED),
    ("too many connections", CROWDED),
    ("QueuePool limit", CROWDED),
    ("password authentication failed", STRANGER),
    ("no password supplied", STRANGER),
    ("pg_hba.conf", STRANGER),
    ('role "', STRANGER),
    ("is starting up", STARTING),
    ("is shutting down", STARTING),
    ("in recovery mode", STARTING),
    ("not yet accepting connections", STARTING),
    ("permission denied", NOT_ALLOWED),
    ('database "', ABSENT),
    ("could not translate host name", UNKNOWN_HOST),
    ("failed to resolve host", UNKNOWN_HOST),
    ("timeout expired", SLOW),
    ("timed out", SLOW),
    ("server closed the connection", GONE),
    ("connection is lost", GONE),
    ("connection is closed", GONE),
    ("connection reset", GONE),
    ("Broken pipe", GONE),
    ("Connection refused", SILENT),
    ("No such file or directory", SILENT),
    ("No route to host", SILENT),
    ("is unreachable", SILENT),
)


def explain(place: str, raised: BaseException) -> str:
    """A sentence about what a driver raised, with its own words in brackets."""
    text = " ".join(str(raised).split())
    known = hasattr(raised, "sqlstate") or isinstance(raised, sa.exc.TimeoutError)
    sentence = _of_server(raised, text) if known else _of_file(text)
    return f"{sentence.format(place=place)} ({text})"


def undecided(place: str, error: sa.exc.DBAPIError) -> StoreError:
    """The sentence about a connection that ended between asking to keep and the answer."""
    said = " ".join(str(error.orig).split())
    return StoreError(f"{UNDECIDED.format(place=place)} ({said})")


def check_encoding(place: str, connection: Connection) -> None:
    """Refuse a database that cannot hold every letter.

    Raises
    ------
    StoreError
        If its encoding is not UTF8.
    """
    encoding = connection.execute(sa.text("SHOW server_encoding")).scalar()
    if encoding != "UTF8":
        raise StoreError(
            f"the database {place} must have the encoding UTF8: got {encoding}. Make another one: "
            "createdb --encoding=UTF8 --template=template0 NAME."
        )


def _of_server(raised: BaseException, text: str) -> str:
    state = getattr(raised, "sqlstate", None)
    if state in _STATES:
        return _STATES[state]
    if state is not None and state[:2] == "08":
        return GONE
    return next((sentence for sign, sentence in _WORDS if sign in text), OTHER)


def _of_file(text: str) -> str:
    if "locked" in text or "busy" in text:
        return LOCKED
    if "is full" in text or "No space left" in text or "quota" in text:
        return FULL
    if "disk I/O" in text:
        return (
            "the disk of the database {place} refuses, most often because it is full. Nothing was "
            "changed: free some space there and try again; if it stays, check the disk."
        )
    if "not a database" in text or "malformed" in text:
        return (
            "{place} is damaged or not a database. It was not changed: move it to another "
            "place, then restore a copy or start with an empty one."
        )
    if "already exists" in text:
        return FOREIGN
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
            "the database {place} cannot be written. Check that the folder exists, belongs to "
            "you and has room, or name another one in ERRORSCOPE_HOME."
        )
    return OTHER
