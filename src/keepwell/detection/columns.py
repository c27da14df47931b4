"""What the columns of a model's rows are, read off its reference; and rows as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import polars as pl

from keepwell.errors import FrameInvalid

NULL, UNSEEN = -1, -2  # codes of a category that is missing, or was not there in the reference
DAY_US = 86_400_000_000
WAVES, YEAR = 3, 365.2425
SEASON_DAYS = 300.0  # a shorter reference cannot tell season from drift
CLOCK_R2 = 0.98  # a column this well told by the clock alone is a function of it
MASS = 0.05  # a value that this share of rows has is expected to repeat
LEVELS = 500  # categories beyond these, rarest first, count as one
OTHER = "(other)"


@dataclass(frozen=True)
class Column:
    """One column as the reference has it.

    `kind` is "number" or "category" (texts and booleans). Of a number: `mean`, `scale` (standard deviation), `low` and `high` (0.1 % and
    99.9 % quantiles), `knots` (quartiles), `masses` (values that many rows share). Of a category: `levels` with `shares`.
    `nulls` is the share missing; `is_watched` is False for clocks, constants and columns with too few values; `clock` says what of the time
    a clock tells, "" for others.
    """

    name: str
    kind: str
    nulls: float
    is_watched: bool
    mean: float = 0.0
    scale: float = 1.0
    low: float = 0.0
    high: float = 0.0
    knots: tuple[float, ...] = ()
    masses: tuple[float, ...] = ()
    levels: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()
    clock: str = ""


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows as arrays: `time` in days since 1970 (n,), `entity` codes (n,), `numbers` (n, d) with NaN for missing, `codes` (n, q)."""

    time: np.ndarray
    entity: np.ndarray
    numbers: np.ndarray
    codes: np.ndarray

    def __len__(self) -> int:
        return len(self.time)

    def take(self, index: np.ndarray | slice) -> Rows:
        """Some of the rows, by mask, positions or as a run."""
        return Rows(self.time[index], self.entity[index], self.numbers[index], self.codes[index])

    @classmethod
    def concat(cls, parts: Sequence[Rows]) -> Rows:
        """All rows of several, in their order."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("time", "entity", "numbers", "codes")))


@dataclass(frozen=True)
class Columns:
    """The watched columns of a model's rows, in their order; `entity` names the column that says whose row it is, if there is one, and
    `slices` the one for whose values the loss is watched by itself, such as a forecast's horizon."""

    time: str
    entity: str | None
    numbers: tuple[Column, ...]
    categories: tuple[Column, ...]
    slices: str | None = None

    @classmethod
    def of(
        cls, frame: pl.DataFrame, *, time: str, entity: str | None = None, names: Sequence[str] | None = None, slices: str | None = None
    ) -> Columns:
        """Read them off a reference.

        Parameters
        ----------
        names : the columns to watch; default all but `time`. slices : a column whose values are names, whatever its type.

        Raises
        ------
        FrameInvalid : a named column is missing, or the time column holds no moments.
        """
        _check_time(frame, time)
        names = [name for name in (names or frame.columns) if name != time]
        names += [name for name in (entity, slices) if name is not None and name not in names]
        if missing := [name for name in names if name not in frame.columns]:
            there = [name for name in frame.columns if not name.startswith("_")]
            raise FrameInvalid("reference", f"it lacks {', '.join(missing)}", f"It has {', '.join(there)}.")
        when = moments(frame[time])
        numbers, categories = [], []
        for name in names:
            kind = frame.schema[name]
            if name != slices and (kind.is_numeric() or kind.is_temporal()):
                numbers.append(_number(name, as_number(frame[name], when), when))
            elif not kind.is_nested():
                categories.append(_category(name, as_text(frame[name]), always_watched=name in (entity, slices)))
        return cls(time, entity, tuple(numbers), tuple(categories), slices)

    def standard(self, numbers: np.ndarray) -> np.ndarray:
        """Numbers (n, d) in standard deviations from their means, within six."""
        mean, scale = (np.array([getattr(column, name) for column in self.numbers]) for name in ("mean", "scale"))
        return np.asarray(np.clip((numbers - mean) / np.maximum(scale, 1e-12), -6, 6))

    def line(self, numbers: np.ndarray, name: str) -> np.ndarray:
        """One of the numbers (n, d) in standard deviations from its mean, within three; NaN where it is missing, (n,)."""
        place, column = next((at, one) for at, one in enumerate(self.numbers) if one.name == name)
        return np.asarray(np.clip((numbers[:, place] - column.mean) / column.scale, -3, 3))

    @property
    def names(self) -> list[str]:
        """Numbers first, then categories."""
        return [column.name for column in (*self.numbers, *self.categories)]

    @property
    def entity_place(self) -> int | None:
        """Place of the entity among the categories."""
        return self._category(self.entity)

    @property
    def slices_place(self) -> int | None:
        """Place of the slices among the categories."""
        return self._category(self.slices)

    def _category(self, name: str | None) -> int | None:
        return next((place for place, column in enumerate(self.categories) if column.name == name), None)

    def read(self, frame: pl.DataFrame, about: str = "batch") -> Rows:
        """Rows as arrays; infinities become missing.

        Raises
        ------
        FrameInvalid : a column is missing or of another kind, or a time is missing or has no zone.
        """
        _check_time(frame, self.time, about)
        if missing := [name for name in self.names if name not in frame.columns]:
            raise FrameInvalid(about, f"it lacks {', '.join(missing)}", f"The reference has {', '.join(self.names)}.")
        for column in self.numbers:
            kind = frame.schema[column.name]
            if not (kind.is_numeric() or kind.is_temporal() or kind == pl.Null):
                raise FrameInvalid(about, f"column '{column.name}' is {kind}", "In the reference it holds numbers.")
        when = moments(frame[self.time])
        numbers = [as_number(frame[column.name], when) for column in self.numbers]
        codes = [_codes(column, as_text(frame[column.name])) for column in self.categories]
        place = self.entity_place
        return Rows(
            when,
            codes[place] if place is not None else np.zeros(len(when), np.int32),
            np.stack(numbers, axis=1) if numbers else np.empty((len(when), 0)),
            np.stack(codes, axis=1) if codes else np.empty((len(when), 0), np.int32),
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Columns:
        """The other way."""

        def columns(side: str) -> tuple[Column, ...]:
            return tuple(Column(**{key: _tupled(value) for key, value in one.items()}) for one in plain[side])

        return cls(plain["time"], plain["entity"], columns("numbers"), columns("categories"), plain["slices"])


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def moments(column: pl.Series) -> np.ndarray:
    """Days since 1970 of moments; a date counts from its midnight, UTC."""
    kind = column.dtype
    moment = column.cast(pl.Datetime("us")) if kind == pl.Date else column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return np.asarray(moment.dt.cast_time_unit("us").to_physical().to_numpy()) / DAY_US


def as_number(column: pl.Series, when: np.ndarray) -> np.ndarray:
    """Floats with NaN for what is missing or infinite.

    A moment counts as the days from it to its row's own time, so that it stands still.
    """
    kind = column.dtype
    if kind.is_temporal():
        if isinstance(kind, pl.Duration | pl.Time):
            values = column.to_physical().cast(pl.Float64).fill_null(float("nan")).to_numpy()
        else:
            zoned = column if kind == pl.Date or getattr(kind, "time_zone", None) else column.dt.replace_time_zone("UTC")
            values = np.full(len(column), np.nan)
            there = column.is_not_null().to_numpy()
            values[there] = when[there] - moments(zoned.drop_nulls())
    else:
        values = column.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
    return np.where(np.isfinite(values), values, np.nan)


def as_text(column: pl.Series) -> pl.Series:
    """Categories as texts."""
    if column.dtype == pl.Object:
        return pl.Series(column.name, [value if isinstance(value, str) else None for value in column.to_list()], dtype=pl.String)
    return column.cast(pl.String, strict=False)


def _check_time(frame: pl.DataFrame, time: str, about: str = "reference") -> None:
    if time not in frame.columns:
        raise FrameInvalid(about, f"it lacks the time column '{time}'", f"It has {', '.join(frame.columns)}.")
    kind = frame.schema[time]
    if kind != pl.Date and not isinstance(kind, pl.Datetime):
        raise FrameInvalid(about, f"time column '{time}' is {kind}", "Dates or moments with a time zone are needed.")
    if isinstance(kind, pl.Datetime) and kind.time_zone is None:
        cure = "Say which with `.dt.replace_time_zone('UTC')`; a day of one zone is not that of another."
        raise FrameInvalid(about, f"time column '{time}' has no time zone", cure)
    if frame[time].null_count():
        raise FrameInvalid(about, f"{frame[time].null_count()} rows have no time", "Drop them, or give them one.")


def _number(name: str, values: np.ndarray, when: np.ndarray) -> Column:
    there = np.isfinite(values)
    nulls = float(1 - there.mean()) if len(values) else 0.0
    known = values[there]
    if known.size == 0:
        return Column(name, "number", nulls, is_watched=False)
    low, *knots, high = (float(value) for value in np.quantile(known, [0.001, 0.25, 0.5, 0.75, 0.999]))
    scale = float(np.clip(known, low, high).std())
    found, counts = np.unique(known, return_counts=True)
    masses = tuple(float(value) for value in found[counts > MASS * known.size])
    clock = _clock(known, when[there])
    is_watched = known.size >= 150 and scale > 0 and not clock
    return Column(name, "number", nulls, is_watched, float(known.mean()), scale or 1.0, low, high, tuple(knots), masses, clock=clock)


def _clock(values: np.ndarray, when: np.ndarray) -> str:
    """Which of month, weekday, hour or day of the year alone tells the value? None: ""."""
    total = values.var()
    days = when.astype(int)
    stamps = days.astype("datetime64[D]")
    month = (stamps.astype("datetime64[M]").astype(int)) % 12
    year_day = (stamps - stamps.astype("datetime64[Y]").astype("datetime64[D]")).astype(int)
    hour = np.floor((when % 1) * 24).astype(int)
    clocks = {"month": month, "weekday": days % 7, "hour": hour, "day of the year": year_day, "moment": year_day + 400 * hour}
    for name, clock in clocks.items():
        _, place, counts = np.unique(clock, return_inverse=True, return_counts=True)
        if counts.size > values.size / 4:
            continue
        means = np.bincount(place, values) / counts
        if total > 0 and ((values - means[place]) ** 2).mean() < (1 - CLOCK_R2) * total:
            return name
    if total == 0 or np.ptp(when) < SEASON_DAYS:
        return ""
    # A smooth function of the season, such as a sine of it: with one row a day no day of the year comes twice.
    angle = 2 * np.pi * when[:, None] / YEAR * np.arange(1, WAVES + 1)
    design = np.hstack([np.ones((len(when), 1)), np.sin(angle), np.cos(angle)])
    rest = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    return "day of the year" if (rest**2).mean() < (1 - CLOCK_R2) * total else ""


def _category(name: str, values: pl.Series, *, always_watched: bool) -> Column:
    nulls = values.null_count() / len(values) if len(values) else 0.0
    counts = values.drop_nulls().value_counts(sort=True).sort("count", values.name, descending=[True, False])
    levels = tuple(counts[values.name].to_list())
    kept = levels[: LEVELS - 1] + ((OTHER,) if len(levels) >= LEVELS else ())
    sizes = counts["count"].to_numpy() / max(len(values), 1)
    shares = (*sizes[: LEVELS - 1].tolist(), *((float(sizes[LEVELS - 1 :].sum()),) if len(levels) >= LEVELS else ()))
    # A column with nearly a value of its own for every row (an id) has no level to be missed.
    is_id = len(levels) > 0.5 * len(values) and not always_watched
    return Column(name, "category", nulls, is_watched=bool(levels) and not is_id, levels=kept, shares=shares)


def _codes(column: Column, values: pl.Series) -> np.ndarray:
    unknown = len(column.levels) - 1 if column.levels and column.levels[-1] == OTHER else UNSEEN
    found = values.replace_strict(list(column.levels), list(range(len(column.levels))), default=unknown, return_dtype=pl.Int32)
    return np.where(values.is_null().to_numpy(), NULL, found.fill_null(unknown).to_numpy()).astype(np.int32)


def day_of(moment: datetime | date) -> float:
    """Days since 1970 of one moment."""
    return float(moments(pl.Series([moment]))[0])
