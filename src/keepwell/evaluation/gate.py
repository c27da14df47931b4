"""The gate: may a challenger take the champion's place? A pure decision over answers to the same newest rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from keepwell.evaluation.calibration import calibration_error
from keepwell.evaluation.intervals import Floats, mean_bound
from keepwell.evaluation.metrics import DECIDING, losses, unscorable
from keepwell.evaluation.slices import members
from keepwell.model import Task

if TYPE_CHECKING:
    from keepwell.settings import GateSection  # the settings library takes a tenth of a second to load


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the gate looks at: labelled rows no candidate was trained on, in time order, and everyone's answers to them.

    Parameters
    ----------
    task : "binary" or "regression".
    y : shape (n,), labels. Rows of one time stand next to each other.
    challenger : shape (n,), its answers.
    champion : shape (n,), or None for a first version. NaN where it could not answer; those rows are not compared.
    baselines : name -> shape (n,); NaN where a baseline has no answer, those rows are not compared.
    slices : n rows of text columns, or None.
    latency_ms : median time of one answer of the challenger.
    size_mb : size of its model file, megabytes (1e6 bytes).
    """

    task: Task
    y: Floats
    challenger: Floats
    champion: Floats | None = None
    baselines: Mapping[str, Floats] = field(default_factory=dict)
    slices: pl.DataFrame | None = None
    latency_ms: float | None = None
    size_mb: float | None = None


@dataclass(frozen=True)
class Check:
    """One thing the gate looked at. `value` was held against `limit`; `sentence` says it in words."""

    name: str
    passed: bool
    value: float | None
    limit: float | None
    sentence: str


@dataclass(frozen=True)
class GateDecision:
    """Passed or not, each check, and the whole in one sentence."""

    passed: bool
    checks: tuple[Check, ...]
    sentence: str


def decide(settings: GateSection, evidence: Evidence) -> GateDecision:
    """Hold a challenger against the champion, the baselines, its calibration, the slices and the budgets.

    The champion is replaced only when the challenger's loss is lower by more than `min_gain` with one-sided
    `confidence`, on the same rows, with an error that allows for autocorrelation: an equal challenger passes in
    1 - confidence of cases (simulated over a year at 0.90: 0.098, 0.106 and 0.112 at day-to-day correlation 0, 0.5 and
    0.8), an identical one never.

    Raises
    ------
    SettingInvalid : `settings.metric` is no metric.
    """
    metric = settings.metric or DECIDING[evidence.task]
    y, challenger = np.asarray(evidence.y, np.float64), np.asarray(evidence.challenger, np.float64)
    problem = unscorable(evidence.task, y, challenger)
    if problem:
        checks: tuple[Check, ...] = (Check("rows", False, float(y.size), None, f"the challenger cannot be judged: {problem}"),)
    else:
        checks = tuple(_checks(settings, evidence, metric, losses(metric, y, challenger)))
    failed = [check.sentence for check in checks if not check.passed]
    passed = not failed
    return GateDecision(passed, checks, f"Passed: {'; '.join(c.sentence for c in checks)}." if passed else f"Refused: {'; '.join(failed)}.")


def _checks(settings: GateSection, evidence: Evidence, metric: str, loss: Floats) -> Iterator[Check]:
    y = np.asarray(evidence.y, np.float64)
    if evidence.champion is None:
        yield Check("champion", True, None, None, "there is no champion yet")
    else:
        theirs = losses(metric, y, np.asarray(evidence.champion, np.float64))
        yield _better(settings, metric, loss, theirs)
        if evidence.slices is not None and settings.max_slice_loss is not None:
            yield _slices(settings, settings.max_slice_loss, metric, loss, theirs, evidence.slices)
    if settings.beat_baselines:
        for name, answers in evidence.baselines.items():
            yield _baseline(name, metric, loss, losses(metric, y, np.asarray(answers, np.float64)))
    if settings.max_calibration_error is not None and evidence.task == "binary":
        yield _calibration(settings.max_calibration_error, y, np.asarray(evidence.challenger, np.float64))
    yield from _budget("latency", evidence.latency_ms, settings.max_latency_ms, "ms for one row")
    yield from _budget("size", evidence.size_mb, settings.max_size_mb, "MB")


