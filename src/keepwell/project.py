"""Project: one folder with a model and its settings. Opens the stores and hands each room what it needs."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from keepwell.looking import Looking

if TYPE_CHECKING:
    from keepwell.access import Token
    from keepwell.deployment import Approval, Rehearsed, Rollout
    from keepwell.following import Followed
    from keepwell.incidents import Change, Incident
    from keepwell.keeping import Backup, Freed, Manifest, Told
    from keepwell.notifying import Notifier
    from keepwell.orchestration import Context, CycleRecord, Engine, Reproduction
    from keepwell.settings import Settings


class Project(Looking):
    """An open project folder.

    Parameters
    ----------
    folder : the folder that holds keepwell.toml.
    flags : settings that outrank file and environment, ``{"gate": {"confidence": 0.8}}``.

    Raises
    ------
    ProjectNotFound : there is no keepwell.toml.
    SettingError : a setting is unknown or impossible.
    ProjectError : the model file cannot be used.
    StorageUnavailable : a store cannot be opened.

    Examples
    --------
    >>> with Project("rain") as project:  # doctest: +SKIP
    ...     project.run()
    ...     print(project.status().sentence)
    """

    def __init__(self, folder: str | Path = ".", flags: Mapping[str, Any] | None = None) -> None:
        from keepwell.orchestration import Context

        self.folder, self.flags = Path(folder).resolve(), dict(flags or {})
        self.context: Context = Context.open(self.folder, flags)
        self.settings: Settings = self.context.settings
        self._engine: Engine | None = None
        self._reported: str | None = None  # the newest period whose check-up was seen to

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop working and close the stores."""
        from keepwell.orchestration import detach

        if self._engine is not None:
            self._engine.close()
            self._engine = None
        detach(self.context)
        self.context.database.close()

    @cached_property
    def journal_folder(self) -> Path:
        """Where acknowledged answers wait to be shipped."""
        return self.context.journal_folder

    @cached_property
    def notify(self) -> Notifier:
        """What this model has to tell people and machines, and what came of it."""
        from keepwell.notifying import Notifier

        return Notifier(self.context.database, self.name, self.settings)

    # --- the loop -----------------------------------------------------------------------------------------------------

    def engine(self) -> Engine:
        """This process's worker; started on first use. Work that a crash left unfinished goes on from then."""
        from keepwell.orchestration import Engine, attach

        if self._engine is None or not self._engine.is_open:
            attach(self.context)
            self._engine = Engine(self.context.database, self.name)
        return self._engine

    def run(self, as_of: datetime | None = None, *, build: bool = False, by: str | None = None) -> CycleRecord:
        """Run the cycle of a moment (default: now, to the second). The same moment again answers what it did.

        Parameters
        ----------
        by : who asks for it; default the user of this process.

        Raises
        ------
        CycleRefused : a later cycle has run already.
        """
        from keepwell.errors import JournalCorrupt
        from keepwell.orchestration import run_cycle
        from keepwell.storage import Event, record_event

        moment = as_of or datetime.now(UTC)
        try:
            self.ship()
        except JournalCorrupt as damage:
            # One damaged segment must not stop the care of the model: it stays where it is, and the timeline says so once.
            with self.context.database.begin() as connection:
                told = Event("journal_damaged", moment, damage.message, {"segment": str(damage.facts.get("segment"))})
                record_event(connection, self.name, f"journal/{damage.facts.get('segment')}", told)
        record = run_cycle(self.engine(), self.context, moment, build=build, by=self._by(by, "run"))
        self._report(moment)
        return record

    def _report(self, moment: datetime) -> None:
        """Write the check-up of a period that has ended; the record is asked once a period, for most cycles end none."""
        every = self.settings.report.every
        if every == "never":
            return
        from keepwell.errors import KeepwellError
        from keepwell.reporting import last_full, report_due
        from keepwell.storage import Event, record_event

        period = last_full(every, moment)
        if period.name == self._reported:
            return
        try:
            report_due(self.context, period, moment)
            self._reported = period.name
        except KeepwellError as problem:  # the cycle is done whatever becomes of its check-up, which the next cycle tries again
            with self.context.database.begin() as connection:
                told = Event("report_failed", moment, f"The check-up of {period.name} was not written: {problem.message}", {})
                record_event(connection, self.name, f"report/{period.name}/failed", told)

    def backfill(self, since: datetime, until: datetime, every: timedelta) -> Iterator[CycleRecord]:
        """Run the cycles of a span of time, oldest first; those that have run are passed over quickly.

        A kill in between loses nothing: called again it goes on where it was.
        """
        from keepwell.orchestration import last_cycle, rehearse_when_due

        with self.context.database.read() as connection:
            newest = last_cycle(connection, self.name, "done")
        moment, lived = since, None
        while moment <= until:
            if newest is None or moment > newest.as_of:
                yield self.run(moment)
                lived = moment
            moment += every
        self.flush()
        if lived is not None:
            rehearse_when_due(self.context, lived, now=lived)

    def resume(self) -> list[CycleRecord]:
        """Finish cycles that a crash left unfinished."""
        from keepwell.orchestration import resume

        return resume(self.engine(), self.context)

    def flush(self) -> int:
        """Move small commits that still wait in the record into the Delta tables. Answers rows moved."""
        return sum(table.flush() for table in self.context.tables)

    def ship(self) -> int:
        """Move closed journal segments into the ledger, exactly once. Answers how many answers."""
        from keepwell.serving import keep_journal, ship

        if not self.journal_folder.is_dir():
            return 0
        return ship(
            self.journal_folder, lambda segment, records: keep_journal(self.context.database, self.context.predictions, segment, records)
        )

    def reproduce(self, ref: int | str, *, here: bool = False) -> Reproduction:
        """Run a build's steps again outside the record, and keep what came of it.

        Parameters
        ----------
        ref : version number, alias or run id.
        here : with the folder's code and settings and the tables as they are now, instead of those that were pinned.

        Raises
        ------
        VersionNotFound, RunNotFound : there is none.
        VersionSwept, NotRepeatable : its files are gone, or were never kept.
        """
        from keepwell.orchestration import reproduce
        from keepwell.training import Proof, record_proof

        run = str(ref) if str(ref).startswith("build-") else self._kept_version(ref).run
        found = reproduce(self.context, *self.run_steps(run), here=here)
        kept = Proof(run, found.at, found.verdict, found.step, found.sentence, {"here": here, "change": found.change})
        with self.context.database.begin() as connection:
            record_proof(connection, self.name, f"{run}/{uuid.uuid4().hex}", kept)
        return found

    # --- a second copy, and what may go -------------------------------------------------------------------------------

    def backup(self, target: str | Path, *, keep: int | None = None, told: Told | None = None) -> Backup:
        """Copy everything that is kept to a folder or object store; cycles may run and a server may answer meanwhile.

        Parameters
        ----------
        keep : leave this many of the newest backups there.
        told : called with (files done, files in all).

        Raises
        ------
        KeepingBusy, StorageUnavailable
        """
        from keepwell.keeping import back_up

        return back_up(self.context, str(target), keep=keep, told=told)

    def export(self, file: str | Path, *, told: Told | None = None) -> Manifest:
        """Write the whole model with its lineage into one open archive.

        Raises
        ------
        KeepingBusy, StorageUnavailable
        """
        from keepwell.keeping import export

        return export(self.context, Path(file), told=told)

    def clean(self, *, now: datetime | None = None, dry_run: bool = False, orphans: bool = False) -> Freed:
        """Remove what the rules of ``[retention]`` let go. What a kept version needs stays.

        Raises
        ------
        KeepingBusy, StorageUnavailable
        """
        from keepwell.keeping import clean

        return clean(self.context, now=now, dry_run=dry_run, orphans=orphans)

    # --- asked and answered -----------------------------------------------------------------------------------------------

    def predictions(self, since: datetime | None = None, limit: int = 10) -> list[dict[str, Any]]:
        """The newest predictions with their labels where known, newest first."""
        from keepwell.serving import joined

        self.ship()
        rows = joined(self.context.predictions.rows(since=since), self.context.labels.rows(since=since))
        return rows.sort("time", "made_at", descending=True).head(limit).drop("inputs", "_commit", "_known", strict=False).to_dicts()

    def prediction(self, prediction_id: str) -> dict[str, Any]:
        """One kept prediction with its inputs, and its label where it is known.

        Raises
        ------
        PredictionNotFound
        """
        from keepwell.serving import find_prediction

        return find_prediction(self.context.predictions, self.context.labels, prediction_id)

    def explain(self, prediction_id: str, *, now: datetime | None = None) -> Followed:
        """Follow one prediction: what was asked, with which features, who answered what, and what came true.

        Raises
        ------
        PredictionNotFound
        """
        from keepwell.errors import PredictionNotFound
        from keepwell.following import explain

        moment = now or datetime.now(UTC)
        try:
            return explain(self.context, prediction_id, moment)
        except PredictionNotFound:
            if not self.ship():  # it may still have been in the journal
                raise
        return explain(self.context, prediction_id, moment)

    def answer(self, rows: Sequence[Mapping[str, Any]], *, entity: str = "", time: datetime | None = None) -> list[dict[str, Any]]:
        """Answer rows of features by the champion, and keep the answers. Each has its `prediction_id`.

        Parameters
        ----------
        entity, time : which row of the world they are about; without an entity only their own id names them.

        Raises
        ------
        VersionNotFound : no version serves.
        InputInvalid : a row does not fit the version's features.
        """
        from keepwell.orchestration import answer_rows

        return answer_rows(self.context, rows, entity=entity, time=time)

    # --- acts ---------------------------------------------------------------------------------------------------------

    def promote(
        self,
        ref: int | str,
        *,
        reason: str,
        override: bool = False,
        as_of: datetime | None = None,
        seen: int | None = None,
        by: str | None = None,
    ) -> Rollout:
        """Make a version champion from now on.

        Parameters
        ----------
        seen : the champion that the act rests on (0: none); when another one is champion by now, the act is refused.

        Raises
        ------
        VersionNotFound, PromotionRefused, ActOvertaken
        """
        from keepwell.orchestration import needed, promote

        who = self._by(by, "override" if override else "promote")
        moment = as_of or datetime.now(UTC)
        key = f"act/{uuid.uuid4().hex}"
        return promote(
            self.context, ref, as_of=moment, by=who, reason=reason, key=key, override=override, approvals=needed(self.context), seen=seen
        )

    def rollback(
        self,
        to: int | str | None = None,
        *,
        reason: str,
        as_of: datetime | None = None,
        override: bool = False,
        seen: int | None = None,
        by: str | None = None,
    ) -> Rollout:
        """Go back to the previous champion: model, features code and contract together. It is rehearsed first, unless it was today.

        Parameters
        ----------
        override : go back even though the rehearsal fails.
        seen : the champion that the act rests on (0: none); when another one is champion by now, the act is refused.

        Raises
        ------
        RollbackRefused, VersionNotFound, ActOvertaken
        """
        from keepwell.orchestration import rollback

        who = self._by(by, "rollback")
        moment = as_of or datetime.now(UTC)
        key = f"act/{uuid.uuid4().hex}"
        if not override and (target := self._way_back(to)) is not None:
            known = self.rollback_rehearsed(target, moment)
            if known is None or not known.passed:
                self.rehearse_rollback(target, at=moment)
        return rollback(self.context, to, as_of=moment, by=who, reason=reason, key=key, override=override, seen=seen)

    def _way_back(self, to: int | str | None) -> int | None:
        from keepwell.deployment import way_back

        if to is not None:
            return self.version(to).number
        with self.context.database.read() as connection:
            return way_back(connection, self.name)

    def rehearse_rollback(self, to: int | str | None = None, *, at: datetime | None = None) -> Rehearsed:
        """Load the version that a rollback would go to, ask it its golden rows, and take the time; kept on record.

        Raises
        ------
        RollbackRefused : there is nothing to go back to.
        VersionNotFound : there is no such version.
        """
        from keepwell.errors import RollbackRefused
        from keepwell.orchestration import rehearse

        target = self._way_back(to)
        if target is None:
            raise RollbackRefused(self.name, "there is no former champion to go back to")
        moment = at or datetime.now(UTC)
        return rehearse(self.context, target, at=moment, by=_who(), key=f"act/{uuid.uuid4().hex}")

    def rollback_rehearsed(self, number: int, at: datetime | None = None) -> Rehearsed | None:
        """A version's newest rehearsal, when it is of the last day."""
        from keepwell.orchestration import rehearsed_today

        with self.context.database.read() as connection:
            return rehearsed_today(connection, self.name, number, at or datetime.now(UTC))

    def approve(self, ref: int | str, *, comment: str = "", by: str | None = None) -> Approval:
        """Say yes to a challenger; with enough approvals, and its trial over, it becomes champion.

        Raises
        ------
        VersionNotFound, ApprovalRefused
        """
        from keepwell.orchestration import approve

        return approve(self.context, ref, by=self._by(by, "approve"), comment=comment, at=datetime.now(UTC))

    def reject(self, ref: int | str, *, comment: str = "", by: str | None = None) -> str:
        """Say no to a challenger: its trial ends, the champion stays. Answers the sentence on record.

        Raises
        ------
        VersionNotFound, ApprovalRefused
        """
        from keepwell.orchestration import reject

        return reject(self.context, ref, by=self._by(by, "approve"), comment=comment, at=datetime.now(UTC))

    def trials(self) -> list[dict[str, Any]]:
        """Every trial, oldest first, with what it shows."""
        from keepwell.deployment import list_trials
        from keepwell.orchestration import facts_of

        with self.context.database.read() as connection:
            found = list_trials(connection, self.name)
        return [facts_of(trial) for trial in found]

    def act_on(
        self, number: int, act: str, *what: Any, by: str | None = None, revision: int | None = None, now: datetime | None = None
    ) -> Incident:
        """Act on an incident: ``ack``, ``assign`` to a name, ``comment`` with words, ``snooze`` until a moment, ``close`` with a cause,
        ``reopen`` with a reason.

        Parameters
        ----------
        by : who acts; default the user of this process.
        revision : of the incident that the act rests on; when somebody changed it since, the act is refused.

        Raises
        ------
        IncidentNotFound
        IncidentRefused : the act does not fit how the incident is, for example because somebody was faster.
        IncidentChanged : it is at another revision.
        RoleRefused : `by` is a person of the settings whose role does not allow it.
        """
        from keepwell.incidents import ACTS, absorbed, expect, get_incident, keep, list_live
        from keepwell.orchestration import around_now

        who = self._by(by, "care")
        moment = now or datetime.now(UTC)
        with self.context.database.begin() as connection:
            incident = get_incident(connection, self.name, number)
            expect(incident, revision)
            changes = [ACTS[act](incident, *what, by=who, now=moment)]
            if act == "reopen":  # another may be open for the same fault by now
                changes += absorbed(changes[0].incident, [changes[0].incident, *list_live(connection, self.name)], moment)
            keep(connection, changes, around_now(connection, self.context, moment))
            return get_incident(connection, self.name, number)

    def look(self, now: datetime | None = None) -> list[Change]:
        """Notice what should have come and did not, also when no cycle runs. Answers what changed."""
        from keepwell.orchestration import look

        return look(self.context, now or datetime.now(UTC))

    def pause(self, until: datetime | None = None, *, reason: str = "", as_of: datetime | None = None, by: str | None = None) -> str:
        """Let nothing be built, promoted or rolled back by itself, until a moment or until `end_pause`. Answers the sentence on record."""
        from keepwell.retraining import Pause, put_pause
        from keepwell.storage import Event, record_event

        moment = as_of or datetime.now(UTC)
        pause = Pause(moment, until, self._by(by, "pause"), reason)
        sentence = f"{self.name} is paused {pause}"
        facts = {"by": pause.by, "until": until.isoformat() if until else None, "reason": reason}
        with self.context.database.begin() as connection:
            put_pause(connection, self.name, pause)
            record_event(connection, self.name, f"act/{uuid.uuid4().hex}", Event("paused", moment, sentence, facts))
        return f"{sentence}."

    def end_pause(self, *, as_of: datetime | None = None, by: str | None = None) -> str:
        """Let things happen by themselves again. Answers the sentence on record."""
        from keepwell.retraining import put_pause
        from keepwell.storage import Event, record_event

        who = self._by(by, "pause")
        moment, sentence = as_of or datetime.now(UTC), f"{self.name} is no longer paused, by {who}"
        with self.context.database.begin() as connection:
            put_pause(connection, self.name, None)
            record_event(connection, self.name, f"act/{uuid.uuid4().hex}", Event("resumed", moment, sentence, {"by": who}))
        return f"{sentence}."

    def post_labels(self, items: Sequence[Mapping[str, Any]]) -> dict[str, int]:
        """Keep labels that were posted by prediction id or by (entity, time).

        Raises
        ------
        InputInvalid, PredictionNotFound
        """
        from keepwell.errors import JournalCorrupt
        from keepwell.orchestration import post_labels

        with suppress(JournalCorrupt):  # whole segments were shipped all the same; the damage is told in each cycle
            self.ship()
        return post_labels(self.context, items)

    def quarantine(self, state: str | None = "waiting") -> list[dict[str, Any]]:
        """Rows set aside, with their reasons."""
        from keepwell.orchestration import list_quarantine

        return list_quarantine(self.context, state)

    def to_decide(self, row_ids: Sequence[str]) -> list[dict[str, Any]]:
        """The quarantined rows that ``release`` or ``drop`` would be about; ``["all"]`` means every waiting one.

        Raises
        ------
        QuarantineNotFound
        """
        from keepwell.errors import QuarantineNotFound

        waiting = {row["row_id"]: row for row in self.quarantine()}
        if list(row_ids) == ["all"]:
            return list(waiting.values())
        if unknown := [row_id for row_id in row_ids if row_id not in waiting]:
            raise QuarantineNotFound(unknown[0])
        return [waiting[row_id] for row_id in dict.fromkeys(row_ids)]

    def release(self, row_ids: Sequence[str], *, by: str | None = None) -> int:
        """Let quarantined rows in after all; ``["all"]`` means every waiting one.

        Raises
        ------
        QuarantineNotFound
        """
        from keepwell.orchestration import RELEASED, decide_quarantine

        return decide_quarantine(self.context, row_ids, RELEASED, self._by(by, "quarantine"))

    def drop(self, row_ids: Sequence[str], *, by: str | None = None) -> int:
        """Decide that quarantined rows stay out for good.

        Raises
        ------
        QuarantineNotFound
        """
        from keepwell.orchestration import DROPPED, decide_quarantine

        return decide_quarantine(self.context, row_ids, DROPPED, self._by(by, "quarantine"))

    # --- who may do what ----------------------------------------------------------------------------------------------

    def _by(self, by: str | None, act: str) -> str:
        """Under which name an act is recorded; a person of the settings whose role does not allow it is refused."""
        if by is not None and (person := self.settings.people.get(by)) is not None:
            from keepwell.access import refuse_role

            refuse_role(by, person.role, act)
        return by or _who()

    def tokens(self) -> list[Token]:
        """All tokens of the record, oldest first; also those that are no longer good."""
        from keepwell.access import list_tokens

        with self.context.database.read() as connection:
            return list_tokens(connection)

    def create_token(
        self,
        owner: str,
        *,
        role: str | None = None,
        models: Sequence[str] | None = (),
        expires_at: datetime | None = None,
        per_minute: int | None = None,
        now: datetime | None = None,
    ) -> tuple[str, Token]:
        """A new token. Its secret, the first of what is answered, is kept nowhere.

        Parameters
        ----------
        owner : a person of ``[people]``, or the name of a service.
        role : default the person's; "client" for a service.
        models : which it is good for; () for this one, None for all that share the record.

        Raises
        ------
        InputInvalid : the owner may not have such a token.
        """
        from keepwell.access import add_token, checked_token

        moment = now or datetime.now(UTC)
        person = self.settings.people.get(owner)
        good_for = models if models is None else tuple(dict.fromkeys(models)) or (self.name,)
        secret, token = checked_token(
            owner, role, person.role if person else None, good_for, at=moment, by=_who(), expires_at=expires_at, per_minute=per_minute
        )
        with self.context.database.begin() as connection:
            add_token(connection, self.name, token)
        return secret, token

    def revoke_token(self, token_id: str, *, now: datetime | None = None) -> Token:
        """Let a token be good no longer; servers know it within seconds. One that was revoked before stays as it was.

        Raises
        ------
        TokenNotFound
        """
        from keepwell.access import get_token, revoke_token

        with self.context.database.begin() as connection:
            revoke_token(connection, self.name, get_token(connection, token_id), by=_who(), at=now or datetime.now(UTC))
            return get_token(connection, token_id)


def _who() -> str:
    from keepwell.storage import person

    return person()
