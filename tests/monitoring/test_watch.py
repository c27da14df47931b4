"""A watch on plain frames: what it refuses, what it passes over, and that it says the same however rows come."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
import streams

from keepwell.errors import FrameInvalid, WatchStateInvalid
from keepwell.monitoring import Signal, Watch

BEGAN = 400
REFERENCE = streams.stream(BEGAN, seed=1)
AFTER = streams.stream(30, seed=2, since=BEGAN)
BROKEN = streams.answered(AFTER.with_columns(pl.col("warmth") * 1.8 + 32))


@pytest.fixture(scope="module")
def state() -> bytes:
    return Watch(REFERENCE, streams.chance, entity="station").state()


@pytest.fixture
def watch(state: bytes) -> Watch:
    return Watch.load(state, streams.chance)


def told(signals: list[Signal]) -> list[tuple[object, ...]]:
    return [(one.kind, one.at, one.incident, one.onset, [(cause.kind, cause.column) for cause in one.causes]) for one in signals]


def by_day(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    for part in frame.with_columns(_day=pl.col("time").dt.date()).partition_by("_day", maintain_order=True):
        yield part.drop("_day")


# --- however rows come ------------------------------------------------------------------------------------------------


def test_one_by_one_and_in_one_batch_give_the_same_signals(state: bytes) -> None:
    whole = Watch.load(state, streams.chance).update(BROKEN)
    assert [one.kind for one in whole][:1] == ["decline"]
    single, watch = [], Watch.load(state, streams.chance)
    for at in range(BROKEN.height):
        single += watch.update(BROKEN.slice(at, 1))
    assert told(single) == told(whole)


def test_rows_in_any_order_give_the_same_signals(state: bytes) -> None:
    whole = Watch.load(state, streams.chance).update(BROKEN)
    shuffled = Watch.load(state, streams.chance).update(BROKEN.sample(fraction=1, shuffle=True, seed=4))
    assert told(shuffled) == told(whole)


def test_a_watch_saved_and_loaded_after_each_day_gives_the_same_signals(state: bytes) -> None:
    whole = Watch.load(state, streams.chance).update(BROKEN)
    said, now = [], state
    for part in by_day(BROKEN):
        watch = Watch.load(now, streams.chance)
        said += watch.update(part)
        now = watch.state()
    assert told(said) == told(whole)


def test_a_state_that_is_loaded_is_saved_as_it_was(state: bytes) -> None:
    watch = Watch.load(state, streams.chance)
    watch.update(BROKEN)
    once = watch.state()
    assert Watch.load(once).state() == once


@pytest.mark.parametrize("content", [b"", b"no state", b"PK\x03\x04 cut off"])
def test_bytes_that_are_no_state_are_refused(content: bytes) -> None:
    with pytest.raises(WatchStateInvalid):
        Watch.load(content)


def test_a_state_that_was_cut_is_refused(state: bytes) -> None:
    with pytest.raises(WatchStateInvalid):
        Watch.load(state[: len(state) // 2])


def test_a_reference_in_any_order_gives_the_same_watch(state: bytes) -> None:
    shuffled = Watch(REFERENCE.sample(fraction=1, shuffle=True, seed=3), streams.chance, entity="station")
    assert told(shuffled.update(BROKEN)) == told(Watch.load(state, streams.chance).update(BROKEN))


# --- what is refused changes nothing ----------------------------------------------------------------------------------

BAD = {
    "a column is missing": lambda frame: frame.drop("damp"),
    "the time is missing": lambda frame: frame.drop("time"),
    "some rows have no time": lambda frame: frame.with_columns(pl.when(pl.int_range(pl.len()) > 3).then("time").alias("time")),
    "text in a column of numbers": lambda frame: frame.with_columns(damp=pl.lit("wet")),
    "a time without a zone": lambda frame: frame.with_columns(pl.col("time").dt.replace_time_zone(None)),
    "times as numbers": lambda frame: frame.with_columns(pl.col("time").dt.epoch()),
    "answers that are NaN": lambda frame: frame.with_columns(answer=pl.lit(float("nan"))),
    "answers that are missing": lambda frame: frame.with_columns(answer=pl.lit(None, pl.Float64)),
    "answers that are no chances": lambda frame: frame.with_columns(answer=pl.lit(1.5)),
    "answers that are lists": lambda frame: frame.with_columns(answer=pl.concat_list("answer", "answer")),
    "labels of no class": lambda frame: frame.with_columns(label=pl.lit(2.0)),
    "answers that are text": lambda frame: frame.with_columns(answer=pl.lit("yes")),
}


@pytest.mark.parametrize("spoil", BAD.values(), ids=BAD.keys())
def test_a_batch_that_does_not_fit_is_refused_and_changes_nothing(watch: Watch, spoil: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    watch.update(AFTER.head(30))
    before = watch.state()
    with pytest.raises(FrameInvalid):
        watch.update(spoil(AFTER.slice(30, 30)))
    assert watch.state() == before


def test_labels_that_are_no_numbers_are_refused_and_change_nothing(watch: Watch) -> None:
    before = watch.state()
    for label in (pl.lit("yes"), pl.lit(None, pl.Float64), pl.lit(float("inf")), pl.lit(2.0)):
        with pytest.raises(FrameInvalid):
            watch.update(AFTER.drop("label"), AFTER.select("station", "time", label.alias("label")))
    assert watch.state() == before


@pytest.mark.parametrize("value", [float("nan"), None])
def test_a_model_that_fails_while_a_change_is_priced_changes_nothing(state: bytes, value: float | None) -> None:
    def failing(rows: pl.DataFrame) -> np.ndarray:
        if value is None:
            raise RuntimeError("no answer")
        return np.full(rows.height, value)

    watch = Watch.load(state, failing)
    watch.update(AFTER.head(9 * 3))
    before = watch.state()
    with pytest.raises(RuntimeError if value is None else FrameInvalid):
        watch.update(BROKEN.slice(9 * 3))
    assert watch.state() == before
    watch.model = streams.chance
    healed = Watch.load(state, streams.chance)
    healed.update(AFTER.head(9 * 3))
    assert told(watch.update(BROKEN.slice(9 * 3))) == told(healed.update(BROKEN.slice(9 * 3)))


def test_an_empty_batch_changes_nothing(watch: Watch) -> None:
    before = watch.state()
    assert watch.update(AFTER.head(0)) == []
    assert watch.state() == before


def test_labels_of_unknown_rows_are_counted_not_refused(watch: Watch) -> None:
    watch.update(AFTER.head(18))
    labels = pl.DataFrame({"station": ["Ahorn", "Nowhere"], "time": [streams.day(5000)] * 2, "label": [1.0, 0.0]})
    watch.update(AFTER.head(0), labels.with_columns(pl.col("time").cast(AFTER.schema["time"])))
    assert watch.unknown_labels == 2


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(FrameInvalid, match="no task"):
        Watch(REFERENCE, task="ranking")


@pytest.mark.parametrize("days", [10, 50])
def test_a_reference_that_is_too_short_says_what_it_lacks(days: int) -> None:
    with pytest.raises(FrameInvalid, match="are needed"):
        Watch(streams.stream(days, seed=1), streams.chance)


# --- edge cases -------------------------------------------------------------------------------------------------------


def test_an_all_null_column_of_the_reference_is_not_watched_and_noted() -> None:
    empty = pl.lit(None, pl.Float64).alias("empty")
    watch = Watch(REFERENCE.with_columns(empty), streams.chance, entity="station")
    assert any("empty" in note for note in watch.reference.notes)
    assert watch.update(AFTER.with_columns(empty)) == []


def test_an_all_null_column_later_is_missing_in_a_day_or_two(watch: Watch) -> None:
    signals = watch.update(streams.answered(AFTER.with_columns(damp=pl.lit(None, pl.Float64))))
    assert signals[0].causes[0].kind == "missing"
    assert signals[0].at <= streams.day(BEGAN + 3)


def test_a_constant_column_says_nothing() -> None:
    constant = pl.lit(5.0).alias("constant")
    watch = Watch(REFERENCE.with_columns(constant), streams.chance, entity="station")
    assert not any(channel.column == "constant" and channel.kind in "msr" for channel in watch.reference.channels)
    assert watch.update(AFTER.with_columns(constant)) == []


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_constant_labels_of_the_reference_leave_every_number_finite(label: float) -> None:
    watch = Watch(REFERENCE.with_columns(label=pl.lit(label)), streams.chance, entity="station")
    watch.update(AFTER.with_columns(label=pl.lit(label)))
    assert np.isfinite(watch.detector.evidence).any()
    assert not np.isnan(watch.detector.evidence).any()


def test_one_class_absent_from_a_batch_is_no_fault(watch: Watch) -> None:
    first = pl.col("time") < streams.day(BEGAN + 1)
    assert watch.update(AFTER.with_columns(label=pl.when(first).then(0.0).otherwise("label"))) == []


def test_a_class_absent_from_the_reference_is_refused_nowhere() -> None:
    reference = streams.stream(BEGAN, seed=1, task="multiclass")
    rare = reference.with_columns(label=pl.when(pl.col("label") == 2).then(1.0).otherwise("label"))
    watch = Watch(rare, streams.chances, entity="station", task="multiclass")
    watch.update(streams.stream(10, seed=2, since=BEGAN, task="multiclass"))
    assert not np.isnan(watch.detector.evidence).any()


@pytest.mark.parametrize(
    "spoil",
    [
        {"answer": pl.concat_list(pl.lit(0.5), pl.lit(0.5))},
        {"label": pl.lit(3.0)},
        {"answer": pl.when(pl.int_range(pl.len()) > 3).then("answer")},
        {"answer": pl.lit(0.3)},
    ],
    ids=["two chances for three classes", "a fourth class", "lists that are missing", "one number"],
)
def test_a_multiclass_batch_that_does_not_fit_is_refused_and_changes_nothing(spoil: dict[str, pl.Expr]) -> None:
    watch = Watch(streams.stream(100, seed=1, task="multiclass"), streams.chances, entity="station", task="multiclass")
    before = watch.state()
    with pytest.raises(FrameInvalid):
        watch.update(streams.stream(5, seed=2, since=100, task="multiclass").with_columns(**spoil))
    assert watch.state() == before


def test_columns_of_a_kin_type_are_read_and_kept(watch: Watch) -> None:
    kin = AFTER.with_columns(pl.col("station", "sky").cast(pl.Categorical), pl.col("wind").cast(pl.Float32))
    assert watch.update(AFTER.head(45)) + watch.update(kin.slice(45)) == []
    assert Watch.load(watch.state()).kept.frame.height == watch.kept.frame.height


def test_imbalance_is_no_decline() -> None:
    def rare(frame: pl.DataFrame) -> np.ndarray:
        return streams.chance(frame) / 40

    def rows(days: int, seed: int, since: int) -> pl.DataFrame:
        frame = streams.stream(days, seed=seed, since=since)
        answer = rare(frame)
        return frame.with_columns(answer=answer, label=(np.random.default_rng(seed).random(frame.height) < answer).astype(float))

    watch = Watch(rows(400, 1, 0), rare, entity="station")
    assert {signal.kind for signal in watch.update(rows(100, 2, 400))} <= {"note"}


def test_late_rows_never_reopen_a_batch_and_are_counted(watch: Watch) -> None:
    watch.update(AFTER)
    evidence, batches = watch.detector.evidence.copy(), watch.series.numbers.copy()
    late = BROKEN.head(9).with_columns(pl.col("station"))
    assert watch.update(late) == []
    assert watch.late == 9
    assert (watch.detector.evidence == evidence).all()
    assert (watch.series.numbers == batches).all()


def test_rows_of_the_open_day_wait_for_its_end(watch: Watch) -> None:
    watch.update(AFTER.head(13))
    assert watch.closed == int(watch.reference.batch_of(np.array([18262.0 + BEGAN]))[0])
    assert sum(part.frame.height for part in watch.open) == 4


def test_delayed_labels_are_tested_when_they_come_and_say_the_same(state: bytes) -> None:
    """What label channels have seen does not depend on when labels came."""
    at_once, delayed = Watch.load(state, streams.chance), Watch.load(state, streams.chance)
    at_once.update(AFTER, until=streams.day(BEGAN + 30))
    delayed.update(AFTER.drop("label"), until=streams.day(BEGAN + 30))
    labels = [channel.is_of_labels for channel in delayed.reference.channels]
    assert len(delayed.unlabelled) == 30
    delayed.update(AFTER.head(0), AFTER.select("station", "time", "label"), until=streams.day(BEGAN + 31))
    assert delayed.unlabelled == []
    assert np.allclose(delayed.detector.evidence[labels], at_once.detector.evidence[labels])


def test_label_delay_lets_a_batch_be_tested_with_the_labels_that_are_in() -> None:
    watch = Watch(REFERENCE, streams.chance, entity="station", label_delay_days=5)
    some = AFTER.with_columns(pl.when(pl.int_range(pl.len()) % 3 == 0).then("label").alias("label"))
    watch.update(some)
    assert 0 < len(watch.unlabelled) <= 10


def test_selective_labels_of_random_rows_do_no_harm(watch: Watch) -> None:
    known = np.random.default_rng(3).random(AFTER.height) < 0.92
    assert watch.update(AFTER.with_columns(pl.when(pl.Series(known)).then("label").alias("label"))) == []


def test_labels_of_new_rows_leave_those_of_the_reference_as_they_were() -> None:
    """Also where keys are counted anew: the price of a fault is measured on the reference's rows, by their own labels."""
    counted = [frame.with_columns(id=pl.int_range(pl.len())) for frame in (REFERENCE, AFTER)]
    watch = Watch(counted[0], streams.chance, key="id", columns=list(streams.NUMBERS))
    before, last = watch.kept.label.copy(), watch.closed
    watch.update(counted[1].drop("label"))
    watch.update(counted[1].head(0), counted[1].select("id", label=1 - pl.col("label")))
    left = watch.kept.label[watch.kept.batch <= last]
    assert len(left) > AFTER.height
    assert np.array_equal(left, before[-len(left) :])


