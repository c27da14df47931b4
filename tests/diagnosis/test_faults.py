"""Planted faults are found, since when, and named; harmless ones are notes at most; an end is told."""

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
import streams

from keepwell.diagnosis.contrast import Contrast
from keepwell.diagnosis.isolation import in_their_season, roots_of
from keepwell.monitoring import Signal, Watch

BEGAN = 500
AFTER = streams.stream(45, seed=2, since=BEGAN)
DRAW = np.random.default_rng(5)
NOISE = pl.Series(DRAW.normal(0, 25, AFTER.height))
ODD = pl.int_range(pl.len()) % 2 == 0
GREY = pl.when(pl.col("sky") == "grey").then(pl.lit("GREY")).otherwise(pl.col("sky")).alias("sky")


@pytest.fixture(scope="module")
def watching() -> Callable[..., Watch]:
    """A watch of a task's stream of 500 days, each time a new one."""
    made: dict[str, bytes] = {}

    def open_watch(task: str = "binary") -> Watch:
        model = streams.MODELS[task]
        if task not in made:
            made[task] = Watch(streams.stream(BEGAN, seed=1, task=task), model, entity="station", task=task).state()
        return Watch.load(made[task], model)

    return open_watch


def newest(signals: list[Signal]) -> Signal:
    declines = [signal for signal in signals if signal.kind == "decline"]
    assert declines, [(signal.kind, signal.causes) for signal in signals]
    assert {signal.incident for signal in declines} == {1}
    return declines[-1]


def since(signal: Signal) -> float:
    assert signal.onset is not None
    return (signal.onset - streams.day(BEGAN)).total_seconds() / 86400


@pytest.mark.parametrize(
    ("kind", "column", "change"),
    [
        ("unit_change", "warmth", [pl.col("warmth") * 1.8 + 32]),
        ("scaled", "damp", [pl.col("damp") * 0.75]),
        ("scaled", "damp", [pl.col("damp") * 1.25]),
        ("stuck", "warmth", [pl.lit(20.0).alias("warmth")]),
        ("missing", "damp", [pl.lit(None, pl.Float64).alias("damp")]),
        ("new_category", "sky", [GREY]),
        ("swapped", "warmth", [pl.col("warmth").alias("damp"), pl.col("damp").alias("warmth")]),
        ("bias_ramp", "pressure", [pl.col("pressure") + 25]),
        ("bias_ramp", "damp", [pl.col("damp") + 18]),
        ("noise", "damp", [pl.col("damp") + NOISE]),
    ],
)
def test_a_broken_column_is_named_with_its_fault(watching: Callable[..., Watch], kind: str, column: str, change: list[pl.Expr]) -> None:
    found = newest(watching().update(streams.answered(AFTER.with_columns(change))))
    assert (found.causes[0].kind, found.causes[0].column, found.causes[0].cls) == (kind, column, "data_quality")
    assert abs(since(found)) <= 1
    assert found.causes[0].harm is not None
    assert found.causes[0].harm > 0


@pytest.mark.parametrize("hour", [1, 8, 13, 18, 23])
def test_the_interval_of_an_onset_holds_the_hour_at_which_a_column_broke(watching: Callable[..., Watch], hour: int) -> None:
    onset = streams.day(BEGAN + 20 + hour / 24)
    warmth = pl.when(pl.col("time") < onset).then(pl.col("warmth")).otherwise(pl.col("warmth") * 1.8 + 32)
    found = newest(watching().update(streams.answered(AFTER.with_columns(warmth=warmth)))).explanation
    assert found is not None
    assert found.began.low <= onset <= found.began.high
    assert (found.began.high - found.began.low).days < 4


def test_more_frequent_labels_are_label_shift(watching: Callable[..., Watch]) -> None:
    label = np.where(np.random.default_rng(9).random(AFTER.height) < 0.35, 1.0, AFTER["label"].to_numpy())
    found = newest(watching().update(AFTER.with_columns(label=label)))
    assert found.causes[0].kind == "label_shift"
    assert abs(since(found)) <= 4


