"""A profile counts everything once, whatever the columns hold, and parts add up to the whole."""

from __future__ import annotations

import math
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import reduce
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepwell import monitoring
from keepwell.errors import ProfileInvalid, ProfilesDiffer, SchemaMismatch, SliceNotFound, TableInvalid
from keepwell.profiling import Comparison, Profile, compare, profile

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
INF, NAN = math.inf, math.nan
SIX = pl.DataFrame(
    {
        "at": [NOON, NOON, NOON + timedelta(days=1), NOON + timedelta(days=1), NOON + timedelta(days=2), None],
        "warmth": [10.0, 12.0, None, NAN, INF, -INF],
        "sky": ["clear", "cloud", "cloud", None, "fog", "cloud"],
        "wet": [True, False, None, True, True, True],
    }
)


def facts(found: Profile, name: str) -> dict:
    return next(column for column in found.as_dict()["columns"] if column["name"] == name)


@pytest.mark.parametrize(
    ("room", "heavy"),
    [("profiling", ("scipy", "pyarrow", "pandas", "altair", "rich")), ("monitoring", ("pyarrow", "pandas", "altair", "rich"))],
)
def test_importing_the_room_is_light(room, heavy):
    """Statistics, PyArrow, pandas and the screen load when they are used."""
    code = f"import keepwell.{room}, sys; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_who_watches_finds_the_same_verbs_in_monitoring():
    assert (monitoring.profile, monitoring.compare) == (profile, compare)
    assert (monitoring.Profile, monitoring.Comparison) == (Profile, Comparison)


def test_nulls_nan_and_infinities_are_counted_apart_from_values():
    warmth = facts(profile(SIX), "warmth")
    assert {key: warmth[key] for key in ("values", "nulls", "nans", "low_infinite", "high_infinite")} == {
        "values": 2,
        "nulls": 1,
        "nans": 1,
        "low_infinite": 1,
        "high_infinite": 1,
    }
    assert (warmth["min"], warmth["max"], warmth["mean"]) == (10.0, 12.0, 11.0)
    assert warmth["sd"] == pytest.approx(math.sqrt(2))


def test_rows_are_kept_by_the_day_of_their_event_and_those_without_a_time_too():
    found = profile(SIX, time="at")
    assert found.batches == ("2026-03-01", "2026-03-02", "2026-03-03")
    assert dict(zip([batch for batch, _ in found.segments], found.rows.tolist(), strict=True)) == {
        "": 1,
        "2026-03-01": 2,
        "2026-03-02": 2,
        "2026-03-03": 1,
    }
    assert "at" not in found.columns


def test_slices_are_profiles_of_their_own_and_add_up():
    found = profile(SIX, by="sky")
    assert found.slices == ("clear", "cloud", "fog", "null")
    assert found.slice("cloud").height == 3
    assert facts(found.slice("cloud"), "wet")["values"] == 2
    assert sum(found.slice(name).height for name in found.slices) == 6
    with pytest.raises(SliceNotFound, match=r"has no slice 'snow'. Slices of 'sky': clear, cloud, fog, null"):
        found.slice("snow")


def test_a_day_of_another_zone_is_the_day_in_utc():
    late = pl.DataFrame({"at": [NOON.replace(hour=23)], "x": [1]}).with_columns(pl.col("at").dt.convert_time_zone("Asia/Tokyo"))
    assert profile(late, time="at").batches == ("2026-03-01",)
    assert profile(pl.DataFrame({"at": [date(2026, 3, 1)], "x": [1]}), time="at").batches == ("2026-03-01",)
    assert profile(SIX, time="at", every="1h").batches[0] == "2026-03-01T12:00Z"


