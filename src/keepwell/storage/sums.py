"""What every file of a table was when it was written: SHA-256 and size, kept beside it, so that a changed byte is found by name.

Delta itself keeps no checksum of its files. They never change once written, but for the one that names the newest checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from keepwell.storage.artifacts import digest_of
from keepwell.storage.files import Files

SUMS = "_keepwell/sums.json"  # Delta overlooks folders whose names begin with _
REWRITTEN = "_delta_log/_last_checkpoint"


@dataclass(frozen=True)
class Flaw:
    """A file that is not what was written."""

    name: str
    problem: str


def seal(files: Files) -> None:
    """Add the sums of files that are new, and forget those that are gone. Costs one reading of each new file."""
    try:
        known = _read(files)
    except ValueError:
        return  # damaged: it stays as it is, so that `keepwell doctor` goes on saying so
    sums: dict[str, Any] = {}
    for found in files.list():
        if found.name == SUMS:
            continue
        if found.name in known and found.name != REWRITTEN:
            sums[found.name] = known[found.name]
        else:
            content = files.get(found.name)
            sums[found.name] = [len(content), digest_of(content)]
    files.put(SUMS, _packed(sums))


def flaws(files: Files, *, deep: bool) -> Iterator[Flaw]:
    """Files that are missing or have another size than when they were written; `deep` reads them all for changed bytes.

    A file that was written since the last sealing (a moment, unless a crash came between) has no sum yet and is passed over.
    """
    try:
        sums = _read(files)
    except ValueError:
        yield Flaw(SUMS, "its own bytes have been changed; remove it, and the next cycle that writes the table makes it anew")
        return
    sizes = {found.name: found.size for found in files.list()}
    for name, (size, digest) in sorted(sums.items()):
        if name not in sizes:
            yield Flaw(name, "it is missing")
        elif sizes[name] != size:
            yield Flaw(name, f"it has {sizes[name]} bytes, {size} were written")
        elif deep and digest_of(files.get(name)) != digest:
            yield Flaw(name, "its bytes have been changed")


def _read(files: Files) -> dict[str, Any]:
    """The sums as they were kept; empty when there are none. ValueError when they were changed."""
    try:
        document = json.loads(files.get(SUMS))
        sums: dict[str, Any] = document["files"]
        is_whole = document["digest"] == _digest(sums) and files.get(SUMS) == _packed(sums)
    except FileNotFoundError:
        return {}
    except (KeyError, TypeError) as error:
        raise ValueError(str(error)) from error
    if not is_whole:
        raise ValueError("another digest")
    return sums


def _packed(sums: dict[str, Any]) -> bytes:
    return json.dumps({"digest": _digest(sums), "files": sums}, indent=0, sort_keys=True).encode()


def _digest(sums: dict[str, Any]) -> str:
    return digest_of(json.dumps(sums, sort_keys=True).encode())
