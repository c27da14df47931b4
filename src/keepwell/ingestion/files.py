"""Observations from Parquet, CSV or NDJSON files: a folder, a glob, or an object store; only the asked span is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import polars as pl
from pydantic import Field, SecretStr

from keepwell.errors import SettingInvalid, SourceInvalid
from keepwell.ingestion.options import Options, Secrets, read_options
from keepwell.ingestion.retrying import NotNow, Patience
from keepwell.ingestion.times import between, to_utc
from keepwell.settings import FILE, GatherSection

NAME = "files"
Format = Literal["parquet", "csv", "ndjson"]
SUFFIXES: dict[str, Format] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".csv.gz": "csv",
    ".csv.zst": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
}


class FilesOptions(Options):
    """The settings of kind "files"."""

    path: str = Field(description="Path, glob or URL (s3://, gs://, az://, https://, file://); relative to the project's folder.")
    time: str = Field(description="Time column: dates, datetimes (UTC when naive) or ISO 8601 text.")
    format: Format | None = Field(None, description="parquet, csv or ndjson; default by the file's ending.")
    options: dict[str, SecretStr | int | bool] = Field(
        default_factory=dict, description="Options of the object store, such as aws_region; write ${NAME} for the environment."
    )


@dataclass(frozen=True)
class Files:
    """Rows of all files that match."""

    options: FilesOptions
    path: str
    format: Format
    storage: Mapping[str, str | int | bool]
    secrets: Secrets
    patience: Patience

    def __repr__(self) -> str:
        return f"Files({self._name})"

    def __call__(self, since: datetime, until: datetime) -> pl.DataFrame:
        """The rows from `since` to `until`, both inclusive, in time order.

        Polars scans the files: Parquet row groups outside the span, and columns of other files, are not read.

        Raises
        ------
        SourceUnavailable : the store did not answer at any try.
        SourceInvalid : no file matches, a file cannot be read as its format, or the time column cannot be read.
        """
        frame = self.patience.ask(self._name, lambda: self._read(since, until))
        return between(to_utc(frame, self.options.time, self._name), self.options.time, since, until)

    @property
    def _name(self) -> str:
        return self.secrets.hide(f"{NAME} ({self.path})")

    def _read(self, since: datetime, until: datetime) -> pl.DataFrame:
        try:
            scan = self._scan()
            kind = scan.collect_schema().get(self.options.time)
            within = _within(self.options.time, kind, since, until)
            return scan.filter(within).collect() if within is not None else scan.collect()
        except (pl.exceptions.PolarsError, OSError, ValueError) as error:
            raise self._judged(error) from None

    def _judged(self, error: Exception) -> Exception:
        """A store that does not answer may do so later; a missing or broken file stays so."""
        said = self.secrets.hide(str(error).partition("\n")[0] or type(error).__name__)[:300]
        if isinstance(error, FileNotFoundError) or "paths were empty" in said:
            return SourceInvalid(self._name, "has no file that matches", "Check `path` in [source].")
        if "object-store error" in said and not isinstance(error, PermissionError):
            return NotNow(said)
        return SourceInvalid(self._name, f"cannot be read as {self.format}: {said}", "Check the files, `format` and `options`.")

    def _scan(self) -> pl.LazyFrame:
        storage = dict(self.storage) or None
        if self.format == "parquet":
            return pl.scan_parquet(self.path, storage_options=storage)
        if self.format == "csv":
            return pl.scan_csv(self.path, storage_options=storage, try_parse_dates=True, infer_schema_length=10_000)
        return pl.scan_ndjson(self.path, storage_options=storage, infer_schema_length=10_000)


def _within(column: str, kind: pl.DataType | None, since: datetime, until: datetime) -> pl.Expr | None:
    """The span in the column's own type, so that the scan can use it; None for text, which is cut after reading."""
    time = pl.col(column)
    if isinstance(kind, pl.Date):
        return time.is_between(since.astimezone(UTC).date(), until.astimezone(UTC).date())
    if isinstance(kind, pl.Datetime):
        zone = ZoneInfo(kind.time_zone) if kind.time_zone else None
        first, last = (pl.lit(moment.astimezone(zone or UTC).replace(tzinfo=zone), dtype=kind) for moment in (since, until))
        return time.is_between(first, last)
    return None


def open_files(given: Mapping[str, Any], folder: Path, gather: GatherSection) -> Files:
    """Kind "files".

    Raises
    ------
    SettingInvalid : the format is not told and the ending does not tell it.
    """
    options = read_options(NAME, FilesOptions, given)
    secrets = Secrets(folder)
    path = secrets.expand(options.path, "source.path")
    told = options.format or next((form for suffix, form in SUFFIXES.items() if path.lower().endswith(suffix)), None)
    if told is None:
        problem = f"its ending is none of {', '.join(SUFFIXES)}; set `format` to parquet, csv or ndjson"
        raise SettingInvalid("source.path", options.path, problem, FILE)
    storage = {
        name: secrets.reveal(value, f"source.options.{name}") if isinstance(value, SecretStr) else value
        for name, value in options.options.items()
    }
    located = path if "://" in path else str(folder / path)
    return Files(options, located, told, storage, secrets, Patience.of(gather))
