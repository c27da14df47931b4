"""`verify`: is the record still what was written? In one sentence, with the first changed row of each chain."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from keepwell.errors import InputInvalid
from keepwell.storage import Break, Chain, hash_at, walk

if TYPE_CHECKING:
    from keepwell.orchestration import Context

# What each chain holds, in words.
COVERED = {
    "aliases": "which version served since when, and by whom",
    "checkups": "what each check-up said",
    "contracts": "which contract was in force since when",
    "decisions": "what each cycle decided about a new version",
    "events": "the timeline: every decision and act",
    "reproductions": "proofs of repeated builds",
    "signals": "declines, notes and recoveries",
    "versions": "each version's parts, by digest",
}
# The other rows change, are counts, or have checksums of their own.
UNCOVERED = (
    "rows that change by their nature, and counts of each cycle: no chain; what people and cycles decided about them is in the timeline",
    "rows of observations, labels, predictions and the quarantine, and all files: checksums of their own, `keepwell doctor --deep`",
)


@dataclass(frozen=True)
class Verdict:
    """What a walk over all chains found; `where` is the model's record or a bundle, `problems` are those beside the chains."""

    where: str
    chains: tuple[Chain, ...]
    problems: tuple[str, ...] = ()

    @property
    def breaks(self) -> tuple[Break, ...]:
        """The first break of each broken chain."""
        return tuple(chain.broken for chain in self.chains if chain.broken)

    @property
    def is_whole(self) -> bool:
        """Was nothing changed, as far as the chains can tell?"""
        return not self.breaks and not self.problems

    @property
    def head(self) -> str:
        """The newest line of the timeline as PLACE:HASH, to be kept elsewhere."""
        return next((f"{chain.rows}:{chain.hash}" for chain in self.chains if chain.name == "events"), "")

    @property
    def sentence(self) -> str:
        """The whole in one line."""
        rows = sum(chain.rows for chain in self.chains)
        if self.is_whole:
            return f"{self.where} is whole: {rows:,} rows in {len(self.chains)} chains are as they were written"
        found = [f"{one.chain} row {one.place} ({one.kind})" for one in self.breaks] + list(self.problems)
        return f"{self.where} has been changed: {'; '.join(found)}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values, with what is covered and what is not."""
        chains = [{**asdict(chain), "holds": COVERED.get(chain.name, "")} for chain in self.chains]
        return {
            "where": self.where,
            "is_whole": self.is_whole,
            "sentence": self.sentence,
            "head": self.head,
            "chains": chains,
            "problems": list(self.problems),
            "not_covered": list(UNCOVERED),
        }


def verify(context: Context, head: str | None = None) -> Verdict:
    """Recompute every chain of the model.

    Parameters
    ----------
    head : what `Verdict.head` said at an earlier time. Who can write the database could compute all hashes anew; nobody can
        make them end in one that was kept elsewhere.

    Raises
    ------
    InputInvalid : `head` is not PLACE:HASH.
    """
    with context.database.read() as connection:
        chains = tuple(walk(connection, context.name))
        problems: Sequence[str] = ()
        if head is not None:
            if not re.fullmatch(r"\d+:[0-9a-f]{64}", head):
                raise InputInvalid(f"'{head[:90]}' is no head", "It reads PLACE:HASH, as `keepwell record verify` said it.")
            place, digest = head.split(":")
            if int(place) and hash_at(connection, context.name, int(place)) != digest:
                problems = (f"row {place} of the timeline is not the one that was its head then: the record was rewritten",)
    return Verdict(f"The record of {context.name}", chains, tuple(problems))
