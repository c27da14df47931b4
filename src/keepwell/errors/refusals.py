"""An act that is not done, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from keepwell.errors.root import KeepwellError, listed


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


class ApprovalRefused(Refused):
    """A person's word on a version does not count, or not any more."""

    headline = "That word does not count"

    def __init__(self, model: str, version: int, reason: str) -> None:
        super().__init__(
            f"Version {version} of '{model}' was not approved or rejected: {reason}. `keepwell history` tells what became of it.",
            model=model,
            version=version,
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


class RoleRefused(Refused, PermissionError):
    """A role does not allow an act."""

    status = 403
    headline = "That needs another role"

    def __init__(self, who: str, role: str, act: str, needs: str) -> None:
        super().__init__(
            f"{who} may not {act}: that needs the role {needs}, and {who} has {role}. An admin can give a role: `keepwell token create`, "
            "or `role` of the person in the settings.",
            who=who,
            role=role,
            act=act,
            needs=needs,
        )


class LimitReached(Refused):
    """A token has sent as many requests as it may."""

    status = 429
    headline = "Too many requests"

    def __init__(self, per_minute: int, wait_s: float) -> None:
        super().__init__(
            f"This token may send {per_minute} requests a minute. Come again in {wait_s:.0f} s.",
            per_minute=per_minute,
            wait_s=wait_s,
        )
        self.wait_s = wait_s


class RestoreRefused(Refused):
    """A restore would overwrite something."""

    def __init__(self, where: str, found: str, cure: str) -> None:
        super().__init__(f"Nothing was restored to {where}: {found}. {cure}", where=where, found=found, cure=cure)


class KeepingBusy(Refused):
    """Another backup or clean-up of the same project is at work."""

    def __init__(self, folder: object, act: str) -> None:
        super().__init__(f"Cannot {act} {folder}: another backup or clean-up is at work there. Wait for it.", folder=str(folder), act=act)


class FormRefused(Refused):
    """A form did not come from a page that this server made for this browser."""

    status = 403
    headline = "The form was not accepted"

    def __init__(self, reason: str) -> None:
        super().__init__(f"Nothing was changed: {reason}. Open the page again and send it from there.", reason=reason)


class ActOvertaken(Refused):
    """Somebody else acted between the page that showed the difference and the form that agreed to it."""

    headline = "Somebody else was faster"

    def __init__(self, model: str, seen: str, now: str) -> None:
        super().__init__(
            f"Nothing was changed: the champion of '{model}' is version {now} now, and was version {seen} on the page that you agreed to. "
            "Look at the difference again.",
            model=model,
            seen=seen,
            now=now,
        )


class CycleOvertaken(Refused):
    """A cycle ran between the page that showed what would be built and the form that agreed to it."""

    headline = "A cycle came in between"

    def __init__(self, model: str, cycle: str) -> None:
        super().__init__(
            f"Nothing was begun: cycle {cycle} of '{model}' ran after the page that you agreed to. Look at what would be built again.",
            model=model,
            cycle=cycle,
        )


class IncidentRefused(Refused):
    """An act does not fit how an incident is."""

    def __init__(self, number: int, act: str, reason: str) -> None:
        super().__init__(
            f"Cannot {act} incident {number}: {reason}. `keepwell incidents show {number}` tells how it is.",
            number=number,
            act=act,
            reason=reason,
        )


class IncidentChanged(Refused):
    """Somebody changed an incident between looking and acting; their change stands."""

    headline = "Somebody was faster"

    def __init__(self, number: int, expected: int, found: int) -> None:
        super().__init__(
            f"Incident {number} is at revision {found}, and this rests on revision {expected}. "
            f"Look at it with `keepwell incidents show {number}`, then act again.",
            number=number,
            expected=expected,
            found=found,
        )
