"""What the server counts, in plain numbers on the way of a request, made into Prometheus metrics only when they are asked for."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from keepwell.monitoring import VERDICTS

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
PROTOCOLS = ("json", "v2", "grpc", "invocations")


class Meter:
    """Counts of one server process.

    Attributes
    ----------
    answered, refused : predictions answered and requests refused, by (protocol, alias, version) and by (protocol, reason).
    lost : answers that were given before they were kept and then could not be (only with `log = "async"`).
    """

    def __init__(self) -> None:
        self.answered: dict[tuple[str, str, int], int] = {}
        self.refused: dict[tuple[str, str], int] = {}
        self.lost = 0
        self.shipped_at = time.time()
        self._durations = {name: [0] * (len(BUCKETS_S) + 1) for name in PROTOCOLS}
        self._sums = dict.fromkeys(PROTOCOLS, 0.0)

    def answer(self, protocol: str, number: int, rows: int, seconds: float, challenger: tuple[int, int] | None = None) -> None:
        """Count a request that was answered; `challenger` is its number and how many of the rows it answered."""
        if challenger and challenger[1]:
            self._rows((protocol, "challenger", challenger[0]), challenger[1])
            rows -= challenger[1]
        if rows:
            self._rows((protocol, "champion", number), rows)
        self._durations[protocol][bisect_left(BUCKETS_S, seconds)] += 1
        self._sums[protocol] += seconds

    def _rows(self, key: tuple[str, str, int], rows: int) -> None:
        self.answered[key] = self.answered.get(key, 0) + rows

    def add(self, other: Meter) -> None:
        """Count what another process counted too."""
        for key, rows in other.answered.copy().items():  # which goes on counting meanwhile
            self._rows(key, rows)
        for reason, requests in other.refused.copy().items():
            self.refused[reason] = self.refused.get(reason, 0) + requests
        self.lost += other.lost
        for name, counts in other._durations.items():
            self._durations[name] = [one + more for one, more in zip(self._durations[name], counts, strict=True)]
            self._sums[name] += other._sums[name]

    def refuse(self, protocol: str, reason: str) -> None:
        """Count a request that was refused; `reason` is the error's name."""
        key = (protocol, reason)
        self.refused[key] = self.refused.get(key, 0) + 1

    def page(self, model: str, state: Callable[[], dict[str, Any]]) -> bytes:
        """All of it as Prometheus reads it."""
        from prometheus_client import CollectorRegistry, generate_latest

        registry = CollectorRegistry()
        registry.register(_Collector(self, model, state))
        return bytes(generate_latest(registry))

    def histogram(self, protocol: str) -> tuple[list[tuple[str, float]], float]:
        """Cumulative buckets, and the sum of all durations, seconds."""
        total, buckets = 0, []
        for bound, count in zip([*map(str, BUCKETS_S), "+Inf"], self._durations[protocol], strict=True):
            total += count
            buckets.append((bound, float(total)))
        return buckets, self._sums[protocol]


class _Collector:
    def __init__(self, meter: Meter, model: str, state: Callable[[], dict[str, Any]]) -> None:
        self._meter, self._model, self._state = meter, model, state

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily

        meter, model, state = self._meter, self._model, self._state()
        answered = CounterMetricFamily(
            "keepwell_predictions", "Rows answered.", labels=["model", "alias", "outcome", "protocol", "version"]
        )
        for (protocol, alias, number), rows in sorted(meter.answered.items()):
            answered.add_metric([model, alias, "answered", protocol, str(number)], rows)
        yield answered
        refused = CounterMetricFamily("keepwell_input_rejected", "Requests refused.", labels=["model", "protocol", "reason"])
        for (protocol, reason), requests in sorted(meter.refused.items()):
            refused.add_metric([model, protocol, reason], requests)
        yield refused
        durations = HistogramMetricFamily(
            "keepwell_prediction_duration_seconds", "From a request's body to its answer, kept.", labels=["model", "protocol"]
        )
        for protocol in PROTOCOLS:
            buckets, total = meter.histogram(protocol)
            durations.add_metric([model, protocol], buckets, total)
        yield durations
        yield CounterMetricFamily("keepwell_log_lost", "Answers given but not kept (log = async only).", value=meter.lost)
        yield GaugeMetricFamily(
            "keepwell_ledger_lag_seconds", "Since the journal was last shipped.", value=max(0.0, time.time() - meter.shipped_at)
        )
        yield GaugeMetricFamily("keepwell_ready", "1 when a champion answers.", value=float(state["version"] is not None))
        yield from _of_record(model, state.get("record"))
        yield InfoMetricFamily(
            "keepwell_build",
            "What runs.",
            value={"version": release(), "model": model, "model_version": str(state["version"] or ""), "runtime": state["runtime"] or ""},
        )


def _of_record(model: str, record: dict[str, Any] | None) -> Iterator[Any]:
    """How the model is, as its record has it; nothing while the record cannot be read."""
    from prometheus_client.core import GaugeMetricFamily

    if record is None:
        return
    health = GaugeMetricFamily("keepwell_health_state", "Newest check-up: 0 well, 1 watch, 2 unwell, 3 unknown.", labels=["model"])
    health.add_metric([model], VERDICTS.index(record["verdict"]))
    yield health
    mature = GaugeMetricFamily("keepwell_labels_mature_ratio", "Of the labels that are due, so many are in.", labels=["model"])
    if record["maturity"] is not None:
        mature.add_metric([model], record["maturity"])
    yield mature
    done = GaugeMetricFamily("keepwell_last_success_timestamp_seconds", "When this was last done.", labels=["model", "task"])
    for task, moment in record["done"].items():
        done.add_metric([model, task], moment)
    yield done
    incidents = GaugeMetricFamily("keepwell_open_incidents", "Incidents that are not closed.", labels=["model", "severity"])
    for severity, count in record["incidents"].items():
        incidents.add_metric([model, severity], count)
    yield incidents


def release() -> str:
    """The version of Keepwell that runs."""
    try:
        return version("keepwell")
    except PackageNotFoundError:  # run from a source tree
        return "0"