def test_a_time_without_a_zone_is_refused_with_what_to_do():
    naive = SIX.with_columns(pl.col("at").dt.replace_time_zone(None))
    with pytest.raises(TableInvalid, match=r"'at' has no time zone.*replace_time_zone\('UTC'\)"):
        profile(naive, time="at")
    with pytest.raises(TableInvalid, match="'sky' is String, not a date or a time"):
        profile(SIX, time="sky")
    with pytest.raises(TableInvalid, match="cannot be every 'daily'"):
        profile(SIX, time="at", every="daily")


def test_an_unknown_column_is_refused_with_those_that_are_there():
    with pytest.raises(SchemaMismatch, match="The frame lacks wind; it has at, warmth, sky, wet"):
        profile(SIX, columns=["wind"])


def test_a_column_with_too_many_values_makes_no_slices():
    with pytest.raises(TableInvalid, match="more than 200 values"):
        profile(pl.DataFrame({"id": [str(n) for n in range(201)]}), by="id")


EDGES = {
    "all null": pl.Series([None, None], dtype=pl.Float64),
    "no type": pl.Series([None, None], dtype=pl.Null),
    "constant": pl.Series([7.5, 7.5]),
    "only infinite": pl.Series([INF, -INF]),
    "enormous": pl.Series([1e308, -1e308]),
    "the largest float": pl.Series([1.7976931347576764e308] * 2),
    "tiny": pl.Series([5e-324, -5e-324]),
    "large integers": pl.Series([2**62, 2**62 + 1]),
    "unsigned": pl.Series([0, 2**63], dtype=pl.UInt64),
    "decimal": pl.Series([Decimal("1.50"), Decimal("2.50")]),
    "categorical": pl.Series(["a", "b"], dtype=pl.Categorical),
    "enum": pl.Series(["a", "b"], dtype=pl.Enum(["a", "b", "c"])),
    "dates": pl.Series([date(2026, 1, 1), date(1600, 1, 1)]),
    "local times": pl.Series([datetime(2026, 1, 1), None]),  # noqa: DTZ001
    "spans": pl.Series([timedelta(hours=1), timedelta(hours=2)]),
    "lists": pl.Series([[1], [2, 3]]),
    "structs": pl.Series([{"a": 1}, {"a": 2}]),
    "bytes": pl.Series([b"a", b"\xff"]),
}


@pytest.mark.parametrize("series", EDGES.values(), ids=EDGES)
def test_no_column_is_too_odd_to_be_counted_kept_and_read_again(series):
    found = profile(pl.DataFrame({"x": series}))
    column = facts(found, "x")
    assert sum(column[key] for key in ("values", "nulls", "nans", "low_infinite", "high_infinite", "odd")) == 2
    assert column["nulls"] == series.null_count()
    assert Profile.from_bytes(found.to_bytes()).as_dict() == found.as_dict()
    assert found.as_markdown().count("\n") == 5


def test_nested_columns_are_counted_and_said_so():
    column = facts(profile(pl.DataFrame({"x": EDGES["lists"]})), "x")
    assert column["note"] == "List(Int64) is counted, not profiled"


def test_decimals_categories_and_times_have_figures():
    frame = pl.DataFrame({name: EDGES[name] for name in ("decimal", "categorical", "dates")})
    found = profile(frame)
    assert facts(found, "decimal")["mean"] == 2.0
    assert facts(found, "categorical")["top"] == [{"value": "a", "count": 1}, {"value": "b", "count": 1}]
    assert facts(found, "dates")["min"] == "1600-01-01T00:00:00+00:00"


def test_an_empty_frame_has_a_profile_that_others_can_be_added_to():
    none = profile(SIX.head(0), time="at", reference=profile(SIX, time="at"))
    some = profile(SIX, time="at", reference=none)
    assert none.height == 0
    assert (none + some).as_dict() == some.as_dict()
    assert profile(SIX.head(0)).as_dict()["rows"] == 0


def test_integers_and_floats_of_one_column_are_one_column():
    whole = profile(pl.DataFrame({"x": [1, 2]}))
    real = profile(pl.DataFrame({"x": [2.5, None]}), reference=whole)
    assert facts(whole + real, "x")["mean"] == pytest.approx(5.5 / 3)


