"""Who may look at which bundle, beside its owner."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "grants",
        sa.Column("bundle", sa.String(128), primary_key=True),
        sa.Column("grantee", sa.String(330), primary_key=True),
        sa.Column("right", sa.String(8), nullable=False),
        sa.Index("grants_of_person", "grantee"),
    )


def downgrade() -> None:
    op.drop_table("grants")
