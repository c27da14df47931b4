from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from keepwell.errors import SettingInvalid
from keepwell.ingestion.readings import FIRST_DAY, Fault, Offutt, Turn, open_offutt
from keepwell.settings import GatherSection

LAST_DAY = datetime(1998, 9, 19, tzinfo=UTC)
FOREVER = datetime(1900, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def test_readings_come_with_the_promised_columns_and_types():
    first = Offutt()(FIRST_DAY, FIRST_DAY)

    assert first.schema == {
        "station": pl.String,
        "day": pl.Datetime("us", "UTC"),
        **dict.fromkeys(["temperature", "dew_point", "sea_level_pressure", "visibility"], pl.Float64),
        **dict.fromkeys(["mean_wind_speed", "max_sustained_wind_speed", "max_temperature", "min_temperature"], pl.Float64),
        "rain": pl.Int8,
    }
    assert first.row(0) == ("KOFF", FIRST_DAY, 19.8, 14.0, 1019.6, 8.4, 9.9, 15.9, 28.9, 14.0, 0)


def test_all_18159_readings_are_there_one_a_day():
    everything = Offutt()(*FOREVER)

    assert everything.height == 18_159
    assert everything["day"].diff().drop_nulls().unique().to_list() == [timedelta(days=1)]
    assert everything["day"][-1] == LAST_DAY
    assert everything.null_count().sum_horizontal().item() == 0
    assert round(everything["rain"].mean(), 4) == 0.3138


@pytest.mark.parametrize(
    ("since", "until", "rows"),
    [
        (FIRST_DAY, FIRST_DAY, 1),
        (FIRST_DAY + timedelta(hours=1), FIRST_DAY + timedelta(days=2), 2),
        (FIRST_DAY, FIRST_DAY + timedelta(days=2, seconds=-1), 2),
        (FIRST_DAY - timedelta(days=9), FIRST_DAY, 1),
        (FIRST_DAY - timedelta(days=9), FIRST_DAY - timedelta(days=1), 0),
        (LAST_DAY, LAST_DAY + timedelta(days=9), 1),
        (LAST_DAY + timedelta(days=1), LAST_DAY + timedelta(days=9), 0),
        (LAST_DAY, FIRST_DAY, 0),
    ],
)
def test_a_span_holds_the_days_between_its_ends_both_inclusive(since, until, rows):
    found = Offutt()(since, until)

    assert found.height == rows
    assert found.filter(~pl.col("day").is_between(since, until)).is_empty()
    assert found.width == 11


def test_impossible_pressures_are_left_as_the_source_has_them():
    assert Offutt()(*FOREVER).filter(pl.col("sea_level_pressure") > 1100)["sea_level_pressure"].to_list() == [5503.8, 5503.1]


def test_a_fault_changes_its_column_on_its_days_only():
    fault = Fault(column="temperature", since=date(1957, 3, 1), until=date(1957, 3, 31), scale=5 / 9, offset=-160 / 9)
    since, until = datetime(1957, 2, 27, tzinfo=UTC), datetime(1957, 4, 2, tzinfo=UTC)
    true, broken = Offutt()(since, until), Offutt(fault=fault)(since, until)
    is_march = true["day"].dt.month() == 3
    assert broken.filter(~is_march).equals(true.filter(~is_march))
    celsius = (true.filter(is_march)["temperature"] - 32) * 5 / 9
    assert (broken.filter(is_march)["temperature"] - celsius).abs().max() <= 0.051
    assert broken.drop("temperature").equals(true.drop("temperature"))


def test_a_finer_gauge_counts_misty_days_from_its_day_on():
    since, until = datetime(1957, 1, 1, tzinfo=UTC), datetime(1957, 12, 31, tzinfo=UTC)
    true, finer = Offutt()(since, until), Offutt(turn=Turn(since=date(1957, 7, 1)))(since, until)
    first = (true["day"].dt.month() < 7).to_numpy()
    assert finer["rain"].to_numpy()[first].tolist() == true["rain"].to_numpy()[first].tolist()
    misty = (true["visibility"] < 10).to_numpy() & ~first
    assert (finer["rain"].to_numpy()[misty] == 1).all()
    assert (finer["rain"].to_numpy()[~misty] == true["rain"].to_numpy()[~misty]).all()


def test_a_fault_is_set_beside_the_kind():
    given = {"fault": {"column": "visibility", "since": date(1957, 3, 1), "until": date(1957, 3, 2), "scale": 1.6}}
    source = open_offutt(given, Path(), GatherSection())
    assert source.fault is not None and source.fault.scale == 1.6
    with pytest.raises(SettingInvalid, match=r"source\.fault\.column"):
        open_offutt({"fault": {**given["fault"], "column": "rain"}}, Path(), GatherSection())
