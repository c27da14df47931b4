"""What a copy of a record says about itself: a manifest of every file with its SHA-256 and size."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

FORMAT = 1
MANIFEST = "manifest.json"
Told = Callable[[int, int], None]  # (files done, files in all), for a progress bar
_DIGEST = re.compile(r"[0-9a-f]{64}")
# Everything a copy may hold. Project files begin with no dot, so that a copy can bring no .env and no record of its own.
_NAMES = re.compile(
    r"record/[a-z_]+/\d{5}\.jsonl|tables/[a-z_]+/\d{5}\.parquet|artifacts/[0-9a-f]{64}|journal/[\w.-]+\.(open|sealed)"
    r"|project/(?!\.)[^/\\\0:]+(/(?!\.)[^/\\\0:]+)*"
)


def fits(name: str) -> bool:
    """May a copy hold a file of this name?"""
    return _NAMES.fullmatch(name) is not None and ".." not in name.split("/")


@dataclass(frozen=True)
class Entry:
    """One file of a copy: its name in it, the SHA-256 of its bytes, and how many they are."""

    name: str
    digest: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """All that a copy holds.

    `schema` is the record's migration; `counts` the rows of each SQL table and of each versioned table; `secrets` the
    settings that were left out; `damaged` the files that could not be copied, with the reason.
    """

    model: str
    made_at: datetime
    keepwell: str
    schema: str
    counts: dict[str, int]
    secrets: tuple[str, ...]
    damaged: dict[str, str]
    entries: tuple[Entry, ...]
    format: int = FORMAT

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.entries)

    def under(self, folder: str) -> list[Entry]:
        """The files below a folder, in order of name."""
        return sorted((entry for entry in self.entries if entry.name.startswith(f"{folder}/")), key=lambda entry: entry.name)

    def to_bytes(self) -> bytes:
        """As it is kept: JSON."""
        return json.dumps({**asdict(self), "made_at": self.made_at.isoformat()}, indent=1, sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Manifest:
        """Read one; ValueError says why it is none."""
        try:
            document: dict[str, Any] = json.loads(content)
            if document["format"] != FORMAT:
                raise ValueError(f"it has format {document['format']}, this Keepwell reads {FORMAT}")
            entries = tuple(Entry(str(one["name"]), str(one["digest"]), int(one["size"])) for one in document.pop("entries"))
            made_at = datetime.fromisoformat(document.pop("made_at"))
            manifest = cls(**{**document, "entries": entries, "made_at": made_at, "secrets": tuple(document["secrets"])})
        except (KeyError, TypeError, UnicodeDecodeError) as error:
            raise ValueError(f"it is no manifest ({error})") from error
        manifest._refuse_strange_names()
        return manifest

    def _refuse_strange_names(self) -> None:
        names = [entry.name for entry in self.entries]
        if len(set(names)) != len(names):
            raise ValueError("it names a file twice")
        for entry in self.entries:
            if not fits(entry.name):
                raise ValueError(f"it holds a file that does not belong there: {entry.name[:100]!r}")
            if not _DIGEST.fullmatch(entry.digest) or entry.size < 0:
                raise ValueError(f"what it says about {entry.name} is impossible")


@dataclass(frozen=True)
class Copy:
    """A copy that can be read: where it is, its manifest, and how to get a file's bytes, whole or not at all."""

    where: str
    manifest: Manifest
    read: Callable[[Entry], bytes]

    def record(self) -> dict[str, list[dict[str, Any]]]:
        """The rows of each SQL table."""
        found: dict[str, list[dict[str, Any]]] = {}
        for entry in self.manifest.under("record"):
            found.setdefault(entry.name.split("/")[1], []).extend(map(json.loads, self.read(entry).decode().splitlines()))
        return found


@dataclass(frozen=True)
class Restored:
    """What a restore did; `aside` is where the files it replaced are now, `verified` what was proved, in words."""

    folder: str
    model: str
    files: int
    size: int
    counts: dict[str, int]
    secrets: tuple[str, ...]
    verified: tuple[str, ...] = ()
    aside: str | None = None


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `state` is "ok", "note" or "wrong", `cure` says what to do (empty when nothing is)."""

    about: str
    state: str
    message: str
    cure: str = ""


@dataclass(frozen=True)
class Freed:
    """What a clean-up removed, or would remove: bytes and files by class, and versions with the rule each went by."""

    dry_run: bool
    bytes: dict[str, int] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    versions: dict[int, str] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Bytes in all."""
        return sum(self.bytes.values())
