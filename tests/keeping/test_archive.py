"""An archive is a whole model in one open file: it comes back equal elsewhere, and one that was tampered with is refused."""

from __future__ import annotations

import json
import random
import shutil
import tomllib
import zipfile
from pathlib import Path

import pytest
from keeping_work import often, summary, with_rows
from projects import BUILT_AT

from keepwell import Project
from keepwell.errors import ArchiveInvalid, BackupCorrupt, RestoreRefused, SchemaTooNew
from keepwell.keeping import open_archive, restore
from keepwell.keeping.contents import without_secrets

SECRETS = """
[store]
database = "postgresql://mira:s3cret@db/rain"
[source]
kind = "http"
apikey = "k3y-of-hers" # her own
url = "https://weather.test/?token=t0ken&day=1"
region = "${REGION}"
[source.headers]
Authorization = "Bearer abc"
[serve]
token = 'to-the-server'
port = 80
"""


@pytest.fixture
def archive(tiny: Path, tmp_path: Path) -> Path:
    with Project(tiny) as project:
        project.flush()
        project.export(tmp_path / "tiny.zip")
    return tmp_path / "tiny.zip"


def test_a_round_trip_is_equal_and_the_model_goes_on_elsewhere(tmp_path: Path) -> None:
    folder = often(tmp_path / "tiny")
    with Project(folder) as project:
        project.run(BUILT_AT)
        project.export(tmp_path / "tiny.zip")
        words = project.status(BUILT_AT).sentence
    done = restore(open_archive(tmp_path / "tiny.zip"), tmp_path / "elsewhere", check=True)
    assert "loads and answers its golden rows" in done.verified[-1]
    assert summary(tmp_path / "elsewhere") == summary(folder)
    with Project(with_rows(tmp_path / "elsewhere", folder)) as project:
        assert project.status(BUILT_AT).sentence == words
        assert project.run().status == "done"


def test_it_is_open_without_keepwell(archive: Path) -> None:
    import polars as pl

    with zipfile.ZipFile(archive) as file:
        manifest = json.loads(file.read("manifest.json"))
        assert sorted([entry["name"] for entry in manifest["entries"]] + ["manifest.json"]) == sorted(file.namelist())
        versions = [json.loads(line) for line in file.read("record/versions/00001.jsonl").splitlines()]
        assert [version["number"] for version in versions] == [1]
        assert f"artifacts/{versions[0]['model_file']}" in file.namelist()
        rows = pl.read_parquet(file.read("tables/observations/00001.parquet"))
        assert rows.height == manifest["counts"]["tables/observations"]
        assert tomllib.loads(file.read("project/keepwell.toml").decode())["build"]["min_rows"] == 100


def test_no_secret_is_in_a_copy() -> None:
    text, secrets = without_secrets(SECRETS)
    kept = tomllib.loads(text)
    assert not [word for word in ("s3cret", "k3y", "t0ken", "abc", "to-the-server") if word in text]
    assert kept["store"]["database"] == "postgresql://mira:***@db/rain"
    assert kept["source"]["region"] == "${REGION}"
    assert "apikey" not in kept["source"] and "token" not in kept["serve"] and kept["serve"]["port"] == 80
    assert secrets == ("serve.token", "source.apikey", "source.headers.Authorization", "source.url", "store.database")


def test_what_is_there_is_not_overwritten_but_moved_aside(archive: Path, tmp_path: Path) -> None:
    folder = tmp_path / "again"
    copy = open_archive(archive)
    restore(copy, folder)
    (folder / "notes.md").write_text("mine")
    (folder / ".env").write_text("REGION=north\n")
    with pytest.raises(RestoreRefused, match="a record is there already"):
        restore(copy, folder)
    (folder / "model.py").write_text("# changed\n")
    done = restore(copy, folder, replace=True)
    assert (Path(done.aside) / "model.py").read_text() == "# changed\n"
    assert (Path(done.aside) / ".keepwell/keepwell.db").is_file()
    assert (folder / "notes.md").read_text() == "mine" and (folder / ".env").read_text().startswith("REGION=north\n")
    assert not (Path(done.aside) / "notes.md").exists()


def test_a_file_of_another_content_is_not_overwritten_either(archive: Path, tmp_path: Path) -> None:
    folder = tmp_path / "again"
    folder.mkdir()
    (folder / "model.py").write_text("# another model\n")
    with pytest.raises(RestoreRefused, match=r"model\.py is there already"):
        restore(open_archive(archive), folder)
    assert [path.name for path in folder.iterdir()] == ["model.py"]


def test_an_env_that_leads_to_another_record_is_not_left_in_force(archive: Path, tmp_path: Path) -> None:
    folder = tmp_path / "again"
    folder.mkdir()
    (folder / ".env").write_text("REGION=north\nKEEPWELL_STORE__DATABASE=sqlite:////elsewhere/keepwell.db\n")
    with pytest.raises(RestoreRefused, match=r"\.env says where a record is"):
        restore(open_archive(archive), folder)
    done = restore(open_archive(archive), folder, replace=True)
    assert "elsewhere" not in (folder / ".env").read_text() and "REGION=north" in (folder / ".env").read_text()
    assert "elsewhere" in (Path(done.aside) / ".env").read_text()


