import json
import logging
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import polars as pl
import pytest
from weather_server import Answer, listening, send

from keepwell.errors import SourceInvalid, SourceUnavailable
from keepwell.ingestion.sources import open_source
from keepwell.settings import GatherSection, SourceSection

SPAN = datetime(2024, 5, 2, tzinfo=UTC), datetime(2024, 5, 3, tzinfo=UTC)
ITEMS = [
    {"at": "2024-05-01T00:00:00Z", "rain": 0},
    {"at": "2024-05-03T00:00:00Z", "rain": 1.5},
    {"at": "2024-05-02T00:00:00Z", "rain": None},
]


@contextmanager
def service(answers):
    """Serves `answers[path with query]`; yields its address and what it was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, dict(self.headers)))
            found = answers.get(self.path, Answer(404, {"message": "nothing here"}))
            send(self, found if isinstance(found, Answer) else Answer(content=found))

        def log_message(self, *_):
            pass

    with listening(Handler) as url:
        yield url, asked


def opened(url, **settings):
    given = {"kind": "http", "url": url, "time": "at"} | settings
    return open_source(SourceSection(**given), Path("."), GatherSection(tries=2, wait_s=0))


def test_records_of_the_span_come_in_time_order_with_utc_times():
    with service({"/r?from=2024-05-02T00:00:00Z&to=2024-05-03T00:00:00Z": {"data": {"items": ITEMS}}}) as (url, _):
        found = opened(url + "/r?from={since}&to={until}", records="data.items")(*SPAN)

    assert found.rows() == [(SPAN[0], None), (SPAN[1], 1.5)]
    assert found.schema == {"at": pl.Datetime("us", "UTC"), "rain": pl.Float64}


@pytest.mark.parametrize(
    ("placeholder", "written"),
    [
        ("{since}", "2024-05-02T00:00:00Z"),
        ("{since:%Y-%m-%d}", "2024-05-02"),
        ("{since:%d %b}", "02%20May"),
        ("{until:epoch}", "1714694400"),
    ],
)
def test_times_are_written_into_the_address_as_asked(placeholder, written):
    with service({f"/r?t={written}": ITEMS}) as (url, _):
        assert opened(url + "/r?t=" + placeholder)(*SPAN).height == 2


def test_values_may_be_picked_from_nested_records_and_times_be_numbers():
    records = [{"main": {"temp": 61.5}, "tags": ["KOFF"], "dt": 1714608000}]
    columns = {"station": "tags.0", "at": "dt", "temperature": "main.temp", "wind": "main.wind"}
    with service({"/r?t=1714608000": records}) as (url, _):
        found = opened(url + "/r?t={since:epoch}", columns=columns, epoch="s")(*SPAN)

    assert found.rows() == [("KOFF", SPAN[0], 61.5, None)]


def test_pages_are_followed_by_address():
    first = {"items": ITEMS[:1], "paging": {"next": "/r?page=2"}}
    second = {"items": ITEMS[1:], "paging": {"next": None}}
    with service({"/r?d=2024": first, "/r?page=2": second}) as (url, asked):
        assert opened(url + "/r?d={since:%Y}", records="items", next="paging.next")(*SPAN).height == 2
    assert [path for path, _ in asked] == ["/r?d=2024", "/r?page=2"]


def test_pages_are_followed_by_token():
    first, second = {"items": ITEMS[:2], "cursor": "x y"}, {"items": ITEMS[2:], "cursor": ""}
    with service({"/r?d=2024": first, "/r?d=2024&after=x+y": second}) as (url, _):
        assert opened(url + "/r?d={since:%Y}", records="items", next="cursor", next_param="after")(*SPAN).height == 2


@pytest.mark.parametrize(
    ("following", "settings", "message"),
    [
        ("/r?d=2024", {}, "a page that was read before"),
        ("https://elsewhere.example/r", {}, r"next page on another host \(elsewhere.example\)"),
        ("/r?page=2", {"max_pages": 1}, "more than 1 pages"),
    ],
)
def test_paging_that_does_not_end_or_leaves_the_host_is_refused(following, settings, message):
    with service({"/r?d=2024": {"items": ITEMS, "next": following}}) as (url, asked), pytest.raises(SourceInvalid, match=message):
        opened(url + "/r?d={since:%Y}", records="items", next="next", **settings)(*SPAN)
    assert len(asked) == 1


def test_no_records_give_an_empty_frame_with_the_time_column():
    with service({"/r?d=2024": []}) as (url, _):
        assert opened(url + "/r?d={since:%Y}")(*SPAN).schema == {"at": pl.Datetime("us", "UTC")}


@pytest.mark.parametrize(
    ("answer", "settings", "message"),
    [
        ({"items": ITEMS}, {}, "no list of records as its answer.*The answer has items"),
        ({"items": ITEMS}, {"records": "data"}, "no list of records at 'data'"),
        ([1, 2], {}, "no list of records"),
        (ITEMS, {"time": "when"}, "no column 'when', but at, rain"),
        ([{"at": "soon"}], {}, "cannot be read, such as 'soon'"),
        ([{"at": 1714608000}], {}, "gave numbers.*epoch"),
        (Answer(404, {"message": "no such station"}), {}, "answered 404: no such station"),
        (Answer(401, {"error": "token expired"}), {}, "answered 401: token expired.*Check the key or token"),
        (Answer(403, raw=b"<html>"), {}, "answered 403. Check the key"),
        (ITEMS * 100, {"max_mb": 0.001}, "more than 0.001 MB"),
    ],
)
def test_an_answer_that_cannot_be_used_is_refused_with_the_reason(answer, settings, message):
    with service({"/r?d=2024": answer}) as (url, asked), pytest.raises(SourceInvalid, match=message):
        opened(url + "/r?d={since:%Y}", **settings)(*SPAN)
    assert len(asked) == 1


def test_a_broken_service_is_unavailable_after_all_tries():
    with service({"/r?d=2024": Answer(500)}) as (url, asked), pytest.raises(SourceUnavailable, match="http failed 2 times"):
        opened(url + "/r?d={since:%Y}")(*SPAN)
    assert len(asked) == 2


def test_deeply_nested_json_is_refused_not_fatal():
    bomb = Answer(raw=b"[" * 200_000)
    with service({"/r?d=2024": bomb}) as (url, _), pytest.raises(SourceUnavailable, match="not whole JSON"):
        opened(url + "/r?d={since:%Y}")(*SPAN)


def test_secrets_are_sent_and_never_shown(monkeypatch, caplog):
    monkeypatch.setenv("RAIN_TOKEN", "t0ken")
    monkeypatch.setenv("RAIN_KEY", "k3y")
    answers = {"/r?key=k3y&d=2024": Answer(400, {"message": "k3y with t0ken may not read"})}
    with service(answers) as (url, asked), caplog.at_level(logging.DEBUG):
        source = opened(url + "/r?key=${RAIN_KEY}&d={since:%Y}", headers={"Authorization": "Bearer ${RAIN_TOKEN}"})
        with pytest.raises(SourceInvalid, match=r"\*\*\* with \*\*\* may not read") as refused:
            source(*SPAN)

    assert asked[0][1]["Authorization"] == "Bearer t0ken"
    for shown in (repr(source), str(refused.value), json.dumps(refused.value.as_dict()), caplog.text):
        assert "k3y" not in shown
        assert "t0ken" not in shown
