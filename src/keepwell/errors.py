"""Every refusal Keepwell can make, drawn as one tree.

    KeepwellError
      SettingError            SettingInvalid, SettingUnknown
      ProjectError            ProjectNotFound, ProjectExists, ExtraMissing, NameInvalid, FunctionMissing, FunctionBroken,
                              EstimatorInvalid
      DataError               SourceInvalid, SchemaMismatch, ContractBroken, LooksAhead, LookbackTooShort,
                              EmptyWindow, FrameInvalid, WatchStateInvalid, InputInvalid, BodyTooLarge, ArchiveInvalid, TableInvalid,
                              ProfileInvalid, ProfilesDiffer
      NotFound                ModelNotFound, VersionNotFound, PredictionNotFound, QuarantineNotFound, RunNotFound, RouteNotFound,
                              BackupNotFound, VersionSwept, SliceNotFound
      Refused                 PromotionRefused, RollbackRefused, CycleRefused, FormatRefused, TrustRefused, AnswersDiffer, ModelFileInvalid,
                              TokenRefused, RestoreRefused, KeepingBusy, EnvironmentMismatch, NotRepeatable
      BackendError            SourceUnavailable, StorageUnavailable, ArtifactCorrupt, ArtifactMissing, JournalCorrupt,
                              SchemaTooNew, NotReady, TableCorrupt, BackupCorrupt

A leaf takes facts, keeps them as attributes and writes the message itself: what was asked, what was found, what to do.
`status` is the HTTP answer, `headline` the bold line the command line prints first, `exit_code` the process's answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence


class KeepwellError(Exception):
    """Root of every refusal; `facts` holds what the message was built from."""

    status = 500
    headline = "Keepwell could not go on"
    exit_code = 1

    def __init__(self, message: str, **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts

    def __reduce__(self) -> tuple[object, ...]:
        """Leaves are built from facts, so a copy that crosses a process is made from the message instead."""
        return _revive, (type(self), self.message, self.facts)

    def as_dict(self) -> dict[str, object]:
        """The same words at every door: REST returns this, `--json` prints it."""
        return {
            "error": type(self).__name__,
            "headline": self.headline,
            "message": self.message,
            "facts": {name: _plain(value) for name, value in self.facts.items()},
        }


def _revive(leaf: type[KeepwellError], message: str, facts: dict[str, object]) -> KeepwellError:
    error = leaf.__new__(leaf)
    KeepwellError.__init__(error, message, **facts)
    return error


def _plain(value: object) -> object:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, Iterable):
        return [_plain(v) for v in value]
    return str(value)


def listed(names: Iterable[object], none: str = "none") -> str:
    """`a, b, c`, or a word for the empty list."""
    return ", ".join(str(name) for name in names) or none


# --- settings ---------------------------------------------------------------------------------------------------------


class SettingError(KeepwellError, ValueError):
    """A setting is missing, unknown or impossible."""

    status = 422
    headline = "A setting is wrong"
    exit_code = 2


class SettingInvalid(SettingError):
    """A setting has a value it cannot have."""

    def __init__(self, setting: str, found: object, problem: str, where: str) -> None:
        super().__init__(
            f"Setting '{setting}' in {where} is {found!r}: {problem}. `keepwell config explain {setting}` says what it may be.",
            setting=setting,
            found=found,
            problem=problem,
            where=where,
        )


class SettingUnknown(SettingError):
    """A setting does not exist; the nearest name is offered."""

    def __init__(self, setting: str, nearest: str | None, where: str) -> None:
        hint = f"Did you mean '{nearest}'?" if nearest else "`keepwell config explain` lists all settings."
        super().__init__(f"There is no setting '{setting}' (found in {where}). {hint}", setting=setting, nearest=nearest, where=where)


# --- project ----------------------------------------------------------------------------------------------------------


class ProjectError(KeepwellError):
    """The project folder or the scientist's file cannot be used as it is."""

    status = 422
    headline = "The project is not right yet"
    exit_code = 2


class ProjectNotFound(ProjectError, FileNotFoundError):
    """No keepwell.toml where one was expected."""

    status = 404

    def __init__(self, folder: object) -> None:
        super().__init__(
            f"No keepwell.toml in {folder}. Make a project with `keepwell init NAME`, or name its folder with `--project DIR`.",
            folder=folder,
        )


class ProjectExists(ProjectError, FileExistsError):
    """`init` would overwrite files."""

    status = 409

    def __init__(self, folder: object, files: Sequence[str]) -> None:
        super().__init__(
            f"{folder} already holds {listed(files)}. Choose another name or remove them first; nothing was written.",
            folder=folder,
            files=files,
        )


