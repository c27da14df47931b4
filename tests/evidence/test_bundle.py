"""The evidence bundle: the same record gives the same bytes, it is checked without a project, and any change of it is found."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from keepwell import Project
from keepwell.cli.app import app
from keepwell.errors import BundleInvalid
from keepwell.evidence import verify_bundle

Files = dict[str, bytes]


@pytest.fixture
def made(built: Path, tmp_path: Path) -> Path:
    with Project(built) as project:
        project.bundle(tmp_path / "evidence.zip")
    return tmp_path / "evidence.zip"


def files_of(file: Path) -> Files:
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def with_files(file: Path, files: Files) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file


def summed(files: Files) -> Files:
    """With digests that fit, as a forger would write them."""
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items() if name != "SHA256SUMS")
    return {**files, "SHA256SUMS": sums.encode()}


def test_the_same_record_gives_the_same_bytes(built: Path, made: Path, tmp_path: Path) -> None:
    with Project(built) as project:
        again = project.bundle(tmp_path / "again.zip")
    assert made.read_bytes() == (tmp_path / "again.zip").read_bytes()
    assert again.digest == hashlib.sha256(made.read_bytes()).hexdigest()


def test_it_holds_the_record_the_card_the_lineage_and_the_score(made: Path) -> None:
    files = files_of(made)
    told = [json.loads(line) for line in files["record/events.jsonl"].decode().splitlines()]
    assert {"trained", "promoted"} <= {row["kind"] for row in told}
    assert b"tiny" in files["cards/version-1.md"]
    assert json.loads(files["lineage.json"])["aliases"]["champion"] == 1
    assert len(json.loads(files["readiness.json"])["points"]) == 28
    assert "record/checkups.jsonl" in files and "proofs.json" in files


def test_its_digests_are_checked_by_a_tool_that_knows_nothing_of_keepwell(made: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(made).extractall(tmp_path / "out")
    seen = subprocess.run(["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=tmp_path / "out", capture_output=True, text=True, check=False)
    assert seen.returncode == 0, seen.stdout


def test_it_is_whole_and_needs_no_project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(app, ["record", "verify", "--bundle", "evidence.zip"])
    assert told.exit_code == 0 and "is whole" in told.stdout


def edited(files: Files) -> Files:
    return {**files, "record/events.jsonl": files["record/events.jsonl"].replace(b"was trained", b"was bought")}


def without_a_row(files: Files) -> Files:
    lines = files["record/events.jsonl"].splitlines(keepends=True)
    return {**files, "record/events.jsonl": b"".join(lines[:-1])}


def turned(files: Files) -> Files:
    return {**files, "record/events.jsonl": b"".join(reversed(files["record/events.jsonl"].splitlines(keepends=True)))}


CHANGES: dict[str, tuple[Callable[[Files], Files], str]] = {
    "edited row": (edited, "events row"),
    "removed end": (without_a_row, "removed"),
    "other order": (turned, "events row 1"),
    "removed chain": (lambda files: {name: content for name, content in files.items() if name != "record/events.jsonl"}, "removed"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_record_is_found_though_the_digests_were_written_anew(made: Path, what: str) -> None:
    change, said = CHANGES[what]
    found = verify_bundle(with_files(made, summed(change(files_of(made)))))
    assert not found.is_whole and said in found.sentence


def test_changed_missing_and_added_files_are_named(made: Path) -> None:
    files = files_of(made)
    files["cards/version-1.md"] += b"!"
    del files["lineage.json"]
    files["cards/version-9.md"] = b"new"
    found = verify_bundle(with_files(made, files))
    assert found.problems == ("cards/version-1.md was changed", "cards/version-9.md was put in", "lineage.json is missing")
    assert CliRunner().invoke(app, ["record", "verify", "--bundle", str(made)]).exit_code == 1


def test_a_head_that_was_kept_elsewhere_must_be_in_it(made: Path) -> None:
    head = json.loads(files_of(made)["manifest.json"])["head"]
    assert verify_bundle(made, head).is_whole
    assert not verify_bundle(made, f"1:{'0' * 64}").is_whole


def test_rows_of_a_bundle_have_the_hashes_of_the_record(built: Path, made: Path) -> None:
    with Project(built) as project:
        assert verify_bundle(made).chains == project.verify_record().chains


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04"], ids=["empty", "text", "cut"])
def test_what_is_no_bundle_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(BundleInvalid, match="no evidence bundle"):
        verify_bundle(tmp_path / "x.zip")


@pytest.mark.parametrize("name", ["../out.txt", "/etc/passwd", "a/../../b"])
def test_a_bundle_with_a_strange_name_is_refused(made: Path, name: str) -> None:
    with pytest.raises(BundleInvalid, match="strange name"):
        verify_bundle(with_files(made, {**files_of(made), name: b"x"}))


def test_a_manifest_that_says_nothing_is_refused(made: Path) -> None:
    for manifest in (b"[]", b"{}", b"no json", json.dumps({"model": "x", "chains": {"events": {"place": "a"}}}).encode()):
        with pytest.raises(BundleInvalid):
            verify_bundle(with_files(made, summed({**files_of(made), "manifest.json": manifest})))


def test_changed_bytes_of_the_zip_never_pass(made: Path) -> None:
    content = made.read_bytes()
    wrong = io.BytesIO()
    wrong.write(content[: len(content) // 2] + bytes([content[len(content) // 2] ^ 1]) + content[len(content) // 2 + 1 :])
    made.write_bytes(wrong.getvalue())
    with contextlib.suppress(BundleInvalid):
        assert not verify_bundle(made).is_whole
