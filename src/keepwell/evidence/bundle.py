"""The evidence bundle: one zip that says what the record says, and can be checked without the record or this program.

Made again of the same record it has the same bytes: nothing in it is the moment at which it was made.
"""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keepwell.errors import ArtifactCorrupt, ArtifactMissing, BundleInvalid, StorageUnavailable
from keepwell.evidence.verifying import COVERED, UNCOVERED, Verdict
from keepwell.orchestration import last_cycle
from keepwell.readiness import score
from keepwell.registry import aliases_now, digests_of, list_versions
from keepwell.storage import HEAD, canonical, dumped, follow
from keepwell.training import list_proofs

if TYPE_CHECKING:
    from keepwell.orchestration import Context

SUMS, MANIFEST, READ_ME = "SHA256SUMS", "manifest.json", "README.txt"
NEVER = (1980, 1, 1, 0, 0, 0)  # the moment of every file in the zip
MOST_BYTES, MOST_FILES = 2 << 30, 100_000
NAMES = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
TEXT = """\
Evidence about the model "{model}", kept by Keepwell.

record/NAME.jsonl   the record: one line of JSON a row, in the order they were written
cards/              the model card of each version whose files are kept
lineage.json        each version: what it was made of, by SHA-256, and what serves
proofs.json         builds that were repeated, and what came of it
readiness.json      the ML Test Score with its proofs
{extra}manifest.json       which model, up to which row
SHA256SUMS          the digest of every other file

Is a file still what was written?      sha256sum -c SHA256SUMS
Is a row still what was written?       keepwell record verify --bundle THIS.zip

The second needs no project and no network. The hash of a row is SHA-256 over the hash of the row before (64 zeros before the
first), a line break, and the row as JSON without its hash and "seq": keys sorted, no spaces, values that are null left out,
moments in UTC with six digits behind the second. In record/ they are written just so. Whoever changes a file can write new
digests as well; what they cannot do is make the chain end in a head that was kept elsewhere: compare the head in manifest.json.
"""


@dataclass(frozen=True)
class Bundle:
    """A bundle that was written: where, how many files, its size and SHA-256, and the head of the timeline in it."""

    file: str
    files: int
    size: int
    digest: str
    head: str


def bundle(context: Context, file: Path, extra: Mapping[str, bytes] | None = None) -> Bundle:
    """Write the evidence about a model into one file.

    Parameters
    ----------
    extra : more files of the bundle, by name below ``reports/``; for the same record always the same bytes.

    Raises
    ------
    StorageUnavailable : the file cannot be written.
    """
    contents = dict(sorted(_contents(context, extra or {})))
    sums = "".join(f"{sha256(content).hexdigest()}  {name}\n" for name, content in contents.items())
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(partial, "w") as archive:
            for name, content in {**contents, SUMS: sums.encode()}.items():
                archive.writestr(zipfile.ZipInfo(name, NEVER), content, zipfile.ZIP_DEFLATED, 6)
        written = partial.read_bytes()
        partial.replace(file)
    except OSError as error:
        raise StorageUnavailable(str(file), str(error)) from error
    finally:
        partial.unlink(missing_ok=True)
    head = json.loads(contents[MANIFEST])["head"]
    return Bundle(str(file), len(contents) + 1, len(written), sha256(written).hexdigest(), head)