@pytest.mark.parametrize(("easy", "words"), [(True, "easier"), (False, "harder")])
def test_selective_labels_of_some_rows_only_are_a_note(state: bytes, easy: bool, words: str) -> None:
    """Labels of the rows that were sure, or of those that were not: the loss that they show is not that of all."""
    watch = Watch.load(state, streams.chance)
    watch.label_delay_days = 2.0
    is_sure = (AFTER["answer"] - 0.5).abs() > 0.25
    known = is_sure if easy else ~is_sure
    signals = watch.update(AFTER.with_columns(pl.when(known).then("label").alias("label")))
    notes = {cause.kind: cause.detail for one in signals for cause in one.causes if one.kind == "note"}
    assert f"rows whose labels came are {words}" in notes["selective_labels"]
    assert "decline" not in {one.kind for one in signals}


def test_a_label_delay_that_grows_is_a_note(state: bytes) -> None:
    watch = Watch.load(state, streams.chance)
    watch.label_delay_days = 2.0
    assert watch.update(AFTER) == []
    later = streams.stream(20, seed=3, since=BEGAN + 30)
    signals = []
    for number, part in enumerate(by_day(later)):
        due = later.filter(pl.col("time") < streams.day(BEGAN + 30 + number - 6)).select("station", "time", "label")
        signals += watch.update(part.drop("label"), due if due.height else None)
    assert [(one.kind, one.causes[0].kind) for one in signals] == [("note", "late_labels")]


