"""The quick way of a prediction: many at once, and what happens when the disk, the client or the model is not well."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import socket
import threading
import time
from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from projects import BUILT_AT

from keepwell import Project
from keepwell.api.batching import Batcher
from keepwell.api.metrics import Meter
from keepwell.errors import InputInvalid, StorageUnavailable
from keepwell.serving import Journal, made_ready

Served = tuple[Project, httpx.Client]
ROW = {"warmth": 12.5, "cloud": 0.9}
PREDICT = "/models/tiny/predict"


def answer_of(project: Project, *rows: dict[str, float]) -> list[float]:
    predictor = project.context.predictor(1)
    return [float(value) for value in predictor.answer(predictor.read(rows))]


def test_concurrent_requests_get_each_their_own_answer(shared: Served) -> None:
    """Merged into batches, and taken apart again."""
    project, client = shared
    rows = [{"warmth": place / 7, "cloud": place % 10 / 10} for place in range(200)]

    async def all_at_once() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=client.base_url, limits=httpx.Limits(max_connections=64)) as many:
            return await asyncio.gather(*[many.post(PREDICT, json={"rows": [row]}) for row in rows])

    answers = asyncio.run(all_at_once())
    found = [answer.json()["predictions"][0] for answer in answers]
    assert [one["probability"] for one in found] == pytest.approx(answer_of(project, *rows), abs=1e-12)
    assert len({one["prediction_id"] for one in found}) == len(rows)
    for place in (0, 77, 199):
        assert client.get(f"/models/tiny/predictions/{found[place]['prediction_id']}").json()["inputs"] == rows[place]


class SlowJournal:
    """A journal whose disk answers when the test says so."""

    def __init__(self) -> None:
        self.handed: list[list[bytes]] = []
        self.futures: list[Future[None]] = []

    def append_many(self, records: list[bytes], *, wait_s: float) -> Future[None]:
        self.handed.append(list(records))
        self.futures.append(Future())
        return self.futures[-1]


def test_what_comes_in_one_turn_shares_one_commit_and_a_bad_row_fails_alone(tiny: Path) -> None:
    with Project(tiny) as project:
        ready = made_ready(project.context.predictor(1))
        journal: Any = SlowJournal()

        async def run() -> None:
            batcher = Batcher(journal, Meter())
            asked = [batcher.ask(ready, [row]) for row in ((1.0, 0.5), (2.0, 0.5), (None, 0.5))]
            await asyncio.sleep(0.05)
            assert len(journal.handed) == 1 and len(journal.handed[0]) == 2
            assert not asked[0].done() and not asked[1].done(), "nothing is answered before the disk has it"
            with pytest.raises(InputInvalid, match="cannot answer without warmth"):
                await asked[2]
            journal.futures[0].set_result(None)
            assert (await asked[0]).values == pytest.approx(answer_of(project, {"warmth": 1.0, "cloud": 0.5}), abs=1e-12)
            assert (await asked[1]).ids != (await asked[0]).ids
            batcher.close()

        asyncio.run(run())


def test_with_an_async_log_the_answer_does_not_wait_and_a_loss_is_counted(tiny: Path) -> None:
    with Project(tiny) as project:
        ready, journal, meter = made_ready(project.context.predictor(1)), SlowJournal(), Meter()

        async def run() -> None:
            batcher = Batcher(journal, meter, is_durable=False)  # type: ignore[arg-type]
            assert (await batcher.ask(ready, [(1.0, 0.5)])).version == 1
            journal.futures[0].set_exception(StorageUnavailable("journal", "no room"))
            assert meter.lost == 1
            batcher.close()

        asyncio.run(run())


def test_too_much_waiting_for_the_disk_is_refused_with_a_time_to_come_again(tiny: Path, listening, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(tiny) as (_, client):
        monkeypatch.setattr(Journal, "_wait_for_room", lambda *_: (_ for _ in ()).throw(StorageUnavailable("journal", "full")))
        for journal in _journals():
            monkeypatch.setattr(journal, "waiting_bytes", 400)
            monkeypatch.setattr(journal, "_held_bytes", 399)
        answer = client.post(PREDICT, json={"rows": [ROW]})
        assert (answer.status_code, answer.json()["error"], answer.headers["retry-after"]) == (503, "StorageUnavailable", "1")
        monkeypatch.undo()
        for journal in _journals():
            journal._held_bytes = 0


def _journals() -> list[Journal]:
    from keepwell.serving import journal

    return list(journal._living)


def test_a_body_that_comes_too_slowly_is_refused_while_others_are_served(tiny: Path, listening) -> None:
    with listening(tiny, {"read_s": 0.5}) as (_, client):
        with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as slow:
            slow.sendall(f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n".encode())
            begin = time.monotonic()
            assert client.post(PREDICT, json={"rows": [ROW]}).status_code == 200
            slow.settimeout(10)
            said = slow.recv(4096).decode()
        assert said.startswith("HTTP/1.1 408") and "BodyTooSlow" in said
        assert time.monotonic() - begin < 5


def test_an_answer_that_takes_too_long_is_refused(tiny: Path, listening, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(tiny, {"answer_s": 0.3}) as (project, client):
        stop = threading.Event()
        monkeypatch.setattr(project, "versions", lambda: stop.wait(5) or [])
        answer = client.get("/models/tiny/versions")
        stop.set()
        assert (answer.status_code, answer.json()["error"]) == (504, "AnswerTooLate")


def test_a_packed_body_is_read_and_a_bomb_is_not(shared: Served) -> None:
    _, client = shared
    packed = gzip.compress(json.dumps({"rows": [ROW]}).encode())
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    assert client.post(PREDICT, content=packed, headers=headers).status_code == 200
    bomb = gzip.compress(b" " * (200 << 20), 1)[: 900 << 10]
    assert client.post(PREDICT, content=bomb, headers=headers).status_code == 413
    for content, encoding in ((packed[:-12], "gzip"), (b"nothing", "gzip"), (packed, "br")):
        answer = client.post(PREDICT, content=content, headers={**headers, "content-encoding": encoding})
        assert (answer.status_code, answer.json()["error"]) == (415, "MediaTypeUnknown")


def test_metrics_count_answers_and_refusals(tiny: Path, listening) -> None:
    with listening(tiny) as (_, client):
        client.post(PREDICT, json={"rows": [ROW, ROW]})
        client.post(PREDICT, json={"rows": [{"warmth": None, "cloud": 1.0}]})
        page = client.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain")
    assert re.search(
        r'^keepwell_predictions_total\{alias="champion",model="tiny",outcome="answered",protocol="json",version="1"\} 2\.0$',
        page.text,
        re.MULTILINE,
    )
    assert 'keepwell_input_rejected_total{model="tiny",protocol="json",reason="InputInvalid"} 1.0' in page.text
    assert 'keepwell_prediction_duration_seconds_count{model="tiny",protocol="json"} 1.0' in page.text
    assert re.search(r"^keepwell_ledger_lag_seconds [0-9.]+$", page.text, re.MULTILINE)
    assert re.search(r'^keepwell_build_info\{.*runtime="tables and product".*\} 1\.0$', page.text, re.MULTILINE)


def test_a_share_of_the_answers_is_kept_with_its_weight_and_the_others_have_no_id(tiny: Path, listening) -> None:
    with listening(tiny, {"log_share": 0.25, "log": "async"}) as (project, client):
        rows = [{"warmth": place / 7, "cloud": 0.5} for place in range(400)]
        answer = client.post(PREDICT, json={"rows": rows}).json()
        slow = client.post(PREDICT, json={"entities": ["north"]}).json()  # the full way draws too
        v2 = {"inputs": [{"name": "features", "shape": [400, 2], "datatype": "FP64", "data": [[1.0, 0.5]] * 400}]}
        told = client.post("/v2/models/tiny/infer", json=v2).json()
        metadata = client.get("/v2/models/tiny").json()["parameters"]
    assert (metadata["log"], metadata["log_share"]) == ("async", 0.25)
    assert answer["log"] == told["parameters"]["log"] == "async"
    ids = {one["prediction_id"] for one in [*answer["predictions"], *slow["predictions"]]} | set(told["outputs"][1]["data"])
    assert [one["probability"] for one in answer["predictions"]] == pytest.approx(answer_of(project, *rows), abs=1e-12)
    with Project(tiny) as project:
        project.ship()
        kept = project.context.predictions.rows().filter(origin="api")
        assert set(kept["prediction_id"]) == ids - {None, ""}
        assert set(kept["weight"]) == {4.0}
        assert 120 < kept.height < 280  # of 801, a quarter
        assert project.run(BUILT_AT + timedelta(days=1)).status == "done"
        batch = project.context.predictions.rows().filter(origin="batch")
        assert batch.height == batch["weight"].null_count() > 0
