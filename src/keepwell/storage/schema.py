"""One metadata for the tables of all rooms, and the column types they share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


class Utc(sa.types.TypeDecorator[datetime]):
    """An aware UTC moment. SQLite keeps no zone, so it is taken off on the way in and put back on the way out."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def text(name: str, *, nullable: bool = False, primary: bool = False) -> sa.Column[Any]:
    """A text column."""
    return sa.Column(name, sa.Text, nullable=nullable, primary_key=primary)


def integer(name: str, *, nullable: bool = False, primary: bool = False) -> sa.Column[Any]:
    """A 64-bit integer column that the database never fills by itself."""
    return sa.Column(name, sa.BigInteger, nullable=nullable, primary_key=primary, autoincrement=False)


def moment(name: str, *, nullable: bool = False, primary: bool = False) -> sa.Column[Any]:
    """A UTC moment."""
    return sa.Column(name, Utc, nullable=nullable, primary_key=primary)


def facts(name: str = "facts") -> sa.Column[Any]:
    """A JSON object."""
    return sa.Column(name, sa.JSON, nullable=False)


def linked() -> tuple[sa.Column[Any], sa.Column[Any], sa.Index]:
    """Where a row stands in its model's chain, and the hash that links it to the row before: see `chains`."""
    return integer("place"), text("hash"), sa.Index(None, "model", "place", unique=True)


def serial(name: str = "seq") -> sa.Column[Any]:
    """A number the database counts up: order of arrival."""
    return sa.Column(name, sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True)
