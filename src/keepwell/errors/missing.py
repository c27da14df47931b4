"""What was asked for is not on record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from keepwell.errors.root import KeepwellError, listed


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


class TokenNotFound(NotFound):
    """No token has that id."""

    def __init__(self, token_id: str) -> None:
        super().__init__(f"There is no token '{token_id}'. `keepwell token list` shows them with their ids.", token_id=token_id)


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


class PersonNotFound(NotFound):
    """Nobody of that name can be told anything."""

    def __init__(self, person: str, known: Sequence[str]) -> None:
        super().__init__(
            f"'{person}' cannot be told anything: the settings have no [people.\"{person}\"] with tell. Can be told: {listed(known)}.",
            person=person,
            known=known,
        )


class NoticeNotFound(NotFound):
    """No notice has that number."""

    def __init__(self, number: int) -> None:
        super().__init__(f"There is no notice {number} that could be sent again. `keepwell notify list` shows them.", number=number)


class IncidentNotFound(NotFound):
    """No incident has that number."""

    def __init__(self, model: str, number: int) -> None:
        super().__init__(f"'{model}' has no incident {number}. `keepwell incidents` lists them.", model=model, number=number)
