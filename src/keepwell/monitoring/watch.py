"""Watch any model on plain frames: batches go in, signals come out, few and true."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from keepwell.detection import (
    MIN_BATCHES,
    TASKS,
    EDetector,
    Last,
    Reference,
    Told,
    batch_means,
    batches_to_prove,
    column_values,
    day_of,
    label_noise,
    label_values,
)
from keepwell.diagnosis import Case, Cause, Estimate, Explanation, Predict, estimate_of
from keepwell.errors import FrameInvalid
from keepwell.monitoring.arrivals import LABELLED, PATIENCE, arrivals_note, labels_note
from keepwell.monitoring.budget import days_between
from keepwell.monitoring.incidents import Incident, Judgement, judge
from keepwell.monitoring.memory import KEY, Kept, Series, thinned
from keepwell.monitoring.signals import ENDS, Signal
from keepwell.monitoring.state import from_bytes, to_bytes
from keepwell.monitoring.threads import one_thread

KEPT = 400  # batches whose rows are remembered


class Watch:
    """A watch over one version of a model.

    Parameters
    ----------
    reference : labelled rows that the model was not trained on: the time column, the columns to watch, `answer` and `label`. At least 60
        batches and 200 rows; a year, better two, where there are seasons.
    model : ``model(frame) -> answers``, asked about rows like the reference's when a change must be priced; None when it cannot be asked.
    time, entity, key : names of the columns that say when, whose, and which row (labels that come later name it; default entity and time).
    answer, label : names of those columns. The answer is the probability of class 1, the predicted value, or a list of class probabilities.
    columns : what to watch; default all others.
    task : "binary", "multiclass" (labels 0, 1, 2, ...) or "regression".
    false_alarms : the budget over all channels together, such as "1 per 3 years".
    batch_days : length of a batch; default a day, longer when there are fewer than five rows a day.
    label_delay_days : after how many days labels are usually in; default as long as it takes.
    slices : a column for whose values the loss is watched by itself, too, such as the horizon of a forecast (`time` is then the moment that
        is forecast, and `key` tells forecasts of the same moment apart).
    sensitive : let no rise of the loss pass before it is tested, at the price of more alarms for little.

    Raises
    ------
    FrameInvalid : the reference cannot be used; says why.
    """

    def __init__(
        self,
        reference: pl.DataFrame,
        model: Predict | None = None,
        *,
        time: str = "time",
        entity: str | None = None,
        key: str | None = None,
        answer: str = "answer",
        label: str = "label",
        columns: Sequence[str] | None = None,
        task: str = "binary",
        false_alarms: str = "1 per 3 years",
        batch_days: float | None = None,
        label_delay_days: float | None = None,
        slices: str | None = None,
        sensitive: bool = False,
    ) -> None:
        if task not in TASKS:
            raise FrameInvalid("reference", f"'{task}' is no task", f"Tasks are {', '.join(TASKS)}.")
        self.model, self.time, self.entity, self.key = model, time, entity, key
        self.answer, self.label, self.task = answer, label, task
        self.label_delay_days = label_delay_days
        frame = self._tidy(reference, "reference")
        if label not in frame.columns:
            raise FrameInvalid("reference", f"it lacks the label column '{label}'", f"It has {', '.join(frame.columns)}.")
        given = self._answers(frame, "reference")
        labels = self._known(frame[label], "reference", given.shape[-1])
        names = columns or [name for name in frame.columns if name not in (time, answer, label, key, KEY)]
        self.columns = tuple(names)
        self.reference, fitted = Reference.fit(
            frame, labels, given, time=time, entity=entity, names=names, task=task, width=batch_days, slices=slices, sensitive=sensitive
        )
        null, ref = self.reference.null, self.reference
        self.run_length = days_between(false_alarms) / ref.width
        two_sided = np.array([channel.is_two_sided for channel in ref.channels])
        self.detector = EDetector.new(null.cost, two_sided, ref.shares(), self.run_length)
        apart = fitted.means - null.usual(ref.middle(fitted.numbers))
        z = np.vstack([np.full((1, apart.shape[1]), np.nan), null.innovations(apart[1:], apart[:-1], fitted.counts[1:])])
        self.series = Series(fitted.numbers, apart, z, fitted.counts)
        order = fitted.order
        # The reference's labels stay as they are, also when later rows have keys like its own.
        rows = frame[order].drop(label, answer, strict=False).with_columns(pl.lit(None, pl.String).alias(KEY))
        kept = Kept(rows, fitted.rows, ref.batch_of(fitted.rows.time), given[order], labels[order])
        self.kept = kept.take(thinned(kept.batch))
        self.last = Last.none(ref.columns)
        self.last.repeats(ref.columns, fitted.rows)
        self.open: list[Kept] = []
        self.closed = int(fitted.numbers[-1])
        self.unlabelled: list[int] = []
        self.tested: list[int] = []
        self.open_incidents: list[Incident] = []
        self.judgement: Judgement | None = None
        self.rang = np.full(len(ref.channels), np.nan)  # in which batch each channel that rings began to
        self.incidents = 0
        self.noted: dict[str, int] = {}
        self.told_columns: set[str] = set()
        self.late = 0
        self.unknown_labels = 0

    # --- doors --------------------------------------------------------------------------------------------------------

    def update(self, batch: pl.DataFrame, labels: pl.DataFrame | None = None, *, until: datetime | None = None) -> list[Signal]:
        """Take in rows and labels, and test every batch that has closed.

        Parameters
        ----------
        batch : new rows in any order, with the reference's columns; a `label` column may hold the labels that are known.
        labels : labels of earlier rows: the key column(s) and `label`.
        until : everything before this moment has come; default the batch before the newest row's.

        Raises
        ------
        FrameInvalid : something does not fit; nothing of it was taken in, as when the model itself fails.
        """
        added = self._read(batch)
        said = self._labels(labels) if labels is not None and labels.height else None
        ref = self.reference
        if until is not None:
            last = int(ref.batch_of(np.array([_days(until) + 1e-9]))[0]) - 1
        elif added is not None:
            last = int(added.batch.max()) - 1
        else:
            last = self.closed
        before = self._remembered()
        try:
            return self._take(added, said, last)
        except BaseException:
            vars(self).update(before)
            raise

    def _remembered(self) -> dict[str, Any]:
        """All that an update changes, as it is now: what a model that fails in its midst must not leave half done."""
        now = dict(vars(self))
        now["series"], now["kept"], now["detector"] = copy.copy(self.series), copy.copy(self.kept), copy.copy(self.detector)
        for name in ("apart", "z", "counts"):
            setattr(now["series"], name, getattr(self.series, name).copy())
        now["kept"].label, now["detector"].stakes = self.kept.label.copy(), self.detector.stakes.copy()
        now["last"] = Last(self.last.values.copy())
        now["open"] = [replace(part, label=part.label.copy()) for part in self.open]
        now["open_incidents"] = [replace(one, channels=one.channels.copy()) for one in self.open_incidents]
        now["judgement"] = copy.copy(self.judgement)
        now["rang"] = self.rang.copy()
        return now | {name: copy.copy(getattr(self, name)) for name in ("unlabelled", "tested", "noted", "told_columns")}

    def _take(self, added: Kept | None, said: tuple[pl.Series, np.ndarray] | None, last: int) -> list[Signal]:
        if added is not None:
            late = added.batch <= self.closed
            self.late += int(late.sum())
            if not late.all():
                self.open.append(added.take(~late))
        if said is not None:
            self._take_labels(*said)
        signals: list[Signal] = []
        with one_thread():
            for number in range(self.closed + 1, last + 1):
                signals += self._close(number)
        return signals

    def state(self) -> bytes:
        """Everything but the model, as bytes that `Watch.load` takes up again."""
        return to_bytes(self)

    @classmethod
    def load(cls, state: bytes, model: Predict | None = None) -> Watch:
        """A watch that goes on where another stopped.

        Raises
        ------
        WatchStateInvalid : these are not the bytes of a watch.
        """
        watch = cls.__new__(cls)
        from_bytes(watch, state, model)
        return watch

    def plan(self, rises: Sequence[float] = (0.05, 0.10, 0.20, 0.50)) -> dict[float, float]:
        """How many batches a rise of the loss by these shares takes to prove with this volume and budget; infinite when it is tolerated."""
        ref = self.reference
        at = ref.place("gap")
        assert at is not None
        count = np.full(len(ref.channels), ref.rows_a_batch)
        spread = float(np.sqrt(ref.null.variance(count)[at]))
        threshold = float(self.detector.threshold[at])
        still = 1 - float(ref.null.memory[at])
        return {
            rise: batches_to_prove(rise * ref.outcome.loss * still / spread, float(ref.null.margin[at]) * still / spread, threshold)
            for rise in rises
        }

    def estimate(self, batches: int = 30) -> Estimate | None:
        """The loss to expect of the newest batches, label unseen, with its interval; withdrawn while a broken column is blamed.

        It cannot see a changed relation to the label, nor a changed share of it. None when there were no rows.
        """
        causes = [cause for incident in self.open_incidents for cause in incident.explanation.causes[:1]]
        return estimate_of(self.case(), np.arange(max(len(self.series.numbers) - batches, 0), len(self.series.numbers)), causes)

    # --- reading ------------------------------------------------------------------------------------------------------

    def _tidy(self, frame: pl.DataFrame, about: str) -> pl.DataFrame:
        """The frame with its moments in UTC and the key of each row."""
        if isinstance(kind := frame.schema.get(self.time), pl.Datetime) and kind.time_zone is not None:
            frame = frame.with_columns(pl.col(self.time).dt.convert_time_zone("UTC").dt.cast_time_unit("us"))
        if self.key is not None:
            if self.key not in frame.columns:
                raise FrameInvalid(about, f"it lacks the key column '{self.key}'", f"It has {', '.join(frame.columns)}.")
            key = pl.col(self.key).cast(pl.String)
        else:
            names = [name for name in (self.entity, self.time) if name is not None]
            if missing := [name for name in names if name not in frame.columns]:
                raise FrameInvalid(about, f"it lacks {', '.join(missing)}", f"It has {', '.join(frame.columns)}.")
            key = pl.concat_str([pl.col(name).cast(pl.String) for name in names], separator="|", ignore_nulls=True)
        return frame.with_columns(key.alias(KEY))

    def _answers(self, frame: pl.DataFrame, about: str, classes: int | None = None) -> np.ndarray:
        """The answers, (n,) or (n, classes); where the classes are known, there must be as many."""
        if self.answer in frame.columns:
            column = frame[self.answer]
            given = _listed(column) if column.dtype.is_nested() else column.cast(pl.Float64, strict=False).to_numpy()
        elif self.model is not None:
            given = self._ask(frame)
        else:
            raise FrameInvalid(about, f"it lacks the answers '{self.answer}', and there is no model to ask", "Give one of the two.")
        if not np.isfinite(given).all():
            bad = int((~np.isfinite(given)).sum())
            raise FrameInvalid(about, f"{bad} answers are missing or infinite", "Give only rows that were answered.")
        if (given.ndim == 2) != (self.task == "multiclass") or (given.ndim == 2 and classes not in (None, given.shape[1])):
            hint = "A multiclass answer is a list, one probability for each class of the reference; others are one number."
            raise FrameInvalid(about, f"answers have the shape {given.shape}, which a {self.task} task has not", hint)
        if self.task != "regression" and ((given < 0) | (given > 1)).any():
            raise FrameInvalid(about, "some answers are no probabilities", "They lie between 0 and 1.")
        return given

    def _known(self, column: pl.Series, about: str, classes: int) -> np.ndarray:
        """Labels as numbers, NaN while unknown."""
        values = column.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
        if self.task != "regression":
            classes = 2 if self.task == "binary" else classes
            odd = values[np.isfinite(values) & ~np.isin(values, np.arange(classes))]
            if len(odd):
                hint = f"Labels of this {self.task} task are 0 to {classes - 1}."
                raise FrameInvalid(about, f"the label {odd[0]:g} is none of the classes", hint)
        return np.asarray(np.where(np.isfinite(values), values, np.nan))

    def _ask(self, frame: pl.DataFrame) -> np.ndarray:
        """The model's answers, one for each row."""
        assert self.model is not None
        given = np.asarray(self.model(frame), float)
        if len(given) != frame.height or not np.isfinite(given).all():
            bad = f"it gave {len(given)} answers to {frame.height} rows, {int((~np.isfinite(given)).sum())} of them not finite"
            raise FrameInvalid("model", bad, "Each row needs an answer, also one whose values are missing.")
        return given

    def _read(self, batch: pl.DataFrame) -> Kept | None:
        if batch.height == 0:
            return None
        frame = self._tidy(batch, "batch")
        rows = self.reference.columns.read(frame)
        given = self._answers(frame, "batch", self.reference.outcome.classes)
        labels = np.full(len(rows), np.nan)
        if self.label in frame.columns:
            labels = self._known(frame[self.label], "batch", self.reference.outcome.classes)
        names = [name for name in self.kept.frame.columns if name in frame.columns]
        order = np.argsort(rows.time, kind="stable")
        kept = Kept(frame.select(names), rows, self.reference.batch_of(rows.time), given, labels)
        return kept.take(order)

    def _labels(self, labels: pl.DataFrame) -> tuple[pl.Series, np.ndarray]:
        if self.label not in labels.columns:
            raise FrameInvalid("labels", f"they lack '{self.label}'", f"They have {', '.join(labels.columns)}.")
        frame = self._tidy(labels, "labels")
        values = frame[self.label].cast(pl.Float64, strict=False)
        if values.null_count() or not values.is_finite().all():
            raise FrameInvalid("labels", "some are missing or no numbers", "Give only labels that are known.")
        return frame[KEY], self._known(values, "labels", self.reference.outcome.classes)

    def _take_labels(self, keys: pl.Series, values: np.ndarray) -> None:
        _, unknown = self.kept.put_labels(keys, values)
        known = len(keys) - unknown
        for part in self.open:
            _, missing = part.put_labels(keys, values)
            known += len(keys) - missing
        self.unknown_labels += max(len(keys) - known, 0)

    # --- one batch ----------------------------------------------------------------------------------------------------

    def _close(self, number: int) -> list[Signal]:
        ref = self.reference
        parts = [part.take(part.batch == number) for part in self.open if (part.batch == number).any()]
        self.open = [part.take(part.batch != number) for part in self.open if (part.batch != number).any()]
        self.closed = number
        signals = []
        channels = len(ref.channels)
        apart, z, counts = np.full(channels, np.nan), np.full(channels, np.nan), np.zeros(channels)
        if parts:
            batch = parts[0]
            for part in parts[1:]:
                batch.append(part, number)
            basis = ref.conditionals.basis(batch.rows)
            residuals = ref.conditionals.residuals(batch.rows, Told(batch.rows, basis @ ref.conditionals.weights))
            values = column_values(ref.channels, ref.columns, batch.rows, residuals, self.last.repeats(ref.columns, batch.rows))
            diff = ref.place("diff")
            values[:, diff] = ref.outcome.expected(batch.answer, basis)
            means, sizes = batch_means(values, np.zeros(len(batch.rows), int), 1)
            apart, counts = means[0] - ref.null.usual(ref.middle(np.array([number])))[0], sizes[0]
            z = self._step(number, apart, counts, means[0])
            sound = self.series.numbers[np.isfinite(self.series.apart).any(axis=1)][-KEPT:]
            self.kept.append(batch.take(thinned(batch.batch)), int(sound[0]) if len(sound) else number)
            self.unlabelled.append(number)
        self.series.append(number, apart, z, counts)
        if (note := arrivals_note(self, parts[0] if parts else None, number)) is not None:
            signals.append(note)
        self._test_labels(number)
        if (note := labels_note(self, number)) is not None:
            signals.append(note)
        return signals + judge(self, number)

    def _step(self, number: int, apart: np.ndarray, counts: np.ndarray, means: np.ndarray) -> np.ndarray:
        """Innovations of a batch's channels, handed to the detector; channels without a row are passed over."""
        null = self.reference.null
        at = self.series.place(number)
        if at is None:
            before = self.series.apart[-1] if self.series.numbers[-1] == number - 1 else np.full(len(apart), np.nan)
        else:
            before = self.series.before(at)
        z = np.where(counts > 0, null.innovations(apart[None], before[None], counts[None])[0], np.nan)
        self.detector.update(z, null.slack(counts[None])[0], self.reference.increments(means, counts))
        return np.asarray(z)

    def _test_labels(self, number: int) -> None:
        """Test the label channels of batches whose labels are in, in their order."""
        ref = self.reference
        mine = np.array([channel.is_of_labels for channel in ref.channels])
        self.tested = []
        while self.unlabelled:
            head = self.unlabelled[0]
            index = np.flatnonzero(self.kept.batch == head)
            known = index[np.isfinite(self.kept.label[index])]
            waited = (number - head) * ref.width
            overdue = self.label_delay_days is not None and waited > PATIENCE * self.label_delay_days + ref.width
            if len(known) < LABELLED * len(index) and not overdue:
                if self.label_delay_days is None and waited > 400 * ref.width:
                    self.unlabelled.pop(0)
                    continue
                break
            self.unlabelled.pop(0)
            at = self.series.place(head)
            if at is None or len(known) == 0:
                continue
            rows = self.kept.rows.take(known)
            basis, answer = ref.conditionals.basis(rows), self.kept.answer[known]
            values = label_values(ref.channels, ref.columns, rows, ref.outcome.channels(self.kept.label[known], answer, basis))
            if len(known) < len(index):  # the loss of all rows, those without a label with what is to be expected of them
                everyone = ref.outcome.expected(self.kept.answer[index], ref.conditionals.basis(self.kept.rows.take(index)))
                values[:, ref.place("loss")] += everyone.mean() - ref.outcome.expected(answer, basis).mean()
            noise = label_noise(ref.channels, ref.columns, rows, ref.outcome.noise(answer, basis))
            batch_mean, sizes = batch_means(values, np.zeros(len(rows), int), 1, noise)
            means, counts = batch_mean[0], np.where(mine, sizes[0], 0.0)
            apart = means - ref.null.usual(ref.middle(np.array([head])))[0]
            z = self._step(head, apart, counts, means)
            self.tested.append(head)
            self.series.apart[at, mine], self.series.z[at, mine], self.series.counts[at, mine] = apart[mine], z[mine], counts[mine]

    def newly_tested(self, channel: int) -> np.ndarray:
        """Innovations of a label channel in the batches whose labels were tested with the one that has just closed; NaN without any."""
        places = [at for head in self.tested if (at := self.series.place(head)) is not None]
        return np.asarray(self.series.z[places, channel])

    # --- what it means ------------------------------------------------------------------------------------------------

    def case(self) -> Case:
        """All that is known now, for a diagnosis."""
        return Case(
            self.reference,
            self.series.numbers,
            self.series.apart,
            self.series.z,
            self.series.counts,
            self.kept.frame,
            self.kept.rows,
            self.kept.batch,
            self.kept.answer,
            self.kept.label,
            self.detector.ringing,
            self.detector.sides(),
            None if self.model is None else self._ask,
        )

    def batch_of(self, moment: datetime) -> int:
        """Number of the batch that a moment lies in."""
        return int(self.reference.batch_of(np.array([day_of(moment)]))[0])

    def forget(self, ended: Incident, last: int) -> None:
        """Let a decline that has ended be no part of what comes after it.

        Its batches and rows are neither usual nor evidence of something new, but for other declines that last. What rang before it, or
        belongs to one of those, rings on; in the other channels nothing new can have begun before its end.
        """
        first = self.batch_of(ended.explanation.began.at)
        lasting = np.zeros(len(self.rang), bool)
        for incident in self.open_incidents:
            lasting |= incident.channels
        fresh = ~lasting & (ended.channels | ~(self.rang < first))
        self.detector.reset(fresh)
        self.rang[fresh] = np.nan
        until = self.series.numbers <= last
        spell = np.ix_(until & (self.series.numbers >= first), ~lasting)
        self.series.apart[spell], self.series.z[spell] = np.nan, np.nan
        self.series.z[np.ix_(until, fresh)] = np.nan
        sound = (self.kept.batch < first) | (self.kept.batch > last)
        if not self.open_incidents and len(np.unique(self.kept.batch[sound])) >= MIN_BATCHES:  # after years of decline no others are left
            self.kept = self.kept.take(sound)

    def told_until(self) -> datetime:
        """The end of the batch in which the newest open decline was told."""
        return self._end(max(incident.told for incident in self.open_incidents))

    def _end(self, number: int) -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=float((number + 1) * self.reference.width))

    def signal(
        self, kind: str, number: int, causes: Sequence[Cause], explanation: Explanation | None = None, incident: int | None = None
    ) -> Signal:
        """A signal of the batch that closed."""
        end = self._end(number)
        is_first = incident is None or kind in ENDS
        return Signal(kind, end, self.incidents if incident is None else incident, tuple(causes), explanation, is_first)


def _listed(column: pl.Series) -> np.ndarray:
    """Lists as rows of an array; NaN where one is missing or shorter than the longest."""
    lists = [one or [] for one in column.to_list()]
    width = max((len(one) for one in lists), default=0)
    return np.array([[*one, *[None] * (width - len(one))] for one in lists], float).reshape(len(lists), width)


def _days(moment: datetime) -> float:
    if moment.tzinfo is None:
        raise FrameInvalid("moment `until`", f"{moment} has no time zone", "Give an aware one, such as datetime(..., tzinfo=UTC).")
    return moment.timestamp() / 86400
