"""An object store that fails half of what it is asked, also after having done it: the record ends the same, or the user is told."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import stores
from crashing import run_in_process
from flaky import flaky
from projects import BUILT_AT, tiny_project
from record import answer, first_difference, record_of

from keepwell.errors import StorageUnavailable
from keepwell.keeping import flaws_of, list_backups, open_backup
from keepwell.serving.segments import MAGIC, pack
from keepwell.storage import ArtifactStore, Database, Table, digest_of, retries

pytestmark = pytest.mark.once("has a store of its own")

LATER = BUILT_AT + timedelta(days=5)
START = datetime(2026, 1, 1, tzinfo=UTC)
LARGE = 6_000_000  # bytes; sent in parts


def until_done(act: Callable[[], Any]) -> int:
    """Do it, and again as long as the store is said not to answer. Answers how often it was said."""
    for told in range(5):
        try:
            act()
            return told
        except StorageUnavailable:
            continue
    raise AssertionError("told five times")


# --- a life ---------------------------------------------------------------------------------------------------------------


def meeting(endpoint: str) -> dict[str, str]:
    """What the environment of a process must say so that it meets the store there."""
    return {**stores.s3()[1], "AWS_ENDPOINT_URL": endpoint}


def live(folder: Path, meets: dict[str, str], backups: str) -> None:
    """Two cycles with a build each, an answer shipped, a flush and a backup, through the store at an endpoint."""
    from keepwell import Project

    # Tries are as many as ever; only the pauses between them are short.
    retries.OBSTORE["backoff"] = {"init_backoff": timedelta(milliseconds=2), "max_backoff": timedelta(milliseconds=40)}
    retries.POLARS |= {"retry_init_backoff_ms": 2, "retry_max_backoff_ms": 40}
    retries.DELTA |= {"backoff_config.init_backoff": "2ms", "backoff_config.max_backoff": "40ms"}
    os.environ |= meets
    with Project(folder) as project:
        for act in (
            lambda: project.run(BUILT_AT),
            project.flush,
            lambda: leave_answer(project.journal_folder),
            project.ship,
            lambda: project.run(LATER, build=True),
            project.flush,
            lambda: project.backup(backups),
        ):
            until_done(act)


def leave_answer(journal: Path) -> None:
    """What a server that died leaves: an answer in a segment, here of the same name in each life."""
    journal.mkdir(parents=True, exist_ok=True)
    (journal / "w-00000001.open").write_bytes(MAGIC + pack(answer(1)))


def on_s3(folder: Path) -> tuple[Path, str]:
    """A tiny project whose tables and artifacts are in S3; and a place for backups."""
    url, _ = stores.s3()
    store = f'\n[store]\ntables = "{url}/tables"\nartifacts = "{url}/artifacts"\n'
    tiny_project(folder, settings=store if stores.STORE == "local" else "")
    return folder, f"{url}/backups"


def lived(folder: Path) -> dict[str, Any]:
    """The record, but for where the backup went and how many lines the timeline has with it."""
    record = record_of(folder)
    events = [{**event, "place": None} for event in record["events"] if event["kind"] != "backed_up"]
    return {**record, "events": events, "chains": [head for head in record["chains"] if head["chain"] != "events"]}


@pytest.mark.sqlite("has an object store of its own")
def test_with_half_of_all_requests_failing_the_record_ends_the_same(tmp_path: Path) -> None:
    calm, disturbed = on_s3(tmp_path / "calm" / "tiny"), on_s3(tmp_path / "disturbed" / "tiny")
    assert run_in_process(live, calm[0], meeting(os.environ["AWS_ENDPOINT_URL"]), calm[1]) == 0
    with flaky(share=0.5, seed=11) as proxy:
        assert run_in_process(live, disturbed[0], meeting(proxy.url), disturbed[1]) == 0
    failed = proxy.counts.total() - proxy.counts["answered"] - proxy.counts["asked"]
    assert not [*(calm[0] / ".keepwell/journal").iterdir(), *(disturbed[0] / ".keepwell/journal").iterdir()]
    assert failed > 0.4 * proxy.counts["asked"] > 40
    expected = lived(calm[0])
    assert [cycle["status"] for cycle in expected["cycles"]] == ["done", "done"] and len(expected["versions"]) == 2
    assert first_difference(expected, lived(disturbed[0])) is None
    assert flaws_of(open_backup(disturbed[1], list_backups(disturbed[1])[-1])) == {}


# --- an answer that is lost, though the store has done it -----------------------------------------------------------------


LOST = {
    "first commit": ("PUT", "_delta_log/00000000000000000000.json"),
    "second commit": ("PUT", "_delta_log/00000000000000000001.json"),
    "data file": ("PUT", ".snappy.parquet"),
    "sums": ("PUT", "_keepwell/sums.json"),
    "artifact": ("PUT", f"artifacts/{digest_of(b'rain')[:2]}/"),
    "end of a large artifact": ("POST", "uploadId="),
}


def keep_three_days(folder: Path, meets: dict[str, str], url: str, record: str) -> None:
    """Put rows into a table one by one, and a small and a large artifact; note what is there in the end."""
    os.environ |= meets
    database, artifacts = Database(record, folder), ArtifactStore(f"{url}/artifacts", folder)
    table, told = Table(database, artifacts, f"{url}/tables", "rain/rows", ("day",), "day"), [0, 0]
    for day in range(3):
        frame = pl.DataFrame({"day": pl.Series([START + timedelta(days=day)], dtype=pl.Datetime("us", "UTC")), "value": [float(day)]})
        with database.begin() as connection:
            table.append(connection, f"day-{day}", frame, START)
        told[0] += until_done(table.flush)
    kept = [b"rain", bytes(LARGE)]
    for content in kept:
        told[1] += until_done(lambda content=content: artifacts.put(content))
    whole = all(artifacts.get(found.name) in kept for found in artifacts.list())
    with database.read() as connection:
        waiting = table.waiting(connection)
    seen = {"rows": table.rows()["value"].to_list(), "in Delta": table.sizes(until=9), "waiting": waiting}
    document = {**seen, "artifacts": len(list(artifacts.list())), "whole": whole, "told in flush": told[0], "told in put": told[1]}
    (folder / "seen.json").write_text(json.dumps(document))
    database.close()


@pytest.mark.parametrize("answer", ["503", "drop"])
def test_a_write_whose_answer_was_lost_is_there_once(tmp_path: Path, answer: str) -> None:
    """Repeated by the library, or told and asked for again: no row and no file comes twice, and none is missing."""
    left = dict(LOST)

    def lose(method: str, path: str) -> tuple[str, str] | None:
        """Of each kind of write the first."""
        for name, (its_method, part) in left.items():
            if method == its_method and part in path:
                del left[name]
                return answer, "after"
        return None

    with flaky(0, chosen=lose) as proxy:
        assert run_in_process(keep_three_days, tmp_path, meeting(proxy.url), stores.s3()[0], stores.database_url()) == 0
    assert left == {}
    expected = {"rows": [0.0, 1.0, 2.0], "in Delta": [[1, 1], [2, 1], [3, 1]], "waiting": 0, "artifacts": 2, "whole": True}
    assert json.loads((tmp_path / "seen.json").read_text()) == {**expected, "told in flush": 0, "told in put": 1}


# --- a store that answers nothing -----------------------------------------------------------------------------------------


def ask_all(folder: Path, dead: dict[str, str], living: str, url: str, record: str, retry_s: int) -> None:
    """Read and write at once where nothing answers; note how long each took to say so."""
    retries.OBSTORE["retry_timeout"] = timedelta(seconds=retry_s)
    retries.DELTA["retry_timeout"] = f"{retry_s}s"
    retries.POLARS["retry_timeout_ms"] = 500 * retry_s
    database = Database(record, folder)
    os.environ |= dead
    artifacts = ArtifactStore(f"{url}/artifacts", folder)
    tables = [Table(database, artifacts, f"{url}/tables", name, ("day",), "day") for name in ("rain/one", "rain/two")]
    frame = pl.DataFrame({"day": pl.Series([START], dtype=pl.Datetime("us", "UTC")), "value": [1.0]})
    with database.begin() as connection:
        for table in tables:
            table.append(connection, "day", frame, START)
    acts = {
        "put": lambda: artifacts.put(b"rain"),
        "get": lambda: artifacts.get("0" * 64),
        "list": lambda: list(artifacts.list()),
        "flush": tables[0].flush,
        "rows": tables[1].rows,
    }
    seen: dict[str, Any] = {}

    def ask(name: str) -> None:
        begun = time.monotonic()
        with pytest.raises(StorageUnavailable) as told:
            acts[name]()
        seen[name] = (time.monotonic() - begun, str(told.value))

    threads = [threading.Thread(target=ask, args=(name,)) for name in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.environ["AWS_ENDPOINT_URL"] = living
    again = Table(database, ArtifactStore(f"{url}/artifacts", folder), f"{url}/tables", "rain/one", ("day",), "day")
    seen["moved"] = again.flush()
    (folder / "seen.json").write_text(json.dumps(seen))
    database.close()


@pytest.mark.parametrize("way", ["all fail", "nobody listens"])
def test_a_store_that_answers_nothing_is_told_in_time_and_loses_nothing(tmp_path: Path, way: str) -> None:
    """The time is set short here; the one in force is in `retries`."""
    retry_s = 2
    with flaky(1.0, seed=3) as proxy:
        endpoint = proxy.url if way == "all fail" else "http://127.0.0.1:1"
        living = os.environ["AWS_ENDPOINT_URL"]
        assert run_in_process(ask_all, tmp_path, meeting(endpoint), living, stores.s3()[0], stores.database_url(), retry_s) == 0
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert seen.pop("moved") == 1
    assert set(seen) == {"put", "get", "list", "flush", "rows"}
    for name, (seconds, told) in seen.items():
        assert seconds < 2 * retry_s + 2, name
        assert "s3://" in told and len(told.splitlines()) == 1
    assert retries.RETRY_S <= 15, "and one more request of half a minute, when the store takes it and says nothing"