def test_a_dry_run_leaves_nothing(archive: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    done = restore(open_archive(archive), tmp_path / "again", check=True, dry_run=True)
    assert len(done.verified) == 3
    assert sorted(tmp_path.iterdir()) == before


def test_a_flipped_byte_anywhere_is_refused(archive: Path, tmp_path: Path) -> None:
    content = archive.read_bytes()
    draw = random.Random(3)
    for _ in range(25):
        place = draw.randrange(len(content))
        changed = tmp_path / "changed.zip"
        changed.write_bytes(content[:place] + bytes([content[place] ^ (1 << draw.randrange(8))]) + content[place + 1 :])
        if is_refused(changed, tmp_path / "again"):
            assert not (tmp_path / "again").exists()
        else:  # a byte that no reader looks at, such as a time stamp in a header
            assert summary(tmp_path / "again") == summary_of(archive, tmp_path / f"right-{place}")
            shutil.rmtree(tmp_path / "again")


def is_refused(archive: Path, folder: Path) -> bool:
    try:
        restore(open_archive(archive), folder)
    except (ArchiveInvalid, BackupCorrupt):
        return True
    return False


def summary_of(archive: Path, folder: Path) -> object:
    restore(open_archive(archive), folder)
    return summary(folder)


STRANGE = {
    "out of the folder": "project/../../model.py",
    "an absolute path": "/etc/passwd",
    "a hidden file": "project/.env",
    "a hidden folder": "project/.keepwell/keepwell.db",
    "a back slash": "project\\..\\model.py",
    "a drive": "project/c:/model.py",
    "another kind": "scripts/run.sh",
}


@pytest.mark.parametrize("name", STRANGE.values(), ids=STRANGE)
def test_a_file_that_has_no_business_there_is_refused(archive: Path, tmp_path: Path, name: str) -> None:
    changed = rewritten(archive, tmp_path, lambda manifest: manifest["entries"][0].update(name=name))
    with pytest.raises(ArchiveInvalid, match="does not belong there"):
        open_archive(changed)


def test_what_is_not_announced_is_refused(archive: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("project/more.py", "print('hello')")
    with pytest.raises(ArchiveInvalid, match="not those that its manifest names"):
        open_archive(archive)


def test_a_bomb_is_refused_before_it_is_unpacked(archive: Path, tmp_path: Path) -> None:
    def swell(manifest: dict) -> None:
        manifest["entries"][0]["size"] = 1 << 60

    with pytest.raises(ArchiveInvalid, match="not those that its manifest names"):
        open_archive(rewritten(archive, tmp_path, swell))


def test_a_newer_record_is_refused_and_a_newer_format_too(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(SchemaTooNew):
        restore(open_archive(rewritten(archive, tmp_path, lambda manifest: manifest.update(schema="9999"))), tmp_path / "again")
    with pytest.raises(ArchiveInvalid, match="format 2"):
        open_archive(rewritten(archive, tmp_path, lambda manifest: manifest.update(format=2)))


def test_rows_of_an_older_shape_come_up_to_the_newest(archive: Path) -> None:
    """They go through a database of that age, as a record of that age would when it is opened."""
    from keepwell.keeping import tables

    copy = open_archive(archive)
    record: dict[str, list] = {}
    for entry in copy.manifest.under("record"):
        record.setdefault(entry.name.split("/")[1], []).extend(json.loads(line) for line in copy.read(entry).splitlines())
    first = shape_of_first(record)
    found = tables.upgraded(first, "tiny", "0001")
    assert {name: len(rows) for name, rows in found.items() if rows and name != "chains"} == {
        name: len(rows) for name, rows in first.items()
    }
    assert [row["hash"] for row in found["aliases"]] == [row["hash"] for row in record["aliases"]]
    assert found["versions"][0]["facts"] == record["versions"][0]["facts"]


def shape_of_first(record: dict) -> dict:
    """The rows with the columns that the first migration made."""
    import tempfile

    import sqlalchemy as sa

    from keepwell.storage import Database

    with tempfile.TemporaryDirectory() as folder:
        old = Database(f"sqlite:///{folder}/old.db", Path(folder), shape="0001")
        there = sa.inspect(old.engine).get_table_names()
        columns = {name: {column["name"] for column in sa.inspect(old.engine).get_columns(name)} for name in record if name in there}
        old.close()
    kept = {name: rows for name, rows in record.items() if name in columns}
    return {name: [{key: value for key, value in row.items() if key in columns[name]} for row in rows] for name, rows in kept.items()}


def rewritten(archive: Path, tmp_path: Path, change) -> Path:
    """The archive with a manifest that says something else."""
    changed = tmp_path / "rewritten.zip"
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "manifest.json":
                manifest = json.loads(content)
                change(manifest)
                content = json.dumps(manifest).encode()
            new.writestr(name, content)
    return changed
