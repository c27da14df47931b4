"""Tokens of people and services: make one, list them, revoke one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from keepwell.cli import screen
from keepwell.cli.door import HERE, AsJson, Folder, command, examples, opened, show_json

Owner = Annotated[
    str, typer.Argument(metavar="OWNER", help="A person whom the settings name (`people`), or the name of a service.", show_default=False)
]
Id = Annotated[str, typer.Argument(metavar="ID", help="Its id, as `keepwell token list` shows it.", show_default=False)]
Role = Annotated[
    str | None,
    typer.Option("--role", help="client, viewer, operator, maintainer or admin.", show_default="the person's; client for a service"),
]
Models = Annotated[
    list[str] | None, typer.Option("--model", metavar="NAME", help="Good for this model; may be repeated. Default this one.")
]
EveryModel = Annotated[bool, typer.Option("--every-model", help="Good for all models that share the record.")]
Days = Annotated[float | None, typer.Option("--expires-days", metavar="N", min=0, help="Good for so many days; default until revoked.")]
Limit = Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="At most so many requests a minute.")]
Every = Annotated[bool, typer.Option("--all", help="Expired and revoked ones as well.")]


def register(app: typer.Typer) -> None:
    """Put the commands on the app."""
    group = typer.Typer(
        help="Tokens: who may do what at a server.",
        no_args_is_help=True,
        epilog=examples("keepwell token create shop", "keepwell token list", "keepwell token revoke 3f2a91c07b"),
    )
    group.command(
        epilog=examples(
            "keepwell token create shop --limit 600",
            "keepwell token create Mira --role maintainer --expires-days 90",
            "keepwell token create grafana --role viewer --every-model",
        )
    )(create)
    group.command("list", epilog=examples("keepwell token list", "keepwell token list --all --json"))(listing)
    group.command(epilog=examples("keepwell token revoke 3f2a91c07b", "keepwell token revoke 3f2a91c07b --json"))(revoke)
    app.add_typer(group, name="token", rich_help_panel="Set up and look after")


@command
def create(
    owner: Owner,
    folder: Folder = HERE,
    role: Role = None,
    model: Models = None,
    every_model: EveryModel = False,
    expires_days: Days = None,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """Make a token. It is shown once, and kept nowhere: the record holds what it is known by, and for whom.

    A client may ask for predictions and post labels, and nothing else; a viewer may look; an operator may also ask, act on
    incidents, pause, run and roll back; a maintainer may promote and approve; an admin may do everything.
    """
    if every_model and model:
        raise typer.BadParameter("say either --model or --every-model.")
    now = datetime.now(UTC)
    expires_at = now + timedelta(days=expires_days) if expires_days is not None else None
    with opened(folder) as project:
        secret, token = project.create_token(
            owner, role=role, models=None if every_model else tuple(model or ()), expires_at=expires_at, per_minute=limit, now=now
        )
    if as_json:
        show_json({"secret": secret, **token.as_dict(now)})
        return
    screen.say(f"Token {token.id} of {token.owner}: {token.words}. It is shown this once:\n")
    screen.say(secret)
    screen.say("\nSend it as `Authorization: Bearer ...`, or sign in to the pages with it.")


@command
def listing(folder: Folder = HERE, every: Every = False, as_json: AsJson = False) -> None:
    """Tokens that are good, oldest first, and whose they are."""
    now = datetime.now(UTC)
    with opened(folder) as project:
        found = [token for token in project.tokens() if every or token.state(now) == "good"]
    if as_json:
        show_json({"tokens": [token.as_dict(now) for token in found]})
    elif not found:
        screen.say("There is no token." if every else "No token is good. `keepwell token create` makes one.")
    else:
        rows = [
            (
                token.id,
                token.owner,
                token.role,
                "all" if token.models is None else ", ".join(token.models),
                token.state(now),
                screen.when(token.expires_at) if token.expires_at else "–",
                screen.when(token.used_at) if token.used_at else "–",
            )
            for token in found
        ]
        screen.table(("Id", "Owner", "Role", "Models", "State", "Expires", "Used"), rows, wide="Models")


@command
def revoke(token_id: Id, folder: Folder = HERE, as_json: AsJson = False) -> None:
    """Let a token be good no longer. Servers refuse it within seconds; sessions that it signed in end with it."""
    now = datetime.now(UTC)
    with opened(folder) as project:
        token = project.revoke_token(token_id, now=now)
    if as_json:
        show_json(token.as_dict(now))
    else:
        screen.say(f"Token {token.id} of {token.owner} is revoked, by {token.revoked_by} on {screen.when(token.revoked_at)}.")
