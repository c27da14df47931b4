"""Observations from any database SQLAlchemy can reach, by one query with `:since` and `:until`, read only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import polars as pl
import sqlalchemy as sa
from pydantic import Field, SecretStr, field_validator
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import NullPool

from keepwell.errors import SettingInvalid, SourceInvalid
from keepwell.ingestion.options import HIDDEN, PLACEHOLDER, Options, Secrets, read_options
from keepwell.ingestion.retrying import NotNow, Patience
from keepwell.ingestion.times import between, to_utc
from keepwell.settings import FILE, GatherSection

NAME = "sql"
READ_ONLY = {
    "sqlite": "PRAGMA query_only = ON",
    "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "mariadb": "SET SESSION TRANSACTION READ ONLY",
}
# So that `timestamp` columns without a zone compare with our UTC times as what they are.
IN_UTC = {"postgresql": "SET TIME ZONE 'UTC'", "mysql": "SET time_zone = '+00:00'", "mariadb": "SET time_zone = '+00:00'"}


class SqlOptions(Options):
    """The settings of kind "sql"."""

    url: SecretStr = Field(description="SQLAlchemy URL; write ${NAME} to read a part of it from the environment.")
    query: str = Field(description="One SELECT with the bound parameters :since and :until, both inclusive.")
    time: str | None = Field(None, description="Time column; when set, it is brought to UTC and the rows are cut to the span.")
    bind: Literal["datetime", "date", "text"] = Field(
        "datetime", description="How the parameters are bound; date for DATE columns, text for ISO 8601 text such as 2024-05-01T06:00:00Z."
    )

    @field_validator("query")
    @classmethod
    def _has_both_parameters(cls, value: str) -> str:
        missing = [name for name in (":since", ":until") if not re.search(rf"(?<![:\w]){name}\b", value)]
        if missing:
            raise ValueError(f"the query must use {' and '.join(missing)}, or each cycle would read the whole table")
        return value


@dataclass(frozen=True)
class Sql:
    """Rows of one query; decimal columns become Float64. It can only read: the database itself is told to refuse writes."""

    options: SqlOptions
    engine: sa.Engine = field(repr=False)
    secrets: Secrets
    patience: Patience

    def __call__(self, since: datetime, until: datetime) -> pl.DataFrame:
        """The query's rows for a span, both ends inclusive.

        Raises
        ------
        SourceUnavailable : the database could not be reached, or was locked, at every try.
        SourceInvalid : the database refused the query, or the time column cannot be read.
        """
        frame = self.patience.ask(self._name, lambda: self._read(since, until))
        frame = frame.with_columns(pl.selectors.decimal().cast(pl.Float64))
        if self.options.time is None:
            return frame
        return between(to_utc(frame, self.options.time, self._name), self.options.time, since, until)

    @property
    def _name(self) -> str:
        """Driver, host and database: the rest of the URL may hold secrets."""
        url = self.engine.url
        return self.secrets.hide(f"{NAME} ({url.drivername}://{url.host or ''}/{url.database or ''})")

    def _read(self, since: datetime, until: datetime) -> pl.DataFrame:
        try:
            with self.engine.connect() as connection:
                for statement in (READ_ONLY, IN_UTC):
                    if connection.dialect.name in statement:
                        connection.exec_driver_sql(statement[connection.dialect.name])
                connection.commit()  # so that the next statement begins a transaction of the kind just set
                result = connection.execute(sa.text(self.options.query).bindparams(*self._bound(since, until)))
                if not result.returns_rows:
                    raise SourceInvalid(self._name, "ran a query that returns no rows", "Write one SELECT.")
                return _frame(result)
        except (DBAPIError, PoolTimeout) as error:
            raise self._judged(error) from None

    def _bound(self, since: datetime, until: datetime) -> list[sa.BindParameter[Any]]:
        is_aware = self.engine.dialect.name == "postgresql"
        kinds: dict[str, sa.types.TypeEngine[Any]] = {
            "datetime": sa.DateTime(timezone=is_aware),
            "date": sa.Date(),
            "text": sa.String(),
        }
        return [
            sa.bindparam(name, self._value(moment, is_aware), type_=kinds[self.options.bind])
            for name, moment in (("since", since), ("until", until))
        ]

    def _value(self, moment: datetime, is_aware: bool) -> object:
        moment = moment.astimezone(UTC)
        if self.options.bind == "date":
            return moment.date()
        if self.options.bind == "text":
            return moment.isoformat().replace("+00:00", "Z")
        return moment if is_aware else moment.replace(tzinfo=None)

    def _judged(self, error: DBAPIError | PoolTimeout) -> Exception:
        """What may pass is asked again; a refused query is not."""
        said = self.secrets.hide(" ".join(str(getattr(error, "orig", None) or error).split()))[:300]
        busy = re.search(r"locked|busy|disk I/O", said)
        lost = isinstance(error, OperationalError | InterfaceError | PoolTimeout) and self.engine.dialect.name != "sqlite"
        if busy or lost:
            return NotNow(said)
        return SourceInvalid(self._name, f"refused the query: {said}", "Try the query in the database's own client.")


def _frame(result: sa.CursorResult[Any]) -> pl.DataFrame:
    names = list(result.keys())
    return pl.DataFrame([tuple(row) for row in result], schema=names, orient="row", infer_schema_length=None)


def open_sql(given: Mapping[str, Any], folder: Path, gather: GatherSection) -> Sql:
    """Kind "sql". A relative SQLite path counts from the project's folder.

    Raises
    ------
    SettingInvalid : the URL cannot be read, its driver is not installed, or its SQLite file does not exist.
    """
    options = read_options(NAME, SqlOptions, given)
    secrets = Secrets(folder)
    url = _located(_expanded(options.url.get_secret_value(), secrets), folder)
    try:
        engine = sa.create_engine(url, poolclass=NullPool, hide_parameters=True)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        problem = f"no driver for it is installed ({error}); install one, such as psycopg for postgresql+psycopg://"
        raise SettingInvalid("source.url", url.drivername, problem, FILE) from None
    return Sql(options, engine, secrets, Patience.of(gather))


def _expanded(text: str, secrets: Secrets) -> URL:
    if PLACEHOLDER.fullmatch(text):
        text = secrets.expand(text, "source.url")
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        problem = "it is not a SQLAlchemy URL such as postgresql+psycopg://user:${PASSWORD}@host/name"
        raise SettingInvalid("source.url", HIDDEN, problem, FILE) from None

    # Part by part, after the URL was taken apart: a password may hold '@' and '/'.
    def part(value: str | None) -> str | None:
        return secrets.expand(value, "source.url") if value else value

    password = part(str(url.password)) if url.password is not None else None
    secrets.remember([password])
    query = {name: part(value) if isinstance(value, str) else value for name, value in url.query.items()}
    url = url.set(username=part(url.username), password=password, host=part(url.host), database=part(url.database))
    return url.set(query={name: value for name, value in query.items() if value is not None})


def _located(url: URL, folder: Path) -> URL:
    """SQLite would make an empty database of a wrong path; better to say so."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        return url
    path = folder / url.database
    if not path.is_file():
        raise SettingInvalid("source.url", str(path), "there is no such SQLite file", FILE)
    return url.set(database=str(path))
