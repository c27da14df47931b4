"""Tokens. They belong to the record and not to a model: one may be good for several models that share it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa

from keepwell.access.tokens import Token
from keepwell.errors import TokenNotFound
from keepwell.storage import Event, record_event
from keepwell.storage.schema import integer, metadata, moment, text

tokens = sa.Table(
    "tokens",
    metadata,
    text("id", primary=True),
    text("digest"),
    text("owner"),
    text("role"),
    sa.Column("models", sa.JSON(none_as_null=True), nullable=True),
    moment("created_at"),
    text("created_by"),
    moment("expires_at", nullable=True),
    integer("per_minute", nullable=True),
    moment("revoked_at", nullable=True),
    text("revoked_by", nullable=True),
    moment("used_at", nullable=True),
)


def add_token(connection: sa.Connection, model: str, token: Token) -> None:
    """Keep a token, and on the timeline who made it for whom."""
    values = vars(token) | {"models": list(token.models) if token.models is not None else None}
    connection.execute(sa.insert(tokens).values(**values))
    sentence = f"{token.created_by} made token {token.id} for {token.owner}: {token.words}"
    facts = {"token": token.id, "owner": token.owner, "role": token.role, "models": values["models"], "per_minute": token.per_minute}
    facts["expires_at"] = token.expires_at.isoformat() if token.expires_at is not None else None
    record_event(connection, model, f"token/{token.id}", Event("token_created", token.created_at, sentence, facts, token.created_by))


def list_tokens(connection: sa.Connection) -> list[Token]:
    """All tokens, oldest first; also those that are no longer good."""
    return [_token(row) for row in connection.execute(_ALL).mappings()]


def get_token(connection: sa.Connection, token_id: str) -> Token:
    """One token.

    Raises
    ------
    TokenNotFound
    """
    row = connection.execute(sa.select(tokens).where(tokens.c.id == token_id)).mappings().first()
    if row is None:
        raise TokenNotFound(token_id[:100])
    return _token(row)


def revoke_token(connection: sa.Connection, model: str, token: Token, *, by: str, at: datetime) -> None:
    """Let a token be good no longer, once; on the timeline stands by whom."""
    if token.revoked_at is not None:
        return
    connection.execute(sa.update(tokens).where(tokens.c.id == token.id).values(revoked_at=at, revoked_by=by))
    facts = {"token": token.id, "owner": token.owner}
    told = Event("token_revoked", at, f"{by} revoked token {token.id} of {token.owner}", facts, by)
    record_event(connection, model, f"token/{token.id}/revoked", told)


def note_used(connection: sa.Connection, used: Mapping[str, datetime]) -> None:
    """Keep when tokens were last used."""
    for token_id, at in used.items():
        connection.execute(sa.update(tokens).where(tokens.c.id == token_id).values(used_at=at))


_ALL = sa.select(tokens).order_by(tokens.c.created_at, tokens.c.id)


def _token(row: sa.RowMapping) -> Token:
    return Token(**{**dict(row), "models": tuple(row["models"]) if row["models"] is not None else None})
