"""What is to be told, and what came of it at each channel."""

import sqlalchemy as sa
from alembic import op

from keepwell.storage.schema import Utc

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "outbox",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("at", Utc(timezone=True), nullable=False),
        sa.Column("created", Utc(timezone=True), nullable=False),
        sa.Column("planned", Utc(timezone=True), nullable=True),
        sa.Column("recipients", sa.JSON(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("model", "number", name=op.f("pk_outbox")),
        sa.UniqueConstraint("model", "key", name=op.f("uq_outbox_model_key")),
    )
    op.create_index(op.f("ix_outbox_model_planned"), "outbox", ["model", "planned"], unique=False)
    op.create_table(
        "deliveries",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        sa.Column("next_try", Utc(timezone=True), nullable=True),
        sa.Column("holder", sa.Text(), nullable=True),
        sa.Column("held_until", Utc(timezone=True), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("changed", Utc(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("model", "number", "channel", name=op.f("pk_deliveries")),
    )
    op.create_index(op.f("ix_deliveries_model_state"), "deliveries", ["model", "state"], unique=False)
