import logging
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import polars as pl
import pytest
from weather_server import COLUMNS, cut, edited, half, refusal

from keepwell.errors import SourceInvalid, SourceUnavailable
from keepwell.ingestion.open_meteo import OpenMeteo, open_open_meteo
from keepwell.ingestion.readings import Offutt
from keepwell.ingestion.sources import open_source
from keepwell.settings import GatherSection, SourceSection

JULY = datetime(1996, 7, 1, tzinfo=UTC), datetime(1996, 7, 31, tzinfo=UTC)
NOW = datetime(1998, 9, 30, 12, tzinfo=UTC)
OWN_UNITS = {"temperature_unit": "fahrenheit", "wind_speed_unit": "kn"}


def opened(weather, *, tries=3, wait_s=0.0, now=NOW, **settings):
    source = open_source(SourceSection(**(weather.settings | settings)), Path("."), GatherSection(tries=tries, wait_s=wait_s))
    assert isinstance(source, OpenMeteo)
    return replace(source, clock=lambda: now)


def slow(answer):
    time.sleep(0.2)
    return answer


def with_sleep(source, sleep):
    return replace(source, web=replace(source.web, patience=replace(source.web.patience, sleep=sleep)))


def test_a_month_of_weather_comes_as_it_was_measured(weather):
    found = opened(weather, station="KOFF", time="day", **OWN_UNITS)(*JULY)
    measured = Offutt()(*JULY).with_columns(pl.col("visibility") * 1609.344, pl.col("rain").cast(pl.Float64))

    assert found.rename(COLUMNS).equals(measured.select("station", "day", *COLUMNS.values()))


def test_the_request_says_what_was_set(weather):
    settings = {"models": "era5", "timezone": "America/Chicago", **OWN_UNITS}
    opened(weather, variables=["precipitation_sum", "temperature_2m_max"], precipitation_unit="inch", **settings)(*JULY)

    [(path, query)] = weather.asked
    assert path == "/v1/archive"
    assert query == {
        "latitude": ["41.12"],
        "longitude": ["-95.91"],
        "start_date": ["1996-07-01"],
        "end_date": ["1996-07-31"],
        "daily": ["precipitation_sum", "temperature_2m_max"],
        "timezone": ["America/Chicago"],
        "temperature_unit": ["fahrenheit"],
        "wind_speed_unit": ["kn"],
        "precipitation_unit": ["inch"],
        "models": ["era5"],
    }


def test_the_default_station_is_the_place(weather):
    assert opened(weather)(*JULY)["station"].unique().to_list() == ["41.12,-95.91"]


def test_days_younger_than_the_archive_delay_come_from_the_forecast_service(weather):
    now = datetime(1996, 7, 20, 9, tzinfo=UTC)
    weather.today = now.date()

    found = opened(weather, now=now)(now - timedelta(days=10), now + timedelta(days=3))

    spans = [(path, query["start_date"][0], query["end_date"][0]) for path, query in weather.asked]
    assert spans == [("/v1/archive", "1996-07-10", "1996-07-15"), ("/v1/forecast", "1996-07-16", "1996-07-20")]
    assert found["time"].dt.date().to_list() == [date(1996, 7, day) for day in range(11, 20)]


def test_a_day_is_an_observation_only_when_it_is_over(weather):
    weather.today = date(1996, 7, 2)
    ask = lambda now: opened(weather, now=now)(JULY[0], now)["time"].dt.date().to_list()  # noqa: E731

    assert ask(datetime(1996, 7, 1, 23, 59, tzinfo=UTC)) == []
    assert ask(datetime(1996, 7, 2, 0, 0, tzinfo=UTC)) == [date(1996, 7, 1)]


def test_a_day_elsewhere_is_over_when_its_own_midnight_has_passed(weather):
    weather.today = date(1996, 7, 2)
    weather.faults = [edited(lambda answer: answer.update(utc_offset_seconds=-5 * 3600))] * 2
    ask = lambda now: opened(weather, now=now, timezone="America/Chicago")(JULY[0], now).height  # noqa: E731

    assert ask(datetime(1996, 7, 2, 4, 59, tzinfo=UTC)) == 0
    assert ask(datetime(1996, 7, 2, 5, 0, tzinfo=UTC)) == 1


def test_days_of_which_nothing_is_known_are_left_out(weather):
    """The archive answers null for days it does not have yet; the bundled readings end on 1998-09-19."""
    found = opened(weather, archive_delay_days=0)(datetime(1998, 9, 15, tzinfo=UTC), NOW)

    assert found["time"].max() == datetime(1998, 9, 19, tzinfo=UTC)


def test_a_missing_value_among_others_stays_missing(weather):
    weather.faults = [edited(lambda answer: answer["daily"]["precipitation_sum"].__setitem__(3, None))]

    found = opened(weather)(*JULY)

    assert found.height == 31
    assert found["precipitation_sum"].null_count() == 1