def test_without_any_label_a_broken_column_is_still_found(watch: Watch) -> None:
    signals = watch.update(BROKEN.drop("label"))
    assert (signals[-1].kind, signals[-1].causes[0].kind, signals[-1].causes[0].column) == ("decline", "unit_change", "warmth")
    assert signals[0].at <= streams.day(BEGAN + 4)
    assert signals[0].explanation is not None
    assert not signals[0].explanation.has_labels


def test_of_duplicate_ids_the_last_label_wins(watch: Watch) -> None:
    watch.update(AFTER.drop("label"))
    names = AFTER.select("station", "time").head(1)
    watch.update(AFTER.head(0), pl.concat([names.with_columns(label=pl.lit(value)) for value in (0.0, 1.0, 0.0, 1.0)]))
    at = watch.kept.batch.searchsorted(watch.reference.batch_of(np.array([18262.0 + BEGAN]))[0])
    assert watch.kept.label[at] == 1.0
    assert watch.unknown_labels == 0


def test_infinities_count_as_missing(state: bytes) -> None:
    endless, missing = Watch.load(state, streams.chance), Watch.load(state, streams.chance)
    answers = AFTER["answer"]
    endless.update(AFTER.with_columns(damp=pl.lit(float("inf")), answer=answers))
    missing.update(AFTER.with_columns(damp=pl.lit(None, pl.Float64), answer=answers))
    assert (endless.detector.evidence == missing.detector.evidence).all()


