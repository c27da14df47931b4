"""The profile of a table: what its columns hold, per batch and slice, as numbers that add up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from keepwell.errors import ProfilesDiffer, SliceNotFound
from keepwell.profiling.columns import NO_TIME, Column, Segment, sum_columns
from keepwell.profiling.packing import pack, unpack
from keepwell.profiling.rulers import Counts
from keepwell.profiling.words import describe, profile_markdown, profile_table


@dataclass(frozen=True, kw_only=True, eq=False)
class Profile:
    """What a table holds.

    Parameters
    ----------
    time, every, by : the time column, the span of a batch, the column that makes slices; None where there is none.
    segments : ascending (batch, slice) pairs that have rows.
    rows : shape (segments,).
    columns : name -> `Column`, in the table's order.
    """

    time: str | None
    every: str
    by: str | None
    segments: tuple[Segment, ...]
    rows: Counts
    columns: Mapping[str, Column]

    @property
    def height(self) -> int:
        """How many rows were profiled."""
        return int(self.rows.sum())

    @property
    def slices(self) -> tuple[str, ...]:
        """The slices that have rows, ascending; `fine` of each column stands in this order."""
        return tuple(sorted({name for _, name in self.segments}))

    @property
    def batches(self) -> tuple[str, ...]:
        """The batches that have rows and a time, ascending: their first moments, UTC."""
        return tuple(sorted({batch for batch, _ in self.segments} - {NO_TIME}))

    def slice(self, name: str) -> Profile:
        """The profile of one slice."""
        slices = self.slices
        if self.by is None or name not in slices:
            raise SliceNotFound(name, self.by, slices if self.by else ())
        places = [place for place, (_, one) in enumerate(self.segments) if one == name]
        kept = tuple((self.segments[place][0], "") for place in places)
        columns = {key: column.part(places, [slices.index(name)]) for key, column in self.columns.items()}
        return replace(self, by=None, segments=kept, rows=self.rows[places], columns=columns)

    def only(self, names: Sequence[str]) -> Profile:
        """The profile of these columns; a name that it does not have is left out."""
        return replace(self, columns={name: column for name, column in self.columns.items() if name in names})

    def merge(self, *others: Profile) -> Profile:
        """This profile and others as one: the same as if all rows had been profiled together.

        Raises
        ------
        ProfilesDiffer : when they were not measured with the same rulers.
        """
        return merge_profiles([self, *others])

    def __add__(self, other: Profile) -> Profile:
        """Two as one."""
        return merge_profiles([self, other]) if isinstance(other, Profile) else NotImplemented

    def to_bytes(self) -> bytes:
        """As bytes to be kept: a plain, versioned format (see `profile_bytes`)."""
        facts = {"time": self.time, "every": self.every, "by": self.by, "segments": self.segments}
        return pack(facts, self.rows, self.columns)

    @classmethod
    def from_bytes(cls, content: bytes) -> Profile:
        """The profile that `to_bytes` wrote; `ProfileInvalid` for anything else."""
        facts, rows, columns = unpack(content)
        segments = tuple((str(batch), str(name)) for batch, name in facts.pop("segments"))
        return cls(segments=segments, rows=rows, columns=columns, **facts)

    def as_dict(self) -> dict[str, Any]:
        """The numbers of each column over all batches, as JSON has them."""
        return {
            "rows": self.height,
            "time": self.time,
            "every": self.every if self.time else None,
            "by": self.by,
            "batches": {"count": len(self.batches), "first": min(self.batches, default=None), "last": max(self.batches, default=None)},
            "slices": list(self.slices) if self.by else [],
            "columns": [describe(name, column) for name, column in self.columns.items()],
        }

    def as_markdown(self) -> str:
        """A table of the columns."""
        return profile_markdown(self.as_dict())

    def __rich__(self) -> Any:
        """A table for the terminal."""
        return profile_table(self.as_dict())


def merge_profiles(profiles: Iterable[Profile]) -> Profile:
    """Add profiles up."""
    parts = list(profiles)
    first = parts[0]
    for other in parts[1:]:
        _check_alike(first, other)
    names = list(dict.fromkeys(name for part in parts for name in part.columns))
    for part in parts:
        if list(part.columns) != names and set(part.columns) != set(names):
            raise ProfilesDiffer(f"one has the columns {', '.join(part.columns) or 'none'}, another {', '.join(first.columns) or 'none'}")
    segments = tuple(sorted(set().union(*(part.segments for part in parts))))
    slices = tuple(sorted({name for _, name in segments}))
    places = [_places(segments, part.segments) for part in parts]
    layers = [_places(slices, part.slices) for part in parts]
    rows = np.zeros(len(segments), dtype=np.int64)
    for part, place in zip(parts, places, strict=True):
        rows[place] += part.rows
    columns = {name: sum_columns([part.columns[name] for part in parts], places, layers, len(segments), len(slices)) for name in names}
    return replace(first, segments=segments, rows=rows, columns=columns)


def _places(whole: Sequence[Any], part: Sequence[Any]) -> Counts:
    where = {key: place for place, key in enumerate(whole)}
    return np.array([where[key] for key in part], dtype=np.int64)


def _check_alike(one: Profile, other: Profile) -> None:
    for name in ("time", "every", "by"):
        if getattr(one, name) != getattr(other, name):
            raise ProfilesDiffer(f"'{name}' is {getattr(one, name)!r} in one and {getattr(other, name)!r} in the other")
    for name in one.columns.keys() & other.columns.keys():
        if (one.columns[name].kind, one.columns[name].ruler) != (other.columns[name].kind, other.columns[name].ruler):
            raise ProfilesDiffer(f"column '{name}' was measured with another ruler")
