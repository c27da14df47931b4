"""What a build was made of, and what came of repeating it."""

import sqlalchemy as sa
from alembic import op

from keepwell.storage.schema import Utc

revision = "0002"
down_revision = "0001"


def upgrade() -> None:

    op.add_column("runs", sa.Column("facts", sa.JSON(), nullable=True))
    op.create_table(
        "reproductions",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("at", Utc(timezone=True), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=True),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_reproductions")),
        sa.UniqueConstraint("model", "key", name=op.f("uq_reproductions_model_key")),
    )
    op.create_index(op.f("ix_reproductions_model_run"), "reproductions", ["model", "run"], unique=False)