class ExtraMissing(ProjectError, ImportError):
    """Something was asked whose packages are not installed."""

    def __init__(self, extra: str, what: str) -> None:
        super().__init__(f"{what} need packages that are not installed: `pip install 'keepwell[{extra}]'`.", extra=extra)


class NameInvalid(ProjectError, ValueError):
    """A name that a model cannot have: it becomes part of paths, addresses and commands."""

    def __init__(self, name: str, where: object) -> None:
        super().__init__(
            f"'{name}' in {where} cannot be a model's name: lower case letters, digits and dashes, a letter first, such as 'rain-berlin'.",
            name=name,
            where=where,
        )


class FunctionMissing(ProjectError):
    """The model file lacks one of the four functions."""

    def __init__(self, file: object, function: str, found: Iterable[str]) -> None:
        super().__init__(
            f"{file} must give the model a function '{function}'; it gives {listed(found)}. "
            "A model needs gather, features, label and train.",
            file=file,
            function=function,
            found=list(found),
        )


class FunctionBroken(ProjectError):
    """One of the four functions raised, or returned something that cannot be used."""

    def __init__(self, function: str, problem: str, hint: str = "") -> None:
        super().__init__(f"Function '{function}' {problem}.{' ' + hint if hint else ''}", function=function, problem=problem)


class EstimatorInvalid(ProjectError, TypeError):
    """`train` returned something that cannot answer."""

    def __init__(self, found: str, missing: str) -> None:
        super().__init__(
            f"Function 'train' returned {found}, which has no '{missing}'. Return an estimator with the scikit-learn predict API.",
            found=found,
            missing=missing,
        )


# --- data -------------------------------------------------------------------------------------------------------------


class DataError(KeepwellError, ValueError):
    """Data came in a shape that cannot be used; nothing of it was kept as good."""

    status = 422
    headline = "The data is not right"


class SourceInvalid(DataError):
    """A source answered, but not with what was asked."""

    def __init__(self, source: str, problem: str, hint: str) -> None:
        super().__init__(f"Source {source} {problem}. {hint}", source=source, problem=problem)


class SchemaMismatch(DataError):
    """A frame lacks columns, or has a type that was not promised."""

    def __init__(self, what: str, missing: Sequence[str], found: Sequence[str], hint: str = "") -> None:
        super().__init__(
            f"{what} lacks {listed(missing)}; it has {listed(found)}.{' ' + hint if hint else ''}",
            what=what,
            missing=missing,
            found=found,
        )


class ContractBroken(DataError):
    """The contract's strictness is 'stop' and the batch breaks it."""

    headline = "The data breaks its contract"

    def __init__(self, findings: Sequence[str]) -> None:
        super().__init__(
            f"The batch breaks the contract and strictness is 'stop', so nothing of it was kept: {'; '.join(findings)}. "
            "Mend the source, or review contract.toml.",
            findings=findings,
        )


class LooksAhead(DataError):
    """A feature's value for time t changes when later rows are known."""

    headline = "A feature looks ahead"

    def __init__(self, columns: Sequence[str], example: str) -> None:
        super().__init__(
            f"Feature {listed(columns)} looks ahead: {example}. "
            "A row may only use observations up to its own time (shift by +n, not -n; no centred windows; no whole-column means).",
            columns=columns,
            example=example,
        )


class LookbackTooShort(DataError):
    """A feature needs more history than the model declares."""

    headline = "The declared look-back is too short"

    def __init__(self, columns: Sequence[str], lookback_days: float, example: str) -> None:
        super().__init__(
            f"Feature {listed(columns)} needs more history than lookback_days={lookback_days:g}: {example}. "
            "Raise lookback_days in Model(...).",
            columns=columns,
            lookback_days=lookback_days,
            example=example,
        )


class EmptyWindow(DataError):
    """There are too few rows to answer."""

    def __init__(self, what: str, found: int, needed: int) -> None:
        super().__init__(
            f"{what} has {found} rows, {needed} are needed. Gather more (`keepwell backfill`), or lower the limit in keepwell.toml.",
            what=what,
            found=found,
            needed=needed,
        )


class FrameInvalid(DataError):
    """A frame given to watch a model does not fit its reference; nothing of it was taken in."""

    def __init__(self, about: str, problem: str, hint: str) -> None:
        super().__init__(f"The {about} cannot be used: {problem}. {hint}", about=about, problem=problem)


