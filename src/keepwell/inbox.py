"""What waits for a person: versions to approve, incidents, rows set aside, decisions that a check-up asks for. Every door says this."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from keepwell.wording import count

if TYPE_CHECKING:
    from keepwell.orchestration import Context

SHOWN = 50  # in a notebook
ORDER = ("incident", "approval", "quarantine", "decision")


@dataclass(frozen=True)
class Waits:
    """One thing that waits: of which model, since when, in words; `name` says which one it is, `command` acts on it.

    There is no command where the model's project is not this one: typed here it would act on another model.
    """

    kind: str
    model: str
    name: str
    since: datetime | None
    sentence: str
    command: str

    @property
    def act(self) -> str:
        """The command, or where it is typed."""
        return self.command or f"in the project of {self.model}"


@dataclass(frozen=True)
class Inbox:
    """What waits for `who`, or for anybody (None), as of `at`; the most pressing first."""

    who: str | None
    at: datetime
    items: tuple[Waits, ...]

    @property
    def sentence(self) -> str:
        """The whole in one line."""
        whom = self.who or "anybody"
        if not self.items:
            return f"Nothing waits for {whom}"
        counts = {kind: sum(one.kind == kind for one in self.items) for kind in ORDER}
        told = [count(counts[kind], kind) for kind in ("incident", "approval") if counts[kind]]
        told += ["rows in quarantine"] if counts["quarantine"] else []
        told += [count(counts["decision"], "decision")] if counts["decision"] else []
        return f"For {whom}: {', '.join(told)}"

    def _repr_html_(self) -> str:
        from keepwell.notebook import card

        rows = [(one.kind, one.model, one.sentence, one.act) for one in self.items[:SHOWN]]
        table = [("What", "Model", "Story", "Act"), *rows] if rows else ()
        return card("watch" if rows else "well", f"{self.sentence}.", (), table)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, with the sentence; moments as ISO text."""
        items = [{**asdict(one), "since": one.since.isoformat() if one.since else None} for one in self.items]
        return {"who": self.who, "at": self.at.isoformat(), "sentence": self.sentence, "items": items}


def inbox(context: Context, who: str | None = None, at: datetime | None = None) -> Inbox:
    """Look for what waits.

    Incidents and versions of every model in the record; rows set aside and the newest check-up of this one, for those of others are
    kept in their projects.

    Parameters
    ----------
    who : a person: incidents that they own or stand in for, those that nobody owns, and versions that they have not approved yet.
    """
    now = at or datetime.now(UTC)
    found = [*_incidents(context, who, now), *_approvals(context, who), *_quarantine(context), *_decisions(context)]
    return Inbox(who, now, tuple(sorted(found, key=lambda one: (ORDER.index(one.kind), one.model != context.name, one.since or now))))


def _incidents(context: Context, who: str | None, now: datetime) -> Iterator[Waits]:
    from keepwell.incidents import list_open, words_of

    with context.database.read() as connection:
        found = list_open(connection)
    for one in found:
        if one.state_at(now) == "snoozed" or not (who is None or who in (one.owner, one.deputy) or one.owner is None):
            continue
        has = "nobody owns it" if one.owner is None else "not acknowledged" if one.acknowledged_at is None else "acknowledged"
        sentence = f"Incident {one.number}, {one.severity}, {has}: {words_of(one)}"
        act = "show" if one.acknowledged_at else "ack"
        line = f"keepwell incidents {act} {one.number}" if one.model == context.name else ""
        yield Waits("incident", one.model, str(one.number), one.told_at, sentence, line)


def _approvals(context: Context, who: str | None) -> Iterator[Waits]:
    from keepwell.deployment import approvers, list_waiting

    with context.database.read() as connection:
        for model, trial in list_waiting(connection):
            said = approvers(connection, model, trial.version)
            if who is not None and who in said:
                continue
            by = f"; {' and '.join(said)} approved it" if said else ""
            sentence = f"Version {trial.version} passed the gate and its trial and waits for a person to approve or reject it{by}"
            line = f"keepwell approve {trial.version}" if model == context.name else ""
            yield Waits("approval", model, str(trial.version), trial.since, sentence, line)


def _quarantine(context: Context) -> Iterator[Waits]:
    from keepwell.orchestration import list_quarantine

    rows = list_quarantine(context)
    if rows:
        sentence = f"{count(len(rows), 'row waits', 'rows wait')} in quarantine: let in or kept out? The newest: {rows[-1]['reason']}"
        yield Waits("quarantine", context.name, "", min(row["since"] for row in rows), sentence, "keepwell quarantine")


def _decisions(context: Context) -> Iterator[Waits]:
    """What a check-up made now would ask to decide, beyond what stands above by itself."""
    from keepwell.reporting import open_questions
    from keepwell.status import status

    standing = status(context, None)
    for line in open_questions(standing):
        yield Waits("decision", context.name, "", standing.checked, line, "keepwell checkup")
