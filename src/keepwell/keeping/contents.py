"""Everything that a record holds, as named files: the one form that backups and archives share.

    record/<table>/00001.jsonl     a model's rows of each SQL table, one JSON object a line
    tables/<table>/00001.parquet   the rows that Delta holds, by commit
    artifacts/<sha256>             what the record names by digest
    journal/<segment>              answers that are not in the ledger yet
    project/...                    Python files, keepwell.toml without secrets, contract.toml

Order is what makes a copy consistent while cycles run and a server answers. The journal is read first: a segment that is
shipped meanwhile is then in both places, and is known by its id when it is shipped again. Then the record, at one moment:
everything it names was written before it was named, and is never changed. Of each versioned table the copy takes what the
record says is in Delta, by commit number; later commits that Delta may have by then are left alone.

The workflow library's own tables are not copied. They serve only work that a crash interrupted; the record says which cycles
have not ended, they begin anew after a restore, and each of their steps answers what it had done already.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from keepwell.hiding import ADDRESSES, HIDDEN, shown, shown_address
from keepwell.keeping import tables
from keepwell.keeping.records import fits
from keepwell.orchestration import Context
from keepwell.registry import digests_of, list_versions, swept_versions
from keepwell.settings import FILE
from keepwell.storage import ArtifactStore, Table
from keepwell.training import Code, to_bytes

RECORD_ROWS = 500  # rows of an SQL table in one file: files before the last one never change, so a later backup has them
TABLE_ROWS = 200_000  # the same for versioned tables
KEPT_FILES = ("README.md", "pyproject.toml", "requirements.txt")  # beside the Python files, the settings and the contract


@dataclass(frozen=True)
class Part:
    """One file that a copy will hold. Its digest and size are given when they are known without reading it."""

    name: str
    read: Callable[[], bytes]
    digest: str | None = None
    size: int | None = None


@dataclass(frozen=True)
class Contents:
    """All parts, the rows of each table, the settings that hold secrets, and what is known to be missing."""

    parts: list[Part]
    counts: dict[str, int]
    secrets: tuple[str, ...]
    damaged: dict[str, str]


def contents(context: Context) -> Contents:
    """What the record holds at this moment; large files are read when their part is."""
    parts = [Part(f"journal/{name}", partial(bytes, content)) for name, content in _journal(context.journal_folder)]
    files, secrets = _project(context)
    parts += [Part(f"project/{name}", partial(bytes, content)) for name, content in files.items()]
    counts: dict[str, int] = {}
    with context.database.read() as connection:
        for name in tables.names():
            written = list(_record_files(tables.rows(connection, name, context.name), name))
            counts[name] = sum(rows for rows, _ in written)
            for number, (_, content) in enumerate(written, 1):
                parts.append(Part(f"record/{name}/{number:05d}.jsonl", partial(bytes, content)))
        named = tables.named(connection, {"commits": tables.without_flushed(connection)}, context.name)
        expected = _expected(connection, context.name)
        flushed = {table: table.flushed(connection) for table in context.tables}
    sizes = {found.name: found.size for found in context.artifacts.list()}
    # Not every digest in the record names a file: identities and canonical forms are digests too.
    parts += [
        Part(f"artifacts/{digest}", partial(_artifact, context.artifacts, digest), digest, sizes[digest])
        for digest in sorted(named & sizes.keys())
    ]
    where = context.artifacts.url
    missing = {f"artifacts/{digest}": f"{what} is not in {where}" for digest, what in expected.items() if digest not in sizes}
    for table, until in flushed.items():
        parts += _table(table, until, counts)
    return Contents(parts, counts, secrets, missing)


def _record_files(rows: Iterator[tables.Row], name: str) -> Iterator[tuple[int, bytes]]:
    """(rows, JSON Lines) of some rows each. Commits of one versioned table do not share a file with another's: each list
    grows at its end, and a row in the middle would move all that follow."""
    for _, group in groupby(rows, lambda row: row["name"] if name in tables.BY_NAME else None):
        while some := [json.dumps(row) for row in islice(group, RECORD_ROWS)]:
            yield len(some), ("\n".join(some) + "\n").encode()


def _artifact(artifacts: ArtifactStore, digest: str) -> bytes:
    return artifacts.get(digest)


def _expected(connection: sa.Connection, model: str) -> dict[str, str]:
    gone = swept_versions(connection, model)
    versions = [version for version in list_versions(connection, model) if version.number not in gone]
    return {digest: f"the {what} of version {version.number}" for version in versions for what, digest in digests_of(version)}


def _table(table: Table, until: int, counts: dict[str, int]) -> Iterator[Part]:
    kind = table.name.rpartition("/")[2]
    sizes = table.sizes(until)
    counts[f"tables/{kind}"] = sum(rows for _, rows in sizes)
    for number, (first, last) in enumerate(_spans(sizes), 1):
        yield Part(f"tables/{kind}/{number:05d}.parquet", lambda first=first, last=last: to_bytes(table.between(first, last)))  # type: ignore[misc]


def _spans(sizes: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Spans of commits of about `TABLE_ROWS` rows. They follow from the commits before them alone, so old ones stay."""
    first, rows = None, 0
    for number, count in sizes:
        first, rows = (number if first is None else first), rows + count
        if rows >= TABLE_ROWS or number == sizes[-1][0]:
            yield first, number
            first, rows = None, 0


