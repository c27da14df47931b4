"""A store, a source or a process that does not do its part."""

from __future__ import annotations

from keepwell.errors.root import KeepwellError


class BackendError(KeepwellError):
    """Something outside Keepwell failed; the record is as it was before."""

    status = 503
    headline = "A backend failed"


class SourceUnavailable(BackendError, ConnectionError):
    """A source did not answer, also after retries."""

    def __init__(self, source: str, problem: str, tries: int) -> None:
        super().__init__(
            f"Source {source} failed {tries} times, last: {problem}. The cursor did not move; the next cycle asks again.",
            source=source,
            problem=problem,
            tries=tries,
        )


class StorageUnavailable(BackendError, OSError):
    """The database, a table or the artifact store cannot be reached or written."""

    def __init__(self, what: str, problem: str) -> None:
        super().__init__(
            f"Storage {what} cannot be used: {problem}. Nothing already kept is lost; `keepwell doctor` says more.",
            what=what,
            problem=problem,
        )


class ArtifactCorrupt(BackendError):
    """An artifact's bytes do not have the digest they were kept under."""

    def __init__(self, digest: str, found: str) -> None:
        super().__init__(
            f"Artifact {digest[:12]} has been changed on disk (its bytes now have digest {found[:12]}). Restore it from a backup.",
            digest=digest,
            found=found,
        )


class ArtifactMissing(BackendError, FileNotFoundError):
    """An artifact that the record names is not in the store."""

    def __init__(self, digest: str, where: str) -> None:
        super().__init__(f"Artifact {digest[:12]} is not in {where}. Restore it from a backup.", digest=digest, where=where)


class JournalCorrupt(BackendError):
    """Acknowledged bytes of the prediction journal are not what was written."""

    def __init__(self, segment: str, path: object, at_byte: int, whole: int) -> None:
        super().__init__(
            f"Journal segment {segment} has been changed on disk at byte {at_byte}; the {whole} records before it are whole. "
            f"Nothing of it was shipped. Restore {path} from a backup, or move it out of that folder to give it up.",
            segment=segment,
            path=str(path),
            at_byte=at_byte,
            whole=whole,
        )


class SchemaTooNew(BackendError):
    """The record was written by a newer Keepwell."""

    def __init__(self, found: str, known: str) -> None:
        super().__init__(
            f"The record is at schema {found}, this Keepwell knows up to {known}. Install a newer Keepwell; nothing was changed.",
            found=found,
            known=known,
        )


class NotReady(BackendError):
    """The server runs, but no version is loaded that could answer."""

    headline = "The model cannot answer yet"

    def __init__(self, model: str, reason: str) -> None:
        super().__init__(
            f"Model '{model}' cannot answer: {reason}. `keepwell versions` lists its versions, `keepwell promote N` makes one champion.",
            model=model,
            reason=reason,
        )


class DataStale(BackendError):
    """A request named an entity whose newest observation is older than the settings allow."""

    headline = "The data is too old"

    def __init__(self, entity: str, newest: str, limit_days: float) -> None:
        super().__init__(
            f"The newest observation of '{entity[:50]}' is of {newest}, and data older than {limit_days:g} days is not answered from. "
            'Gather newer ones, send its features, or set lookup.when_stale = "flag".',
            entity=entity,
            newest=newest,
            limit_days=limit_days,
        )


class AnswerTooLate(BackendError):
    """A request was not answered in time."""

    status = 504
    headline = "The answer took too long"

    def __init__(self, answer_s: float) -> None:
        super().__init__(f"There was no answer after {answer_s:g} s. Ask for less at once, or raise serve.answer_s.", answer_s=answer_s)


class TableCorrupt(BackendError):
    """Rows of a table that wait in the record are not what was written."""

    def __init__(self, table: str, commit: int) -> None:
        super().__init__(
            f"Commit {commit} of table {table} has been changed in the record. Restore it from a backup.", table=table, commit=commit
        )


class BackupCorrupt(BackendError):
    """A file of a backup or an archive is missing, or its bytes are no longer those that were kept."""

    def __init__(self, where: str, name: str, problem: str) -> None:
        super().__init__(f"{name} in {where}: {problem}. Use another backup; nothing was changed.", where=where, name=name, problem=problem)