class WatchStateInvalid(DataError):
    """Bytes that are not the state of a watch."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"These bytes are no state of a watch: {problem}. `Watch.state()` gives them.", problem=problem)


class InputInvalid(DataError):
    """A request's row does not fit the model's signature."""

    headline = "The request does not fit the model"

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(f"{problem}. {hint}", problem=problem)


class BodyTooLarge(DataError):
    """A request's body is larger than the server reads."""

    status = 413
    headline = "The request is too large"

    def __init__(self, max_body_kb: int) -> None:
        super().__init__(
            f"The body is larger than {max_body_kb} KiB. Send fewer rows at once, or raise serve.max_body_kb.", max_body_kb=max_body_kb
        )


class ArchiveInvalid(DataError):
    """An archive is not one that `keepwell export` made, or holds what it must not."""

    def __init__(self, where: object, problem: str) -> None:
        super().__init__(
            f"{where} cannot be imported: {problem}. `keepwell export FILE` makes an archive.", where=str(where), problem=problem
        )


class TableInvalid(DataError):
    """A frame that was handed in cannot be profiled as it is."""

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(f"{problem}. {hint}", problem=problem)


class ProfileInvalid(DataError):
    """Bytes that are not a profile, or one of a newer version."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"These bytes are not a profile that can be read: {problem}. `Profile.to_bytes` makes them; profile the table anew.",
            problem=problem,
        )


class ProfilesDiffer(DataError):
    """Profiles that were measured in different ways cannot be added up or compared."""

    headline = "The profiles do not fit together"

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"The profiles cannot be put together: {problem}. Make the later ones with profile(..., reference=first).", problem=problem
        )


# --- not found --------------------------------------------------------------------------------------------------------


class NotFound(KeepwellError, LookupError):
    """Something was named that the record does not hold."""

    status = 404
    headline = "Not found"


class ModelNotFound(NotFound):
    """No model of that name, or a model without a champion."""

    def __init__(self, model: str, known: Iterable[str], problem: str = "is not known here") -> None:
        super().__init__(f"Model '{model}' {problem}. Known: {listed(known)}.", model=model, known=list(known))


class VersionNotFound(NotFound):
    """No such version or alias."""

    def __init__(self, model: str, asked: object, versions: Sequence[int]) -> None:
        super().__init__(
            f"Model '{model}' has no version or alias '{asked}'. Versions: {listed(versions)}. "
            "Build one with `keepwell run --build`, list them with `keepwell versions`.",
            model=model,
            asked=asked,
            versions=versions,
        )


class PredictionNotFound(NotFound):
    """No kept prediction has that id."""

    def __init__(self, prediction_id: str) -> None:
        super().__init__(
            f"No prediction '{prediction_id}' is kept. Ids are in each answer; `keepwell predict` shows the latest.",
            prediction_id=prediction_id,
        )


class QuarantineNotFound(NotFound):
    """No waiting quarantined row has that id."""

    def __init__(self, row_id: str) -> None:
        super().__init__(f"No row '{row_id}' waits in quarantine. `keepwell quarantine list` shows those that do.", row_id=row_id)


class RunNotFound(NotFound):
    """No run has that id."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"No run '{run_id}' is recorded. `keepwell runs` lists them.", run_id=run_id)


class RouteNotFound(NotFound):
    """The server has no such address."""

    def __init__(self, method: str, path: str) -> None:
        super().__init__(f"There is no {method} {path}. `GET /` lists all routes.", method=method, path=path)


class BackupNotFound(NotFound):
    """No complete backup where one was looked for."""

    def __init__(self, where: str, asked: str | None, known: Sequence[str]) -> None:
        what = f"backup '{asked}'" if asked else "complete backup"
        super().__init__(
            f"There is no {what} in {where}. Complete ones: {listed(known)}. `keepwell backup {where}` makes one.",
            where=where,
            asked=asked,
            known=list(known),
        )


class VersionSwept(NotFound):
    """A version's model and data were cleaned up; only its record is left."""

    status = 410
    headline = "The version's files were cleaned up"

    def __init__(self, model: str, version: int, when: object, rule: str) -> None:
        super().__init__(
            f"The files of version {version} of '{model}' were removed by `keepwell gc` on {when}: {rule}. Its card, code, settings and "
            "lineage are still there. A backup made before then has them: restore it into another folder.",
            model=model,
            version=version,
            when=str(when),
            rule=rule,
        )


class SliceNotFound(NotFound):
    """A profile has no such slice."""

    def __init__(self, name: str, by: str | None, slices: Sequence[str]) -> None:
        hint = f"Slices of '{by}': {listed(slices)}." if by else "It has no slices: profile(..., by=COLUMN) makes them."
        super().__init__(f"The profile has no slice '{name}'. {hint}", name=name, by=by, slices=list(slices))


# --- refused ----------------------------------------------------------------------------------------------------------


