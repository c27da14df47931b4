"""What holds for local files and SQLite holds for an object store and PostgreSQL."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from keepwell import Project
from keepwell.errors import TableCorrupt
from keepwell.keeping import examine, open_backup
from keepwell.storage import Files


def flip(files: Files, name: str) -> None:
    content = files.get(name)
    place = len(content) // 2
    files.put(name, content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])


def wrong(project: Project) -> str:
    return "\n".join(finding.message for finding in examine(project.folder, deep=True) if finding.state == "wrong")


def test_a_changed_byte_of_a_table_file_is_found(tiny: Path) -> None:
    with Project(tiny) as project:
        project.flush()
        assert wrong(project) == ""
        files = project.context.observations.files
        names = [found.name for found in files.list()]
        assert len(names) == 3  # a data file, a line of the log, the sums
        for name in names:
            flip(files, name)
            assert name in wrong(project)
            flip(files, name)
        assert wrong(project) == ""


def test_a_changed_byte_of_an_artifact_is_found(tiny: Path) -> None:
    with Project(tiny) as project:
        sheet = project.version(1).facts["sheet"]
        files = Files(project.settings.store.artifacts, tiny)
        flip(files, f"{sheet[:2]}/{sheet}")
        assert "evaluation sheet of version 1" in wrong(project)


def test_a_changed_byte_of_a_waiting_commit_is_refused_by_its_number(tiny: Path) -> None:
    with Project(tiny) as project:
        rows = project.context.labels.rows().head(3).drop("_commit", "_known")
        with project.context.database.begin() as connection:
            number = project.context.labels.append(connection, "one more", rows, project.cycles()[0].as_of).number
            payload = connection.execute(sa.text("SELECT payload FROM commits WHERE key = 'one more'")).scalar()
            changed = bytearray(payload)
            changed[len(changed) // 2] ^= 4
            connection.execute(sa.text("UPDATE commits SET payload = :payload WHERE key = 'one more'"), {"payload": bytes(changed)})
    with Project(tiny) as project, pytest.raises(TableCorrupt, match=f"Commit {number} of table tiny/labels"):
        project.context.labels.rows()


def test_sums_are_made_again_after_compaction(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keepwell.storage.tables.COMPACT_FILES", 3)
    with Project(tiny) as project:
        table = project.context.labels
        rows = table.rows().head(2).drop("_commit", "_known")
        for place in range(7):
            with project.context.database.begin() as connection:
                table.append(connection, f"more {place}", rows, project.cycles()[0].as_of)
            table.flush()
        assert project.clean().total == 0
        assert wrong(project) == ""


def test_a_letter_changed_inside_a_row_is_found_against_a_backup(tiny: Path, tmp_path: Path) -> None:
    """No database notices that; a copy from before does."""
    with Project(tiny) as project:
        project.backup(tmp_path / "backups")
        project.flush()
        project.run(project.cycles()[0].as_of + timedelta(days=1))
        copy = open_backup(str(tmp_path / "backups"))
        assert any("rows are as they were" in finding.message for finding in examine(tiny, backup=copy))
        with project.context.database.begin() as connection:
            connection.execute(sa.text("UPDATE versions SET sentence = 'Passed: it is said' WHERE number = 1"))
            connection.execute(sa.text("DELETE FROM batches"))
    found = [finding.message for finding in examine(tiny, backup=copy) if finding.state == "wrong"]
    assert any(message.startswith("versions 1: sentence changed since the backup of") for message in found)
    assert any(message.startswith("batches 20260115T060000Z: it is gone since") for message in found)
    assert len(found) == 2
