import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from validation.weather import UNITS, weather

from keepwell.errors import EmptyWindow, SchemaMismatch, SettingInvalid, SettingUnknown
from keepwell.validation import Column, Contract, from_toml, infer, to_toml

CONTRACT = infer(weather(400), entity=None, time="day", units=UNITS)
TEXT = to_toml(CONTRACT)


def test_infer_reads_types_units_ranges_nulls_categories_and_freshness():
    columns = {column.name: column for column in CONTRACT.columns}
    assert (CONTRACT.entity, CONTRACT.time, CONTRACT.keys, CONTRACT.rows) == (None, "day", ("day",), 400)
    assert CONTRACT.freshness_days == 3
    assert list(columns) == ["temperature", "dew_point", "pressure", "wind", "rain_mm", "sky"]
    assert columns["sky"].categories == ("clear", "cloudy", "overcast")
    assert columns["temperature"].unit == "°F"
    assert 0.02 < columns["wind"].null_rate < columns["wind"].max_null_rate < 0.2
    assert columns["rain_mm"].low == 0
    assert columns["pressure"].low < 980 < 1050 < columns["pressure"].high < 1200


def test_a_half_year_window_leaves_room_for_the_other_half():
    rows = weather(365 * 30, seed=4)
    column = infer(rows[150:350], entity=None, time="day", units=UNITS).columns[0]
    assert rows["temperature"].is_between(column.low, column.high).all()


def test_zero_one_integers_get_an_exact_range():
    frame = weather(100).with_columns(rain=(pl.col("rain_mm") > 0).cast(pl.Int8))
    column = infer(frame, entity=None, time="day").columns[-1]
    assert (column.type, column.low, column.high) == ("integer", 0, 1)


def test_infer_refuses_what_it_cannot_read():
    with pytest.raises(EmptyWindow, match="has 5 rows, 10 are needed"):
        infer(weather(5), entity=None, time="day")
    with pytest.raises(SchemaMismatch, match="lacks station"):
        infer(weather(50), entity="station", time="day")


def test_the_file_reads_back_as_the_same_contract():
    assert from_toml(TEXT) == CONTRACT
    assert from_toml(TEXT).digest == CONTRACT.digest
    assert "values below are broken" in TEXT


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
numbers = st.floats(-1e9, 1e9)
shares = st.floats(0, 1)
columns = st.builds(
    Column,
    name=names,
    type=st.sampled_from(["number", "integer", "text", "boolean", "time"]),
    unit=st.none() | names,
    nullable=st.booleans(),
    null_rate=shares,
    max_null_rate=shares,
    low=st.none() | st.floats(-1e9, 0),
    high=st.none() | st.floats(0, 1e9),
    categories=st.none() | st.lists(names, max_size=3).map(tuple),
    quantiles=st.just(()) | st.lists(numbers, min_size=7, max_size=7).map(lambda q: tuple(sorted(q))),
    longest_run=st.integers(0, 100),
    may_be_constant=st.booleans(),
)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.lists(columns, max_size=4, unique_by=lambda c: c.name), st.none() | names, st.none() | st.floats(0.01, 1e3))
def test_any_contract_survives_its_file(some, entity, freshness):
    contract = Contract(entity, "time", tuple(some), freshness, 10)
    assert from_toml(to_toml(contract)) == contract


@pytest.mark.parametrize(
    ("old", "new", "error", "says"),
    [
        ("low = ", "lwo = ", SettingUnknown, r"columns\.temperature\.lwo.*Did you mean 'columns\.temperature\.low'"),
        ("freshness_days = ", "freshnes_days = ", SettingUnknown, "Did you mean 'freshness_days'"),
        ('type = "number"', 'type = "numbr"', SettingInvalid, r"columns\.temperature\.type.*did you mean 'number'"),
        ("max_null_rate = 0.05", "max_null_rate = 5", SettingInvalid, r"columns\.temperature\.max_null_rate.*between 0 and 1"),
        ("nullable = true", 'nullable = "yes"', SettingInvalid, r"columns\.temperature\.nullable.*true or false"),
        ("low = ", "low = 9", SettingInvalid, r"columns\.temperature\.low.*"),
        ('time = "day"', "", SettingInvalid, "'time'.*the line is missing"),
        ("nullable = true", "nullable = ", SettingInvalid, "not TOML"),
    ],
)
def test_an_edited_file_names_the_line_that_is_wrong(old, new, error, says):
    edited = TEXT.replace(old, new, 1)
    if says.endswith("low.*"):
        edited = TEXT.replace("low = ", "low = 99999 # ", 1)
    with pytest.raises(error, match=says):
        from_toml(edited)


def test_the_digest_changes_with_the_content_only():
    assert from_toml(TEXT + "\n# seen by a person\n").digest == CONTRACT.digest
    assert from_toml(TEXT.replace("freshness_days = 3.0", "freshness_days = 4")).digest != CONTRACT.digest
