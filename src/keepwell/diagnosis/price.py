"""What does a broken column cost? What happened to it is done to good rows, and the model is asked again; no label is needed."""

from __future__ import annotations

import numpy as np
import polars as pl

from keepwell.detection import NULL, UNSEEN, Rows
from keepwell.diagnosis.contrast import Contrast
from keepwell.diagnosis.isolation import Root, repaired
from keepwell.diagnosis.signatures import Signature

LABELLED = 200  # good rows with labels that measure a cost
NEVER_SEEN = "(never seen)"


def price(contrast: Contrast, root: Root, read: Signature, others: list[str]) -> tuple[float, float] | None:
    """Expected regret per row of answering with a broken column, (harm, standard error) in the loss's unit.

    Where it is known what happened, it is done to the good rows of the year before the onset, weighted by how often it happens to rows
    like them. Else the column is told by the others, after and before: what telling costs before is taken off. None when the model
    cannot be asked.

    Parameters
    ----------
    others : columns that are broken too.
    """
    case = contrast.case
    if case.predict is None or len(contrast.after) == 0:
        return None
    tried = _faked(contrast, root, read)
    if tried is not None and len(contrast.past) >= 20:
        rows, weights = tried
        index, outcome = contrast.past, case.reference.outcome
        good = contrast.answers
        bad = np.asarray(case.predict(as_frame(contrast, rows, [root.column, *([root.partner] if root.partner else [])], index)))
        told = contrast.mean_by_batch(outcome.divergence(good, bad) * weights, index)
        known = np.isfinite(case.label[index])
        if known.sum() < LABELLED:
            return told
        # Good rows have their labels by now: what the fault would have cost them is measured, not told. A model whose answers
        # move for nothing looks costlier than it is when its own answers are taken for the truth.
        label = case.label[index][known]
        cost = (outcome.losses(label, bad[known]) - outcome.losses(label, good[known])) * weights[known]
        measured = contrast.mean_by_batch(cost, index[known])
        return weighed(told, measured)
    return _told(contrast, root.column, others)


def weighed(told: tuple[float, float], measured: tuple[float, float]) -> tuple[float, float]:
    """The measured cost, leaning on the told one as far as chance blurs it: the told one is trusted to within half of itself.

    Parameters
    ----------
    told, measured : each with its standard error.

    Examples
    --------
    >>> [round(weighed((0.06, 0.02), (-0.08, error))[0], 3) for error in (0.01, 0.06, 0.6)]
    [-0.075, 0.003, 0.059]
    """
    doubt = 0.5 * abs(told[0]) + told[1]
    weight = doubt**2 / max(doubt**2 + measured[1] ** 2, 1e-18)
    return weight * measured[0] + (1 - weight) * told[0], float(np.sqrt(weight) * measured[1] + (1 - weight) * told[1])


def _faked(contrast: Contrast, root: Root, read: Signature) -> tuple[Rows, np.ndarray] | None:
    """The good rows with the fault done to them, and how likely each is to meet it, (n,)."""
    columns = contrast.case.reference.columns
    before, after = contrast.case.rows.take(contrast.past), contrast.case.rows.take(contrast.after)
    numbers, codes = before.numbers.copy(), before.codes.copy()
    place = next((at for at, column in enumerate(columns.numbers) if column.name == root.column), None)
    category = next((at for at, column in enumerate(columns.categories) if column.name == root.column), None)
    if root.partner and place is not None:
        other = next(at for at, column in enumerate(columns.numbers) if column.name == root.partner)
        numbers[:, [place, other]] = numbers[:, [other, place]]
        return Rows(before.time, before.entity, numbers, codes), np.ones(len(before))
    if root.hard == "missing" and place is not None:
        numbers[:, place] = np.nan
        was, is_so = np.isnan(before.numbers[:, place]), np.isnan(after.numbers[:, place])
        return Rows(before.time, before.entity, numbers, codes), _more(before, after, was, is_so)
    if root.hard in ("missing", "new_category") and category is not None:
        code = NULL if root.hard == "missing" else UNSEEN
        codes[:, category] = code
        rows = Rows(before.time, before.entity, numbers, codes)
        if root.hard == "new_category":
            return rows, _lost(before.codes[:, category], after.codes[:, category], len(columns.categories[category].levels))
        return rows, _more(before, after, before.codes[:, category] == code, after.codes[:, category] == code)
    if root.hard == "stuck" and place is not None:
        weights = np.zeros(len(before))
        for entity in np.unique(after.entity):
            mine, theirs = before.entity == entity, after.numbers[after.entity == entity, place]
            theirs = theirs[np.isfinite(theirs)]
            if len(theirs) >= 3:
                values, counts = np.unique(theirs, return_counts=True)
                usual = before.numbers[mine, place]
                usual_share = (usual == values[counts.argmax()]).mean() if mine.any() else 0.0
                if (share := counts.max() / len(theirs) - usual_share) > 0.2:
                    numbers[mine, place], weights[mine] = values[counts.argmax()], share
        return Rows(before.time, before.entity, numbers, codes), weights
    if read.fake is None or place is None:
        return None
    numbers[:, place] = read.fake(numbers[:, place], np.random.default_rng(len(numbers)))
    touched = np.ones(len(before)) if read.entities is None else np.isin(before.entity, read.entities).astype(float)
    return Rows(before.time, before.entity, numbers, codes), touched * read.share


