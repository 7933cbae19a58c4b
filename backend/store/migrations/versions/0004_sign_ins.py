"""What became of each sign-in: when it began, and when somebody ended it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "sign_ins",
        sa.Column("id", sa.String(80), primary_key=True),
        sa.Column("author_key", sa.String(200), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("began", sa.Float, nullable=False),
        sa.Column("ended", sa.Float),
        sa.Index("sign_ins_of_person", "author_key"),
    )


def downgrade() -> None:
    op.drop_table("sign_ins")
