"""Rows, tables, bodies or states that are not what they should be."""

from __future__ import annotations

from collections.abc import Sequence

from keepwell.errors.root import KeepwellError, listed


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


class FeatureBanned(DataError):
    """A feature has a name that the rules above the model ban."""

    headline = "A feature is banned"

    def __init__(self, features: Sequence[str]) -> None:
        super().__init__(
            f"Feature {listed(features)} is banned by the setting [rules] banned. Leave it out of `features`, or change the rule.",
            features=features,
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


class BundleInvalid(DataError):
    """A file is not an evidence bundle."""

    def __init__(self, where: object, problem: str) -> None:
        super().__init__(
            f"{where} is no evidence bundle: {problem}. `keepwell record bundle FILE` makes one.", where=str(where), problem=problem
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