class Refused(KeepwellError):
    """The act was understood and declined by policy."""

    status = 409
    headline = "Refused"


class PromotionRefused(Refused):
    """A version may not become champion."""

    def __init__(self, model: str, version: int, reason: str) -> None:
        super().__init__(f"Version {version} of '{model}' was not promoted: {reason}.", model=model, version=version, reason=reason)


class RollbackRefused(Refused):
    """There is nothing safe to go back to."""

    def __init__(self, model: str, reason: str) -> None:
        super().__init__(
            f"'{model}' was not rolled back: {reason}. `keepwell versions` lists what can be promoted instead.",
            model=model,
            reason=reason,
        )


class CycleRefused(Refused):
    """A cycle cannot run for that moment."""

    def __init__(self, model: str, as_of: object, reason: str) -> None:
        super().__init__(f"No cycle of '{model}' for {as_of}: {reason}.", model=model, as_of=as_of, reason=reason)


class EnvironmentMismatch(Refused):
    """The packages here are not those a version was built with, and the deployment's settings insist on them."""

    headline = "The packages differ"

    def __init__(self, version: int, packages: Mapping[str, tuple[str | None, str | None]]) -> None:
        told = ", ".join(f"{name} {then or 'absent'} -> {here or 'absent'}" for name, (then, here) in list(packages.items())[:5])
        more = f" and {len(packages) - 5} more" if len(packages) > 5 else ""
        super().__init__(
            f"Version {version} was built with other packages: {told}{more}. Install those that its model card lists, "
            'build a new version here, or set [serve] packages = "tell".',
            version=version,
            packages=packages,
        )


class NotRepeatable(Refused):
    """A run cannot be repeated, because it did not begin a step or the record does not hold what it was made of."""

    headline = "There is nothing to repeat"

    def __init__(self, run: str, problem: str) -> None:
        super().__init__(f"Run {run} cannot be repeated: {problem}. `keepwell runs` lists the builds.", run=run, problem=problem)


class AnswersDiffer(Refused):
    """A loaded version does not answer its golden rows as it did when it was built."""

    headline = "The model does not answer as it did"

    def __init__(self, version: int, kept: str, found: str) -> None:
        super().__init__(
            f"Version {version} loads, but its answers to its golden rows have digest {found[:12]}, kept was {kept[:12]}. "
            "The packages here differ from those it was built with; install its environment (see its model card) or build a new version.",
            version=version,
            kept=kept,
            found=found,
        )


class FormatRefused(Refused, TypeError):
    """No safe format can hold this model."""

    headline = "No safe format for this model"

    def __init__(self, found: str, digest: str | None) -> None:
        allow = (
            f'To allow exactly this file, add "{digest}" to [trust] pickle in keepwell.toml.'
            if digest
            else "Use scikit-learn, LightGBM, XGBoost or ONNX."
        )
        super().__init__(
            f"Model of type {found} would have to be kept as a pickle, which can run any code when it is loaded. {allow}",
            found=found,
            digest=digest,
        )


class TrustRefused(Refused):
    """A model file holds types that the deployment does not trust."""

    headline = "The model file holds types that are not trusted"

    def __init__(self, types: Sequence[str]) -> None:
        super().__init__(
            f"The model file holds {listed(types)}, which the settings do not trust. "
            "Review them, then add their names to [trust] types in keepwell.toml.",
            types=types,
        )


class ModelFileInvalid(Refused, ValueError):
    """A model file cannot be what its format says."""

    headline = "The model file cannot be used"

    def __init__(self, kind: str, problem: str) -> None:
        super().__init__(
            f"The {kind} model file was not loaded: {problem}. Restore it from a backup, or train a new version with `keepwell run`.",
            format=kind,
            problem=problem,
        )


class TokenRefused(Refused, PermissionError):
    """A request came without the server's token."""

    status = 401
    headline = "A token is needed"

    def __init__(self, problem: str) -> None:
        super().__init__(f"The request {problem}. Send the header `Authorization: Bearer TOKEN`.", problem=problem)


class RestoreRefused(Refused):
    """A restore would overwrite something."""

    def __init__(self, where: str, found: str, cure: str) -> None:
        super().__init__(f"Nothing was restored to {where}: {found}. {cure}", where=where, found=found, cure=cure)


class KeepingBusy(Refused):
    """Another backup or clean-up of the same project is at work."""

    def __init__(self, folder: object, act: str) -> None:
        super().__init__(f"Cannot {act} {folder}: another backup or clean-up is at work there. Wait for it.", folder=str(folder), act=act)


# --- backends ---------------------------------------------------------------------------------------------------------


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
