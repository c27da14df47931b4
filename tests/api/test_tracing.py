"""Traces: every answer says which one it belongs to, and spans reach a collector where the settings say so."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from listening import listening_at

from keepwell import Project
from keepwell.api.tracing import MARKS, started

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GIVEN = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
ROW = {"warmth": 12.5, "cloud": 0.9}
ASKED: list[tuple[str, str, Any]] = [
    ("POST", "/models/tiny/predict", {"rows": [ROW]}),
    ("POST", "/v2/models/tiny/infer", {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [12.5, 0.9]}]}),
    ("POST", "/invocations", {"dataframe_records": [ROW]}),
    ("POST", "/models/tiny/predict", {"entities": ["north"]}),
    ("GET", "/v2/health/ready", None),
    ("POST", "/v2/models/tiny/infer", {"inputs": []}),
]


@pytest.mark.parametrize(("method", "path", "body"), ASKED)
def test_every_answer_names_its_trace(shared: tuple[Project, httpx.Client], method: str, path: str, body: Any) -> None:
    client = shared[1]
    told = client.request(method, path, json=body, headers=GIVEN).headers["traceresponse"]
    assert re.fullmatch(f"00-{TRACE}-(?!{PARENT})[0-9a-f]{{16}}-01", told)
    own, other = (client.request(method, path, json=body).headers["traceresponse"] for _ in range(2))
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-00", own) and own[3:35] != other[3:35]


@pytest.mark.parametrize(
    "wrong", ["", "00", f"00-{TRACE}-{PARENT}", f"00-{'0' * 32}-{PARENT}-01", f"ff-{TRACE}-{PARENT}-01", f"00-{TRACE.upper()}-{PARENT}-01"]
)
def test_a_trace_that_is_none_is_not_taken_over(shared: tuple[Project, httpx.Client], wrong: str) -> None:
    told = shared[1].get("/health/live", headers={"traceparent": wrong}).headers["traceresponse"]
    assert TRACE not in told and "0" * 32 not in told


def test_nobody_looks_at_the_clock_where_nobody_traces() -> None:
    assert MARKS.get() is None and started() == 0


@contextmanager
def collector() -> Iterator[tuple[str, list[Any]]]:
    """A real OTLP receiver: its address, and the spans that came."""
    trace_service = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    spans: list[Any] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            import gzip

            body = self.rfile.read(int(self.headers["content-length"]))
            body = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
            sent = trace_service.ExportTraceServiceRequest.FromString(body)
            spans.extend(
                (resource.resource, span) for resource in sent.resource_spans for scope in resource.scope_spans for span in scope.spans
            )
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", spans
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_spans_of_request_features_model_and_log_reach_a_collector(tiny: Path) -> None:
    pytest.importorskip("opentelemetry.sdk")
    with collector() as (address, spans):
        file = tiny / "keepwell.toml"
        file.write_text(file.read_text() + f'\n[telemetry]\ntraces = "otlp"\nendpoint = "{address}"\n')
        with listening_at(tiny) as (_, client):
            told = client.post("/models/tiny/predict", json={"rows": [ROW]}, headers=GIVEN).headers["traceresponse"]
            for method, path, body in ASKED:
                client.request(method, path, json=body)
            unsampled = client.get("/health/live", headers={"traceparent": GIVEN["traceparent"][:-1] + "0"})
        assert unsampled.headers["traceresponse"].endswith("-00")
    mine = {span.name: span for _, span in spans if span.trace_id.hex() == TRACE}
    assert set(mine) == {"POST /models/tiny/predict", "features", "model", "log"}
    request = mine.pop("POST /models/tiny/predict")
    assert (request.parent_span_id.hex(), told) == (PARENT, f"00-{TRACE}-{request.span_id.hex()}-01")
    about = {one.key: one.value for one in request.attributes}
    assert about["http.response.status_code"].int_value == 200 and about["url.path"].string_value == "/models/tiny/predict"
    assert {one.key: one.value.string_value for one in spans[0][0].attributes}["keepwell.model"] == "tiny"
    order = sorted(mine.values(), key=lambda span: span.start_time_unix_nano)
    assert [span.name for span in order] == ["features", "model", "log"]
    for span in order:
        assert span.parent_span_id == request.span_id
        assert request.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano <= request.end_time_unix_nano
    names = [span.name for _, span in spans]
    assert names.count("model") == 5 and names.count("POST /invocations") == 1
