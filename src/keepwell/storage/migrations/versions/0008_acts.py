"""What a decision does and what it is worth, and the pause that is in force."""

import sqlalchemy as sa
from alembic import op

from keepwell.storage.schema import Utc

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("decisions", sa.Column("facts", sa.JSON(), nullable=True))
    op.create_table(
        "pauses",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("since", Utc(timezone=True), nullable=False),
        sa.Column("until", Utc(timezone=True), nullable=True),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("model", name=op.f("pk_pauses")),
    )
