"""MLflow's scoring protocol: `/invocations` in its four JSON forms and CSV, so that its clients need no change."""

from __future__ import annotations

import csv
import io
import json
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from starlette.types import Scope, Send

from keepwell.api.failures import mlflow_error
from keepwell.api.replies import Reply, header_of, sent
from keepwell.api.service import Service
from keepwell.api.sharing import ask
from keepwell.api.tracing import ended, started
from keepwell.errors import InputInvalid, KeepwellError, MediaTypeUnknown
from keepwell.serving import Row, Signature

FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
TYPES = ("application/json", "text/csv")
ONE_FORM = f"Send an object with one of {', '.join(FORMS)}."
TRUTHS = {"true": True, "1": True, "false": False, "0": False}

Columns = dict[str, list[Any]]
_encode = msgspec.json.Encoder().encode


class Invocations:
    """Answers of the protocol for the model of a service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def invoke(self, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> Reply:
        """Answer a scoring request; what cannot be answered is refused in the protocol's form."""
        begin = time.perf_counter()
        service = self._service
        try:
            ready = service.champion.ready()
            since = started()
            rows = self._rows(ready.signature, header_of(headers, b"content-type").decode("latin-1"), body)
            ended("features", since)
            answered = await ask(service, ready, rows, is_whole=True)
        except KeepwellError as error:
            service.meter.refuse("invocations", type(error).__name__)
            return mlflow_error(error)
        content = {"predictions": answered.values, "prediction_ids": answered.ids, "version": answered.version, **service.log_told}
        service.meter.answer("invocations", ready.number, len(rows), time.perf_counter() - begin, answered.counted)
        return Reply(200, _encode(content))

    async def route(self, scope: Scope, body: bytes, send: Send) -> bool:
        """The same as a quick route."""
        await sent(send, await self.invoke(scope["headers"], body), header_of(scope["headers"], b"accept-encoding"))
        return True

    def _rows(self, signature: Signature, content_type: str, body: bytes) -> list[Row]:
        kind = content_type.split(";")[0].strip().lower()
        if kind == "text/csv":
            columns, n = _from_csv(signature, body)
        elif kind == "application/json":
            columns, n = _from_json(signature, _decoded(body))
        else:
            raise MediaTypeUnknown("content type", kind, TYPES)
        if not n:
            raise InputInvalid("There is no row to answer", "Send at least one.")
        if n > (most := self._service.project.settings.serve.max_rows):
            raise InputInvalid(f"{n} rows are more than {most}", "Send fewer at once, or raise serve.max_rows.")
        return signature.checked(columns, n)


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    try:  # NaN is no JSON, but what many of the protocol's clients write for a missing number
        content = json.loads(body)
        json.dumps(content, ensure_ascii=False).encode()  # it also lets through halves of characters, which no store keeps
        return content
    except (ValueError, UnicodeError, RecursionError) as error:
        raise InputInvalid(f"The body cannot be read as JSON: {str(error)[:200]}", ONE_FORM) from None


def _from_json(signature: Signature, content: Any) -> tuple[Columns, int]:
    if not isinstance(content, dict):
        raise InputInvalid("The body is no JSON object", ONE_FORM)
    given = [name for name in FORMS if name in content]
    if len(given) != 1:
        raise InputInvalid(f"The body has {', '.join(given) if given else 'none'} of the forms", ONE_FORM)
    form, value = given[0], content[given[0]]
    if form == "dataframe_split":
        return _split(value)
    if form == "inputs" and isinstance(value, dict):
        return _by_column(value)
    if not isinstance(value, list):
        raise InputInvalid(f"'{form}' is no list", "Send a list of rows.")
    if form == "dataframe_records" or (value and isinstance(value[0], dict)):
        return _records(form, value)
    return _matrix(signature, form, value)


def _split(value: Any) -> tuple[Columns, int]:
    if not isinstance(value, dict) or not isinstance(value.get("columns"), list) or not isinstance(value.get("data"), list):
        raise InputInvalid("'dataframe_split' lacks its lists", "It has 'columns' and 'data', and may have 'index'.")
    names, rows = value["columns"], value["data"]
    if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise InputInvalid("'columns' of dataframe_split are not different texts", "Send each feature's name once.")
    for place, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(names):
            raise InputInvalid(f"Row {place} of 'data' is no list of {len(names)} values", "Send one for each of 'columns'.")
    return {name: [_missing(row[at]) for row in rows] for at, name in enumerate(names)}, len(rows)


def _records(form: str, rows: list[Any]) -> tuple[Columns, int]:
    columns: Columns = {}
    for place, row in enumerate(rows):
        if not isinstance(row, dict):
            raise InputInvalid(f"Row {place} of '{form}' is no object", "Send {feature: value} for each row.")
        for name in row:
            if name not in columns:
                columns[name] = []
    for name, values in columns.items():
        values.extend(_missing(row.get(name)) for row in rows)
    return columns, len(rows)


def _by_column(value: Mapping[str, Any]) -> tuple[Columns, int]:
    columns: Columns = {}
    for name, given in value.items():
        values = given if isinstance(given, list) else [given]
        columns[name] = [_missing(one[0] if isinstance(one, list) and len(one) == 1 else one) for one in values]
    return columns, max((len(values) for values in columns.values()), default=0)


def _matrix(signature: Signature, form: str, rows: list[Any]) -> tuple[Columns, int]:
    width = len(signature.names)
    if rows and not any(isinstance(row, list) for row in rows) and width == 1:
        rows = [[row] for row in rows]
    for place, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != width:
            hint = f"Send one for each of {', '.join(signature.names)}."
            raise InputInvalid(f"Row {place} of '{form}' is no list of {width} values", hint)
    return {name: [_missing(row[at]) for row in rows] for at, name in enumerate(signature.names)}, len(rows)


def _missing(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _from_csv(signature: Signature, body: bytes) -> tuple[Columns, int]:
    try:
        rows = list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputInvalid(f"The body cannot be read as CSV: {error}", "Send UTF-8, the first line with the features' names.") from None
    if not rows:
        return {}, 0
    names, rows = rows[0], [row for row in rows[1:] if row]
    for place, row in enumerate(rows):
        if len(row) != len(names):
            raise InputInvalid(f"Line {place + 2} has {len(row)} values and the first {len(names)}", "Send as many in each.")
    places = {name: at for at, name in enumerate(names)}
    columns = {
        name: [_of_text(name, kind, line, row[places[name]]) for line, row in enumerate(rows, 2)]
        for name, kind in signature.kinds.items()
        if name in places
    }
    return columns, len(rows)


def _of_text(name: str, kind: str, line: int, text: str) -> Any:
    """A CSV field as a value of the feature's type; an empty one is missing."""
    if not text:
        return None
    if kind == "String":
        return text
    try:
        if kind == "Boolean":
            return TRUTHS[text.strip().lower()]
        number = float(text)
    except (KeyError, ValueError):
        needed = "true or false" if kind == "Boolean" else "A number"
        raise InputInvalid(f"'{name}' in line {line} is {text[:50]!r}", f"{needed} is needed.") from None
    if math.isnan(number):
        return None
    is_whole = kind.startswith(("Int", "UInt")) and math.isfinite(number) and text.strip().lstrip("+-").isdigit()
    return int(text) if is_whole else number
