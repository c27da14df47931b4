"""Live updates: one look for all who listen, told when there is news, and over when the server stops."""

from __future__ import annotations

import asyncio
import threading
import time

import httpx

from keepwell import Project
from keepwell.ui import Live, mark_of
from keepwell.ui import live as live_module

MARKS = ["a", "a", "b", "b", "b"]


def test_all_listeners_share_one_look(monkeypatch) -> None:
    monkeypatch.setattr(live_module, "LOOK_S", 0.05)
    looks: list[str] = []

    def look() -> str:
        looks.append(MARKS[min(len(looks), len(MARKS) - 1)])
        return looks[-1]

    async def listen(live: Live) -> list[bytes]:
        heard = []
        async for line in live.events():
            heard.append(line)
            if b"data: b" in line:
                return heard
        return heard

    async def fifty() -> list[list[bytes]]:
        live = Live(look)
        return await asyncio.wait_for(asyncio.gather(*(listen(live) for _ in range(50))), 10)

    heard = asyncio.run(fifty())
    assert all(lines == [b"retry: 5000\n\n", b"event: record\ndata: a\n\n", b"event: record\ndata: b\n\n"] for lines in heard)
    assert len(looks) <= 6, "fifty listeners cost no more looks than one"


def test_closing_ends_every_stream() -> None:
    async def closed() -> list[bytes]:
        live = Live(lambda: "a")
        heard: list[bytes] = []

        async def listen() -> None:
            heard.extend([line async for line in live.events()])

        task = asyncio.create_task(listen())
        await asyncio.sleep(0.2)
        live.close()
        await asyncio.wait_for(task, 2)
        assert live.answer().status_code == 503 and live.listeners == 0
        return heard

    assert b"event: record\ndata: a\n\n" in asyncio.run(closed())


def test_the_mark_changes_with_every_addition(mine: tuple[Project, httpx.Client]) -> None:
    project, _ = mine
    marks = [mark_of(project)]
    project.promote(2, reason="by hand", override=True)
    marks.append(mark_of(project))
    project.answer([{"warmth": 1.0, "cloud": 0.5}])
    marks.append(mark_of(project))
    project.run()
    marks.append(mark_of(project))
    assert len(set(marks)) == 4 and mark_of(project) == marks[-1]


def test_a_listener_hears_of_an_act(mine: tuple[Project, httpx.Client]) -> None:
    project, client = mine
    with client.stream("GET", "/events/live", headers={"accept": "text/event-stream"}) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        first = next(line for line in lines if line.startswith("data: "))
        act = threading.Timer(0.1, lambda: project.promote(2, reason="by hand", override=True))
        act.start()
        begun = time.monotonic()
        second = next(line for line in lines if line.startswith("data: "))
        act.join()
    assert first != second and time.monotonic() - begun < 15