def test_a_long_span_is_asked_in_chunks_without_gap_or_overlap(weather):
    since, until = datetime(1950, 1, 1, tzinfo=UTC), datetime(1989, 12, 31, tzinfo=UTC)

    found = opened(weather, variables=["precipitation_sum"])(since, until)

    assert len(weather.asked) == 4
    assert found["time"].to_list() == Offutt()(since, until)["day"].to_list()


def test_an_empty_span_asks_nothing_and_keeps_the_columns(weather):
    found = opened(weather)(JULY[1], JULY[0])

    assert found.shape == (0, 2 + len(COLUMNS))
    assert weather.asked == []


def test_hours_are_parsed_as_utc_and_unfinished_ones_left_out(weather):
    hours = {"time": [f"1996-07-01T{hour:02}:00" for hour in range(24)], "temperature_2m": list(range(24))}
    answer = {"utc_offset_seconds": 0, "hourly_units": {"time": "iso8601", "temperature_2m": "°C"}, "hourly": hours}
    weather.faults = [lambda given: replace(given, content=answer)]
    now = datetime(1996, 7, 1, 6, 30, tzinfo=UTC)
    weather.today = now.date()

    found = opened(weather, now=now, resolution="hourly", variables=["temperature_2m"])(datetime(1996, 7, 1, 2, tzinfo=UTC), now)

    assert found["temperature_2m"].to_list() == [2.0, 3.0, 4.0, 5.0, 6.0]


@pytest.mark.parametrize(
    ("variable", "unit", "asked"),
    [
        ("temperature_2m_mean", "°F", "°C"),
        ("wind_speed_10m_max", "m/s", "km/h"),
        ("precipitation_sum", "inch", "mm"),
        ("pressure_msl_mean", "Pa", "hPa"),
        ("visibility_mean", "ft", "m"),
    ],
)
def test_a_column_in_another_unit_than_asked_is_refused_by_name(weather, variable, unit, asked):
    weather.faults = [edited(lambda answer: answer["daily_units"].update({variable: unit}))]

    with pytest.raises(SourceInvalid, match=f"column '{variable}' in '{unit}', asked was '{asked}'"):
        opened(weather)(*JULY)


def test_the_engineer_may_say_which_unit_is_right(weather):
    weather.faults = [edited(lambda answer: answer["daily_units"].update(pressure_msl_mean="kPa"))]

    assert opened(weather, units={"pressure_msl_mean": "kPa"})(*JULY).height == 31


def test_an_unknown_variable_is_refused_in_the_services_words_and_not_asked_again(weather):
    with pytest.raises(SourceInvalid, match=r"answered 400: Data corrupted.*invalid String value precipitation_some"):
        opened(weather, variables=["precipitation_some"])(*JULY)
    assert len(weather.asked) == 1


def test_a_span_before_the_archive_begins_is_refused_in_the_services_words(weather):
    with pytest.raises(SourceInvalid, match="'start_date' is out of allowed range from 1940-01-01"):
        opened(weather)(datetime(1930, 1, 1, tzinfo=UTC), datetime(1930, 1, 2, tzinfo=UTC))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda answer: answer.pop("daily"), "without 'daily'"),
        (lambda answer: answer.pop("daily_units"), "without 'daily_units'"),
        (lambda answer: answer["daily"].pop("precipitation_sum"), "without 'precipitation_sum'"),
        (lambda answer: answer["daily"].pop("time"), "without 'time'"),
        (lambda answer: answer["daily"]["precipitation_sum"].pop(), "30 values of 'precipitation_sum' for 31 times"),
        (lambda answer: answer["daily"]["precipitation_sum"].__setitem__(0, "wet"), "not numbers"),
        (lambda answer: answer["daily"]["time"].__setitem__(0, "first of July"), "not ISO 8601"),
        (lambda answer: answer["daily_units"].pop("precipitation_sum"), "'precipitation_sum' without its unit"),
        (lambda answer: answer.update(error=True, reason="No data for this place"), "refused: No data for this place"),
    ],
)
def test_an_answer_of_another_shape_is_refused_with_what_is_wrong(weather, change, message):
    weather.faults = [edited(change)]

    with pytest.raises(SourceInvalid, match=message):
        opened(weather)(*JULY)


@pytest.mark.parametrize(
    "fault",
    [
        refusal(500, "Internal server error"),
        refusal(502, "Bad gateway"),
        refusal(503, "Busy", Retry_After="0"),
        refusal(429, "Too many concurrent requests"),
        cut,
        half,
    ],
    ids=["500", "502", "503", "429", "connection cut", "half the JSON"],
)
def test_a_failure_that_passes_is_asked_again(weather, fault):
    weather.faults = [fault, fault]

    assert opened(weather)(*JULY).height == 31
    assert len(weather.asked) == 3


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (refusal(500, "Internal server error"), r"failed 3 times.*answered 500: Internal server error.*cursor did not move"),
        (cut, r"failed 3 times.*RemoteProtocolError"),
        (half, r"failed 3 times.*not whole JSON"),
    ],
    ids=["500", "connection cut", "half the JSON"],
)
def test_a_failure_that_stays_is_unavailable_after_the_set_tries(weather, fault, message):
    weather.faults = [fault] * 9

    with pytest.raises(SourceUnavailable, match=message):
        opened(weather)(*JULY)
    assert len(weather.asked) == 3