def test_values_of_another_kind_are_counted_as_odd_not_lost():
    numbers = profile(pl.DataFrame({"x": [1.0, 2.0]}))
    texts = facts(profile(pl.DataFrame({"x": ["3", "four", None]}), reference=numbers), "x")
    assert (texts["values"], texts["odd"], texts["nulls"], texts["max"]) == (1, 1, 1, 3.0)


def test_beyond_the_cap_categories_are_counted_together_and_distinct_values_estimated():
    names = pl.Series("id", [f"user {n}" for n in range(20_000)] + ["often"] * 5_000)
    column = facts(profile(names.to_frame().sample(fraction=1, shuffle=True, seed=1)), "id")
    assert column["top"][0] == {"value": "often", "count": 5_000}
    assert column["values"] == 25_000
    assert column["unlisted"] == 25_000 - 5_000 - 999  # a thousand are watched by name
    assert not column["distinct_is_exact"]
    assert column["distinct"] == pytest.approx(20_001, rel=0.2)


@pytest.mark.parametrize("drawn", ["normal", "lognormal", "standard_cauchy"])
def test_quantiles_are_within_a_cell_of_the_exact_ones(drawn):
    values = 1000 + getattr(np.random.default_rng(3), drawn)(size=50_000)
    asked = (0.01, 0.25, 0.5, 0.75, 0.99)
    found = profile(pl.DataFrame({"x": values})).columns["x"].quantiles(asked)
    exact = np.quantile(values, asked)
    spread = np.subtract(*np.quantile(values, (0.75, 0.25))) / 1.349
    assert (np.abs(found - exact) <= np.maximum(2 * spread, np.abs(exact - np.median(values))) / 32).all()


def test_quantiles_of_few_values_are_those_values():
    column = profile(pl.DataFrame({"x": [0, 0, 0, 1, 1, 5] * 10})).columns["x"]
    assert column.quantiles((0.0, 0.25, 0.6, 1.0)).tolist() == [0.0, 0.0, 1.0, 5.0]


def test_moments_survive_a_large_offset():
    values = 1e9 + np.random.default_rng(5).normal(0, 1e-3, 10_000)
    far = profile(pl.DataFrame({"x": values}), reference=profile(pl.DataFrame({"x": [0.0, 1.0]})))
    assert facts(far, "x")["sd"] == pytest.approx(values.std(ddof=1), rel=1e-6)


@pytest.mark.parametrize("kind", ["lazy", "pandas", "arrow"])
def test_every_kind_of_frame_gives_the_same_profile(kind):
    frame = SIX.drop("at")
    given_ = {"lazy": frame.lazy, "pandas": frame.to_pandas, "arrow": frame.to_arrow}[kind]()
    wanted, found = profile(frame).as_dict(), profile(given_).as_dict()
    assert found["rows"] == wanted["rows"]
    if kind != "pandas":  # which knows no null among numbers: there it is a NaN
        assert found["columns"] == wanted["columns"]


def test_what_is_no_frame_is_refused():
    with pytest.raises(TableInvalid, match="A dict cannot be profiled"):
        profile({"x": [1]})


def test_profiles_of_different_rulers_are_not_added_up():
    one, two = profile(pl.DataFrame({"x": [1.0, 2.0]})), profile(pl.DataFrame({"x": [5.0, 9.0]}))
    with pytest.raises(ProfilesDiffer, match=r"column 'x' was measured with another ruler.*reference=first"):
        one + two
    with pytest.raises(ProfilesDiffer, match="'time' is None in one and 'at' in the other"):
        profile(SIX, columns=["sky"]).merge(profile(SIX, columns=["sky"], time="at"))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "do not begin as a profile does"),
        (b"PAR1 and so on, long enough to hold a header of its own", "do not begin as a profile does"),
        (profile(SIX).to_bytes()[:-5], "cut short|damaged"),
        (profile(SIX).to_bytes().replace(b'"warmth"', b'"warmth', 1), "damaged"),
        (b"keepwell profile\n\x09" + profile(SIX).to_bytes()[18:], "of version 9"),
    ],
    ids=["nothing", "something else", "cut", "changed", "newer"],
)
def test_bytes_that_are_no_profile_are_refused(content, problem):
    with pytest.raises(ProfileInvalid, match=problem):
        Profile.from_bytes(content)