def test_few_rows_a_day_are_merged_into_longer_batches() -> None:
    watch = Watch(streams.stream(600, seed=1, a_day=1), streams.chance)
    assert watch.reference.width == 5
    assert any("5 days are one batch" in note for note in watch.reference.notes)


def test_a_new_entity_is_a_mix_and_not_a_new_category(watch: Watch) -> None:
    other = AFTER.with_columns(station=pl.when(pl.col("station") == "Ahorn").then(pl.lit("Zeder")).otherwise("station"))
    signals = watch.update(other)
    assert {signal.kind for signal in signals} <= {"note"}
    assert {(cause.kind, cause.column) for signal in signals for cause in signal.causes} == {("covariate_shift", "station")}


def test_a_time_zone_other_than_utc_is_the_same_instant(state: bytes) -> None:
    here, there = Watch.load(state, streams.chance), Watch.load(state, streams.chance)
    said = here.update(BROKEN)
    moved = BROKEN.with_columns(pl.col("time").dt.convert_time_zone("Asia/Tokyo"))
    assert told(there.update(moved)) == told(said)
    assert (here.detector.stakes == there.detector.stakes).all()


def test_labels_named_in_another_time_zone_find_their_rows(watch: Watch) -> None:
    watch.update(AFTER.drop("label"))
    labels = AFTER.select("station", pl.col("time").dt.convert_time_zone("Asia/Tokyo"), "label")
    watch.update(AFTER.head(0), labels)
    assert watch.unknown_labels == 0


