"""The first shape of the record."""

import sqlalchemy as sa
from alembic import op

from keepwell.storage.schema import Utc

revision = "0001"
down_revision = None


def upgrade() -> None:

    op.create_table(
        "aliases",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("alias", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("since", Utc(timezone=True), nullable=False),
        sa.Column("recorded_at", Utc(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_aliases")),
        sa.UniqueConstraint("model", "key", name=op.f("uq_aliases_model_key")),
    )
    op.create_index(op.f("ix_aliases_model_alias_since"), "aliases", ["model", "alias", "since"], unique=False)
    op.create_table(
        "batches",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("cycle", sa.Text(), nullable=False),
        sa.Column("as_of", Utc(timezone=True), nullable=False),
        sa.Column("rows", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("total", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("model", "cycle", name=op.f("pk_batches")),
    )
    op.create_index(op.f("ix_batches_model_as_of"), "batches", ["model", "as_of"], unique=False)
    op.create_table(
        "checkups",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("cycle", sa.Text(), nullable=False),
        sa.Column("as_of", Utc(timezone=True), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("model", "cycle", name=op.f("pk_checkups")),
    )
    op.create_index(op.f("ix_checkups_model_as_of"), "checkups", ["model", "as_of"], unique=False)
    op.create_table(
        "commits",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("known_at", Utc(timezone=True), nullable=False),
        sa.Column("recorded_at", Utc(timezone=True), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=True),
        sa.Column("artifact", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("name", "number", name=op.f("pk_commits")),
        sa.UniqueConstraint("name", "key", name=op.f("uq_commits_name_key")),
    )
    op.create_table(
        "contracts",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("file_digest", sa.Text(), nullable=False),
        sa.Column("since", Utc(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_contracts")),
        sa.UniqueConstraint("model", "key", name=op.f("uq_contracts_model_key")),
    )
    op.create_table(
        "cycles",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("cycle", sa.Text(), nullable=False),
        sa.Column("as_of", Utc(timezone=True), nullable=False),
        sa.Column("attempt", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("begun", Utc(timezone=True), nullable=False),
        sa.Column("ended", Utc(timezone=True), nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("model", "cycle", name=op.f("pk_cycles")),
    )
    op.create_index(op.f("ix_cycles_model_as_of"), "cycles", ["model", "as_of"], unique=False)
    op.create_index(op.f("ix_cycles_model_status"), "cycles", ["model", "status"], unique=False)
    op.create_table(
        "decisions",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("cycle", sa.Text(), nullable=False),
        sa.Column("as_of", Utc(timezone=True), nullable=False),
        sa.Column("build", sa.Boolean(), nullable=False),
        sa.Column("trigger", sa.Text(), nullable=True),
        sa.Column("held_by", sa.Text(), nullable=True),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("model", "cycle", name=op.f("pk_decisions")),
    )
    op.create_index(op.f("ix_decisions_model_as_of"), "decisions", ["model", "as_of"], unique=False)
    op.create_table(
        "events",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("as_of", Utc(timezone=True), nullable=False),
        sa.Column("recorded_at", Utc(timezone=True), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_events")),
        sa.UniqueConstraint("model", "key", name=op.f("uq_events_model_key")),
    )
    op.create_index(op.f("ix_events_model_as_of"), "events", ["model", "as_of"], unique=False)
    op.create_table(
        "gathers",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("cycle", sa.Text(), nullable=False),
        sa.Column("as_of", Utc(timezone=True), nullable=False),
        sa.Column("since", Utc(timezone=True), nullable=False),
        sa.Column("until", Utc(timezone=True), nullable=False),
        sa.Column("seen", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("new", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("changed", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("quarantined", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("table_version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("newest", Utc(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("findings", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("model", "cycle", name=op.f("pk_gathers")),
    )
    op.create_index(op.f("ix_gathers_model_as_of"), "gathers", ["model", "as_of"], unique=False)
    op.create_table(
        "labellings",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("as_of", Utc(timezone=True), nullable=False),
        sa.Column("new", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("changed", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("model", "key", name=op.f("pk_labellings")),
    )
    op.create_index(op.f("ix_labellings_model_as_of"), "labellings", ["model", "as_of"], unique=False)
    op.create_table(
        "runs",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("cycle", sa.Text(), nullable=False),
        sa.Column("as_of", Utc(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("begun", Utc(timezone=True), nullable=False),
        sa.Column("ended", Utc(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("model", "run", name=op.f("pk_runs")),
    )
    op.create_index(op.f("ix_runs_model_as_of"), "runs", ["model", "as_of"], unique=False)
    op.create_table(
        "steps",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("parts", sa.JSON(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.Column("reused_from", sa.Text(), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("at", Utc(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("model", "run", "name", name=op.f("pk_steps")),
    )
    op.create_index(op.f("ix_steps_model_identity"), "steps", ["model", "identity"], unique=False)
    op.create_table(
        "tables",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("last", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("flushed", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_tables")),
    )
    op.create_table(
        "versions",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("as_of", Utc(timezone=True), nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("model_file", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("contract", sa.Text(), nullable=True),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("training_set", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("card", sa.Text(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("model", "number", name=op.f("pk_versions")),
        sa.UniqueConstraint("model", "run", name=op.f("uq_versions_model_run")),
    )
    op.create_table(
        "workers",
        sa.Column("slot", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("process_started", sa.Float(), nullable=False),
        sa.Column("lease_until", Utc(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("slot", name=op.f("pk_workers")),
    )
