"""The tokens in memory: when a server asks for one, what a token's owner caps, and how rarely its use is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from keepwell.access import OPEN, Doorkeeper, add_token, checked_token, get_token, list_tokens, revoke_token
from keepwell.errors import TokenNotFound
from keepwell.settings import ServeSection
from keepwell.storage import Database, list_events

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOW.timestamp()

    def __call__(self) -> float:
        return self.now


def made(database: Database, owner: str = "Mira", role: str = "maintainer", **more: Any) -> tuple[bytes, str]:
    secret, token = checked_token(owner, role, None, more.pop("models", None), at=NOW, by="ada", **more)
    with database.begin() as connection:
        add_token(connection, "rain", token)
    return secret.encode(), token.id


def doors(database: Database, people: dict[str, str] | None = None, **serve: Any) -> Doorkeeper:
    return Doorkeeper(database, "rain", ServeSection(**serve), people or {}, Clock())


@pytest.mark.parametrize(
    ("serve", "has_token", "asks"),
    [
        ({}, False, False),
        ({}, True, True),
        ({"token": "t"}, False, True),
        ({"require_token": True}, False, True),
        ({"require_token": False}, True, False),
        ({"host": "0.0.0.0"}, False, True),
        ({"host": "0.0.0.0", "require_token": False}, True, True),
        ({"host": "::1"}, False, False),
    ],
)
def test_when_a_server_asks_for_a_token(database: Database, serve: dict[str, Any], has_token: bool, asks: bool) -> None:
    if has_token:
        made(database)
    assert doors(database, **serve).asks == asks


def test_a_server_on_this_machine_does_not_open_when_its_last_token_ends(database: Database) -> None:
    secret, token_id = made(database, expires_at=NOW + timedelta(days=1))
    keeper = doors(database)
    keeper.now.now += 2 * 86400  # type: ignore[attr-defined]
    with database.begin() as connection:
        revoke_token(connection, "rain", get_token(connection, token_id), by="ada", at=NOW)
    keeper.refresh()
    assert keeper.asks and keeper.judge(keeper.find(secret), "look") is not None


def test_a_token_does_what_its_role_may_and_no_more_than_its_owner(database: Database) -> None:
    secret, _ = made(database)
    for people, may in (({}, True), ({"Mira": "operator"}, False), ({"Mira": "admin"}, True)):
        keeper = doors(database, people)
        assert (keeper.judge(keeper.find(secret), "promote") is None) == may, people
        assert keeper.judge(keeper.find(secret), "rollback") is None


def test_a_client_of_a_person_who_may_only_look_may_not_ask(database: Database) -> None:
    secret, _ = made(database, role="client")
    for people, may in (({}, True), ({"Mira": "operator"}, True), ({"Mira": "viewer"}, False)):
        keeper = doors(database, people)
        assert (keeper.judge(keeper.find(secret), "ask") is None) == may, people
        assert keeper.judge(keeper.find(secret), "look") is not None


def test_a_token_expires_between_two_reads(database: Database) -> None:
    secret, _ = made(database, expires_at=NOW + timedelta(seconds=1))
    keeper = doors(database)
    assert keeper.judge(keeper.find(secret), "look") is None
    keeper.now.now += 1  # type: ignore[attr-defined]
    refused = keeper.judge(keeper.find(secret), "look")
    assert refused is not None and (refused.kind, refused.owner, refused.reason) == ("token", "Mira", "the token is expired")


def test_the_token_of_the_settings_is_an_admins(database: Database) -> None:
    keeper = doors(database, token="from the settings")
    holder = keeper.bearer(b"bearer from the settings")
    assert holder is not None and (holder.owner, holder.role) == ("admin", "admin")
    assert keeper.judge(holder, "override") is None
    assert keeper.bearer(b"from the settings") is None and keeper.bearer(b"Basic from the settings") is None
    assert keeper.judge(OPEN, "manage") is None, "where nobody is asked"


def test_a_request_asks_no_database(database: Database) -> None:
    secret, _ = made(database, per_minute=100)
    keeper = doors(database)
    asked: list[str] = []
    sa.event.listen(database.engine, "before_cursor_execute", lambda *arguments: asked.append(arguments[2]))
    for _ in range(50):
        assert keeper.judge(keeper.bearer(b"Bearer " + secret), "ask") is None
    assert asked == []


def test_the_last_use_is_kept_once_an_hour_and_the_limit_survives_a_read(database: Database) -> None:
    secret, token_id = made(database, per_minute=1)
    keeper = doors(database)
    kept = []
    for minutes in (0, 1, 30, 59, 61):
        keeper.now.now = NOW.timestamp() + 60 * minutes  # type: ignore[attr-defined]
        assert keeper.judge(keeper.find(secret), "ask") is None
        keeper.refresh()
        refused = keeper.judge(keeper.find(secret), "ask")
        assert refused is not None and refused.kind == "limit"
        with database.read() as connection:
            kept.append(get_token(connection, token_id).used_at)
    assert kept == [NOW, NOW, NOW, NOW, NOW + timedelta(minutes=61)]


def test_a_token_is_revoked_once_and_both_are_on_the_timeline(database: Database) -> None:
    secret, token_id = made(database, models=("rain",))
    with database.begin() as connection:
        for day in (1, 2):
            revoke_token(connection, "rain", get_token(connection, token_id), by="bob", at=NOW + timedelta(days=day))
        assert list_tokens(connection)[0].revoked_at == NOW + timedelta(days=1)
        told = list_events(connection, "rain")
        with pytest.raises(TokenNotFound, match="keepwell token list"):
            get_token(connection, "lost")
    assert [(event.kind, event.by) for event in told] == [("token_created", "ada"), ("token_revoked", "bob")]
    assert told[0].sentence == f"ada made token {token_id} for Mira: maintainer of rain"
    assert secret.decode() not in str(told)


def test_a_clock_that_is_set_back_keeps_nobody_out_and_hides_no_refusal(database: Database) -> None:
    secret, _ = made(database, role="viewer", per_minute=2)
    keeper = doors(database)
    holder = keeper.find(secret)
    assert keeper.judge(holder, "look") is None
    refused = keeper.judge(holder, "promote")
    assert refused is not None
    assert keeper.is_due(refused) == 1
    keeper.now.now -= 7200  # type: ignore[attr-defined]
    assert keeper.is_due(refused) == 1
    for _ in range(2):
        limited = keeper.judge(holder, "look")
        assert limited is None or limited.wait <= 30.001
        keeper.now.now += 30  # type: ignore[attr-defined]
    assert keeper.judge(holder, "look") is None