def test_a_day_without_rows_is_no_fault_and_three_are_an_outage(watch: Watch) -> None:
    assert watch.update(AFTER.head(9 * 5), until=streams.day(BEGAN + 6)) == []
    later = watch.update(AFTER.head(0), until=streams.day(BEGAN + 9))
    assert [(one.kind, one.causes[0].kind) for one in later] == [("note", "outage")]


def test_rows_that_come_twice_are_a_note(watch: Watch) -> None:
    signals = watch.update(pl.concat([AFTER, AFTER.head(9 * 8)]))
    assert [(one.kind, one.causes[0].kind) for one in signals] == [("note", "duplicate_rows")]


def test_the_end_of_a_batch_needs_a_time_zone(watch: Watch) -> None:
    before = watch.state()
    with pytest.raises(FrameInvalid, match="no time zone"):
        watch.update(AFTER, until=streams.day(BEGAN + 40).replace(tzinfo=None))
    assert watch.state() == before


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_every_channel_of_a_sound_stream_stays_where_the_reference_had_it(task: str) -> None:
    """Models of columns and loss must have one mean, out of fold and refitted: else a season would look like a change."""
    watch = Watch(streams.stream(500, seed=101, task=task), streams.MODELS[task], entity="station", task=task)
    assert watch.update(streams.stream(150, seed=201, since=500, task=task)) == []
    seen = np.array([channel.kind in ("m", "s", "diff", "gap") for channel in watch.reference.channels])
    assert np.abs(watch.series.z[-150:, seen].mean(axis=0)).max() < 0.4


def test_the_plan_is_shorter_for_larger_rises_and_infinite_where_they_are_tolerated(watch: Watch) -> None:
    plan = watch.plan((0.001, 0.1, 0.2, 0.5, 1.0))
    assert plan[0.001] == float("inf")
    assert plan[0.1] > plan[0.2] > plan[0.5] > plan[1.0] > 0


def test_a_larger_budget_proves_sooner() -> None:
    plans = [Watch(REFERENCE, streams.chance, false_alarms=words).plan((0.5,))[0.5] for words in ("1 per 10 years", "1 per year")]
    assert plans[0] > plans[1]


def test_batches_may_be_longer_than_a_day() -> None:
    watch = Watch(streams.stream(500, seed=1), streams.chance, entity="station", batch_days=7)
    said = watch.update(streams.answered(streams.stream(60, seed=2, since=500).with_columns(pl.col("warmth") * 1.8 + 32)))
    assert (said[-1].kind, said[-1].causes[0].kind) == ("decline", "unit_change")
    assert said[-1].onset is not None
    assert abs(said[-1].onset - streams.day(500)) <= timedelta(days=7)
