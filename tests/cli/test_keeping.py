"""backup, restore, gc, export and import as people type them."""

from __future__ import annotations

import json
from pathlib import Path


def test_backup_check_and_restore(on, kw, tiny: Path, tmp_path: Path) -> None:
    shown = on("backup", tmp_path / "backups")
    assert shown.exit_code == 0, shown.stderr
    assert "Backed up to" in shown.stdout and "0.1 MB of it new" in shown.stdout
    checked = json.loads(kw("backup", tmp_path / "backups", "--check", "--json").stdout)
    assert checked["whole"] is True and len(checked["backups"]) == 1
    trial = kw("restore", tmp_path / "backups", tmp_path / "again", "--verify", "--dry-run")
    assert "can be restored" in trial.stdout and "Nothing was kept" in trial.stdout
    assert not (tmp_path / "again").exists()
    shown = kw("restore", tmp_path / "backups", tmp_path / "again", "--verify")
    assert "Restored 'tiny'" in shown.stdout and "answers its golden rows" in shown.stdout
    refused = kw("restore", tmp_path / "backups", tmp_path / "again")
    assert refused.exit_code == 1 and "a record is there already" in refused.stderr
    shown = kw("restore", tmp_path / "backups", tmp_path / "again", "--replace")
    assert "What was there before is in" in shown.stdout
    assert json.loads(kw("-C", tmp_path / "again", "versions", "--json").stdout)["versions"][0]["number"] == 1


def test_a_damaged_backup_is_named(on, kw, tmp_path: Path) -> None:
    on("backup", tmp_path / "backups")
    path = next((tmp_path / "backups/files").rglob("*/*"))
    path.write_bytes(path.read_bytes() + b"x")
    shown = kw("backup", tmp_path / "backups", "--check")
    assert shown.exit_code == 1
    assert path.name in shown.stdout


def test_export_and_import(on, kw, tmp_path: Path) -> None:
    assert "Wrote" in on("export", tmp_path / "tiny.zip").stdout
    assert "Restored 'tiny'" in kw("import", tmp_path / "tiny.zip", tmp_path / "elsewhere", "--verify").stdout
    assert kw("import", tmp_path / "nothing.zip", tmp_path / "other").exit_code == 1


def test_gc_of_a_young_record(on, document) -> None:
    assert "There is nothing to remove." in on("gc", "--dry-run").stdout
    assert document("gc")["total_bytes"] == 0


def test_doctor_deep(document) -> None:
    assert document("doctor", "--deep")["healthy"] is True
