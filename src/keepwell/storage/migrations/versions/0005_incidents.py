"""Incidents, and what was done about them."""

import sqlalchemy as sa
from alembic import op

from keepwell.storage.schema import Utc

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "incidents",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("cls", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("column", sa.Text(), nullable=False),
        sa.Column("first", Utc(timezone=True), nullable=False),
        sa.Column("last", Utc(timezone=True), nullable=False),
        sa.Column("told_at", Utc(timezone=True), nullable=False),
        sa.Column("acknowledged_at", Utc(timezone=True), nullable=True),
        sa.Column("closed_at", Utc(timezone=True), nullable=True),
        sa.Column("snoozed_until", Utc(timezone=True), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("deputy", sa.Text(), nullable=True),
        sa.Column("is_live", sa.Boolean(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("model", "number", name=op.f("pk_incidents")),
    )
    op.create_index(op.f("ix_incidents_model_is_live"), "incidents", ["model", "is_live"], unique=False)
    op.create_table(
        "activity",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("at", Utc(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_activity")),
        sa.UniqueConstraint("model", "key", name=op.f("uq_activity_model_key")),
    )
    op.create_index(op.f("ix_activity_model_number"), "activity", ["model", "number"], unique=False)
