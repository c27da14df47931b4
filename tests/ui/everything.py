"""The address of every page that a record has something for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote

from keepwell import Project


def addresses(project: Project) -> Iterator[str]:
    home = f"/models/{quote(project.name, safe='')}"
    yield from (
        "/",
        "/inbox",
        "/inbox?who=Mira",
        "/runs",
        "/system",
        "/record",
        f"/sources/{project.settings.source.kind}",
        f"/checkups/{project.name}",
    )
    yield from (
        f"{home}{page}"
        for page in (
            "",
            "?since=all",
            "/why",
            "/changes",
            "/changes?since=all",
            "/history",
            "/policy",
            "/retrain",
            "/ledger",
            "/versions",
            "/plan",
            "/run",
            "/pause",
            "/incidents",
            "/incidents?all=1",
        )
    )
    yield f"/checkups/{project.name}/30d"
    yield f"{home}/charts/performance?since=all"
    for number, _ in enumerate(project.why().declines[:1], 1):
        yield f"{home}/changes?around=onset"
        yield from (f"{home}/charts/{chart}?decline={number}" for chart in ("loss", "rise", "column"))
    for version in project.versions():
        yield f"{home}/versions/{version.number}"
        yield f"{home}/versions/compare?before={version.number}&after=1"
        if version.number != project.aliases().get("champion"):
            yield f"{home}/promote?version={version.number}"
    for incident in project.incidents():
        yield f"{home}/incidents/{incident.number}"
    for run in project.runs(2):
        yield f"/runs/{run.run}"
    for row in project.predictions(limit=1):
        yield f"{home}/predictions/{row['prediction_id']}"
    for row in project.quarantine()[:1]:
        yield f"/sources/{project.settings.source.kind}/decide?act=release&row={row['row_id']}"


def kinds(project: Project) -> list[str]:
    """One address of each kind of page: the first that has what another differs from only by a number, an id or a choice."""
    shape = re.compile(r"\?.*|\d[\w-]*|(?<=/predictions/).*|(?<=/runs/).+")
    found = {shape.sub("", address): address for address in reversed(list(addresses(project)))}
    return list(found.values())
