"""A request may name only an entity: the server computes its features from what gathers brought, and says how old that is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
import stores
from listening import listening_at
from projects import BUILT_AT, FIRST_DAY, MODEL, tiny_project, tiny_rows

from keepwell import Project

Served = tuple[Project, httpx.Client]
FEATURES = """
    other = pl.col("cloud").mean().over("day")
    before = pl.col("cloud").rolling_mean(3, min_samples=1).over("site")
    return observations.sort("day").select("site", "day", "warmth", "cloud", before=before, everywhere=other)
"""
# A look-back, and a feature that needs the other sites: both must be as in training.
DEEP = MODEL.replace('    return observations.select("site", "day", "warmth", "cloud")\n', FEATURES).replace(
    "horizon_days=1", "horizon_days=1, lookback_days=4"
)


def rows(days: int) -> pl.DataFrame:
    sites = [tiny_rows(days, seed).with_columns(site=pl.lit(name)) for seed, name in ((5, "north"), (6, "south"))]
    gone = tiny_rows(300, 7).with_columns(site=pl.lit("east"))  # has stopped
    return pl.concat([*sites, gone]).sort("day", "site")


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny_project(tmp_path_factory.mktemp("deep") / "tiny")
    (folder / "model.py").write_text(DEEP)
    rows(379).write_csv(folder / "rows.csv")  # until the day before it is built
    with Project(folder) as project:
        assert project.run(BUILT_AT).status == "done"
        assert project.aliases()["champion"] == 1
    return folder


@pytest.fixture(scope="module")
def served(deep: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with listening_at(stores.copy_project(deep, tmp_path_factory.mktemp("served") / "tiny")) as both:
        yield both


def offline(project: Project, *sites: str) -> dict[str, tuple[float, datetime]]:
    """The champion's answers to the newest feature rows, computed from everything that is stored."""
    predictor = project.context.predictor(1)
    made = predictor.features(project.context.observations.rows()).sort("day").unique("site", keep="last")
    answers = predictor.answer(made).tolist()
    found = {site: (answer, day) for site, day, answer in zip(made["site"], made["day"], answers, strict=True)}
    return {site: found[site] for site in sites}


def ask(client: httpx.Client, *sites: str) -> list[dict[str, Any]]:
    answer = client.post("/models/tiny/predict", json={"entities": list(sites)})
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"]


def test_entities_are_answered_as_training_would_and_the_age_is_told(served: Served) -> None:
    project, client = served
    expected = offline(project, "south", "north", "east")
    for _ in range(2):  # read from the tables and held in memory
        made = ask(client, "south", "north", "east")
        assert [one["entity"] for one in made] == ["south", "north", "east"]
        for one in made:
            answer, day = expected[one["entity"]]
            assert one["probability"] == pytest.approx(answer, abs=1e-9)
            assert one["data_as_of"] == one["time"] == day.isoformat(timespec="microseconds")
            assert one["data_age_s"] == pytest.approx((datetime.now(UTC) - day).total_seconds(), abs=60) and one["is_stale"]
    found = client.get(f"/models/tiny/predictions/{made[0]['prediction_id']}/steps").json()["steps"]
    assert found[0]["origin"] == "look-up" and found[0]["request"] == {"entity": "south"}
    assert found[1]["compared"] and all(one["same"] for one in found[1]["features"].values())
    assert found[-1]["same"] is True


def test_an_entity_that_nobody_knows_is_refused_in_words(served: Served) -> None:
    answer = served[1].post("/models/tiny/predict", json={"entities": ["north", "west"]})
    assert (answer.status_code, answer.json()["error"]) == (422, "InputInvalid")
    assert "No observation is stored of west" in answer.json()["message"]


def infer(client: httpx.Client, **body: Any) -> httpx.Response:
    return client.post("/v2/models/tiny/infer", json=body)


def names(*sites: str, kind: str = "BYTES") -> dict[str, Any]:
    return {"name": "site", "shape": [len(sites)], "datatype": kind, "data": list(sites)}


def test_the_open_inference_protocol_takes_entities_as_texts_or_as_a_parameter(served: Served) -> None:
    project, client = served
    expected = offline(project, "south", "north")
    both = infer(client, inputs=[names("south", "north")]).json()
    assert both["outputs"][0]["data"] == pytest.approx([expected["south"][0], expected["north"][0]], abs=1e-9)
    assert both["parameters"]["data_as_of"] == expected["south"][1].isoformat(timespec="microseconds") and both["parameters"]["is_stale"]
    one = infer(client, inputs=[], parameters={"entity": "north"}).json()
    assert one["outputs"][0]["data"] == both["outputs"][0]["data"][1:]
    assert client.get("/v2/models/tiny").json()["parameters"]["entity_input"] == "site"
    assert infer(client, inputs=[names(1, 2, kind="INT64")]).status_code == 400  # type: ignore[arg-type]
    assert "No observation is stored of west" in infer(client, inputs=[], parameters={"entity": "west"}).json()["error"]


def test_parameters_name_rows_that_bring_their_features(served: Served) -> None:
    client = served[1]
    row = {"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [3, 0.5, 0.5, 0.5]}
    made = infer(client, inputs=[row], parameters={"entity": "north", "time": "2026-01-10"}).json()
    kept = client.get(f"/models/tiny/predictions/{made['outputs'][1]['data'][0]}").json()
    assert (kept["entity"], kept["time"]) == ("north", "2026-01-10T00:00:00Z")
    for wrong in ({"entity": 7}, {"entity": "north", "time": "soon"}):
        assert infer(client, inputs=[row], parameters=wrong).status_code == 400


def test_a_gather_feeds_what_is_held(deep: Path, tmp_path: Path) -> None:
    folder = stores.copy_project(deep, tmp_path / "tiny")
    with listening_at(folder) as (project, client):
        (before,) = ask(client, "north")
        rows(382).write_csv(folder / "rows.csv")
        with Project(folder) as other:  # a worker of its own
            other.run(BUILT_AT + timedelta(days=3))
        newest = datetime.combine(FIRST_DAY, datetime.min.time(), UTC) + timedelta(days=381)
        assert _eventually(lambda: ask(client, "north")[0]["data_as_of"] == newest.isoformat(timespec="microseconds"))
        assert ask(client, "north")[0]["probability"] == pytest.approx(offline(project, "north")["north"][0], abs=1e-9)
        assert before["data_as_of"] < newest.isoformat()


def test_stale_data_is_refused_where_the_settings_say_so(deep: Path, tmp_path: Path) -> None:
    folder = stores.copy_project(deep, tmp_path / "tiny")
    file = folder / "keepwell.toml"
    file.write_text(file.read_text() + '\n[lookup]\nentities = 1\nwhen_stale = "refuse"\nmax_age_days = 100000\n')
    with listening_at(folder) as (_, client):  # of three one is held, the others are read
        assert [one["is_stale"] for one in ask(client, "north", "south", "east")] == [False] * 3
    file.write_text(file.read_text().replace("100000", "2"))
    with listening_at(folder) as (_, client):
        answer = client.post("/models/tiny/predict", json={"entities": ["north"]})
        assert (answer.status_code, answer.json()["error"], "retry-after" in answer.headers) == (503, "DataStale", True)
        assert "data older than 2 days is not answered from" in answer.json()["message"]
        assert infer(client, inputs=[names("north")]).status_code == 503


def _eventually(holds: Callable[[], bool], seconds: float = 8.0) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if holds():
            return True
        time.sleep(0.05)
    return False
