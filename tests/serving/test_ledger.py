"""What the ledger makes of journal records."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import stores

from keepwell.errors import JournalCorrupt
from keepwell.serving import LEDGER, PREDICTION_KEY, Journal, keep_journal, ship
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


def test_a_record_that_is_none_of_ours_holds_up_no_other_segment(database: Database, artifacts: ArtifactStore, tmp_path: Path) -> None:
    table = Table(database, artifacts, stores.store_url(tmp_path, "tables"), "tiny/predictions", PREDICTION_KEY, "time")
    moment = "2026-03-01T06:00:00+00:00"
    with Journal(tmp_path / "journal") as journal:
        for records in ([record("a", moment, 1), b'{"prediction_id": 7}'], [record("b", moment, 1)]):
            journal.append_many(records).result(10)
            journal.roll()
    with pytest.raises(JournalCorrupt, match="the 1 records before it are whole"):
        ship(tmp_path / "journal", lambda segment, records: keep_journal(database, table, segment, records))
    assert table.rows()["prediction_id"].to_list() == ["b"]
    assert len(list((tmp_path / "journal").glob("*.sealed"))) == 1
