"""Answers and the truth that comes back for them: predict, labels."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keepwell.cli import screen
from keepwell.cli.door import HERE, AsJson, Folder, command, examples, opened, read_moment, show_json
from keepwell.cli.rows import read_features, read_labels

if TYPE_CHECKING:
    from keepwell import Project

PANEL = "Look"
Entity = Annotated[str | None, typer.Option("--entity", help="Only this entity; with --features, whom the row is about.")]
Features = Annotated[str | None, typer.Option("--features", metavar="JSON", help="Answer this row now (an object, or a list of them).")]
RowsFile = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="Answer the rows of a JSON, NDJSON or CSV file; - reads JSON from the input.")
]


def register(app: typer.Typer) -> None:
    """Put the commands on the app."""
    app.command(
        rich_help_panel=PANEL,
        epilog=examples(
            "keepwell predict", "keepwell predict --entity KOFF --limit 3", """keepwell predict --features '{"a": 1, "b": 2.5}'"""
        ),
    )(predict)
    group = typer.Typer(
        invoke_without_command=True,
        epilog=examples("keepwell labels", "keepwell labels --json", "keepwell labels post truth.csv"),
    )
    group.callback(epilog=examples("keepwell labels", "keepwell labels post truth.csv"))(labels)
    group.command(epilog=examples("keepwell labels post truth.csv", "keepwell labels post truth.ndjson --json"))(post)
    app.add_typer(group, name="labels", rich_help_panel=PANEL)


@command
def predict(
    folder: Folder = HERE,
    features: Features = None,
    file: RowsFile = None,
    entity: Entity = None,
    time: Annotated[
        datetime | None, typer.Option("--time", parser=read_moment, metavar="TIME", help="Which time a given row is about; default now.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many of the latest predictions.")] = 10,
    as_json: AsJson = False,
) -> None:
    """The latest predictions, or answers to given rows.

    With --features or --file the champion answers those rows now, and the answers are kept like all others.
    """
    if features is not None and file is not None:
        raise typer.BadParameter("give --features or --file, not both.")
    with opened(folder) as project:
        if features is None and file is None:
            found = _latest(project, entity, limit)
        else:
            found = project.answer(read_features(features, file), entity=entity or "", time=time)
    if as_json:
        show_json({"predictions": found})
    elif not found:
        screen.say(
            "No prediction is kept yet. `keepwell run` makes them once a version serves."
            if entity is None
            else f"No prediction of '{entity}' is kept."
        )
    else:
        _table(found)


def _latest(project: Project, entity: str | None, limit: int) -> list[dict[str, Any]]:
    if entity is None:
        return project.predictions(limit=limit)
    return [row for row in project.predictions(limit=10**9) if row["entity"] == entity][:limit]


def _table(found: list[dict[str, Any]]) -> None:
    rows = [
        (
            screen.when(row["time"]),
            row["entity"] or "–",
            screen.number(row["answer"]),
            screen.number(row.get("label")),
            str(row["version"]),
            row["origin"],
            row["prediction_id"],
        )
        for row in found
    ]
    screen.table(("Time", "Entity", "Answer", "Label", "Version", "Origin", "Id"), rows, right=("Answer", "Label", "Version"), wide="Id")


@command
def labels(context: typer.Context, folder: Folder = HERE, as_json: AsJson = False) -> None:
    """How much of the truth is in, or hand in more."""
    if context.invoked_subcommand is not None:
        return
    with opened(folder) as project:
        years = project.maturity()
        name = project.name
    if as_json:
        show_json({"model": name, "years": years})
    elif not years:
        screen.say("No prediction is kept yet, so no label is owed.")
    else:
        rows = [
            (str(row["year"]), f"{row['predictions']:,}", f"{row['labelled']:,}", f"{row['share']:.1%}", screen.number(row["median_days"]))
            for row in years
        ]
        columns = ("Year", "Predictions", "Labelled", "Share", "Days until known")
        screen.table(columns, rows, right=columns[1:])


@command
def post(
    file: Annotated[
        Path, typer.Argument(help="JSON, NDJSON or CSV: prediction_id and label, or entity, time and label.", show_default=False)
    ],
    folder: Folder = HERE,
    as_json: AsJson = False,
) -> None:
    """Hand in labels.

    All are kept or none. Posting the same again changes nothing, another value restates a label.
    """
    items = read_labels(file)
    with opened(folder) as project:
        counts = project.post_labels(items)
    if as_json:
        show_json(counts)
    else:
        screen.say(f"{screen.count(counts['new'], 'new label')}, {counts['changed']:,} restated, {counts['same']:,} as before.")
