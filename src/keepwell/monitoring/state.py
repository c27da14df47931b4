"""A watch as bytes: plain arrays and JSON in one file, nothing that could run when it is read."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from keepwell.detection import Channel, Columns, Conditionals, EDetector, Last, Null, Outcome, Reference
from keepwell.diagnosis import Began, Cause, Estimate, Explanation, Part, Predict
from keepwell.errors import WatchStateInvalid
from keepwell.monitoring.incidents import Incident, Judgement
from keepwell.monitoring.memory import Kept, Series

if TYPE_CHECKING:
    from keepwell.monitoring.watch import Watch

FORMAT = 4
PLAIN = ("time", "entity", "key", "answer", "label", "task", "label_delay_days", "columns", "run_length", "closed", "unlabelled", "tested")
COUNTS = ("incidents", "noted", "late", "unknown_labels")


def to_bytes(watch: Watch) -> bytes:
    """Everything a watch knows, but the model."""
    arrays: dict[str, np.ndarray] = {}
    reference = watch.reference

    def put(name: str, holder: Any) -> dict[str, Any]:
        """Arrays go to `arrays`, the rest is answered."""
        rest = {}
        for field in fields(holder):
            value = getattr(holder, field.name)
            if isinstance(value, np.ndarray):
                arrays[f"{name}.{field.name}"] = value
            else:
                rest[field.name] = value
        return rest

    def keep(name: str, kept: Kept) -> None:
        written = io.BytesIO()
        kept.frame.write_ipc(written, compression="zstd")
        arrays[f"{name}.frame"] = np.frombuffer(written.getvalue(), np.uint8)
        for part in ("batch", "answer", "label"):
            arrays[f"{name}.{part}"] = getattr(kept, part)

    meta = {
        "format": FORMAT,
        "watch": {name: getattr(watch, name) for name in (*PLAIN, *COUNTS)},
        "columns": reference.columns.as_dict(),
        "conditionals": {"span_days": put("conditionals", reference.conditionals)["span_days"]},
        "outcome": put("outcome", reference.outcome),
        "null": put("null", reference.null),
        "marginals": put("marginals", reference.marginals),
        "channels": [[channel.kind, channel.column] for channel in reference.channels],
        "reference": {"width": reference.width, "rows_a_batch": reference.rows_a_batch, "notes": list(reference.notes)},
        "incidents": [_plain_incident(incident) for incident in watch.open_incidents],
        "told_columns": sorted(watch.told_columns),
        "judgement": None if watch.judgement is None else asdict(watch.judgement),
        "open": len(watch.open),
    }
    arrays |= {"reference.rare": reference.rare, "reference.rate": reference.rate}
    arrays |= {"stakes": watch.detector.stakes, "last": watch.last.values, "rang": watch.rang}
    put("series", watch.series)
    keep("kept", watch.kept)
    for number, part in enumerate(watch.open):
        keep(f"open{number}", part)
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    written = io.BytesIO()
    np.savez_compressed(written, allow_pickle=False, **arrays)
    return written.getvalue()


def from_bytes(watch: Watch, content: bytes, model: Predict | None) -> None:
    """Fill an empty watch.

    Raises
    ------
    WatchStateInvalid : these are not the bytes of a watch, or of a newer Keepwell's.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        meta = json.loads(arrays["meta"].tobytes())
    except Exception as error:  # a damaged archive makes numpy and zipfile raise kinds of their own
        raise WatchStateInvalid(f"they cannot be read ({error})") from error
    if meta.get("format") != FORMAT:
        raise WatchStateInvalid(f"they have format {meta.get('format')}, this Keepwell reads {FORMAT}")

    def get(name: str) -> dict[str, Any]:
        return {key.removeprefix(f"{name}."): value for key, value in arrays.items() if key.startswith(f"{name}.")}

    columns = Columns.from_dict(meta["columns"])

    def kept(name: str) -> Kept:
        frame = pl.read_ipc(io.BytesIO(arrays[f"{name}.frame"].tobytes()))
        return Kept(frame, columns.read(frame), arrays[f"{name}.batch"], arrays[f"{name}.answer"], arrays[f"{name}.label"])

    watch.reference = Reference(
        columns,
        Conditionals(columns, **meta["conditionals"], **get("conditionals")),
        Outcome(**meta["outcome"], **get("outcome")),
        tuple(Channel(*one) for one in meta["channels"]),
        Null(**meta["null"], **get("null")),
        meta["reference"]["width"],
        arrays["reference.rare"],
        arrays["reference.rate"],
        meta["reference"]["rows_a_batch"],
        tuple(meta["reference"]["notes"]),
        Null(**meta["marginals"], **get("marginals")),
    )
    for name, value in meta["watch"].items():
        setattr(watch, name, tuple(value) if name == "columns" else value)
    two_sided = np.array([channel.is_two_sided for channel in watch.reference.channels])
    watch.detector = EDetector(watch.reference.null.cost, two_sided, watch.reference.shares(), watch.run_length, arrays["stakes"])
    watch.series = Series(**get("series"))
    watch.kept, watch.last, watch.model = kept("kept"), Last(arrays["last"]), model
    watch.open = [kept(f"open{number}") for number in range(meta["open"])]
    watch.open_incidents = [_incident(one) for one in meta["incidents"]]
    judged = meta["judgement"]
    watch.judgement = None if judged is None else Judgement(**judged)
    watch.rang = arrays["rang"]
    watch.told_columns = set(meta["told_columns"])


def _plain_incident(incident: Incident) -> dict[str, Any]:
    return {**vars(incident), "channels": incident.channels.tolist(), "explanation": plain(incident.explanation)}


def _incident(found: dict[str, Any]) -> Incident:
    return Incident(**{**found, "channels": np.array(found["channels"]), "explanation": explanation_of(found["explanation"])})


def plain(explanation: Explanation) -> dict[str, Any]:
    """An explanation as plain values; moments as ISO text."""
    found: dict[str, Any] = json.loads(json.dumps(asdict(explanation), default=lambda value: value.isoformat()))
    return found


def explanation_of(found: dict[str, Any]) -> Explanation:
    """The other way."""
    moments = {name: datetime.fromisoformat(found["began"][name]) for name in ("at", "low", "high")}
    return Explanation(
        **{
            **found,
            "began": Began(**{**found["began"], **moments}),
            "causes": tuple(Cause(**one) for one in found["causes"]),
            "parts": tuple(Part(**one) for one in found["parts"]),
            "notes": tuple(found.get("notes", ())),
            "estimate": Estimate(**estimate) if (estimate := found.get("estimate")) else None,
            "earlier": datetime.fromisoformat(earlier) if (earlier := found.get("earlier")) else None,
        }
    )
