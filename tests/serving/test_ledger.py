"""What the ledger makes of journal records."""

import json
from datetime import UTC, datetime
from pathlib import Path

import stores

from keepwell.serving import LEDGER, PREDICTION_KEY, keep_journal
from keepwell.storage import ArtifactStore, Database, Table


def record(prediction_id: str, made_at: str, answer: float) -> bytes:
    values = {"prediction_id": prediction_id, "entity": "", "time": made_at, "version": 1, "answer": answer, "made_at": made_at}
    return json.dumps({**values, "origin": "api", "inputs": "{}"}).encode()


def test_moments_with_and_without_fractions_are_kept_together(database: Database, artifacts: ArtifactStore, tmp_path: Path) -> None:
    """And an answer that JSON wrote as a whole number stays a float."""
    table = Table(database, artifacts, stores.store_url(tmp_path, "tables"), "tiny/predictions", PREDICTION_KEY, "time")
    moments = {"a": "2026-03-01T06:00:00+00:00", "b": "2026-03-01T06:00:00.25+00:00", "c": "2026-03-01T06:00:01Z"}
    records = [record(name, moment, answer) for (name, moment), answer in zip(moments.items(), (1, 0.5, 0), strict=True)]
    for _ in range(2):
        keep_journal(database, table, "segment-1", records)
    kept = table.rows().select(list(LEDGER))
    assert dict(kept.schema) == LEDGER
    assert kept["prediction_id"].to_list() == ["a", "b", "c"]
    assert kept["time"].to_list()[1] == datetime(2026, 3, 1, 6, 0, 0, 250_000, tzinfo=UTC)
