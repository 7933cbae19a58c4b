"""The tables, as the newest migration leaves them."""

from __future__ import annotations

import sqlalchemy as sa

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
