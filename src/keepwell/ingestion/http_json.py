"""Observations from any HTTP service that answers JSON, page by page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import polars as pl
from pydantic import Field, SecretStr, field_validator

from keepwell.errors import SourceInvalid
from keepwell.ingestion.options import Options, Secrets, read_options
from keepwell.ingestion.retrying import Patience
from keepwell.ingestion.times import UTC_TIME, Epoch, between, to_utc
from keepwell.ingestion.web import Web
from keepwell.settings import GatherSection

NAME = "http"
SPAN = re.compile(r"\{(since|until)(?::([^{}]+))?\}")
ISO = "%Y-%m-%dT%H:%M:%SZ"


class HttpOptions(Options):
    """The settings of kind "http"."""

    url: SecretStr = Field(
        description="Address with {since} and {until} (ISO 8601; {since:%Y-%m-%d} for a format, {since:epoch} for seconds) and ${NAME}."
    )
    time: str = Field(description="Time column of the records.")
    epoch: Epoch | None = Field(None, description="Unit of numeric times since 1970: s, ms or us.")
    records: str = Field("", description="Path to the list of records in the answer, such as data.items; empty when it is the answer.")
    columns: dict[str, str] = Field(default_factory=dict, description="Column -> path inside a record; default the record's own names.")
    next: str | None = Field(None, description="Path to the next page's address, or to its token when `next_param` is set.")
    next_param: str | None = Field(None, description="Query parameter that carries the next page's token.")
    headers: dict[str, SecretStr] = Field(default_factory=dict, description="Request headers; write ${NAME} for the environment.")
    max_pages: int = Field(1000, ge=1, description="Most pages of one gather.")
    max_mb: float = Field(64.0, gt=0, description="Largest page, megabytes.")
    timeout_s: float = Field(30.0, gt=0, description="Longest silence of the server, seconds.")

    @field_validator("url")
    @classmethod
    def _asks_for_a_span(cls, value: SecretStr) -> SecretStr:
        if not SPAN.search(value.get_secret_value()):
            raise ValueError("the address must use {since} or {until}, or each cycle would read everything")
        return value


@dataclass(frozen=True)
class HttpJson:
    """Records of a JSON service."""

    options: HttpOptions
    url: str = field(repr=False)
    web: Web

    def __call__(self, since: datetime, until: datetime) -> pl.DataFrame:
        """The records from `since` to `until`, both inclusive, in time order.

        Raises
        ------
        SourceUnavailable : a page could not be read at any try.
        SourceInvalid : a page is refused or has no list of records, paging does not end, or times cannot be read.
        """
        address = SPAN.sub(lambda found: _written(since if found[1] == "since" else until, found[2]), self.url)
        records = self._records(address)
        if not records:
            return pl.DataFrame(schema={self.options.time: UTC_TIME})
        try:
            frame = pl.DataFrame(records, infer_schema_length=None)
        except (TypeError, ValueError, pl.exceptions.PolarsError):
            raise SourceInvalid(NAME, "gave records that do not make a table", "Name the wanted values in `columns`.") from None
        return between(to_utc(frame, self.options.time, NAME, self.options.epoch), self.options.time, since, until)

    def _records(self, address: str) -> list[dict[str, Any]]:
        records: list[dict[str, Any]] = []
        seen: set[str] = set()
        following: str | None = address
        with self.web.open() as client:
            while following is not None:
                if following in seen or len(seen) >= self.options.max_pages:
                    problem = "gave a page that was read before" if following in seen else f"gave more than {len(seen)} pages"
                    raise SourceInvalid(NAME, problem, "Check `next` in [source], or raise `max_pages`.")
                seen.add(following)
                page = self.web.get(client, following)
                records += self._in_page(page)
                following = self._next(page, address, following)
        return records

    def _in_page(self, page: Any) -> list[dict[str, Any]]:
        found = at(page, self.options.records)
        if not isinstance(found, list) or not all(isinstance(record, dict) for record in found):
            where = f"at '{self.options.records}'" if self.options.records else "as its answer"
            names = f" The answer has {', '.join(page)[:200]}." if isinstance(page, dict) and page else ""
            raise SourceInvalid(NAME, f"has no list of records {where}", f"Set `records` to the path of the list.{names}")
        if not self.options.columns:
            return found
        return [{name: at(record, path) for name, path in self.options.columns.items()} for record in found]

    def _next(self, page: Any, address: str, current: str) -> str | None:
        """The next page's address, or None at the end."""
        found = at(page, self.options.next) if self.options.next else None
        if found in (None, "", False):
            return None
        if self.options.next_param:
            return str(httpx.URL(address).copy_set_param(self.options.next_param, str(found)))
        following = httpx.URL(current).join(str(found))
        # The server must not send our headers, or our requests, elsewhere.
        if _origin(following) != _origin(httpx.URL(address)):
            raise SourceInvalid(NAME, f"names a next page on another host ({following.host})", "Pages must stay on the host of `url`.")
        return str(following)


def open_http_json(given: Mapping[str, Any], folder: Path, gather: GatherSection) -> HttpJson:
    """Kind "http"."""
    options = read_options(NAME, HttpOptions, given)
    secrets = Secrets(folder)
    url = secrets.expand(options.url.get_secret_value(), "source.url")
    headers = {name: secrets.reveal(value, f"source.headers.{name}") for name, value in options.headers.items()}
    web = Web(NAME, secrets, Patience.of(gather), options.timeout_s, options.max_mb, headers)
    return HttpJson(options, url, web)


def at(content: Any, path: str) -> Any:
    """The value at a dotted path; numbers index lists; None when it leads nowhere.

    Examples
    --------
    >>> at({"data": {"items": [{"t": 1}]}}, "data.items.0.t")
    1
    """
    for step in path.split(".") if path else ():
        if isinstance(content, Mapping):
            content = content.get(step)
        elif isinstance(content, list) and step.isdigit() and int(step) < len(content):
            content = content[int(step)]
        else:
            return None
    return content


def _written(moment: datetime, form: str | None) -> str:
    moment = moment.astimezone(UTC)
    if form == "epoch":
        return str(int(moment.timestamp()))
    return quote(moment.strftime(form or ISO), safe=":")


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