def _more(before: Rows, after: Rows, was: np.ndarray, is_so: np.ndarray) -> np.ndarray:
    """For each row before, the chance that the fault newly meets a row of its entity; rows that had it already cost nothing."""
    weights = np.zeros(len(before))
    for entity in np.unique(before.entity):
        mine, theirs = before.entity == entity, after.entity == entity
        if theirs.any():
            usual = float(was[mine].mean())
            weights[mine] = max(float(is_so[theirs].mean()) - usual, 0.0) / max(1 - usual, 1e-9)
    return np.where(was, 0.0, weights)


def _lost(before: np.ndarray, after: np.ndarray, levels: int) -> np.ndarray:
    """For each row before, how much of its level's share is gone."""
    shares = [np.bincount(codes[codes >= 0], minlength=levels) / max(len(codes), 1) for codes in (before, after)]
    gone = np.clip((shares[0] - shares[1]) / np.maximum(shares[0], 1e-9), 0.0, 1.0)
    # What came unseen is shared out over the levels that lost most; small losses are chance.
    unseen = float((after == UNSEEN).mean())
    lost = np.where(gone > 0.5, gone, 0.0)
    total = float((lost * shares[0]).sum())
    if total < 0.5 * unseen:
        lost = np.full(levels, unseen)
    return np.where(before >= 0, lost[np.maximum(before, 0)], 0.0)


def _told(contrast: Contrast, column: str, others: list[str]) -> tuple[float, float]:
    """The regret against answers with the column told by the others, after less before."""
    case = contrast.case
    assert case.predict is not None
    base = repaired(contrast, others) if others else contrast.both
    fixed = repaired(contrast, [column], base)
    index = np.r_[contrast.before, contrast.after]
    given = np.asarray(case.predict(as_frame(contrast, base, others, index)))
    better = np.asarray(case.predict(as_frame(contrast, fixed, [*others, column], index)))
    cost = case.reference.outcome.divergence(better, given)
    post, post_error = contrast.mean_by_batch(cost[contrast.is_after], contrast.after)
    pre, pre_error = contrast.mean_by_batch(cost[~contrast.is_after], contrast.before) if len(contrast.before) else (0.0, 0.0)
    return post - pre, float(np.hypot(post_error, pre_error))


def as_frame(contrast: Contrast, rows: Rows, columns: list[str], index: np.ndarray) -> pl.DataFrame:
    """The case's rows at `index` as the model takes them, with some columns as `rows` has them."""
    case = contrast.case
    frame = case.frame[index]
    changed = []
    for place, column in enumerate(case.reference.columns.numbers):
        if column.name in columns and frame.schema[column.name].is_numeric():
            changed.append(pl.Series(column.name, rows.numbers[:, place]).fill_nan(None))
    for place, column in enumerate(case.reference.columns.categories):
        if column.name in columns:
            codes, was = rows.codes[:, place], case.rows.codes[index, place]
            old = frame[column.name].cast(pl.String, strict=False).to_list()
            told = {NULL: None, UNSEEN: NEVER_SEEN}
            values = [
                kept if code == before else told.get(int(code)) if code < 0 else column.levels[code]
                for code, before, kept in zip(codes, was, old, strict=True)
            ]
            changed.append(pl.Series(column.name, values, dtype=pl.String).cast(frame.schema[column.name], strict=False))
    return frame.with_columns(changed)
