"""Decisions and acts become chains, and each line of the timeline says by whom."""

import sqlalchemy as sa
from alembic import op

from keepwell.storage.chains import FIRST, link

revision = "0004"
down_revision = "0003"

# Each chained table, and the order in which its rows came.
ORDER = {
    "events": ("seq",),
    "aliases": ("seq",),
    "contracts": ("seq",),
    "signals": ("seq",),
    "reproductions": ("seq",),
    "versions": ("number",),
    "decisions": ("as_of", "cycle"),
    "checkups": ("as_of", "cycle"),
}


def upgrade() -> None:
    op.create_table(
        "chains",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("model", "chain", name=op.f("pk_chains")),
    )
    op.add_column("events", sa.Column("by", sa.Text(), nullable=False, server_default="keepwell"))
    for name in ORDER:
        op.add_column(name, sa.Column("place", sa.BigInteger(), nullable=False, server_default="0"))
        op.add_column(name, sa.Column("hash", sa.Text(), nullable=False, server_default=""))
    connection = op.get_bind()
    for name, order in ORDER.items():
        fill(connection, name, order)
        op.create_index(op.f(f"ix_{name}_model_place"), name, ["model", "place"], unique=True)


def fill(connection: sa.Connection, name: str, order: tuple[str, ...]) -> None:
    """Link the rows that are there."""
    table = sa.Table(name, sa.MetaData(), autoload_with=connection)
    last: dict[str, tuple[int, str]] = {}
    found = []
    for row in connection.execute(sa.select(table).order_by(*(table.c[column] for column in order))).mappings():
        values = dict(row)
        if name == "events" and isinstance(values["facts"], dict):
            values["by"] = str(values["facts"].get("by") or "keepwell")
        place, before = last.get(values["model"], (0, FIRST))
        values["place"] = place + 1
        values["hash"] = link(before, values)
        last[values["model"]] = (values["place"], values["hash"])
        found.append(values)
    keys = [column.name for column in table.primary_key]
    changed = ["place", "hash", *(["by"] if name == "events" else [])]
    update = sa.update(table).where(*(table.c[key] == sa.bindparam(f"_{key}") for key in keys))
    update = update.values({column: sa.bindparam(f"new_{column}") for column in changed})
    if found:
        rows = [{f"_{key}": row[key] for key in keys} | {f"new_{column}": row[column] for column in changed} for row in found]
        connection.execute(update, rows)
        heads = sa.Table("chains", sa.MetaData(), autoload_with=connection)
        ends = [{"model": model, "chain": name, "place": place, "hash": digest} for model, (place, digest) in last.items()]
        connection.execute(sa.insert(heads), ends)