def _better(settings: GateSection, metric: str, loss: Floats, theirs: Floats) -> Check:
    both = np.isfinite(theirs)
    if not both.any():
        return Check("champion", True, None, None, "the champion could not answer a single row")
    loss, theirs = loss[both], theirs[both]
    # Per row, so that the needed gain and its uncertainty (it is a share of an estimated loss) are tested in one step.
    bound = mean_bound((1.0 - settings.min_gain) * theirs - loss, confidence=settings.confidence)
    ours, champion = float(loss.mean()), float(theirs.mean())
    rows = f"on {loss.size} rows" + ("" if both.all() else f" ({both.size - loss.size} the champion could not answer)")
    against = f"{metric} {ours:.4g} against the champion's {champion:.4g} {rows}"
    needed = f"at least {settings.min_gain:.1%} lower" if settings.min_gain else "lower"
    if bound > 0:
        sure = bound + settings.min_gain * champion
        by = f"{_share(champion - ours, champion)} lower, at least {_share(sure, champion)} with {settings.confidence:.0%} confidence"
        return Check("champion", True, champion - ours, settings.min_gain * champion, f"{against}: {by}")
    if np.array_equal(loss, theirs):
        found = "they are equal, and ties keep the champion"
    elif not np.isfinite(bound):
        found = "one row proves nothing"
    else:
        direction = "lower" if ours < champion else "higher"
        found = (
            f"{_share(abs(champion - ours), champion)} {direction}, but it must be {needed} "
            f"with {settings.confidence:.0%} confidence (short by {_share(-bound, champion)})"
        )
    return Check("champion", False, champion - ours, settings.min_gain * champion, f"{against}: {found}")


def _slices(settings: GateSection, limit: float, metric: str, loss: Floats, theirs: Floats, slices: pl.DataFrame) -> Check:
    """Refuse only what is proved: the confidence is shared out over the slices looked at (Bonferroni)."""
    both = np.isfinite(theirs)
    judged = [(column, value, rows[both[rows]]) for column, value, rows in members(slices)]
    judged = [part for part in judged if part[2].size >= max(settings.min_slice_rows, 2)]
    confidence = 1 - (1 - settings.confidence) / max(len(judged), 1)
    worst, failed = -np.inf, []
    for column, value, rows in judged:
        ours, champion = loss[rows], theirs[rows]
        change = float(ours.mean() - champion.mean()) / float(champion.mean()) if champion.mean() > 0 else 0.0
        worst = max(worst, change)
        if mean_bound(ours - (1 + limit) * champion, confidence=confidence) > 0:
            failed.append(f"{column} = {value} ({metric} {ours.mean():.4g} against {champion.mean():.4g} on {rows.size} rows)")
    if failed:
        return Check("slices", False, worst, limit, f"proven worse than the champion by more than {limit:.0%} on {', '.join(failed)}")
    found = f"none of {len(judged)} slices is proven worse by more than {limit:.0%}" if judged else "no slice has enough rows to decide"
    return Check("slices", True, worst if judged else None, limit, found)


def _baseline(name: str, metric: str, loss: Floats, theirs: Floats) -> Check:
    both = np.isfinite(theirs)
    if not both.any():
        return Check(f"baseline {name}", True, None, None, f"baseline {name} has no answer")
    ours, base = float(loss[both].mean()), float(theirs[both].mean())
    sentence = f"{metric} {ours:.4g} against {base:.4g} of baseline {name}"
    if ours < base:
        return Check(f"baseline {name}", True, ours, base, f"{sentence}: {_share(base - ours, base)} lower")
    by = f"{_share(ours - base, base)} higher" if ours > base else "no lower"
    return Check(f"baseline {name}", False, ours, base, f"{sentence}: {by}, and it must be lower")


def _calibration(limit: float, y: Floats, challenger: Floats) -> Check:
    error, _, _ = calibration_error(y, challenger)
    if error <= limit:
        return Check("calibration", True, error, limit, f"calibration error {error:.3f}, limit {limit:.3g}")
    return Check("calibration", False, error, limit, f"calibration error {error:.3f} is {error - limit:.3f} above its limit {limit:.3g}")


def _budget(name: str, value: float | None, limit: float | None, unit: str) -> Iterator[Check]:
    if limit is None:
        return
    if value is None or not np.isfinite(value):
        yield Check(name, False, None, limit, f"{name} was not measured, its limit is {limit:g} {unit}")
    elif value <= limit:
        yield Check(name, True, value, limit, f"{name} {value:.3g} {unit}, limit {limit:g}")
    else:
        yield Check(name, False, value, limit, f"{name} {value:.3g} {unit} is {value - limit:.3g} above its limit {limit:g}")


def _share(part: float, whole: float) -> str:
    """A difference as a share of a loss; in the loss's own unit when the whole is nothing."""
    return f"{part / whole:.1%}" if whole > 0 else f"{part:.4g}"
