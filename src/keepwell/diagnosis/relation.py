"""No column is broken: has the relation to the label changed, the share of labels, or who turns up?"""

from __future__ import annotations

import numpy as np

from keepwell.detection import logit, season_of, sigmoid
from keepwell.diagnosis.contrast import Contrast
from keepwell.diagnosis.records import Cause

BINS = 4
INFLATED = 1.2  # days differ in more than their rows: the statistic's variance is taken that much larger
SURELY, ALONE, BESIDE_SHIFT = 15.0, -10.0, -8.0  # of the strength, which is zero where one column in 500 would be by chance
OFFSET = 20.0  # about what was taken off the statistic
LEVEL = 0.002

Moved = tuple[str, float, str]  # a column, how far its statistic is beyond chance, and its worst region in words


def relation_of(contrast: Contrast) -> tuple[list[Moved], float, float]:
    """Test each column for errors that depend on it once a constant move is taken out, strongest first. Answers that move and its z too."""
    from scipy.stats import chi2

    case, reference = contrast.case, contrast.case.reference
    known = {"before": contrast.before, "after": contrast.after}
    sides = {name: index[np.isfinite(case.label[index])] for name, index in known.items()}
    errors, shift, z = _errors(contrast, sides)
    found = []
    for kind, columns in (("number", reference.columns.numbers), ("category", reference.columns.categories)):
        for place, column in enumerate(columns):
            if not column.is_watched or (kind == "category" and len(column.levels) < 2):
                continue  # clocks and constants
            if kind == "number":
                bins = {name: _bins(case.rows.numbers[index, place], column.knots) for name, index in sides.items()}
                words = _regions(column.knots)
            else:
                bins = {name: _level_bins(case.rows.codes[index, place]) for name, index in sides.items()}
                words = [*column.levels[:8], "other levels", "missing or new"]
            statistic, worst, df = _statistic(errors, bins, {name: case.batch[index] for name, index in sides.items()})
            # Columns have more or fewer bins: statistics are put on one scale before they are ranked.
            scaled = statistic - float(chi2.ppf(1 - LEVEL / max(len(reference.columns.names), 1), max(df, 1))) + df
            found.append((column.name, scaled, words[worst] if worst < len(words) else ""))
    found.sort(key=lambda one: -one[1])
    return found, shift, z


def _errors(contrast: Contrast, sides: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], float, float]:
    case, outcome = contrast.case, contrast.case.reference.outcome
    found = {}
    after = sides["after"]
    if outcome.task == "regression":
        shift = float((case.label[after] - case.answer[after] - outcome.bias).mean()) if len(after) else 0.0
        for name, index in sides.items():
            found[name] = case.label[index] - case.answer[index] - outcome.bias - (shift if name == "after" else 0.0)
        scale = max(float(found["before"].std()), 1e-9) if len(found["before"]) else 1.0
        found = {name: values / scale for name, values in found.items()}
        at = shift
    elif outcome.task == "multiclass":
        # The class whose share moved most speaks for all.
        right = {name: outcome.calibrated(case.answer[index]) for name, index in sides.items()}
        hits = {name: case.label[index][:, None] == np.arange(outcome.classes) for name, index in sides.items()}
        moved = [(hits["after"][:, c] - right["after"][:, c]).mean() if len(after) else 0.0 for c in range(outcome.classes)]
        worst = int(np.argmax(np.abs(moved)))
        at = float(moved[worst])
        for name in sides:
            found[name] = hits[name][:, worst] - right[name][:, worst] - (at if name == "after" else 0.0)
    else:
        x = {name: logit(outcome.calibrated(case.answer[index])[:, 0]) for name, index in sides.items()}
        at = intercept(x["after"], case.label[after])
        for name, index in sides.items():
            found[name] = case.label[index] - sigmoid(x[name] + (at if name == "after" else 0.0))
    signed = [float(contrast.effect()[1][place]) for place, channel in enumerate(case.reference.channels) if channel.kind == "signed"]
    z = max((abs(one) for one in signed), default=0.0) if outcome.task == "multiclass" else signed[0]
    return found, at, z


