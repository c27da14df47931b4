"""Pages: how soon the first content comes, and what fifty people who watch cost the server.

Times are of one request after the other, over HTTP on this machine: "first" is the first request to that page, five seconds after
the server said that it serves; "again" the median of the next nine. The cost of watching is processor time of the server as a share
of one core: with nobody, with fifty streams on a quiet record, and with fifty whose pages are fetched again whenever there is news.
With --models the record holds so many others besides, each with a hundred daily cycles.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psutil

from keepwell import Project
from keepwell.demo import folder_for, live

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from crowd import crowd

BROWSER = {"accept": "text/html"}
PAGES = ("why", "incidents?all=1", "changes", "changes?since=all", "history", "ledger", "versions", "plan", "policy")
WATCHERS = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", type=Path, help="a project to copy; default a demonstration of four years, made now")
    parser.add_argument("--models", type=int, default=0, help="so many other models in the same record")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--every", type=float, default=10)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "rain"
        if given.project:
            shutil.copytree(given.project, folder)
        else:
            with folder_for(folder) as project:
                live(project, timedelta(days=28), lambda moment, events: None, until=datetime(1953, 1, 1, tzinfo=UTC))
        with Project(folder) as project:
            days = project.context.predictions.rows().height
            name = project.name
            if given.models:
                crowd(project, given.models, cycles=100)
        print(f"A record of {days:,} answers" + (f", beside {given.models:,} other models" if given.models else "") + "\n")
        server = subprocess.Popen(
            [sys.executable, "-m", "keepwell", "-C", str(folder), "serve"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "KEEPWELL_SERVE__PORT": "0"},
        )
        try:
            assert server.stdout is not None
            address = re.search(r"http://\S+?(?=;)", server.stdout.readline())[0]
            time.sleep(5)
            soon(address, name)
            asyncio.run(watched(address, name, folder, psutil.Process(server.pid), given.seconds, given.every))
        finally:
            begun = time.monotonic()
            server.terminate()
            server.wait(30)
            print(f"\nThe server stopped in {time.monotonic() - begun:.1f} s.")


def soon(address: str, name: str) -> None:
    """The time to the first byte of each page."""
    home = f"/models/{name}"
    print("page                         first      again      size")
    worst, largest = 0.0, 0
    with httpx.Client(base_url=address, timeout=120, headers=BROWSER) as client:
        for path in (
            "/",
            "/inbox",
            home,
            f"{home}?since=all",
            *(f"{home}/{page}" for page in PAGES),
            "/runs",
            "/sources/offutt",
            "/record",
        ):
            took, size = [], 0
            for _ in range(10):
                begun = time.perf_counter()
                answer = client.get(path)
                took.append(1000 * (time.perf_counter() - begun))
                size = len(answer.content)
                assert answer.status_code == 200, answer.text
            worst = max(worst, took[0])
            largest = max(largest, size)
            print(f"{path:24} {took[0]:6.0f} ms {statistics.median(took[1:]):6.1f} ms {size / 1000:6.0f} kB")
        print(f"{'the most of all':24} {worst:6.0f} ms {'':9} {largest / 1000:6.0f} kB")
        chart = re.search(r'src="(/models/[^"]+\.svg[^"]*)"', client.get(f"{home}?since=all").text)
        if chart:
            begun = time.perf_counter()
            client.get(chart[1].replace("&amp;", "&"))
            print(f"{'its chart, once a record':24} {1000 * (time.perf_counter() - begun):6.0f} ms")


async def watched(address: str, name: str, folder: Path, server: psutil.Process, seconds: float, every: float) -> None:
    """What watching costs."""
    print("\nwatching               share of one core")
    print(f"nobody                 {await share(server, seconds):8.1%}")
    news: list[int] = []

    async def watch(client: httpx.AsyncClient) -> None:
        async with client.stream("GET", "/events/live") as stream:
            heard = 0
            async for line in stream.aiter_lines():
                if line.startswith("data:"):
                    heard += 1
                    if heard > 1:
                        news.append((await client.get(f"/models/{name}", headers=BROWSER)).status_code)

    limits = httpx.Limits(max_connections=2 * WATCHERS + 10)
    async with httpx.AsyncClient(base_url=address, timeout=120, limits=limits) as client:
        tasks = [asyncio.create_task(watch(client)) for _ in range(WATCHERS)]
        await asyncio.sleep(3)
        print(f"{WATCHERS} on a quiet record   {await share(server, seconds):8.1%}")
        with Project(folder) as project:
            row = dict.fromkeys(project.context.predictor(project.context.champion()).signature, 1.0)
            acting = asyncio.create_task(act(project, row, seconds, every))
            cost = await share(server, seconds)
            print(f"{WATCHERS}, news every {every:g} s  {cost:8.1%}   ({len(news)} pages fetched again)")
            await acting
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def share(server: psutil.Process, seconds: float) -> float:
    before = server.cpu_times()
    begun = time.monotonic()
    await asyncio.sleep(seconds)
    after = server.cpu_times()
    return (after.user + after.system - before.user - before.system) / (time.monotonic() - begun)


async def act(project: Project, row: dict[str, float], seconds: float, every: float) -> None:
    """Something new on record now and then, as from another process."""
    for _ in range(int(seconds // every)):
        await asyncio.to_thread(project.answer, [row])
        await asyncio.sleep(every)


if __name__ == "__main__":
    main()
