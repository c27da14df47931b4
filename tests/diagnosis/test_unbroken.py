"""No column is broken: a changed relation, a changed share of labels and other rows are told apart, and each is told since when."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import streams

from keepwell.detection import Onset
from keepwell.diagnosis import Case
from keepwell.diagnosis.accounting import avoidable
from keepwell.diagnosis.contrast import Contrast
from keepwell.diagnosis.relation import Told, without_fault
from keepwell.diagnosis.turnout import moves_of, onset_of_mix
from keepwell.monitoring import Watch

BEGAN, DAYS = 500, 60
AFTER = streams.stream(DAYS, seed=2, since=BEGAN)
LATE = AFTER["time"].to_numpy() >= np.datetime64(streams.day(BEGAN + 10).replace(tzinfo=None))
DRAW = np.random.default_rng(3)


def drawn(chance: np.ndarray) -> pl.Series:
    """Labels from the eleventh day on with other chances, before as they were."""
    label = (np.random.default_rng(4).random(len(chance)) < chance).astype(float)
    return pl.Series("label", np.where(LATE, label, AFTER["label"].to_numpy()))


@pytest.fixture(scope="module")
def states() -> dict[str, bytes]:
    return {
        task: Watch(streams.stream(BEGAN, seed=1, task=task), streams.MODELS[task], entity="station", task=task).state()
        for task in ("binary", "regression", "multiclass")
    }


@pytest.fixture
def case_of(states: dict[str, bytes]) -> Callable[..., Case]:
    """What is known after sixty days, whether anything rang or not."""

    def known(rows: pl.DataFrame, task: str = "binary", *, is_asked: bool = True) -> Case:
        watch = Watch.load(states[task], streams.MODELS[task] if is_asked else None)
        watch.update(rows, until=streams.day(BEGAN + DAYS))
        return watch.case()

    return known


def place(case: Case, day: float) -> int:
    """Position of a day's batch."""
    return int(np.searchsorted(case.numbers, np.floor((streams.day(day).timestamp()) / 86400)))


def told(case: Case, day: float, channel: str = "gap") -> list[tuple[str, str]]:
    """Causes when the labels' own channels put the onset on a day."""
    at = place(case, day)
    found = without_fault(case, Onset(at, at - 5, at + 5, "step", 1.0, 10.0), channel)
    return [(cause.kind, cause.column) for cause in found.causes]


# --- what recalibration would spare ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("odds", [0.25, 0.35, 3.0])
def test_what_recalibration_would_spare_is_what_the_answers_lose_to_the_right_ones(case_of: Callable[..., Case], odds: float) -> None:
    answer = AFTER["answer"].to_numpy()
    right = odds * answer / (1 - answer + odds * answer)
    rows = AFTER.with_columns(drawn(right))
    case = case_of(rows)
    found = avoidable(Contrast.at(case, place(case, BEGAN + 10)))
    assert found is not None
    lost = (right * np.log(right / answer) + (1 - right) * np.log((1 - right) / (1 - answer)))[LATE].mean()
    assert abs(found[0] - lost) < 3 * found[1]
    assert found[0] > 3 * found[1]


@pytest.mark.parametrize("task", ["binary", "regression", "multiclass"])
def test_recalibration_spares_nothing_where_nothing_changed(case_of: Callable[..., Case], task: str) -> None:
    case = case_of(streams.stream(DAYS, seed=2, since=BEGAN, task=task), task)
    found = avoidable(Contrast.at(case, place(case, BEGAN + 10)))
    assert found is not None
    assert found[0] < 2 * found[1]
    assert found[0] < 0.02 * case.reference.outcome.loss


def test_a_number_that_is_off_by_a_constant_is_put_right_by_it(case_of: Callable[..., Case]) -> None:
    rows = streams.stream(DAYS, seed=2, since=BEGAN, task="regression")
    case = case_of(rows.with_columns(pl.Series("label", np.where(LATE, rows["label"] + 1.0, rows["label"]))), "regression")
    found = avoidable(Contrast.at(case, place(case, BEGAN + 10)))
    assert found is not None
    assert found[0] == pytest.approx(1.0, abs=3 * found[1])


def test_answers_that_could_be_surer_are_no_decline(case_of: Callable[..., Case], states: dict[str, bytes]) -> None:
    answer = AFTER["answer"].to_numpy()
    rows = AFTER.with_columns(drawn(np.where(answer < 0.5, answer**4, answer)))
    case = case_of(rows)
    found = avoidable(Contrast.at(case, place(case, BEGAN + 10)))
    assert found is not None
    assert found[0] > 3 * found[1]
    watch = Watch.load(states["binary"], streams.chance)
    assert {signal.kind for signal in watch.update(rows, until=streams.day(BEGAN + DAYS))} <= {"note"}


