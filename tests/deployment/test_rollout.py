"""Promotion moves one alias, rollback moves it back, and the whole history stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from keepwell.deployment import promote, rollback, way_back
from keepwell.errors import PromotionRefused, RollbackRefused, VersionNotFound
from keepwell.registry import CHAMPION, Version, alias_at, aliases_now, get_version, list_alias_changes, list_versions, register
from keepwell.storage import Database
from keepwell.validation import contract_in_force

DAY0 = datetime(2026, 1, 1, tzinfo=UTC)


def version(run: str, *, passed: bool = True) -> Version:
    return Version(
        number=0,
        run=run,
        as_of=DAY0,
        passed=passed,
        sentence="Passed: better" if passed else "Refused: brier 0.2 against 0.1",
        format="skops",
        model_file="m",
        code="c",
        contract=f"contract-{run}",
        settings="s",
        training_set="t",
        environment="e",
        card="k",
        facts={},
    )


@pytest.fixture
def database(database: Database) -> Database:
    with database.begin() as connection:
        for run in ("one", "two", "three"):
            register(connection, "rain", version(run, passed=run != "three"))
    return database


def go(connection: sa.Connection, number: int, day: int, **more: bool) -> None:
    promote(connection, "rain", number, as_of=DAY0 + timedelta(days=day), by="mira", reason="better", key=f"k{day}", **more)


def back(connection: sa.Connection, day: int, to: int | None = None) -> int:
    return rollback(connection, "rain", as_of=DAY0 + timedelta(days=day), by="mira", reason="worse", key=f"b{day}", to=to).champion


def test_versions_are_numbered_in_order_and_once_per_run(database: Database) -> None:
    with database.begin() as connection:
        assert register(connection, "rain", version("two")).number == 2
        assert [kept.number for kept in list_versions(connection, "rain")] == [1, 2, 3]


def test_rollback_after_promote_is_the_identity(database: Database) -> None:
    with database.begin() as connection:
        go(connection, 1, 1)
        go(connection, 2, 2)
        assert back(connection, 3) == 1
        assert aliases_now(connection, "rain") == {"champion": 1, "previous": 2}


def test_the_contract_moves_with_the_version(database: Database) -> None:
    with database.begin() as connection:
        go(connection, 1, 1)
        go(connection, 2, 2)
        back(connection, 3)
        in_force = contract_in_force(connection, "rain")
    assert in_force is not None
    assert in_force.digest == "contract-one"


def test_who_served_at_any_moment_can_be_told(database: Database) -> None:
    with database.begin() as connection:
        go(connection, 1, 1)
        go(connection, 2, 5)
        back(connection, 9)
        at = [alias_at(connection, "rain", CHAMPION, DAY0 + timedelta(days=day)) for day in (0, 1, 4, 5, 8, 9, 99)]
    assert at == [None, 1, 1, 2, 2, 1, 1]


def test_the_same_act_twice_is_one_act(database: Database) -> None:
    with database.begin() as connection:
        go(connection, 1, 1)
        with pytest.raises(PromotionRefused, match="champion already"):
            go(connection, 1, 1)
        assert len(list_alias_changes(connection, "rain")) == 1


def test_what_the_gate_refused_lives_only_by_override(database: Database) -> None:
    with database.begin() as connection:
        with pytest.raises(PromotionRefused, match="the gate refused it"):
            go(connection, 3, 1)
        go(connection, 3, 1, override=True)
        assert aliases_now(connection, "rain") == {"champion": 3}


def test_without_a_former_champion_there_is_nothing_to_go_back_to(database: Database) -> None:
    with database.begin() as connection:
        with pytest.raises(RollbackRefused, match="it has no champion"):
            back(connection, 1)
        go(connection, 1, 1)
        with pytest.raises(RollbackRefused, match="only champion it ever had"):
            back(connection, 2)


def test_an_unknown_version_is_answered_with_the_known_ones(database: Database) -> None:
    with database.begin() as connection, pytest.raises(VersionNotFound, match="Versions: 1, 2, 3"):
        get_version(connection, "rain", 9)


def test_a_second_rollback_does_not_bring_the_rejected_version_back(database: Database) -> None:
    with database.begin() as connection:
        go(connection, 1, 1)
        go(connection, 2, 2)
        back(connection, 3)
        with pytest.raises(RollbackRefused, match="came by a rollback"):
            back(connection, 4)


def test_rollback_goes_only_to_a_version_that_was_champion_once(database: Database) -> None:
    with database.begin() as connection:
        go(connection, 1, 1)
        with pytest.raises(RollbackRefused, match="never champion"):
            back(connection, 2, to=3)


def test_a_promotion_whose_reason_reads_like_a_rollback_has_a_way_back(database: Database) -> None:
    with database.begin() as connection:
        go(connection, 1, 1)
        promote(connection, "rain", 2, as_of=DAY0 + timedelta(days=2), by="mira", reason="rollback: of my first thoughts", key="k2")
        assert way_back(connection, "rain") == back(connection, 3) == 1
