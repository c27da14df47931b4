"""An application keeps its own server, and its answers go into the record."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest
from processes import SOURCES
from projects import BUILT_AT

import keepwell
from keepwell import Project, log_predictions
from keepwell.beside import Kept, _journals
from keepwell.errors import InputInvalid, ProjectNotFound, StorageUnavailable

PAGE = Path(__file__).parents[1] / "docs" / "beside.md"
ROW = {"warmth": 3.5, "cloud": 0.8, "entity": "north", "time": "2026-01-20"}


@pytest.fixture(autouse=True)
def _journals_of_the_test():
    yield
    for journal in _journals.values():
        journal.close()
    _journals.clear()


def shipped(folder: Path) -> list[dict[str, Any]]:
    for journal in _journals.values():
        journal.roll()
    with Project(folder) as project:
        project.ship()
        rows = project.context.predictions.rows()
        return rows.filter(pl.col("origin") == "app").sort("made_at", "prediction_id").to_dicts() if rows.height else []


def documented(folder: Path, **options: Any) -> Any:
    """The application of docs/beside.md, over this folder."""
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found
    given = "".join(f", {name}={value!r}" for name, value in options.items())
    names: dict[str, Any] = {"__name__": "documented"}
    exec(found.group(1).replace('project="rain"', f"project={str(folder)!r}{given}"), names)
    return names["app"]


def post(app: Any, *bodies: Any, path: str = "/predict") -> list[httpx.Response]:
    async def ask() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
            return [await client.post(path, json=body) for body in bodies]

    return asyncio.run(ask())


def test_the_documented_application_s_answers_are_kept_labelled_and_followed(tiny: Path) -> None:
    (answer,) = post(documented(tiny), ROW)
    assert answer.json() == {"probability": pytest.approx(0.76)}
    name = answer.headers["keepwell-prediction-id"]
    (kept,) = shipped(tiny)
    assert (kept["prediction_id"], kept["entity"], kept["version"], kept["answer"]) == (name, "north", 0, pytest.approx(0.76))
    assert kept["time"] == datetime(2026, 1, 20, tzinfo=UTC)
    with Project(tiny) as project:
        assert project.post_labels([{"prediction_id": name, "label": 1}])["new"] == 1
        found = project.explain(name)
        assert "An application of its own answered" in found.step("asked").sentence
        assert found.step("version").sentence == "Version 0 is not one of this record"
        assert found.step("loss").facts["loss"] == pytest.approx(0.24**2)
        before = project.status().as_dict()
        assert project.run(BUILT_AT + timedelta(days=3)).status == "done"  # they say nothing of the champion
        assert project.incidents() == [] and before["model"] == "tiny"


def test_answers_of_a_registered_version_count_as_its_own_and_are_held_against_it(tiny: Path) -> None:
    moment = BUILT_AT + timedelta(hours=1)
    with Project(tiny) as project:
        predictor = project.context.predictor(1)
        day = project.context.observations.rows().tail(1).to_dicts()[0]
        row = {name: day[name] for name in predictor.signature}
        right = float(predictor.answer(predictor.read([row]))[0])
    log_predictions(tiny, row, right, entity="north", time=day["day"], version=1)
    log_predictions(tiny, row, right + 0.1, entity="north", time=day["day"], version=1)
    shipped(tiny)
    with Project(tiny) as project:
        assert project.run(moment + timedelta(days=1)).status == "done"
        assert [one.kind for one in project.incidents()] == ["other answers"]


def test_frames_arrays_and_lists_are_understood_and_nonsense_is_refused(tiny: Path) -> None:
    frame = pl.DataFrame({"warmth": [1.0, 2.0], "cloud": [0.5, float("nan")]})
    ids = log_predictions(tiny, frame, np.array([0.25, 0.5], np.float32))
    ids += log_predictions(tiny, [{"warmth": np.float64(1)}], [1], entity=["south"], time=[datetime(2026, 1, 2)])  # noqa: DTZ001
    assert sorted(row["prediction_id"] for row in shipped(tiny)) == sorted(ids) and len(ids) == 3
    assert log_predictions(tiny, [], []) == []
    wrong: list[tuple[Any, Any, dict[str, Any]]] = [
        ([{"a": 1}], [1, 2], {}),
        ({"a": 1}, float("nan"), {}),
        ({"a": 1}, ["much"], {}),
        ({"a": 1}, 1, {"entity": "x", "time": "soon"}),
    ]
    for rows, answers, named in wrong:
        with pytest.raises(InputInvalid):
            log_predictions(tiny, rows, answers, **named)
    with pytest.raises(ProjectNotFound):
        log_predictions(tiny / "nowhere", {"a": 1}, 1)


def test_keys_that_are_numbers_are_kept_as_texts(tiny: Path) -> None:
    """As numbers they would be read back by nobody: every later answer would wait behind them."""
    log_predictions(tiny, [ROW, ROW], [0.3, 0.4], entity=[7, np.int64(8)], time="2026-01-20")  # type: ignore[list-item]
    assert sorted(kept["entity"] for kept in shipped(tiny)) == ["7", "8"]


def test_many_rows_and_shapes_of_one_s_own(tiny: Path) -> None:
    from fastapi import Body, FastAPI

    app = FastAPI()

    @app.post("/many")
    def many(body: dict[str, Any] = Body()) -> dict[str, Any]:  # noqa: B008 - FastAPI's way
        return {"predictions": [0.1] * len(body["rows"])}

    @app.post("/odd")
    def odd(body: dict[str, Any] = Body()) -> dict[str, Any]:  # noqa: B008
        return {"told": {"p": body["x"]["cloud"]}}

    app.add_middleware(keepwell.Middleware, project=tiny, path=["/many"])
    app.add_middleware(keepwell.Middleware, project=tiny, path="/odd", read=lambda asked, told: [Kept(asked["x"], told["told"]["p"])])
    (answer,) = post(app, {"rows": [{"cloud": 1}, {"cloud": 2}]}, path="/many")
    (other,) = post(app, {"x": {"cloud": 0.5}}, path="/odd")
    name = answer.headers["keepwell-prediction-id"]
    kept = {row["prediction_id"]: row["answer"] for row in shipped(tiny)}
    assert kept == {f"{name}-0": 0.1, f"{name}-1": 0.1, other.headers["keepwell-prediction-id"]: 0.5}


def test_what_cannot_be_kept_goes_out_without_the_header_or_not_at_all(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app, strict = documented(tiny), documented(tiny, must_keep=True)
    refused, other = post(app, {"warmth": 1}, ROW)
    assert refused.status_code == 422 and "keepwell-prediction-id" not in refused.headers
    assert other.status_code == 200

    def full(*_: Any, **__: Any) -> Any:
        raise StorageUnavailable("journal", "no space left")

    monkeypatch.setattr("keepwell.serving.Journal.append_many", full)
    (lenient,), (strict_one,) = post(app, ROW), post(strict, ROW)
    assert lenient.status_code == 200 and "keepwell-prediction-id" not in lenient.headers
    assert (strict_one.status_code, strict_one.json()) == (503, {"detail": "The answer could not be kept"})


def test_what_a_killed_process_was_told_is_kept_is_there(tiny: Path) -> None:
    code = f"""
import os, signal, keepwell
for place in range(3):
    print(keepwell.log_predictions({str(tiny)!r}, {{"cloud": place}}, 0.5)[0], flush=True)
if os.fork() == 0:  # a child has a journal of its own
    print(keepwell.log_predictions({str(tiny)!r}, {{"cloud": 9}}, 0.5)[0], flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
os.wait()
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env={"PYTHONPATH": str(SOURCES)})
    assert done.returncode == -9, done.stderr
    assert sorted(done.stdout.split()) == sorted(row["prediction_id"] for row in shipped(tiny)) and len(done.stdout.split()) == 4