# --- the relation to the label ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("day", [4, 10, 25])
def test_labels_that_turn_over_in_a_region_are_concept_shift_of_its_column(case_of: Callable[..., Case], day: int) -> None:
    """Their share moves, too; and the onset of the label channels may lie too early or too late."""
    answer, damp = AFTER["answer"].to_numpy(), AFTER["damp"].to_numpy()
    chance = np.where(damp > np.quantile(damp, 0.7), 0.3 * answer + 0.7 * (1 - answer), answer)
    case = case_of(AFTER.with_columns(drawn(chance)))
    assert told(case, BEGAN + day)[0] == ("concept_shift", "damp")


def test_a_column_whose_effect_turned_round_is_named(case_of: Callable[..., Case]) -> None:
    chance = streams.chance(AFTER.with_columns(pressure=2 * 1013 - pl.col("pressure")))
    case = case_of(AFTER.with_columns(drawn(chance)))
    assert told(case, BEGAN + 10)[0] == ("concept_shift", "pressure")


def test_without_a_model_to_ask_it_is_named_from_its_values(case_of: Callable[..., Case]) -> None:
    answer, damp = AFTER["answer"].to_numpy(), AFTER["damp"].to_numpy()
    chance = np.where(damp > np.quantile(damp, 0.7), 0.3 * answer + 0.7 * (1 - answer), answer)
    case = case_of(AFTER.with_columns(drawn(chance)), is_asked=False)
    assert told(case, BEGAN + 10)[0] == ("concept_shift", "damp")


@pytest.mark.parametrize("odds", [0.35, 3.0])
def test_a_share_that_moved_whatever_the_columns_say_is_label_shift(case_of: Callable[..., Case], odds: float) -> None:
    answer = AFTER["answer"].to_numpy()
    case = case_of(AFTER.with_columns(drawn(odds * answer / (1 - answer + odds * answer))))
    assert told(case, BEGAN + 10)[0] == ("label_shift", "")


def test_labels_that_are_as_ever_prove_no_changed_relation(case_of: Callable[..., Case]) -> None:
    assert {kind for kind, _ in told(case_of(AFTER), BEGAN + 10)} <= {"unknown"}


def test_a_number_that_follows_a_column_otherwise_is_concept_shift(case_of: Callable[..., Case]) -> None:
    rows = streams.stream(DAYS, seed=2, since=BEGAN, task="regression")
    moved = pl.Series("label", np.where(LATE, rows["label"] + 0.25 * (rows["damp"] - 60), rows["label"]))
    assert told(case_of(rows.with_columns(moved), "regression"), BEGAN + 10)[0] == ("concept_shift", "damp")
    moved = pl.Series("label", np.where(LATE, rows["label"] + 2.5, rows["label"]))
    assert told(case_of(rows.with_columns(moved), "regression"), BEGAN + 10)[0] == ("label_shift", "")


def test_one_of_three_classes_that_becomes_frequent_is_label_shift(case_of: Callable[..., Case]) -> None:
    rows = streams.stream(DAYS, seed=2, since=BEGAN, task="multiclass")
    chances = streams.chances(rows) * [1.0, 1.0, 4.0]
    sums = np.cumsum(chances / chances.sum(axis=1, keepdims=True), axis=1)
    moved = pl.Series("label", np.where(LATE, (DRAW.random(rows.height)[:, None] > sums[:, :2]).sum(axis=1).astype(float), rows["label"]))
    assert told(case_of(rows.with_columns(moved), "multiclass"), BEGAN + 10)[0] == ("label_shift", "")


def test_a_story_says_since_when_better_than_the_channel_that_rang(case_of: Callable[..., Case]) -> None:
    answer, damp = AFTER["answer"].to_numpy(), AFTER["damp"].to_numpy()
    chance = np.where(damp > np.quantile(damp, 0.7), 0.2 * answer + 0.8 * (1 - answer), answer)
    case = case_of(AFTER.with_columns(drawn(chance)))
    at = place(case, BEGAN + 25)
    found = without_fault(case, Onset(at, at - 5, at + 5, "step", 1.0, 10.0), "gap").onset
    assert found.low <= place(case, BEGAN + 10) <= found.high
    assert abs(found.at - place(case, BEGAN + 10)) < 12


