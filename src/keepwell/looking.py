"""What is known of a model: everything that can be asked of an open record, in the words that every door says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keepwell.changes import Changes
    from keepwell.diff import VersionDiff
    from keepwell.evidence import Bundle, Verdict
    from keepwell.inbox import Inbox
    from keepwell.incidents import Incident
    from keepwell.orchestration import Context, CycleRecord, Dossier
    from keepwell.readiness import Score
    from keepwell.registry import AliasChange, Version
    from keepwell.rehearsal import Policy, Rehearsal
    from keepwell.reporting import Report
    from keepwell.retraining import Pause
    from keepwell.status import Status
    from keepwell.storage import Event
    from keepwell.training import Proof, Run, StepRecord
    from keepwell.upcoming import Next, Preview
    from keepwell.why import Why


class Looking:
    """The looking half of a `Project`: nothing here changes how the model is."""

    context: Context

    @property
    def name(self) -> str:
        """The model's name."""
        return self.context.name

    def _repr_html_(self) -> str:
        return self.status()._repr_html_()

    def status(self, at: datetime | None = None) -> Status:
        """How the model is, or was at a moment, in one sentence and its facts."""
        from keepwell.status import status

        return status(self.context, at)

    def why(self, at: datetime | None = None, limit: int = 5) -> Why:
        """Since when it declines and because of what: the newest declines, and changes that cost nothing."""
        from keepwell.why import why

        return why(self.context, at, limit)

    def checkup(self, period: str = "30d", *, anew: bool = False) -> Report:
        """The written check-up of a period: as it was kept when the period ended, or made now from the record.

        Parameters
        ----------
        period : "2026-02", "2026-Q1", "2026", "2026-W07", "month" (the last one that is over), or "30d" up to the newest cycle.
        anew : make it now, with labels that came later.

        Raises
        ------
        InputInvalid : it is no period.
        """
        from keepwell.orchestration import last_cycle
        from keepwell.reporting import kept_report, make_report, period_of

        with self.context.database.read() as connection:
            newest = last_cycle(connection, self.name, "done")
        found = period_of(period, newest.as_of if newest else datetime.now(UTC))
        return (None if anew else kept_report(self.context, found.name)) or make_report(self.context, found)

    def checkups(self) -> list[Event]:
        """The check-ups that were written by themselves, oldest first."""
        from keepwell.reporting import list_reports

        return list_reports(self.context)

    def incidents(self, states: Sequence[str] = (), limit: int | None = None) -> list[Incident]:
        """Incidents, the newest first; default those that are not closed."""
        from keepwell.incidents import STATES, list_incidents

        chosen = tuple(states) or tuple(state for state in STATES if state != "closed")
        with self.context.database.read() as connection:
            return list_incidents(connection, self.name, states=chosen, limit=limit)

    def incident(self, number: int, now: datetime | None = None) -> Dossier:
        """One incident: its sentence, impact, activity, runbook, what was tried and whether it helped.

        Raises
        ------
        IncidentNotFound
        """
        from keepwell.orchestration import dossier

        return dossier(self.context, number, now or datetime.now(UTC))

    def inbox(self, who: str | None = None, at: datetime | None = None) -> Inbox:
        """What waits for a person (None: for anybody): approvals and incidents of every model in the record, quarantine, decisions."""
        from keepwell.inbox import inbox

        return inbox(self.context, who, at)

    def rounds(self, at: datetime | None = None) -> list[Status]:
        """Every model in the record, the worst first: this one in full, others as far as the record alone tells."""
        from keepwell.rounds import rounds

        return rounds(self.context, at)

    def durations(self, period: str = "quarter") -> list[dict[str, Any]]:
        """Median hours to detect, respond and repair of the incidents told in each month, quarter or year."""
        from keepwell.incidents import STATES, medians

        return medians(self.incidents(STATES), period)

    def plan(self) -> list[dict[str, Any]]:
        """How many batches a rise of the loss takes to prove with the volume and the false-alarm budget of today."""
        from keepwell.why import plan

        return plan(self.context)

    def next(self, at: datetime | None = None) -> Next:
        """What will happen by itself, when, and what holds it."""
        from keepwell.upcoming import upcoming

        return upcoming(self.context, at)

    def preview(self, at: datetime | None = None, *, build: bool = False) -> Preview:
        """What a cycle would build on what is known now, and why not; nothing is changed."""
        from keepwell.upcoming import preview

        return preview(self.context, at, asked=build)

    def rehearse(
        self,
        policies: Sequence[Policy],
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        every: timedelta | None = None,
        workers: int | None = None,
        told: Callable[[str, datetime, float], None] | None = None,
    ) -> Rehearsal:
        """Let policies live through the kept history, each in a folder that goes away; what they came to is kept until the next time.

        Parameters
        ----------
        policies : as ``keepwell.rehearsal.read_policies(["never", "bolder.toml"])`` gives them.
        told : called with (policy, moment, share of the way) after each cycle.

        Raises
        ------
        EmptyWindow : nothing is kept to live through.
        SettingInvalid : a policy holds a value that cannot be.
        """
        from keepwell.rehearsal import keep, rehearse

        options: dict[str, Any] = {"told": told} if told else {}
        found = rehearse(self.context, policies, since=since, until=until, every=every, workers=workers, **options)
        keep(self.context, found, datetime.now(UTC))
        return found

    def rehearsed(self) -> tuple[datetime, Rehearsal] | None:
        """When policies were rehearsed last, and what they came to; None when they never were."""
        from keepwell.rehearsal import kept

        return kept(self.context)

    def paused(self, at: datetime | None = None) -> Pause | None:
        """The pause that is in force."""
        from keepwell.retraining import get_pause

        with self.context.database.read() as connection:
            return get_pause(connection, self.name, at or datetime.now(UTC))

    def versions(self) -> list[Version]:
        """All versions, oldest first."""
        from keepwell.registry import list_versions

        with self.context.database.read() as connection:
            return list_versions(connection, self.name)

    def aliases(self) -> dict[str, int]:
        """Alias -> version number."""
        from keepwell.registry import aliases_now

        with self.context.database.read() as connection:
            return aliases_now(connection, self.name)

    def version(self, ref: int | str) -> Version:
        """One version by number or alias.

        Raises
        ------
        VersionNotFound : there is none.
        """
        from keepwell.registry import get_version

        with self.context.database.read() as connection:
            return get_version(connection, self.name, ref)

    def card(self, ref: int | str) -> str:
        """The model card of a version, Markdown: as it was written when it was built, and of the champion what its newest check-up says."""
        from keepwell.registry import CHAMPION
        from keepwell.reporting import in_use, kept_report

        version = self.version(ref)
        card = self.context.artifacts.get(version.card).decode()
        kept = self.checkups()
        if not kept or self.aliases().get(CHAMPION) != version.number:
            return card
        report = kept_report(self.context, kept[-1].facts["period"])
        return f"{card.rstrip()}\n\n{in_use(report)}" if report is not None else card

    def serving(self, at: datetime | None = None) -> tuple[Version | None, list[AliasChange]]:
        """The version that served at a moment (default now), and the champion's whole history."""
        from keepwell.registry import CHAMPION, alias_at, get_version, list_alias_changes

        with self.context.database.read() as connection:
            changes = list_alias_changes(connection, self.name, CHAMPION)
            number = alias_at(connection, self.name, CHAMPION, at) if at else self.aliases().get(CHAMPION)
            return (get_version(connection, self.name, number) if number is not None else None), changes

    def history(
        self,
        kinds: Sequence[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
        by: str | None = None,
    ) -> list[Event]:
        """The timeline, oldest first; `by` a person, or "keepwell"."""
        from keepwell.storage import list_events

        with self.context.database.read() as connection:
            return list_events(connection, self.name, kinds=tuple(kinds), by=by, since=since, until=until, limit=limit)

    def score(self, at: datetime | None = None) -> Score:
        """The 28 points of the ML Test Score, each with its proof or the next step; now or at a moment of the model's own time."""
        from keepwell.readiness import score

        return score(self.context, at)

    def verify_record(self, head: str | None = None) -> Verdict:
        """Was any decision or act edited, removed or reordered? With `head` (PLACE:HASH, kept elsewhere): is it still on record?

        Raises
        ------
        InputInvalid : `head` cannot be read.
        """
        from keepwell.evidence import verify

        return verify(self.context, head)

    def bundle(self, file: str | Path) -> Bundle:
        """Write the evidence about the model into one zip: record, cards, lineage, proofs, readiness, and a digest of each file.

        Raises
        ------
        StorageUnavailable : the file cannot be written.
        """
        from keepwell.evidence import bundle
        from keepwell.reporting import kept_report, render

        names = [event.facts["period"] for event in self.checkups()]
        kept = {name: report for name in names if (report := kept_report(self.context, name)) is not None}
        return bundle(self.context, Path(file), {f"{name}.html": render(report, "html") for name, report in kept.items()})

    def changes(self, since: datetime | None = None, until: datetime | None = None, around: datetime | str | None = None) -> Changes:
        """Everything that changed in a span, or around a moment or the newest decline's ``"onset"``.

        Raises
        ------
        InputInvalid : the span is none, or there is no onset.
        """
        from keepwell.changes import changes

        return changes(self.context, since, until, around)

    def runs(self, limit: int | None = 50) -> list[Run]:
        """The newest builds."""
        from keepwell.training import list_runs

        with self.context.database.read() as connection:
            return list_runs(connection, self.name, limit)

    def run_steps(self, run: str) -> tuple[Run, list[StepRecord]]:
        """One build and its steps.

        Raises
        ------
        RunNotFound : there is none.
        """
        from keepwell.errors import RunNotFound
        from keepwell.training import get_run, list_steps

        with self.context.database.read() as connection:
            found = get_run(connection, self.name, run)
            if found is None:
                raise RunNotFound(run)
            return found, list_steps(connection, self.name, run)

    def diff(self, before: int | str | datetime, after: int | str | datetime) -> VersionDiff:
        """Two versions side by side: number, alias, run id, or a moment (the version that served then).

        Raises
        ------
        VersionNotFound, RunNotFound, VersionSwept
        """
        from keepwell.diff import diff

        return diff(self.context, self._kept_version(before), self._kept_version(after))

    def _kept_version(self, ref: int | str | datetime) -> Version:
        from keepwell.errors import VersionNotFound
        from keepwell.registry import refuse_swept

        if isinstance(ref, datetime):
            found, _ = self.serving(ref)
            asked = f"that served at {ref:%Y-%m-%d %H:%M}"
        elif str(ref).startswith("build-"):
            run, _ = self.run_steps(str(ref))
            found, asked = next((one for one in self.versions() if one.run == run.run), None), f"of run {run.run}"
        else:
            found, asked = self.version(ref), str(ref)
        if found is None:
            raise VersionNotFound(self.name, asked, [one.number for one in self.versions()])
        with self.context.database.read() as connection:
            refuse_swept(connection, self.name, found.number)
        return found

    def kept_versions(self) -> list[int]:
        """Numbers of the versions whose files are kept, oldest first."""
        from keepwell.registry import swept_versions

        with self.context.database.read() as connection:
            gone = swept_versions(connection, self.name)
        return [version.number for version in self.versions() if version.number not in gone]

    def proofs(self, run: str | None = None) -> list[Proof]:
        """What came of repeating runs, oldest first."""
        from keepwell.training import list_proofs

        with self.context.database.read() as connection:
            return list_proofs(connection, self.name, run)

    def cycles(self, limit: int | None = 50) -> list[CycleRecord]:
        """The newest cycles."""
        from keepwell.orchestration import list_cycles

        with self.context.database.read() as connection:
            return list_cycles(connection, self.name, limit=limit)

    def maturity(self) -> list[dict[str, Any]]:
        """Per year of prediction: how many, how many labelled, and how long labels took (median days)."""
        from keepwell.status import maturity

        return maturity(self.context)
