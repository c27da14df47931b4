"""Gather: ask the source for what is new, in patience, and bring it into one form.

A source and a window of time come in; canonical observations go out, and a record of what was seen, new and changed.
"""

from keepwell.ingestion.frames import ALL, MOMENT, canonical, changed_rows, key_of, to_kind, to_polars
from keepwell.ingestion.gather import Window, fetch, window
from keepwell.ingestion.sources import Source, open_source
from keepwell.ingestion.tables import Gathered, corrections, gathered_between, last_gather, list_gathers, record_gather

__all__ = [
    "ALL",
    "MOMENT",
    "Gathered",
    "Source",
    "Window",
    "canonical",
    "changed_rows",
    "corrections",
    "fetch",
    "gathered_between",
    "key_of",
    "last_gather",
    "list_gathers",
    "open_source",
    "record_gather",
    "to_kind",
    "to_polars",
    "window",
]
