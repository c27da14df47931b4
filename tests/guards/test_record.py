"""The record's tables: each says whose its rows are. That migrations make them as declared is tested in tests/storage."""

from __future__ import annotations

import keepwell.access
import keepwell.orchestration  # noqa: F401 - with it all rooms that declare tables
from keepwell.storage.schema import metadata


def test_every_table_belongs_to_a_model_or_says_why_not() -> None:
    """Many models may share one record, so rows say whose they are; tables and workers carry the model in their names."""
    named = {"tables", "commits", "workers", "tokens"}  # a token may be good for several models
    assert [table.name for table in metadata.sorted_tables if "model" not in table.c and table.name not in named] == []