def _contents(context: Context, extra: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    name = context.name
    with context.database.read() as connection:
        chains = dumped(connection, name)
        versions, aliases = list_versions(connection, name), aliases_now(connection, name)
        proofs = list_proofs(connection, name)
        cycle = last_cycle(connection, name, "done")
    for chain, (rows, _) in chains.items():
        yield f"record/{chain}.jsonl", "".join(f"{canonical(row)}\n" for row in rows).encode()
    ends = {
        chain: {"rows": len(rows), "place": end[0] if end else 0, "hash": end[1] if end else ""} for chain, (rows, end) in chains.items()
    }
    events = ends["events"]
    manifest = {
        "model": name,
        "schema": HEAD,
        "head": f"{events['place']}:{events['hash']}",
        "chains": ends,
        "not_covered": list(UNCOVERED),
    }
    yield MANIFEST, _json(manifest)
    for version in versions:
        try:
            yield f"cards/version-{version.number}.md", context.artifacts.get(version.card)
        except (ArtifactMissing, ArtifactCorrupt):
            continue  # cleaned up, as the timeline says; `keepwell doctor` speaks of damage
    lineage = [
        {
            "version": version.number,
            "run": version.run,
            "as_of": version.as_of.isoformat(),
            "passed": version.passed,
            "parent": version.facts.get("parent"),
            "digests": dict(digests_of(version)),
        }
        for version in versions
    ]
    yield "lineage.json", _json({"model": name, "aliases": aliases, "versions": lineage})
    yield "proofs.json", _json([{**asdict(proof), "at": proof.at.isoformat()} for proof in proofs])
    # The moment of the newest thing on record, so that the same record gives the same score.
    written = [datetime.fromisoformat(row["recorded_at"]) for row in chains["events"][0]] + [proof.at for proof in proofs]
    if cycle is not None and written:
        behind = cycle.begun - cycle.as_of
        behind = behind if behind > timedelta(days=1) else timedelta(0)
        yield "readiness.json", _json(score(context, max(cycle.as_of, max(written) - behind)).as_dict())
    for file, content in extra.items():
        yield f"reports/{file}", content
    more = "reports/            rendered check-ups\n" if extra else ""
    yield READ_ME, TEXT.format(model=name, extra=more).encode()


def _json(document: Any) -> bytes:
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()


def verify_bundle(file: Path, head: str | None = None) -> Verdict:
    """Check a bundle by itself: every file against its digest, every row against the row before.

    Parameters
    ----------
    head : PLACE:HASH that was kept elsewhere; the timeline in the bundle must hold it.

    Raises
    ------
    BundleInvalid : it is no bundle.
    """
    files = _read(file)
    problems = list(_sums(files))
    try:
        manifest = json.loads(files[MANIFEST])
        model, ends = str(manifest["model"]), manifest["chains"]
        rows = {name: _rows(files, name) for name in sorted({*COVERED, *ends} & {*ends, *_recorded(files)})}
        chains = tuple(follow(name, model, rows[name], _end(ends.get(name))) for name in rows)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleInvalid(file, f"what it says of itself cannot be read ({type(error).__name__}: {error})") from None
    problems += [f"record/{name}.jsonl is not named in the manifest" for name in sorted(_recorded(files) - set(ends))]
    if head is not None and head not in {f"{row['place']}:{row['hash']}" for row in rows.get("events", [])}:
        problems.append(f"its timeline does not hold {head[:24]}…: it was rewritten, or is of an earlier day")
    return Verdict(f"The bundle {file.name} about {model}", chains, tuple(problems))


def _read(file: Path) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(file) as archive:
            listed = archive.infolist()
            names = [info.filename for info in listed]
            if len(set(names)) != len(names) or len(names) > MOST_FILES or sum(info.file_size for info in listed) > MOST_BYTES:
                raise BundleInvalid(file, "it names a file twice, or is too large")
            if odd := [name for name in names if not NAMES.fullmatch(name) or ".." in name.split("/")]:
                raise BundleInvalid(file, f"it holds a file of a strange name: {odd[0][:100]!r}")
            if missing := {SUMS, MANIFEST} - set(names):
                raise BundleInvalid(file, f"it has no {' and no '.join(sorted(missing))}")
            return {name: archive.read(name) for name in names}
    except BundleInvalid:
        raise
    except Exception as error:  # zipfile and zlib raise many kinds for changed bytes
        raise BundleInvalid(file, f"it cannot be unpacked ({error})") from None


def _sums(files: Mapping[str, bytes]) -> Iterator[str]:
    said = {}
    for line in files[SUMS].decode("utf-8", "replace").splitlines():
        digest, _, name = line.partition("  ")
        said[name] = digest
    for name in sorted(said.keys() | files.keys() - {SUMS}):
        if name not in files:
            yield f"{name} is missing"
        elif name not in said:
            yield f"{name} was put in"
        elif sha256(files[name]).hexdigest() != said[name]:
            yield f"{name} was changed"


def _recorded(files: Mapping[str, bytes]) -> set[str]:
    return {name.removeprefix("record/").removesuffix(".jsonl") for name in files if name.startswith("record/")}


def _rows(files: Mapping[str, bytes], chain: str) -> list[dict[str, Any]]:
    lines = files.get(f"record/{chain}.jsonl", b"").decode().splitlines()
    rows = [json.loads(line) for line in lines]
    return [{**row, "place": int(row["place"]), "hash": str(row["hash"])} for row in rows]


def _end(said: Mapping[str, Any] | None) -> tuple[int, str] | None:
    return (int(said["place"]), str(said["hash"])) if said and said["hash"] else None
