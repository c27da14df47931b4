"""Two versions of a model side by side: what they were made of and trained on, how they scored, and how their answers differ."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from keepwell.comparison import (
    AnswerChange,
    Difference,
    answer_change,
    code_differences,
    frame_differences,
    package_differences,
    setting_differences,
)
from keepwell.errors import KeepwellError
from keepwell.ingestion import key_of, to_kind, to_polars
from keepwell.profiling import LISTED_HEAD, ColumnComparison, compare, listed_fields, markdown_table, profile
from keepwell.training import Code, from_bytes, lock_of, needed_packages, unpin

if TYPE_CHECKING:
    from keepwell.orchestration import Context
    from keepwell.registry import Version

GROUPS = ("code", "setting", "seed", "package", "contract", "data")


SHOWN = 20  # differences in a notebook


@dataclass(frozen=True)
class VersionDiff:
    """`before` and `after` are version numbers. `metrics` holds (name, before, after), each on its own held-out days; `answers` is how
    the answers to the same rows changed, the newest held-out ones of `after`; `silent` says why there are none. `distributions` are the
    features whose values lie otherwise in the training sets, the one that moved most first; `evidence` says what that rests on, and
    nothing where the sets are the same.
    """

    before: int
    after: int
    differences: tuple[Difference, ...]
    metrics: tuple[tuple[str, float | None, float | None], ...]
    slices: tuple[tuple[str, float | None, float | None], ...]
    answers: AnswerChange | None
    silent: str | None
    distributions: tuple[ColumnComparison, ...] = ()
    evidence: str = ""

    @property
    def sentence(self) -> str:
        """The whole in one line."""
        kinds = [kind for kind in GROUPS if any(one.kind == kind for one in self.differences)]
        made = f"differ in {', '.join(kinds)}" if kinds else "are made of the same"
        told = "nothing differs" if not kinds and self.answers and not self.answers.changed else made
        said = f"; {self.answers.sentence}" if self.answers else ""
        return f"Versions {self.before} and {self.after}: {told}{said}"

    @property
    def distributed(self) -> str:
        """How many features differ in distribution, and what that rests on; nothing where the training sets are the same."""
        n = len(self.distributions)
        many = f"{n or 'No'} feature{'s differ' if n > 1 else ' differs'}"
        return f"{many} in distribution between the training sets. {self.evidence}" if self.evidence else ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values; each difference with its sentence."""
        plain = asdict(self)
        plain["differences"] = [{**asdict(one), "sentence": one.sentence} for one in self.differences]
        return {**plain, "sentence": self.sentence}

    def _repr_html_(self) -> str:
        from keepwell.notebook import card

        made = [(one.kind, one.sentence) for one in self.differences[:SHOWN]]
        more = [("and", f"{len(self.differences) - SHOWN} more differences")] if len(self.differences) > SHOWN else []
        scores = [(name, _number(old), _number(new)) for name, old, new in self.metrics]
        return card("", f"{self.sentence}.", [*made, *more], [("Metric", str(self.before), str(self.after)), *scores])

    def as_markdown(self) -> str:
        """For a pull request."""
        lines = [f"### {self.sentence}", ""]
        if self.metrics:
            lines += ["| Metric | Before | After |", "| --- | --: | --: |"]
            lines += [f"| {name} | {_number(old)} | {_number(new)} |" for name, old, new in (*self.metrics, *self.slices)]
            lines += ["", "Each on its own held-out days.", ""]
        for one in self.differences:
            lines.append(f"- {one.sentence}")
            if one.kind == "code" and one.detail:
                lines += ["", "  <details><summary>lines</summary>", "", "  ```diff"]
                lines += [f"  {line}" for line in one.detail.splitlines()] + ["  ```", "", "  </details>", ""]
        if self.distributed:
            lines += ["", f"{self.distributed}."]
        if self.distributions:
            lines += ["", *markdown_table(LISTED_HEAD, map(listed_fields, self.distributions), texts=2)]
        if self.answers and self.answers.slices:
            lines += ["", "| Slice | Rows | Changed | Mean size |", "| --- | --: | --: | --: |"]
            lines += [f"| {name} | {n} | {share:.0%} | {mean:.3g} |" for name, n, share, mean in self.answers.slices]
        if self.silent:
            lines += ["", self.silent]
        return "\n".join(lines) + "\n"


