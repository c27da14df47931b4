"""Traces: every answer says which trace it belongs to (W3C `traceparent` in, `traceresponse` out), and where the settings say so, spans of
the request, its features, the model and the log go to an OpenTelemetry collector (extra `telemetry`).

Off, a request costs one header more. On, what happens on its way leaves marks, two moments each; spans are made of them when it is over.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextvars import ContextVar
from time import time_ns
from typing import Any

from starlette.types import Scope

from keepwell.api.drawing import new_id
from keepwell.api.metrics import release
from keepwell.errors import ExtraMissing
from keepwell.settings import TelemetrySection

ANSWERED = b"traceresponse"
PARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
Mark = tuple[str, int, int]  # what, from, until: nanoseconds since 1970
MARKS: ContextVar[list[Mark] | None] = ContextVar("keepwell_marks", default=None)  # of the request that is answered here; None: not traced


def started() -> int:
    """The moment that a mark begins; 0 where nobody traces."""
    return 0 if MARKS.get() is None else time_ns()


def ended(what: str, since: int) -> None:
    """Leave a mark."""
    if since and (marks := MARKS.get()) is not None:
        marks.append((what, since, time_ns()))


def given(headers: Sequence[tuple[bytes, bytes]]) -> tuple[bytes, bytes, bytes] | None:
    """Trace, span and flags that a request came with, hexadecimal; None when it came with none that is right.

    Examples
    --------
    >>> given([(b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")])
    (b'0af7651916cd43dd8448eb211c80319c', b'b7ad6b7169203331', b'01')
    >>> given([(b"traceparent", b"00-00000000000000000000000000000000-b7ad6b7169203331-01")]), given([])
    (None, None)
    """
    for name, value in headers:
        if name == b"traceparent":
            found = PARENT.fullmatch(value)
            return (found.group(1), found.group(2), found.group(3)) if found else None
    return None


def response_of(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """What an answer says where nobody traces: the caller's trace, or a new one."""
    parent = given(headers)
    span = new_id().encode()[:16]
    return b"00-%b-%b-%b" % ((parent[0], span, parent[2]) if parent else (new_id().encode(), span, b"00"))


class Tracing:
    """Makes spans and sends them.

    Parameters
    ----------
    settings : where to, and what share of the requests that come without a decision of their own.

    Raises
    ------
    ExtraMissing : OpenTelemetry's packages are not installed.
    """

    def __init__(self, settings: TelemetrySection, model: str) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
        except ImportError:
            raise ExtraMissing("telemetry", "Traces") from None
        endpoint = f"{settings.endpoint.rstrip('/')}/v1/traces" if settings.endpoint else None  # else as OTEL_EXPORTER_OTLP_ENDPOINT has it
        about = {"service.name": "keepwell", "service.version": release(), "keepwell.model": model}
        sampler = ParentBased(TraceIdRatioBased(settings.share))
        self._provider = TracerProvider(sampler=sampler, resource=Resource.create(about))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
        self._tracer = self._provider.get_tracer("keepwell")

    @classmethod
    def of(cls, settings: TelemetrySection, model: str) -> Tracing | None:
        """As the settings have it; None when they say off."""
        return cls(settings, model) if settings.traces == "otlp" else None

    def begin(self, scope: Scope) -> Any:
        """The span of a request; what came before it is its parent."""
        from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, set_span_in_context

        parent, context = given(scope["headers"]), None
        if parent is not None:
            trace, span, flags = (int(part, 16) for part in parent)
            context = set_span_in_context(NonRecordingSpan(SpanContext(trace, span, is_remote=True, trace_flags=TraceFlags(flags))))
        about = {"http.request.method": scope["method"], "url.path": scope["path"]}
        return self._tracer.start_span(f"{scope['method']} {scope['path'][:100]}", context, SpanKind.SERVER, about)

    def end(self, span: Any, status: int, marks: Sequence[Mark]) -> None:
        """End a request's span, with a span for each mark below it."""
        from opentelemetry.trace import Status, StatusCode, set_span_in_context

        span.set_attribute("http.response.status_code", status)
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        context = set_span_in_context(span)
        for what, since, until in marks:
            self._tracer.start_span(what, context, start_time=since).end(until)
        span.end()

    def close(self) -> None:
        """Send what waits."""
        self._provider.shutdown()


def response_of_span(span: Any) -> bytes:
    """What an answer says of a span."""
    about = span.get_span_context()
    return b"00-%032x-%016x-%02x" % (about.trace_id, about.span_id, about.trace_flags)
