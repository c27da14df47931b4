"""Trials: a version that answers beside the champion, unseen."""

import sqlalchemy as sa
from alembic import op

from keepwell.storage.schema import Utc

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "trials",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("beside", sa.BigInteger(), nullable=False),
        sa.Column("since", Utc(timezone=True), nullable=False),
        sa.Column("until", Utc(timezone=True), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("model", "key", name=op.f("pk_trials")),
    )
    op.create_index(op.f("ix_trials_model_status"), "trials", ["model", "status"], unique=False)