def test_labels_that_follow_a_column_otherwise_are_concept_shift_of_it(watching: Callable[..., Watch]) -> None:
    odds = np.log(AFTER["answer"].to_numpy() / (1 - AFTER["answer"].to_numpy())) - 2 * np.sign(AFTER["wind"].to_numpy() - 10)
    label = (np.random.default_rng(9).random(AFTER.height) < 1 / (1 + np.exp(-odds))).astype(float)
    found = newest(watching().update(AFTER.with_columns(label=label)))
    assert (found.causes[0].kind, found.causes[0].column) == ("concept_shift", "wind")
    assert abs(since(found)) <= 4


@pytest.mark.parametrize(
    "change",
    [
        [pl.col("wind") / 3.6],
        [pl.when(ODD).then(None).otherwise(pl.col("wind")).alias("wind")],
        [pl.col("wind") + NOISE],
        [pl.lit("Nowhere").alias("station")],
    ],
    ids=["unit", "missing", "noise", "entity"],
)
def test_a_fault_in_a_column_that_the_model_ignores_is_a_note_at_most(watching: Callable[..., Watch], change: list[pl.Expr]) -> None:
    signals = watching().update(AFTER.with_columns(change))
    assert {signal.kind for signal in signals} <= {"note"}


@pytest.mark.parametrize(("seed", "change"), [(3, pl.col("pressure") + 8), (2, pl.col("damp") - 6)], ids=["pressure", "damp"])
def test_a_change_that_should_harm_and_whose_labels_say_that_the_loss_fell_is_a_note(
    watching: Callable[..., Watch], seed: int, change: pl.Expr
) -> None:
    """The labels follow the answers as they are now, and more surely than before: the readings changed their meaning and did no harm."""
    after = streams.answered(streams.stream(45, seed=seed, since=BEGAN).with_columns(change))
    odds = 1.5 * np.log(after["answer"].to_numpy() / (1 - after["answer"].to_numpy()))
    label = (np.random.default_rng(9).random(after.height) < 1 / (1 + np.exp(-odds))).astype(float)
    assert [signal.kind for signal in watching().update(after.with_columns(label=label)) if signal.kind != "note"] == []


def test_a_sound_stream_says_nothing(watching: Callable[..., Watch]) -> None:
    assert watching().update(AFTER) == []


