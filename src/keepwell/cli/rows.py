"""Rows and labels as people hand them to the command line: JSON text, JSON, NDJSON and CSV files."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

from keepwell.errors import InputInvalid

Rows = list[dict[str, Any]]


def read_features(text: str | None, file: Path | None) -> Rows:
    """Rows of features from JSON text or a file; ``-`` reads JSON from standard input.

    Raises
    ------
    InputInvalid : it cannot be read, or is neither an object nor a list of objects.
    """
    if text is not None:
        return _objects(_json(text, "--features"), "--features")
    assert file is not None
    if str(file) == "-":
        return _objects(_json(sys.stdin.read(), "the input"), "the input")
    return [{name: _number(value) for name, value in row.items()} for row in _read(file)]


def read_labels(file: Path) -> Rows:
    """Labels from a file; a CSV's label column is read as numbers.

    Raises
    ------
    InputInvalid : it cannot be read.
    """
    return [{**row, "label": _number(row["label"])} if "label" in row else row for row in _read(file)]


def _read(file: Path) -> Rows:
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputInvalid(f"{file} cannot be read: {error}", "Give a JSON, NDJSON or CSV file.") from None
    if file.suffix == ".csv":
        return [{name: value for name, value in row.items() if value != ""} for row in csv.DictReader(io.StringIO(text))]
    if file.suffix in (".ndjson", ".jsonl"):
        return _objects(
            [_json(line, f"line {place + 1} of {file}") for place, line in enumerate(text.splitlines()) if line.strip()], str(file)
        )
    found = _json(text, str(file))
    if isinstance(found, dict) and len(found) == 1 and isinstance(inner := next(iter(found.values())), list):
        found = inner  # {"labels": [...]}, as REST has it
    return _objects(found, str(file))


def _json(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputInvalid(f"{what} is not JSON: {error}", """Write it as '{"name": 1.5}'.""") from None


def _objects(found: Any, what: str) -> Rows:
    rows = found if isinstance(found, list) else [found]
    for row in rows:
        if not isinstance(row, dict):
            raise InputInvalid(f"{what} holds {json.dumps(row)[:40]}", "An object, or a list of objects, is needed.")
    return rows


def _number(value: Any) -> Any:
    """A CSV's text as a number where it is one."""
    if not isinstance(value, str):
        return value
    try:
        return int(value)
    except ValueError:
        try:
            return float(value)
        except ValueError:
            return value
