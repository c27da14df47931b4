"""Rows that a person asks about by hand: answered by the champion, kept in the ledger before they are told."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl

from keepwell.errors import VersionNotFound
from keepwell.orchestration.context import Context
from keepwell.registry import CHAMPION, list_versions
from keepwell.serving import BY_HAND, LEDGER


def answer_rows(
    context: Context, rows: Sequence[Mapping[str, Any]], *, entity: str = "", time: datetime | None = None, now: datetime | None = None
) -> list[dict[str, Any]]:
    """Answer rows of features and keep the answers; all of them, or none.

    Parameters
    ----------
    entity : whom the rows are about; without one only the prediction's id names them.
    time : which time they are about, default `now`.

    Raises
    ------
    VersionNotFound : no version serves.
    InputInvalid : a row does not fit the version's features.
    """
    now = now or datetime.now(UTC)
    number = context.champion()
    if number is None:
        with context.database.read() as connection:
            raise VersionNotFound(context.name, CHAMPION, [version.number for version in list_versions(connection, context.name)])
    predictor = context.predictor(number)
    answers = predictor.answer(predictor.read(rows))
    found = [
        {
            "prediction_id": uuid.uuid4().hex,
            "entity": entity,
            "time": time or now,
            "version": number,
            "answer": float(answer),
            "made_at": now,
            "origin": BY_HAND,
            "inputs": json.dumps(dict(row)),
        }
        for row, answer in zip(rows, answers, strict=True)
    ]
    if found:
        with context.database.begin() as connection:
            context.predictions.append(connection, f"hand/{found[0]['prediction_id']}", pl.DataFrame(found, schema=LEDGER), now)
    return [{name: value for name, value in row.items() if name != "inputs"} for row in found]