def test_a_server_that_does_not_listen_is_unavailable(weather):
    with pytest.raises(SourceUnavailable, match=r"failed 2 times.*127.0.0.1:9/v1/archive: ConnectError"):
        opened(weather, tries=2, archive_url="http://127.0.0.1:9/v1/archive")(*JULY)


def test_a_server_that_does_not_answer_in_time_is_unavailable(weather):
    weather.faults = [slow]

    with pytest.raises(SourceUnavailable, match=r"failed 1 times.*ReadTimeout"):
        opened(weather, tries=1, timeout_s=0.05)(*JULY)


@pytest.mark.parametrize(
    ("fault", "pauses"),
    [
        (refusal(429, "Slow down", Retry_After="7"), [7.0, 7.0]),
        (refusal(503, "Slow down", Retry_After="7"), [7.0, 7.0]),
        (refusal(429, "Minutely API request limit exceeded. Please try again in one minute."), [61.0, 61.0]),
    ],
    ids=["429 with Retry-After", "503 with Retry-After", "minutely quota without Retry-After"],
)
def test_pauses_are_as_long_as_the_service_asks(weather, fault, pauses):
    weather.faults = [fault, fault]
    slept = []

    assert with_sleep(opened(weather), slept.append)(*JULY).height == 31
    assert slept == pauses


def test_retry_after_may_be_a_date(weather):
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    weather.faults = [refusal(429, "Slow down", Retry_After=when)]
    slept = []

    with_sleep(opened(weather), slept.append)(*JULY)

    assert 25 < slept[0] <= 30


def test_pauses_double_with_jitter_when_the_service_says_nothing(weather):
    weather.faults = [refusal(500, "")] * 3
    slept = []

    with_sleep(opened(weather, tries=4, wait_s=1.0), slept.append)(*JULY)

    assert [1 <= slept[0] <= 2, 2 <= slept[1] <= 3, 4 <= slept[2] <= 5] == [True] * 3


@pytest.mark.parametrize("reason", ["Daily API request limit exceeded. Please try again tomorrow.", "Hourly API request limit exceeded."])
def test_a_quota_that_outlasts_a_cycle_is_left_to_the_next_one(weather, reason):
    weather.faults = [refusal(429, reason)] * 5
    slept = []

    with pytest.raises(SourceUnavailable, match=f"failed 1 times.*{reason[:30]}"):
        with_sleep(opened(weather), slept.append)(*JULY)
    assert slept == []


def test_a_moved_service_says_where_to(weather):
    weather.faults = [refusal(301, "moved", Location="https://new.example/v1/archive?apikey=x")]

    with pytest.raises(SourceInvalid, match=r"moved to https://new\.example/v1/archive\. Write the new address"):
        opened(weather)(*JULY)


def test_an_answer_larger_than_allowed_is_refused(weather):
    with pytest.raises(SourceInvalid, match=r"more than 0\.001 MB"):
        opened(weather, max_mb=0.001)(*JULY)


def test_an_address_that_is_no_url_is_refused(weather):
    with pytest.raises(SourceInvalid, match="whole http"):
        opened(weather, archive_url="archive-api")(*JULY)


def test_the_key_is_sent_and_never_shown(weather, monkeypatch, caplog):
    monkeypatch.setenv("METEO_KEY", "k3y/&")
    source = opened(weather, apikey="${METEO_KEY}", tries=1)
    weather.faults = [None, refusal(400, "The supplied API key k3y/& is invalid."), cut]

    with caplog.at_level(logging.DEBUG):
        source(*JULY)
        with pytest.raises(SourceInvalid) as refused:
            source(*JULY)
        with pytest.raises(SourceUnavailable) as broken:
            source(*JULY)

    assert weather.asked[0][1]["apikey"] == ["k3y/&"]
    assert "HTTP Request: GET" in caplog.text
    for shown in (repr(source), str(refused.value), str(broken.value), caplog.text):
        assert "k3y" not in shown
    assert "API key *** is invalid" in str(refused.value)


def test_a_key_goes_to_the_customers_hosts():
    settings = {"latitude": 1, "longitude": 2, "variables": ["precipitation_sum"], "apikey": "k"}
    source = open_open_meteo(settings, Path("."), GatherSection())
    hosts = [url.split("/")[2] for url, *_ in source._requests(date(2024, 1, 1), date(2024, 1, 9), date(2024, 1, 9))]

    assert hosts == ["customer-archive-api.open-meteo.com", "customer-api.open-meteo.com"]
