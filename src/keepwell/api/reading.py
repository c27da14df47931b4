"""What is known, as plain values that JSON can hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from fastapi import Response

from keepwell.api.bodies import given_moment
from keepwell.api.service import Service
from keepwell.errors import PredictionNotFound
from keepwell.notifying import BATCH_TYPE, to_batch
from keepwell.project import Project


def versions(project: Project) -> list[dict[str, Any]]:
    """All versions, oldest first, each with its aliases."""
    aliases: dict[int, list[str]] = {}
    for name, number in project.aliases().items():
        aliases.setdefault(number, []).append(name)
    return [asdict(version) | {"aliases": aliases.get(version.number, [])} for version in project.versions()]


def history(
    project: Project, kinds: Sequence[str], since: str | None, until: str | None, limit: int, by: str | None = None
) -> list[dict[str, Any]]:
    """The timeline, oldest first."""
    events = project.history(kinds, _moment("since", since), _moment("until", until), limit, by)
    return [asdict(event) for event in events]


def changes(project: Project, since: str | None, until: str | None, around: str | None) -> dict[str, Any]:
    """Everything that changed near a moment."""
    near = around if around == "onset" else _moment("around", around)
    return project.changes(_moment("since", since), _moment("until", until), near).as_dict()


def events(project: Project, after: int, limit: int) -> Response:
    """Facts that were told, after a cursor, as a CloudEvents batch. The header `keepwell-cursor` is where to go on."""
    found = project.notify.events(after, limit)
    cursor = found[-1].number if found else after
    return Response(to_batch(found), media_type=BATCH_TYPE, headers={"keepwell-cursor": str(cursor)})


def prediction(service: Service, prediction_id: str) -> dict[str, Any]:
    """One kept prediction with its label where it is known.

    Raises
    ------
    PredictionNotFound
    """
    project = service.project
    try:
        found = project.prediction(prediction_id)
    except PredictionNotFound:
        service.ship()  # it may still have been in the journal
        found = project.prediction(prediction_id)
    kind = "probability" if project.context.model.task == "binary" else "prediction"
    return {"model": project.name, kind: found.pop("answer"), **found}


def steps(service: Service, prediction_id: str) -> dict[str, Any]:
    """One kept prediction, followed: asked, features, version, answer, shadows, label, loss, again.

    Raises
    ------
    PredictionNotFound
    """
    try:
        return service.project.explain(prediction_id).as_dict()
    except PredictionNotFound:
        service.ship()  # it may still have been in the journal
        return service.project.explain(prediction_id).as_dict()


def _moment(name: str, text: str | None) -> datetime | None:
    return None if text is None else given_moment(name, text)
