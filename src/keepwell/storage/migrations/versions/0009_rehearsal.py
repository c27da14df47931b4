"""The newest rehearsal of policies on the kept history."""

import sqlalchemy as sa
from alembic import op

from keepwell.storage.schema import Utc

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "rehearsals",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("at", Utc(timezone=True), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("model", name=op.f("pk_rehearsals")),
    )