def intercept(x: np.ndarray, label: np.ndarray) -> float:
    """The constant that makes the mean of sigmoid(x + a) the mean label, held a little towards zero."""
    a = 0.0
    for _ in range(30):
        q = sigmoid(x + a)
        step = ((label - q).sum() - 0.5 * a) / ((q * (1 - q)).sum() + 0.5)
        a += float(np.clip(step, -1, 1))
        if abs(step) < 1e-8:
            break
    return a


def _bins(values: np.ndarray, knots: tuple[float, ...]) -> np.ndarray:
    return np.where(np.isnan(values), BINS, np.searchsorted(np.asarray(knots), np.nan_to_num(values), side="right"))


def _level_bins(codes: np.ndarray) -> np.ndarray:
    """The eight usual levels, the other ones, and missing or unseen."""
    return np.where(codes < 0, 9, np.minimum(codes, 8))


def _regions(knots: tuple[float, ...]) -> list[str]:
    if not knots:
        return [""] * (BINS + 1)
    low, middle, high = (f"{knot:.4g}" for knot in knots)
    return [f"below {low}", f"{low} to {middle}", f"{middle} to {high}", f"from {high} up", "missing"]


def _statistic(errors: dict[str, np.ndarray], bins: dict[str, np.ndarray], batch: dict[str, np.ndarray]) -> tuple[float, int, int]:
    """Sum over bins of (sum_d r_bd)^2 / (1.2 sum_d r_bd^2), minus the degrees of freedom; days are the unit.

    Answers also the worst bin and the degrees of freedom.
    """
    total, worst, most, df = 0.0, 0, -1.0, 0
    for number in np.unique(bins["after"]):
        mine = bins["after"] == number
        base = errors["before"][bins["before"] == number]
        if mine.sum() < 10 or len(base) < 10:
            continue
        values = errors["after"][mine] - base.mean()
        _, place = np.unique(batch["after"][mine], return_inverse=True)
        sums = np.bincount(place, values)
        # The pre mean is uncertain, too.
        noise = INFLATED * (sums**2).sum() + mine.sum() ** 2 * base.var() / len(base)
        part = float(values.sum() ** 2 / max(noise, 1e-12))
        total, df = total + part, df + 1
        if part > most:
            worst, most = int(number), part
    return total - df, worst, df


def moved_marginals(contrast: Contrast) -> list[tuple[str, float]]:
    """Columns by how far their own distribution moved for the season, in standard deviations or total variation; most first."""
    case, reference = contrast.case, contrast.case.reference
    found = []
    for place, column in enumerate(reference.columns.numbers):
        if not column.is_watched:
            continue
        values = (case.rows.numbers[:, place] - column.mean) / column.scale
        usual = season_of(values, case.rows.time, contrast.before)
        sides = [np.nan_to_num(values[index] - usual[index]) for index in (contrast.before, contrast.after)]
        (post, error), (pre, _) = contrast.mean_by_batch(sides[1], contrast.after), contrast.mean_by_batch(sides[0], contrast.before)
        found.append((column.name, abs(post - pre), abs(post - pre) / max(error, 1e-9)))
    return [(name, size) for name, size, z in sorted(found, key=lambda one: -one[1]) if z > 3]


def mix_of(contrast: Contrast) -> tuple[float, str]:
    """Total variation between the entities before and after, and the one that gained most."""
    columns = contrast.case.reference.columns
    if columns.entity_place is None:
        return 0.0, ""
    entity = contrast.case.rows.entity
    levels = columns.categories[columns.entity_place].levels
    codes = np.arange(-2, len(levels))

    def shares(index: np.ndarray) -> np.ndarray:
        return np.array([(entity[index] == code).mean() if len(index) else 0.0 for code in codes])

    apart = shares(contrast.after) - shares(contrast.before)
    most = int(apart.argmax())
    name = {-2: "new ones", -1: "missing"}.get(int(codes[most]), levels[codes[most]] if codes[most] >= 0 else "")
    return float(np.abs(apart).sum() / 2), name


