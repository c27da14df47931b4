"""Which contract was in force since when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from keepwell.storage import append_once
from keepwell.storage.schema import linked, metadata, moment, serial, text

contracts = sa.Table(
    "contracts",
    metadata,
    serial(),
    text("model"),
    text("key"),
    text("digest"),  # of the contract in force
    text("file_digest"),  # of contract.toml as it was then: an edit after that puts the file in force again
    moment("since"),
    text("reason"),
    *linked(),
    sa.UniqueConstraint("model", "key"),
)


@dataclass(frozen=True)
class ContractInForce:
    """The contract `digest` (an artifact) is in force since a moment, because of `reason`."""

    digest: str
    file_digest: str
    since: datetime
    reason: str


def contract_in_force(connection: sa.Connection, model: str) -> ContractInForce | None:
    """The newest one."""
    query = sa.select(contracts).where(contracts.c.model == model).order_by(contracts.c.seq.desc()).limit(1)
    row: Any = connection.execute(query).first()
    return ContractInForce(row.digest, row.file_digest, row.since, row.reason) if row else None


def put_in_force(connection: sa.Connection, model: str, key: str, contract: ContractInForce) -> None:
    """Put a contract in force, once per `key`."""
    values = {"digest": contract.digest, "file_digest": contract.file_digest, "since": contract.since, "reason": contract.reason}
    append_once(connection, contracts, {"model": model, "key": key, **values})
