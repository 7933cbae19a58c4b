"""A key beside the name of who did it, by which people are told apart."""

import sqlalchemy as sa
from alembic import op

from backend.store.authors import key_of

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("events", sa.Column("author_key", sa.String(200)))
    events = sa.table("events", sa.column("author"), sa.column("author_key"))
    connection = op.get_bind()
    for (name,) in connection.execute(sa.select(events.c.author).distinct()).all():
        named = events.update().where(events.c.author == name)
        connection.execute(named.values(author_key=key_of(name)))


def downgrade() -> None:
    op.drop_column("events", "author_key")
