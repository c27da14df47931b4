"""What a reference says its columns are, and rows as arrays."""

import numpy as np
import polars as pl
import pytest
import streams

from keepwell.detection import NULL, UNSEEN, Columns, Last
from keepwell.errors import FrameInvalid

FRAME = streams.stream(200, seed=1)


def column(name: str, columns: Columns):
    return next(one for one in (*columns.numbers, *columns.categories) if one.name == name)


def read_off(**added: pl.Expr) -> Columns:
    frame = FRAME.with_columns(**added)
    return Columns.of(frame, time="time", entity="station", names=[name for name in frame.columns if name not in ("answer", "label")])


def test_numbers_and_texts_are_told_apart() -> None:
    found = read_off(flag=pl.col("wind") > 10)
    assert [one.name for one in found.numbers] == ["warmth", "damp", "wind", "pressure"]
    assert [one.name for one in found.categories] == ["station", "sky", "flag"]


@pytest.mark.parametrize(
    "made",
    [pl.col("time").dt.month(), pl.col("time").dt.weekday(), pl.lit(3.0), pl.lit(None, pl.Float64), pl.col("time").dt.ordinal_day()],
    ids=["month", "weekday", "constant", "empty", "day of the year"],
)
def test_clocks_constants_and_empty_columns_are_not_watched(made: pl.Expr) -> None:
    assert not column("made", read_off(made=made)).is_watched


def test_a_sine_of_the_season_is_a_clock_also_with_one_row_a_day() -> None:
    frame = streams.stream(364, seed=1, a_day=1)
    season = (2 * np.pi * pl.col("time").dt.ordinal_day() / 365).sin()
    found = Columns.of(frame.with_columns(season=season), time="time", names=["season", "warmth"])
    assert (column("season", found).clock, column("warmth", found).clock) == ("day of the year", "")


def test_a_column_with_few_values_is_not_watched() -> None:
    seldom = pl.when(pl.int_range(pl.len()) < 100).then("damp")
    assert not column("seldom", read_off(seldom=seldom)).is_watched


def test_an_id_has_no_level_that_could_be_missed() -> None:
    assert not column("id", read_off(id=pl.int_range(pl.len()).cast(pl.String))).is_watched


def test_a_value_that_many_rows_share_may_repeat() -> None:
    rain = pl.when(pl.col("damp") > 70).then(pl.col("damp") - 70).otherwise(0.0)
    columns = read_off(rain=rain)
    assert column("rain", columns).masses == (0.0,)
    repeats = Last.none(columns).repeats(columns, columns.read(FRAME.with_columns(rain=rain)))
    assert not repeats.any()


def test_a_value_that_stays_for_an_entity_repeats_also_across_batches() -> None:
    columns = read_off()
    last = Last.none(columns)
    stuck = FRAME.with_columns(wind=pl.lit(9.9))
    assert last.repeats(columns, columns.read(stuck.head(9)))[:, 2].tolist() == [False] * 3 + [True] * 6
    assert last.repeats(columns, columns.read(stuck.slice(9, 9)))[:, 2].all()


def test_the_same_row_once_more_is_no_value_that_stays() -> None:
    columns = read_off()
    assert not Last.none(columns).repeats(columns, columns.read(pl.concat([FRAME.head(9), FRAME.head(9)]).sort("time"))).any()


def test_missing_and_unseen_levels_have_codes_of_their_own() -> None:
    columns = read_off()
    odd = FRAME.head(3).with_columns(sky=pl.Series(["blue", None, "green"]))
    codes = columns.read(odd).codes[:, 1]
    assert codes[0] >= 0
    assert codes[1:].tolist() == [NULL, UNSEEN]


def test_infinities_are_missing() -> None:
    rows = read_off().read(FRAME.head(3).with_columns(wind=pl.Series([float("inf"), float("-inf"), 1.0])))
    assert np.isnan(rows.numbers[:, 2]).tolist() == [True, True, False]


def test_columns_are_the_same_after_a_round_trip() -> None:
    columns = read_off()
    assert Columns.from_dict(columns.as_dict()) == columns


def test_times_without_a_zone_are_refused_and_dates_are_not() -> None:
    columns = read_off()
    with pytest.raises(FrameInvalid, match="no time zone"):
        columns.read(FRAME.with_columns(pl.col("time").dt.replace_time_zone(None)))
    dated = FRAME.head(9).with_columns(pl.col("time").dt.date())
    assert columns.read(dated).time.tolist() == [18262.0] * 9


def test_a_column_that_is_missing_is_named() -> None:
    with pytest.raises(FrameInvalid, match="lacks damp, sky"):
        read_off().read(FRAME.drop("damp", "sky"))