def diff(context: Context, old: Version, new: Version) -> VersionDiff:
    """Compare two versions whose files are kept."""
    artifacts = context.artifacts
    codes = [Code.get(artifacts, one.code).files() for one in (old, new)]
    settings = [json.loads(artifacts.get(one.settings)) for one in (old, new)]
    locks = [lock_of(artifacts.get(one.environment)) for one in (old, new)]
    needed = set().union(*(needed_packages(files) for files in codes))
    packages = [{name: version for name, version in lock.items() if name in needed} for lock in locks]
    frames = [from_bytes(artifacts.get(one.training_set)) for one in (old, new)]
    key = key_of(context.outline.entity, context.outline.time)
    answers, silent = _answers(context, old, new, frames[1])
    distributions, evidence = _distributions(frames[0], frames[1], key) if old.training_set != new.training_set else ((), "")
    return VersionDiff(
        old.number,
        new.number,
        (
            *code_differences(codes[0], codes[1]),
            *setting_differences(*settings),
            *package_differences(*packages),
            *_contract(context, old, new),
            *frame_differences(frames[0], frames[1], key),
        ),
        tuple((name, _value(old.facts["metrics"], name), _value(new.facts["metrics"], name)) for name in new.facts["metrics"]),
        _slices(old, new, context.metric),
        answers,
        silent,
        distributions,
        evidence,
    )


def _distributions(before: pl.DataFrame, after: pl.DataFrame, key: Sequence[str]) -> tuple[tuple[ColumnComparison, ...], str]:
    """The features whose distribution differs between two training sets, and what that rests on; days are the evidence."""
    sides = [[name for name in rows.columns if name not in (*key, "label")] for rows in (before, after)]
    kept = profile(before, time=key[1], columns=sides[0])
    found = compare(kept, profile(after, reference=kept, columns=sides[1]))
    return tuple(one for one in found.columns if one.is_listed), found.evidence


def _contract(context: Context, old: Version, new: Version) -> list[Difference]:
    texts = [{"contract.toml": context.artifacts.get(one.contract).decode()} if one.contract else {} for one in (old, new)]
    return [
        Difference("contract", one.what, f"version {old.number}'s", f"version {new.number}'s", one.detail)
        for one in code_differences(*texts)
    ]


def _answers(context: Context, old: Version, new: Version, rows: pl.DataFrame) -> tuple[AnswerChange | None, str | None]:
    """Both versions on the rows that the newer one kept from training, each through its own features code."""
    key = list(key_of(context.outline.entity, context.outline.time))
    since = datetime.fromisoformat(new.facts["holdout_from"])
    rows = rows.filter(pl.col(key[1]) > since)
    try:
        given = [_answered(context, one, new, since, rows.select(key)) for one in (old, new)]
        slices = None
        if context.model.slices is not None:
            slices = to_polars(context.model.slices(to_kind(rows.drop("label"), context.model.frame)), "slices")
        return answer_change(given[0], given[1], slices), None
    except (KeepwellError, pl.exceptions.PolarsError) as error:
        return None, f"The two cannot be asked the same rows: {getattr(error, 'message', error)}"


def _answered(context: Context, version: Version, new: Version, since: datetime, rows: pl.DataFrame) -> np.ndarray:
    """A version's answers to rows, from the observations that the newer one was built on; NaN where it makes no row of them."""
    predictor = context.predictor(version.number)
    start = since - timedelta(days=predictor.model.lookback_days)
    made = predictor.features(unpin(context.artifacts, new.facts["pins"]["observations"], time=context.outline.time, since=start))
    answered = made.select(rows.columns).with_columns(pl.Series("answer", predictor.answer(made)))
    return rows.join(answered, on=rows.columns, how="left", maintain_order="left")["answer"].fill_null(float("nan")).to_numpy()


def _slices(old: Version, new: Version, metric: str) -> tuple[tuple[str, float | None, float | None], ...]:
    sides = [{f"{part['column']} = {part['value']}": _value(part["metrics"], metric) for part in one.facts["slices"]} for one in (old, new)]
    return tuple((f"{metric}, {name}", sides[0].get(name), value) for name, value in sides[1].items())


def _value(metrics: dict[str, Any], name: str) -> float | None:
    found: float | None = (metrics.get(name) or {}).get("value")
    return found


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
