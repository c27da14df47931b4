"""What a watch knows of each version, and what it said."""

import sqlalchemy as sa
from alembic import op

from keepwell.storage.schema import Utc

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "watches",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("cycle", sa.Text(), nullable=False),
        sa.Column("as_of", Utc(timezone=True), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("model", "version", name=op.f("pk_watches")),
    )
    op.create_table(
        "signals",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("as_of", Utc(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("incident", sa.BigInteger(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_signals")),
        sa.UniqueConstraint("model", "key", name=op.f("uq_signals_model_key")),
    )
    op.create_index(op.f("ix_signals_model_as_of"), "signals", ["model", "as_of"], unique=False)