def mix_words(contrast: Contrast) -> str:
    """How the mix of entities changed."""
    share, gained = mix_of(contrast)
    return f"{share:.0%} of the rows come from others in {contrast.case.reference.columns.entity}, most from {gained}"


def mix_harm(contrast: Contrast) -> tuple[float, float]:
    """Rise of the expected loss by new or gone entities: all rows after against the same season before, with its standard error."""
    case, reference = contrast.case, contrast.case.reference
    basis = reference.conditionals.basis(contrast.both)
    index = np.r_[contrast.before, contrast.after]
    expected = reference.outcome.expected(case.answer[index], basis)
    usual = reference.null.usual(contrast.both.time)[:, reference.place("diff") or 0]
    apart = expected - usual
    post = contrast.mean_by_batch(apart[contrast.is_after], contrast.after)
    pre = contrast.mean_by_batch(apart[~contrast.is_after], contrast.before)
    return post[0] - pre[0], float(np.hypot(post[1], pre[1]))


def cause_without_fault(contrast: Contrast, harm: float | None, channel: str = "") -> list[Cause]:
    """What it is when no column is broken: concept shift, label shift, covariate shift, or not proven.

    Parameters
    ----------
    harm : the measured rise of the loss. channel : where it shows best; when that is a slice, the slice is named.
    """
    if channel.startswith("slice:"):
        level, column = channel.removeprefix("slice:"), contrast.case.reference.columns.slices or ""
        words = f"the loss rose where {column} is {level}"
        return [Cause("concept_shift", column, harm, None, 0.0, level, words), *cause_without_fault(contrast, harm)]
    case, reference = contrast.case, contrast.case.reference
    _, z = contrast.effect()

    def at(kind: str, values: np.ndarray) -> float:
        place = reference.place(kind)
        return float(values[place]) if place is not None else 0.0

    labelled = np.isfinite(case.label[contrast.after]).sum()
    found: list[Cause] = []
    share, gained = mix_of(contrast)
    if labelled >= 20:
        moved, shift, signed = relation_of(contrast)
        if _is_concept(moved[0][1] if moved else -OFFSET, signed):
            for name, strength, region in moved[:4]:
                words = f"the label follows {name} otherwise, most where it is {region}"
                found.append(Cause("concept_shift", name, harm, None, strength, region, words))
            if abs(signed) > 3:
                found.append(Cause("label_shift", "", harm, None, abs(signed)))
            return found
        if share > 0.12 and at("gap", z) < 3:
            return [_mix(contrast, share, gained, harm)]
        if abs(signed) > 3:
            words = f"the label became {'more' if shift > 0 else 'less'} frequent whatever the columns say"
            found.append(Cause("label_shift", "", harm, None, abs(signed), "", words, {"intercept": shift}))
            found += [Cause("concept_shift", name, harm, None, strength, region) for name, strength, region in moved[:2]]
            return found
    if share > 0.12:
        return [_mix(contrast, share, gained, harm)]
    if at("diff", z) > 3 or (at("loss", z) > 3 and at("gap", z) < 3):
        words = "other rows come: {} moved by {:.2f} standard deviations for the season"
        return [
            Cause("covariate_shift", name, harm, None, size, "", words.format(name, size)) for name, size in moved_marginals(contrast)[:3]
        ]
    if labelled >= 20 and moved:
        # The decline is proven, its cause is not: the ranked list is shown as what it is.
        return [Cause("unknown", name, harm, None, strength, region) for name, strength, region in moved[:3]]
    return []


def _is_concept(strength: float, signed: float) -> bool:
    """Do errors depend on a column, and is that more than the trace which a moved share of labels leaves everywhere?

    Without a constant move a moderate dependence is enough; beside one it must be large, or large against it.
    """
    if strength > SURELY:
        return True
    if abs(signed) < 3:
        return strength > ALONE
    return strength > BESIDE_SHIFT and strength + OFFSET > 0.5 * signed**2


def _mix(contrast: Contrast, share: float, gained: str, harm: float | None) -> Cause:
    return Cause("covariate_shift", contrast.case.reference.columns.entity or "", harm, None, share, gained, mix_words(contrast))
