"""What the dashboard and the alert rules ask for is what the server tells."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import stores
import yaml
from listening import listening_at
from projects import BUILT_AT
from prometheus_client.parser import text_string_to_metric_families

from keepwell import Project

DEPLOY = Path(__file__).parents[2] / "deploy"
ROW = {"warmth": 12.5, "cloud": 0.9}
OF_PROMETHEUS = {"instance", "le", "job"}  # labels that it adds itself


def alerts() -> Iterator[tuple[str, str]]:
    read = yaml.safe_load((DEPLOY / "prometheus" / "keepwell.rules.yaml").read_text())
    for group in read["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in ("warning", "critical") and rule["annotations"]["summary"]
            yield rule["alert"], rule["expr"]


def panels() -> Iterator[tuple[str, str]]:
    read = json.loads((DEPLOY / "grafana" / "keepwell.json").read_text())
    for panel in read["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    yield from (("variable", one["query"]) for one in read["templating"]["list"] if one["type"] == "query")


@pytest.fixture(scope="module")
def served(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, httpx.Client]]:
    """A server whose champion has lived some days, so that labels were due."""
    folder = stores.copy_project(built, tmp_path_factory.mktemp("lived") / "tiny")
    with Project(folder) as project:
        for days in (2, 5):
            project.run(BUILT_AT + timedelta(days=days))
    with listening_at(folder) as both:
        yield both


@pytest.fixture(scope="module")
def told(served: tuple[Project, httpx.Client]) -> dict[str, set[str]]:
    """Every name that the server tells, with its labels."""
    client = served[1]
    assert client.post("/models/tiny/predict", json={"rows": [ROW]}).status_code == 200
    assert client.post("/invocations", json={}).status_code == 400
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.mark.parametrize(("where", "expression"), [*alerts(), *panels()])
def test_every_name_and_label_is_one_that_the_server_tells(told: dict[str, set[str]], where: str, expression: str) -> None:
    names = set(re.findall(r"keepwell_\w+", expression))
    assert names, "it asks for nothing of Keepwell"
    assert names <= told.keys(), names - told.keys()
    labels = {label for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.replace(" ", "").split(",")}
    labels |= set(re.findall(r"(\w+)\s*=~?\"", expression))
    known = OF_PROMETHEUS.union(*(told[name] for name in names))
    assert labels <= known, (where, labels - known)
    assert expression.count("(") == expression.count(")") and expression.count("{") == expression.count("}")


def test_a_record_that_does_not_answer_holds_up_no_count(served: tuple[Project, httpx.Client], monkeypatch: pytest.MonkeyPatch) -> None:
    _, client = served
    answers = threading.Event()
    monkeypatch.setattr("keepwell.api.service.RECORD_S", 0.1)
    monkeypatch.setattr("keepwell.api.service.list_live", lambda *_: answers.wait(20) and [])
    try:
        page = client.get("/metrics").text
        assert "keepwell_ready 1.0" in page and "keepwell_health_state{" not in page
    finally:
        answers.set()


def test_what_the_server_tells_of_the_record_is_true(served: tuple[Project, httpx.Client]) -> None:
    project, client = served
    values = {
        (sample.name, sample.labels.get("task") or sample.labels.get("severity")): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
    }
    assert values["keepwell_health_state", None] == 3  # its champion is new: too few labels are in
    assert {severity: values["keepwell_open_incidents", severity] for severity in ("info", "warning", "critical")} == dict.fromkeys(
        ("info", "warning", "critical"), 0
    )
    assert values["keepwell_last_success_timestamp_seconds", "cycle"] == project.cycles(1)[0].ended.timestamp()  # type: ignore[union-attr]