@given(content=st.binary(max_size=200), place=st.integers(0, 2000))
@settings(max_examples=100, deadline=None)
def test_any_damage_is_either_harmless_or_refused(content, place):
    whole = KEPT
    try:
        Profile.from_bytes(whole[:place] + content + whole[place + len(content) :])
    except ProfileInvalid:
        return


KEPT = profile(SIX, time="at").to_bytes()
NUMBERS = st.one_of(st.none(), st.floats(allow_subnormal=True), st.integers(-5, 5).map(float))
ROWS = st.lists(st.tuples(st.integers(0, 4), NUMBERS, st.sampled_from([None, "a", "b", "rare"]), st.sampled_from(["n", "s"])), max_size=40)


@given(rows=ROWS, cuts=st.lists(st.integers(0, 40), max_size=4), order=st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_parts_in_any_order_add_up_to_the_whole(rows, cuts, order):
    """Day by day or all at once: counts, extremes and histograms are the same, moments up to rounding."""
    table = pl.DataFrame(
        {
            "at": pl.Series([NOON + timedelta(days=day) for day, *_ in rows], dtype=pl.Datetime("us", "UTC")),
            "x": pl.Series([x for _, x, *_ in rows], dtype=pl.Float64),
            "w": pl.Series([w for *_, w, _ in rows], dtype=pl.String),
            "s": pl.Series([s for *_, s in rows], dtype=pl.String),
        }
    )
    whole = profile(table, time="at", by="s", reference=RULED)
    bounds = [0, *sorted(min(cut, table.height) for cut in cuts), table.height]
    parts = [profile(table[a:b], time="at", by="s", reference=RULED) for a, b in pairwise(bounds)]
    order.shuffle(parts)
    for merged in (reduce(lambda a, b: a + b, parts), reduce(lambda a, b: b + a, parts), parts[0].merge(*parts[1:])):
        assert merged.segments == whole.segments
        assert merged.rows.tolist() == whole.rows.tolist()
        for name, column in whole.columns.items():
            other = merged.columns[name]
            for array in ("counts", "bins", "fine"):
                assert getattr(other, array).tolist() == getattr(column, array).tolist(), (name, array)
            assert other.others == column.others
            assert np.array_equal(other.moments[:, :2], column.moments[:, :2], equal_nan=True)
            scale = max(np.nanmax(np.abs(column.moments[:, :2]), initial=1.0), 1.0)
            if scale < 1e150:  # beyond it a square overflows, in any order
                assert np.allclose(other.moments[:, 2] / scale, column.moments[:, 2] / scale, equal_nan=True)
                assert np.allclose(other.moments[:, 3] / scale**2, column.moments[:, 3] / scale**2, atol=1e-12, equal_nan=True)


RULED = profile(pl.DataFrame({"at": [NOON], "x": [0.0], "w": ["a"], "s": ["n"]}), time="at", by="s").merge()


@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=60))
@settings(max_examples=100, deadline=None)
def test_each_value_is_counted_in_the_cell_whose_ends_hold_it(values):
    ruler = profile(pl.DataFrame({"x": values})).columns["x"].ruler
    cells, edges, array = ruler.cells(np.array(values)), ruler.edges(), np.array(values)
    array, edges = array / 4, edges / 4  # so that the largest floats have room for the rounding
    rounding = 1e-12 * np.maximum(np.abs(array), abs(ruler.centre)) + 1e-300
    assert (edges[cells] <= array + rounding).all()
    assert (array - rounding <= edges[cells + 1]).all()
