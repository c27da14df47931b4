"""`keepwell record verify`: a real record, changed behind its back in each table that only grows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from keepwell import Project
from keepwell.cli.app import app
from keepwell.errors import InputInvalid
from keepwell.storage.chains import chained

TAMPERED = {
    "aliases": {"number": 2},
    "checkups": {"verdict": "well"},
    "decisions": {"build": False},
    "events": {"sentence": "nothing happened"},
    "versions": {"passed": False},
}


def test_every_chain_is_whole_after_a_life(tiny: Path) -> None:
    with Project(tiny) as project:
        found = project.verify_record()
    assert found.is_whole, found.sentence
    rows = {chain.name: chain.rows for chain in found.chains}
    assert rows.keys() == {table.name for table in chained()}
    assert all(rows[name] >= 1 for name in TAMPERED)


@pytest.mark.parametrize("table", TAMPERED)
def test_a_changed_row_of_each_table_is_found(tiny: Path, table: str) -> None:
    with Project(tiny) as project:
        with project.context.database.begin() as connection:
            names = ", ".join(f"{name} = :{name}" for name in TAMPERED[table])
            connection.execute(sa.text(f"UPDATE {table} SET {names} WHERE place = 1"), TAMPERED[table])
        found = project.verify_record()
    assert [(one.chain, one.place, one.kind) for one in found.breaks] == [(table, 1, "edited")]


def test_the_command_leaves_with_1_and_names_the_row(tiny: Path) -> None:
    asked = ["record", "verify", "-C", str(tiny)]
    whole = CliRunner().invoke(app, asked)
    assert whole.exit_code == 0 and "is whole" in whole.stdout
    with Project(tiny) as project, project.context.database.begin() as connection:
        connection.execute(sa.text("UPDATE events SET sentence = 'x' WHERE place = 2"))
    told = CliRunner().invoke(app, asked)
    assert told.exit_code == 1 and "events, row 2" in told.stdout
    document = json.loads(CliRunner().invoke(app, [*asked, "--json"]).stdout)
    assert not document["is_whole"] and document["not_covered"]


def test_a_record_that_was_rewritten_whole_does_not_hold_an_older_head(tiny: Path) -> None:
    """Who can write the database can compute every hash anew; a head that was kept elsewhere tells."""
    from keepwell.storage.chains import FIRST, heads, link
    from keepwell.storage.history import events

    with Project(tiny) as project:
        head = project.verify_record().head
        assert project.verify_record(head).is_whole
        with project.context.database.begin() as connection:
            last = FIRST
            for row in connection.execute(sa.select(events).order_by(events.c.place)).mappings().all():
                changed = {**row, "sentence": "rewritten"}
                last = link(last, changed)
                connection.execute(sa.update(events).where(events.c.seq == row["seq"]).values(sentence="rewritten", hash=last))
            connection.execute(sa.update(heads).where(heads.c.chain == "events").values(hash=last))
        assert project.verify_record().is_whole
        found = project.verify_record(head)
    assert not found.is_whole and "rewritten" in found.sentence


def test_a_head_that_is_none_is_refused(tiny: Path) -> None:
    with Project(tiny) as project, pytest.raises(InputInvalid, match="PLACE:HASH"):
        project.verify_record("yesterday")