def test_columns_that_copy_each_other_are_broken_in_one_place_and_note_at_most() -> None:
    """A flag and an amount that tell the same, neither asked by the model: repairing one by the other goes in circles."""

    def copied(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(flag=(pl.col("wind") > 10).cast(pl.Float64), amount=(pl.col("wind") - 10).clip(0))

    watch = Watch(copied(streams.stream(BEGAN, seed=1)), streams.chance, entity="station")
    signals = watch.update(copied(AFTER).with_columns(amount=pl.col("amount") * 10, flag=pl.lit(1.0)))
    assert {signal.kind for signal in signals} <= {"note"}


def test_one_row_a_day_with_noise_in_an_unused_column_is_a_note_at_most() -> None:
    watch = Watch(streams.stream(900, seed=4, a_day=1), streams.chance)
    after = streams.stream(250, seed=5, a_day=1, since=900)
    noise = np.random.default_rng(6).normal(0, 20, after.height)
    assert {signal.kind for signal in watch.update(after.with_columns(wind=pl.col("wind") + noise))} <= {"note"}


def test_the_end_of_a_fault_is_told_as_recovered(watching: Callable[..., Watch]) -> None:
    after = streams.stream(90, seed=2, since=BEGAN)
    is_broken = pl.col("time") < streams.day(BEGAN + 20)
    broken = pl.when(is_broken).then(pl.col("warmth") * 1.8 + 32).otherwise(pl.col("warmth")).alias("warmth")
    watch = watching()
    signals = [signal for signal in watch.update(streams.answered(after.with_columns(broken))) if signal.is_first]
    assert [signal.kind for signal in signals][:2] == ["decline", "recovered"]
    assert signals[1].incident == signals[0].incident
    assert signals[1].at <= streams.day(BEGAN + 50)
    assert watch.open_incidents == []


def spells(*days: tuple[int, int]) -> pl.Expr:
    """Is a row of one of these spells of days?"""
    moments = ((streams.day(BEGAN + low), streams.day(BEGAN + high)) for low, high in days)
    return pl.any_horizontal(pl.col("time").is_between(low, high, closed="left") for low, high in moments)


@pytest.mark.parametrize("what", ["a column", "labels"])
def test_what_a_decline_was_is_not_diagnosed_after_its_end(watching: Callable[..., Watch], what: str) -> None:
    after = streams.stream(70, seed=2, since=BEGAN)
    is_broken = spells((30, 42))
    if what == "a column":
        broken = pl.when(is_broken).then(pl.col("warmth") * 1.8 + 32).otherwise("warmth").alias("warmth")
        after = streams.answered(after.with_columns(broken))
    else:
        is_moved = is_broken & pl.Series(np.random.default_rng(0).random(after.height) < 0.6)
        after = after.with_columns(label=pl.when(is_moved).then(1.0).otherwise("label"))
    signals = [signal for signal in watching().update(after) if signal.explanation is not None]
    told, recovered = signals[0], signals[-1]
    assert {signal.kind for signal in signals[:-1]} == {"decline"}
    assert recovered.kind == "recovered"
    assert max(signal.at for signal in signals[:-1]) <= streams.day(BEGAN + 45)
    assert recovered.causes[0].cls == told.causes[0].cls
    assert recovered.explanation is not None
    assert abs(since(recovered) - 30) <= 2


def test_a_change_that_a_season_hides_goes_on(watching: Callable[..., Watch]) -> None:
    """Where most labels are 1 anyway, more of them hardly show: from day 80 on the loss is as it was; the change lasts until 200."""
    after = streams.stream(240, seed=2, since=BEGAN)
    is_moved = spells((30, 200)) & pl.Series(np.random.default_rng(0).random(after.height) < 0.6)
    signals = watching().update(after.with_columns(label=pl.when(is_moved).then(1.0).otherwise("label")))
    told, recovered = [signal for signal in signals if signal.is_first]
    assert (told.kind, recovered.kind) == ("decline", "recovered")
    assert streams.day(BEGAN + 200) < recovered.at <= streams.day(BEGAN + 230)


def test_a_fault_that_comes_again_begins_after_the_end_of_the_first(watching: Callable[..., Watch]) -> None:
    after = streams.stream(110, seed=2, since=BEGAN)
    broken = pl.when(spells((5, 20), (90, 110))).then(pl.col("damp") + 10).otherwise("damp").alias("damp")
    signals = [signal for signal in watching().update(streams.answered(after.with_columns(broken))) if signal.kind != "note"]
    again = [signal for signal in signals if signal.incident == 2]
    assert [(signal.kind, signal.incident) for signal in signals if signal.is_first] == [("decline", 1), ("recovered", 1), ("decline", 2)]
    assert again[0].at <= streams.day(BEGAN + 94)
    for signal in again:
        assert signal.causes[0].column == "damp"
        assert signal.explanation is not None
        assert streams.day(BEGAN + 40) < signal.explanation.began.low <= streams.day(BEGAN + 90)


@pytest.mark.parametrize("task", ["regression", "multiclass"])
def test_a_unit_change_is_named_whatever_the_task(watching: Callable[..., Watch], task: str) -> None:
    after = streams.stream(40, seed=2, since=BEGAN, task=task)
    found = newest(watching(task).update(streams.answered(after.with_columns(pl.col("warmth") * 1.8 + 32), task)))
    assert (found.causes[0].kind, found.causes[0].column) == ("unit_change", "warmth")


def test_a_constant_error_of_a_regression_is_label_shift(watching: Callable[..., Watch]) -> None:
    after = streams.stream(45, seed=2, since=BEGAN, task="regression").with_columns(pl.col("label") + 1.5)
    assert newest(watching("regression").update(after)).causes[0].kind == "label_shift"


def test_a_class_that_becomes_frequent_is_label_shift(watching: Callable[..., Watch]) -> None:
    after = streams.stream(45, seed=2, since=BEGAN, task="multiclass")
    label = np.where(np.random.default_rng(9).random(after.height) < 0.5, 1.0, after["label"].to_numpy())
    assert newest(watching("multiclass").update(after.with_columns(label=label))).causes[0].kind == "label_shift"


def test_an_old_harmless_change_hides_no_new_fault(watching: Callable[..., Watch]) -> None:
    after = streams.stream(120, seed=2, since=BEGAN)
    is_new = pl.col("time") >= streams.day(BEGAN + 80)
    broken = after.with_columns(pl.col("wind") / 3.6, pl.when(is_new).then(pl.col("warmth") * 1.8 + 32).otherwise("warmth").alias("warmth"))
    signals = watching().update(streams.answered(broken))
    assert [signal.kind for signal in signals][:1] == ["note"]
    first = next(signal for signal in signals if signal.kind == "decline")
    assert first.causes[0].column == "warmth"
    assert streams.day(BEGAN + 80) < first.at <= streams.day(BEGAN + 83)


def test_a_gross_fault_is_told_when_its_second_day_ends_at_the_latest(watching: Callable[..., Watch]) -> None:
    for change in (pl.col("warmth") * 1.8 + 32, pl.lit(None, pl.Float64).alias("damp")):
        first = next(one for one in watching().update(streams.answered(AFTER.with_columns(change))) if one.kind == "decline")
        assert first.at <= streams.day(BEGAN + 2)


def stormy(days: dict[int, float], seed: int, since: int, length: int) -> pl.DataFrame:
    """A stream whose pressure is off by so much on some days and the three after them."""
    frame = streams.stream(length, seed=seed, since=since)
    number = (frame["time"] - streams.START).dt.total_days()
    off = sum((pl.lit(amount) * number.is_between(first, first + 3) for first, amount in days.items()), pl.lit(0.0))
    return streams.answered(frame.with_columns(pl.col("pressure") + off))


@pytest.mark.parametrize(("days", "is_told"), [(4, False), (12, True)])
def test_what_the_reference_has_known_in_a_milder_form_is_no_fault(days: int, is_told: bool) -> None:
    """Storms of a few days pass; what is as strong and stays is a fault."""
    watch = Watch(stormy({100: 12.0, 230: 14.0, 360: 13.0}, 1, 0, BEGAN), streams.chance, entity="station")
    after = stormy({BEGAN + 10 + 4 * spell: 21.0 for spell in range(days // 4)}, 2, BEGAN, 30)
    kinds = {signal.kind for signal in watch.update(after.drop("label"), until=streams.day(BEGAN + 10 + days))}
    assert ("decline" in kinds) is is_told


def test_a_decline_told_before_its_labels_is_withdrawn_when_they_disprove_it(watching: Callable[..., Watch]) -> None:
    """The column reads otherwise, and the truth went along: the model is as right as it was."""
    moved = streams.answered(AFTER.with_columns(pl.col("pressure") + 25))
    label = (np.random.default_rng(9).random(moved.height) < moved["answer"].to_numpy()).astype(float)
    moved, early = moved.with_columns(label=label), pl.col("time") < streams.day(BEGAN + 20)
    watch = watching()
    first = watch.update(moved.filter(early).drop("label"), until=streams.day(BEGAN + 20))
    assert (first[0].kind, first[0].causes[0].column) == ("decline", "pressure")
    then = watch.update(moved.filter(~early), moved.select("station", "time", "label"))
    assert [signal.kind for signal in then if signal.is_first] == ["withdrawn", "note"]
    assert watch.open_incidents == []
    found = next(signal.explanation for signal in then if signal.kind == "withdrawn")
    assert found is not None and found.rise is not None and found.harm is not None
    assert found.rise < 0.2 * found.harm


def test_what_new_entities_should_cost_is_withdrawn_when_their_labels_disprove_it(watching: Callable[..., Watch]) -> None:
    """Their answers look unsure, and are always on the right side."""
    is_new = pl.col("station").is_in(["Ahorn", "Birke"]) & (pl.col("time") >= streams.day(BEGAN + 10))
    unsure = pl.when(is_new).then(60 + 0.1 * (pl.col("damp") - 60)).otherwise("damp")
    rows = streams.answered(AFTER.with_columns(damp=unsure, station=pl.when(is_new).then(pl.lit("Zeder")).otherwise("station")))
    right = (pl.col("answer") > 0.5).cast(pl.Float64)
    rows = rows.with_columns(label=pl.when(pl.col("station") == "Zeder").then(right).otherwise("label"))
    watch, early = watching(), pl.col("time") < streams.day(BEGAN + 25)
    told = watch.update(rows.filter(early).drop("label"), until=streams.day(BEGAN + 25))
    assert ("decline", "covariate_shift") in {(signal.kind, signal.causes[0].kind) for signal in told}
    then = watch.update(rows.filter(~early), rows.select("station", "time", "label"))
    assert "withdrawn" in {signal.kind for signal in then}
    assert watch.open_incidents == []


def test_harm_of_what_began_long_ago_is_left_to_labels(watching: Callable[..., Watch], monkeypatch: pytest.MonkeyPatch) -> None:
    """What came before it is no longer remembered, so there is nothing sound to hold it against."""
    warm = streams.answered(AFTER.with_columns(pl.col("warmth") * 1.8 + 32))
    monkeypatch.setattr("keepwell.monitoring.incidents.BEFORE", -1)
    assert "decline" not in {signal.kind for signal in watching().update(warm.drop("label"))}
    assert "decline" in {signal.kind for signal in watching().update(warm)}


def test_labels_that_come_by_the_week_end_a_decline_as_soon(watching: Callable[..., Watch]) -> None:
    after = streams.stream(90, seed=2, since=BEGAN)
    is_moved = spells((10, 40)) & pl.Series(np.random.default_rng(0).random(after.height) < 0.6)
    after = after.with_columns(label=pl.when(is_moved).then(1 - pl.col("label")).otherwise("label"))
    ends = {}
    for days in (1, 7):
        watch, signals = watching(), []
        for last in range(days, 91, days):
            rows, labels = (after.filter(spells((at - days, at))) for at in (last, last - days))
            signals += watch.update(rows.drop("label"), labels.select("station", "time", "label"), until=streams.day(BEGAN + last))
        told, ended = [signal for signal in signals if signal.is_first]
        assert (told.kind, ended.kind) == ("decline", "recovered")
        ends[days] = ended.at
    assert streams.day(BEGAN + 40) < ends[7] <= ends[1] + timedelta(days=7)


@pytest.mark.parametrize("what", ["rows of another season", "a biased column"])
def test_a_column_that_fits_the_others_at_another_time_of_the_year_is_not_at_fault(watching: Callable[..., Watch], what: str) -> None:
    def seasonal(rows: pl.DataFrame) -> pl.DataFrame:
        """With three more columns that have a season, as warmth has."""
        season = 8 * (2 * np.pi * (pl.col("time") - streams.START).dt.total_days() / 365.25).sin()
        return rows.with_columns(pl.col("wind", "pressure", "damp") + season)

    reference, rows = seasonal(streams.stream(BEGAN, seed=1)), seasonal(streams.stream(45, seed=2, since=BEGAN + 182))
    rows = rows.with_columns(pl.col("time") - timedelta(days=182))
    if what == "a biased column":
        rows = seasonal(AFTER).with_columns(pl.col("warmth") + 10)
    watch = Watch(reference, entity="station")
    watch.update(rows, until=streams.day(BEGAN + 45))
    case = watch.case()
    contrast = Contrast.at(case, int(np.searchsorted(case.numbers, np.floor(streams.day(BEGAN).timestamp() / 86400))))
    root = next(root for root in roots_of(contrast) if root.column == "warmth")
    misfit, _ = in_their_season(contrast, root)
    if what == "a biased column":
        assert misfit > 0.7 * root.misfit
    else:
        assert abs(misfit) < 0.3 * abs(root.misfit)
