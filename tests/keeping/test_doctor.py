"""`keepwell doctor --deep` finds a changed byte in any kind of file, and says which."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from keeping_work import often
from projects import BUILT_AT

from keepwell import Project
from keepwell.keeping import examine
from keepwell.serving import Journal

pytestmark = [pytest.mark.local("changes bytes of local files"), pytest.mark.sqlite("changes bytes of the database file")]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record with every kind of file: artifacts, Delta files, waiting commits, a closed journal segment."""
    folder = often(tmp_path_factory.mktemp("everything") / "tiny")
    with Project(folder) as project:
        project.run(BUILT_AT)
        project.flush()
        rows = project.context.labels.rows().head(3).drop("_commit", "_known")
        with project.context.database.begin() as connection:
            project.context.labels.append(connection, "one more", rows, BUILT_AT)
    with Journal(folder / ".keepwell/journal") as journal:
        journal.append(json.dumps({"prediction_id": "asked"}).encode()).result()
    return folder


def wrong(folder: Path) -> str:
    return "\n".join(f"{finding.about}: {finding.message}" for finding in examine(folder, deep=True) if finding.state == "wrong")


def test_a_whole_record_has_no_fault(everything: Path) -> None:
    assert wrong(everything) == ""


KINDS = {
    "artifact": ".keepwell/artifacts/*/*",
    "data file": ".keepwell/tables/tiny/*/*.parquet",
    "log": ".keepwell/tables/tiny/*/_delta_log/*.json",
    "checksums": ".keepwell/tables/tiny/*/_keepwell/sums.json",
    "journal segment": ".keepwell/journal/*.sealed",
}


@pytest.mark.parametrize("pattern", KINDS.values(), ids=KINDS)
def test_a_flipped_byte_is_found_by_name(everything: Path, pattern: str) -> None:
    draw = random.Random(11)
    paths = sorted(everything.glob(pattern))
    assert paths
    for path in paths:
        content = path.read_bytes()
        place = draw.randrange(len(content))
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        found = wrong(everything)
        path.write_bytes(content)
        name = path.name.partition(".")[0] if "journal" in pattern else path.name[:12] if "artifacts" in pattern else path.name
        assert name in found, (path, found)


def test_a_flipped_byte_of_a_waiting_commit_is_found_by_its_number(everything: Path) -> None:
    with Project(everything) as project, project.context.database.read() as connection:
        payload = connection.exec_driver_sql("SELECT payload FROM commits WHERE payload IS NOT NULL").scalar()
        number = project.context.labels.last_commit()
    file = everything / ".keepwell/keepwell.db"
    content = file.read_bytes()
    place = content.index(payload[:64]) + random.Random(5).randrange(8, 60)
    file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    found = wrong(everything)
    file.write_bytes(content)
    assert f"Commit {number} of table tiny/labels" in found


def test_a_lost_file_is_found_without_looking_deep(everything: Path) -> None:
    for path in (next(everything.glob(".keepwell/tables/tiny/labels/*.parquet")), next(everything.glob(".keepwell/artifacts/*/*"))):
        content = path.read_bytes()
        path.unlink()
        found = "\n".join(finding.message for finding in examine(everything) if finding.state == "wrong")
        path.write_bytes(content)
        assert path.name[:12] in found


def test_a_database_that_is_none_any_more_is_told_with_the_way_back(everything: Path) -> None:
    file = everything / ".keepwell/keepwell.db"
    content = file.read_bytes()
    file.write_bytes(b"not a database" * 1000)
    found = [finding for finding in examine(everything) if finding.state == "wrong"]
    file.write_bytes(content)
    assert "keepwell restore" in found[0].cure


def test_an_old_backup_and_a_clock_that_went_back_are_told(everything: Path) -> None:
    from datetime import UTC, datetime, timedelta

    assert "there is none" in {finding.about: finding.message for finding in examine(everything)}["backup"]
    with Project(everything) as project:
        project.backup(everything.parent / "backups")
    later = {finding.about: finding for finding in examine(everything, datetime.now(UTC) + timedelta(days=8))}
    assert later["backup"].state == "note"
    earlier = {finding.about: finding for finding in examine(everything, datetime.now(UTC) - timedelta(days=1))}
    assert earlier["clock"].state == "wrong"
