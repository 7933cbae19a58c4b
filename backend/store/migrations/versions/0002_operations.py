"""A name for what was asked, so that asking twice does it once."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("events", sa.Column("operation", sa.String(80)))
    op.create_index("events_once", "events", ["bundle", "operation"], unique=True)


def downgrade() -> None:
    op.drop_index("events_once", "events")
    op.drop_column("events", "operation")