def test_an_onset_told_months_too_early_hides_no_changed_relation(case_of: Callable[..., Case]) -> None:
    answer, damp = AFTER["answer"].to_numpy(), AFTER["damp"].to_numpy()
    chance = np.where(damp > np.quantile(damp, 0.7), 0.2 * answer + 0.8 * (1 - answer), answer)
    contrast = Contrast.at(case := case_of(AFTER.with_columns(drawn(chance))), place(case, BEGAN - 200))
    rough, plain = (Told.of(contrast, is_rough=is_rough) for is_rough in (True, False))
    assert rough is not None
    assert plain is not None
    assert rough.best.column == "damp"
    assert rough.gain > plain.gain + 3


def test_a_moved_column_does_not_make_a_moved_share_look_like_a_changed_weight(case_of: Callable[..., Case]) -> None:
    """All rows after the onset lie on one side of the column's mean: its weight and a constant would be the same there."""
    rows = AFTER.with_columns(wind=pl.Series(np.where(LATE, AFTER["wind"] + 12, AFTER["wind"])))  # the model does not ask it
    answer = rows["answer"].to_numpy()
    case = case_of(rows.with_columns(drawn(3 * answer / (1 + 2 * answer))))
    found = Told.of(Contrast.at(case, place(case, BEGAN + 10)), is_rough=False)
    assert found is not None
    assert not found.is_concept
    assert next(gain for gain, story in found.columns if story.column == "wind") < found.constant.gain / 2
    assert replace(found, concept=found.constant.gain - 1).is_concept  # a constant must win by more: a changed relation often has one


# --- who turns up -----------------------------------------------------------------------------------------------------


def turned_up(weight: Callable[[pl.DataFrame], np.ndarray]) -> pl.DataFrame:
    """From the eleventh day on, nine of each day's forty rows, those with large weights more often."""
    many = streams.stream(DAYS, seed=2, since=BEGAN, a_day=40)
    key = weight(many) + np.random.default_rng(6).gumbel(size=many.height)
    late = (many["time"] >= streams.day(BEGAN + 10)).to_numpy()
    chosen = many.with_columns(key=np.where(late, key, np.random.default_rng(7).random(many.height)), day=pl.col("time").dt.date())
    return chosen.filter(pl.col("key").rank(descending=True).over("day") <= 9).drop("key", "day").sort("time")


@pytest.mark.parametrize("column", ["warmth", "damp"])
def test_rows_that_others_would_not_have_are_covariate_shift_of_the_column_that_chose_them(
    case_of: Callable[..., Case], column: str
) -> None:
    rows = turned_up(lambda frame: 1.5 * ((frame[column] - frame[column].mean()) / frame[column].std()).to_numpy())
    case = case_of(rows)
    at = place(case, BEGAN + 20)
    found = without_fault(case, Onset(at, at - 9, at + 9, "step", 1.0, 10.0), "diff")
    assert (found.causes[0].kind, found.causes[0].column) == ("covariate_shift", column)
    assert abs(found.onset.at - place(case, BEGAN + 10)) <= 1


def test_columns_that_moved_only_because_other_entities_came_do_not_hide_these(case_of: Callable[..., Case]) -> None:
    """The stations differ in warmth."""
    case = case_of(turned_up(lambda frame: 4.0 * (frame["station"] == "Eiche").to_numpy()))
    assert "warmth" in {move.column for move in moves_of(case)}
    assert told(case, BEGAN + 10, "diff")[0] == ("covariate_shift", "station")


@pytest.mark.parametrize("day", [7, 18, 35])
def test_since_when_entities_come_otherwise_is_told_by_them_and_not_by_the_loss(case_of: Callable[..., Case], day: int) -> None:
    case = case_of(turned_up(lambda frame: 2.0 * (frame["station"] == "Eiche").to_numpy()))
    found = onset_of_mix(Contrast.at(case, place(case, BEGAN + day)))
    assert found is not None
    assert found.low <= place(case, BEGAN + 10) <= found.high
    assert abs(found.at - place(case, BEGAN + 10)) <= 1


def test_a_watch_that_was_saved_names_the_same_columns(states: dict[str, bytes]) -> None:
    """How the means of columns behave by themselves is part of its state."""
    watch = Watch.load(states["binary"])
    assert np.array_equal(Watch.load(watch.state()).reference.marginals.season, watch.reference.marginals.season)