def _journal(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Each segment once, though it may be sealed (get another name) or shipped (go) between any two looks."""
    found: dict[str, tuple[str, bytes]] = {}
    for suffix in (".open", ".sealed"):
        for path in sorted(folder.glob(f"*{suffix}")):
            # One that is gone was sealed, then the next round has it; or shipped, then the record has it, which is read after this.
            with suppress(FileNotFoundError):
                found[path.stem] = (path.name, path.read_bytes())
    yield from found.values()


# --- the project's files ----------------------------------------------------------------------------------------------


def _project(context: Context) -> tuple[dict[str, bytes], tuple[str, ...]]:
    folder = context.folder
    files = {name: text.encode() for name, text in Code.of(folder).files().items()}
    for name in (*KEPT_FILES, context.settings.contract.file):
        path = folder / name
        if path.is_file() and path.resolve().is_relative_to(folder):
            files[path.resolve().relative_to(folder).as_posix()] = path.read_bytes()
    text, secrets = without_secrets((folder / FILE).read_text("utf-8"))
    return {name: content for name, content in {**files, FILE: text.encode()}.items() if fits(f"project/{name}")}, secrets


def without_secrets(text: str) -> tuple[str, tuple[str, ...]]:
    """keepwell.toml whose secrets are taken out, and their names.

    Passwords inside URLs become stars. A line that holds another secret becomes a comment, so that no star is taken for it.
    """
    found = dict(_secrets(tomllib.loads(text)))
    lines = []
    for line in text.splitlines():
        for name, (secret, instead) in found.items():
            if secret and secret in line:
                line = line.replace(secret, instead)
                if instead == HIDDEN:
                    line = f"# {line.lstrip('# ')}  # left out: {name} is a secret"
        lines.append(line)
    return "\n".join(lines) + "\n", tuple(sorted(found))


def _is_named(value: str) -> bool:
    """Does it only name what the environment holds?"""
    return value.startswith("${") and value.endswith("}")


def _webhook_secrets(content: Any, path: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """The address of a webhook stays, as far as it may be shown: without one the settings would not read."""
    for key, value in content.items() if isinstance(content, Mapping) else ():
        if key == "url" and isinstance(value, str) and not _is_named(value):
            yield f"{path}.{key}", (value, shown_address(value))
        elif key == "secret" and isinstance(value, str) and not _is_named(value):
            yield f"{path}.{key}", (value, HIDDEN)


def _secrets(content: Mapping[str, Any], path: str = "", hidden: bool = False) -> Iterator[tuple[str, tuple[str, str]]]:
    for key, value in content.items():
        name = f"{path}.{key}" if path else key
        all_hidden = hidden or (not isinstance(value, Mapping) and shown(key, value) == HIDDEN)
        if isinstance(value, Mapping):
            yield from _secrets(value, name, hidden or (bool(path) and shown(key, value) == HIDDEN))
        elif isinstance(value, list) and key == ADDRESSES:
            written = [(place, one) for place, one in enumerate(value) if isinstance(one, str) and not _is_named(one)]
            yield from ((f"{name}.{place}", (one, HIDDEN)) for place, one in written)
        elif isinstance(value, list) and name == "webhooks":
            for place, one in enumerate(value):
                yield from _webhook_secrets(one, f"{name}.{place}")
        elif name == "notify.ping" and isinstance(value, str) and not _is_named(value):
            yield name, (value, HIDDEN)
        elif isinstance(value, str) and not _is_named(value):
            instead = HIDDEN if all_hidden else shown(key, value)
            if instead != value:
                yield name, (value, instead)
