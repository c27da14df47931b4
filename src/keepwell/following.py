"""One prediction, followed: what was asked, with which features, who answered what, who else would have, and what came true."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keepwell.orchestration import Context, Retraced

ORIGINS = {
    "batch": "A cycle asked for it, since the row was due",
    "api": "A caller asked the server, and brought the features",
    "canary": "A caller asked the server, and brought the features; a challenger answered its share",
    "look-up": "A caller asked the server and named only the entity",
    "by hand": "A person asked about a row of their own",
    "app": "An application of its own answered, and handed the answer in",
}


@dataclass(frozen=True)
class Step:
    """One step of a prediction's way: its name, what it came to in words, and in facts."""

    name: str
    sentence: str
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Followed:
    """A prediction's way. `row` is what the ledger keeps of it."""

    model: str
    prediction_id: str
    sentence: str
    steps: tuple[Step, ...]
    row: Mapping[str, Any]

    def step(self, name: str) -> Step:
        """One step by its name."""
        return next(step for step in self.steps if step.name == name)

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        steps = [{"name": step.name, "sentence": step.sentence, **step.facts} for step in self.steps]
        return {"model": self.model, "prediction_id": self.prediction_id, "sentence": self.sentence, "steps": steps}


def explain(context: Context, prediction_id: str, now: datetime) -> Followed:
    """Follow a kept prediction through its steps.

    Raises
    ------
    PredictionNotFound
    """
    from keepwell.orchestration import retrace
    from keepwell.registry import CHAMPION, list_alias_changes, list_versions
    from keepwell.serving import find_prediction, prediction_rows

    row = find_prediction(context.predictions, context.labels, prediction_id)
    with context.database.read() as connection:
        (again,) = retrace(context, prediction_rows(context.predictions, prediction_id), connection)
        changes = list_alias_changes(connection, context.name, CHAMPION)
        version = next((one for one in list_versions(connection, context.name) if one.number == row["version"]), None)
        shadows = context.shadows.rows(since=row["time"], until=row["time"], connection=connection)
    others = [one for one in shadows.to_dicts() if one["prediction_id"] == prediction_id] if shadows.height else []
    since = max((one.since for one in changes if one.number == row["version"] and one.since <= row["made_at"]), default=None)
    kind = "probability" if context.outline.task == "binary" else "prediction"
    label, loss = _label(context, row, now), _loss(context, row)
    steps = (
        _asked(row),
        _features(row, again),
        _version(row["version"], version.facts["trained_until"] if version else None, since),
        Step("answer", f"The {kind} was {_number(row['answer'])}", {kind: row["answer"], "made_at": _text(row["made_at"])}),
        _shadows(others),
        label,
        loss,
        _again(again),
    )
    whose = row["entity"] or "a row without a name"
    said = f"Version {row['version']} answered {_number(row['answer'])} for {whose} of {row['time']:%-d %B %Y %H:%M}"
    return Followed(context.name, prediction_id, f"{said}; {label.facts['clause']}", steps, row)


def _asked(row: Mapping[str, Any]) -> Step:
    facts: dict[str, Any] = {"origin": row["origin"], "entity": row["entity"] or None, "time": _text(row["time"])}
    if row["origin"] in ("batch", "look-up"):
        facts["request"] = {"entity": row["entity"]}
    else:
        facts["request"] = {"features": row["inputs"]}
    return Step("asked", ORIGINS.get(row["origin"], f"It came from {row['origin']}"), facts)


def _features(row: Mapping[str, Any], again: Retraced) -> Step:
    computed = again.computed or {}
    names = list(dict.fromkeys([*row["inputs"], *computed]))
    table = {name: {"served": row["inputs"].get(name), "computed": computed.get(name), "same": None} for name in names}
    for name in computed:
        table[name]["same"] = name not in again.differ
    if again.computed is None:
        said = f"They were not computed again: {again.why}"
    elif again.differ:
        said = f"{', '.join(again.differ)} as served is not what the version's own code computes from the tables"
    else:
        said = "The version's own code computes the same from the tables"
    return Step("features", said, {"features": table, "compared": again.computed is not None})


def _version(number: int, trained_until: str | None, since: datetime | None) -> Step:
    if trained_until is None:
        return Step("version", f"Version {number} is not one of this record", {"version": number})
    until = datetime.fromisoformat(trained_until)
    serving = f", champion since {since:%-d %B %Y %H:%M}" if since else ", which was not champion"
    facts = {"version": number, "champion_since": _text(since), "trained_until": trained_until}
    return Step("version", f"Version {number}{serving}, trained on rows until {until:%-d %B %Y}", facts)


def _shadows(others: list[dict[str, Any]]) -> Step:
    found = [{"version": one["version"], "role": one["role"], "answer": one["answer"]} for one in others]
    said = ", ".join(f"version {one['version']} ({one['role']}) would have said {_number(one['answer'])}" for one in found)
    return Step("shadows", said[:1].upper() + said[1:] if found else "No other version was asked beside it", {"answers": found})


def _label(context: Context, row: Mapping[str, Any], now: datetime) -> Step:
    due = row["time"] + timedelta(days=context.model.horizon_days)
    facts = {"label": row["label"], "labelled_at": _text(row["labelled_at"]), "due": _text(due)}
    if row["label"] is not None:
        known = f", known {row['labelled_at']:%-d %B %Y}" if row["labelled_at"] else ""
        return Step("label", f"It came out as {row['label']:g}{known}", facts | {"clause": f"it came out as {row['label']:g}"})
    said = "Its label is due and not in" if due <= now else f"Its label is not due before {due:%-d %B %Y}"
    return Step("label", said, facts | {"clause": said[:1].lower() + said[1:]})


def _loss(context: Context, row: Mapping[str, Any]) -> Step:
    import numpy as np

    from keepwell.evaluation import losses

    expected = context.expected([row["version"]]).get(row["version"])
    facts: dict[str, Any] = {"metric": context.metric, "loss": None, "expected": expected}
    if row["label"] is None:
        return Step("loss", "Not known without the label", facts)
    loss = float(losses(context.metric, np.array([row["label"]]), np.array([row["answer"]]))[0])
    beside = f"; {expected:.4g} was expected of this version on average" if expected is not None else ""
    return Step("loss", f"Its {context.metric} is {_number(loss)}{beside}", facts | {"loss": loss})


def _again(again: Retraced) -> Step:
    facts = {"answer": again.again, "same": again.is_same_answer, "from_tables": again.offline}
    if again.again is None:
        return Step("again", f"The version cannot be asked again: {again.why}", facts)
    said = (
        "Asked again, the version answers the same" if again.is_same_answer else f"Asked again, the version answers {_number(again.again)}"
    )
    if again.differ and again.offline is not None:
        said += f"; with the features that its own code computes it would have answered {_number(again.offline)}"
    return Step("again", said, facts)


def _number(value: float | None) -> str:
    return f"{value:.6g}" if value is not None and math.isfinite(value) else "no number"


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
