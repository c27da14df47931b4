"""Bad input at every door: it is refused in words of the error tree, and the record is what it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import stores
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from listening import listening_at
from record import first_difference, record_of
from typer.testing import CliRunner

from keepwell import Project
from keepwell.cli import app
from keepwell.errors import KeepwellError

REFUSED = range(400, 500)


@pytest.fixture(scope="module")
def folder(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One project for all of them: none may change it."""
    return stores.copy_project(built, tmp_path_factory.mktemp("doors") / "tiny")


@pytest.fixture(autouse=True, scope="module")
def unchanged(folder: Path) -> Iterator[None]:
    before = record_of(folder)
    yield
    assert first_difference(before, record_of(folder)) is None


COMMANDS = [
    ["promote", "7", "--yes"],
    ["promote", "nobody", "--yes"],
    ["promote", "-1", "--yes"],
    ["rollback", "--yes", "--to", "9"],
    ["rollback", "--yes"],
    ["reproduce", "9"],
    ["reproduce", "build-never"],
    ["reproduce", "../../etc/passwd"],
    ["diff", "1", "9"],
    ["diff", "2001-01-01", "1"],
    ["diff", "1", "not-a-date"],
    ["runs", "build-never"],
    ["run", "--as-of", "2001-01-01"],
    ["run", "--as-of", "2999-01-01"],
    ["run", "--as-of", "yesterday"],
    ["backfill", "--from", "2026-01-01", "--every", "never"],
    ["backfill", "--from", "2026-01-01", "--every", "0d"],
    ["quarantine", "release", "no-such-row"],
    ["quarantine", "drop", "no-such-row"],
    ["labels", "no-such-file.csv"],
    ["incidents", "show", "9"],
    ["incidents", "ack", "9"],
    ["incidents", "close", "9", "--cause", "x"],
    ["restore", "/no/such/backup", "/no/such/folder"],
    ["import", "/no/such/archive", "/no/such/folder"],
    ["config", "explain", "gate.nothing"],
    ["status", "--at", "25 o'clock"],
    ["versions", "--json", "--nonsense"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_bad_command_is_refused_in_words(folder: Path, words: list[str]) -> None:
    result = CliRunner().invoke(app, ["-C", str(folder), *words])
    assert result.exit_code in (1, 2), result.output
    assert not isinstance(result.exception, Exception) or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    assert len(result.output.split()) >= 5, "it says what was asked, what was found and what to do"


BODIES: list[Any] = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"rows": NaN}',
    {},
    {"rows": []},
    {"rows": "all"},
    {"rows": [1]},
    {"rows": [{}]},
    {"rows": [{"warmth": "hot", "cloud": 0.1}]},
    {"rows": [{"warmth": 1, "cloud": 0.1, "rain": 1}]},
    {"rows": [{"warmth": 1}]},
    {"rows": [{"warmth": 10**400, "cloud": 0.1}]},
    {"rows": [{"warmth": True, "cloud": 0.1}]},
    {"labels": [{"prediction_id": "nobody", "label": 1}]},
    {"labels": [{"entity": "north", "time": "2025-02-01", "label": 7}]},
    {"labels": [{"entity": "north", "time": "yesterday", "label": 1}]},
    {"labels": [{"label": 1}]},
    {"labels": [{"prediction_id": "a\x00b", "label": 1}]},
]


def _send(client: httpx.Client, path: str, body: Any) -> httpx.Response:
    if isinstance(body, bytes):
        return client.post(path, content=body, headers={"content-type": "application/json"})
    return client.post(path, content=json.dumps(body).encode(), headers={"content-type": "application/json"})


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[httpx.Client]:
    with listening_at(folder) as (_, found):
        yield found


@pytest.mark.parametrize("path", ["/models/tiny/predict", "/models/tiny/labels"])
@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body)[:40])
def test_a_bad_body_is_refused_in_words(client: httpx.Client, path: str, body: Any) -> None:
    answer = _send(client, path, body)
    assert answer.status_code in REFUSED, answer.text
    assert {"error", "headline", "message", "facts"} <= answer.json().keys()


NAMES = ["rows", "labels", "label", "time", "entity", "x"]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("path", ["/models/tiny/predict", "/models/tiny/labels"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=json_values)
def test_no_body_makes_the_server_fail(client: httpx.Client, path: str, body: Any) -> None:
    assert _send(client, path, body).status_code < 500  # an empty list of labels is fine, and changes nothing


@pytest.mark.parametrize(
    "path",
    ["/models/nobody", "/models/tiny/versions/9", "/models/tiny/predictions/none", "/models/..%2F..%2Fetc", "/nowhere", "/models/%00"],
)
def test_what_is_not_there_is_not_found(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code in REFUSED and {"error", "headline", "message"} <= answer.json().keys()


def test_a_hundred_megabytes_are_refused_before_they_are_read(client: httpx.Client) -> None:
    sent = 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 1
            yield b"x" * (1 << 20)

    try:
        answer = client.post("/models/tiny/predict", content=pieces(), headers={"content-type": "application/json"})
        assert answer.status_code == 413
    except httpx.WriteError:
        pass  # the server hung up while the rest was on its way
    assert sent < 100


ACTS: dict[str, Any] = {
    "an unknown version": lambda project: project.promote(9, reason="test"),
    "an unknown alias": lambda project: project.version("nobody"),
    "nothing to go back to": lambda project: project.rollback(reason="test"),
    "an unknown run": lambda project: project.run_steps("build-never"),
    "a row that lacks a feature": lambda project: project.answer([{"warmth": 1.0}]),
    "a value that is no number": lambda project: project.answer([{"warmth": float("nan"), "cloud": 0.5}]),
    "a label of nothing": lambda project: project.post_labels([{"prediction_id": "nobody", "label": 1}]),
    "a label out of range": lambda project: project.post_labels([{"entity": "north", "time": "2025-02-01", "label": 3}]),
    "a past moment": lambda project: project.run(datetime(2001, 1, 1, tzinfo=UTC)),
    "a row that is not in quarantine": lambda project: project.release(["nobody"]),
}


@pytest.mark.parametrize("act", ACTS)
def test_a_bad_call_raises_a_leaf(folder: Path, act: str) -> None:
    with Project(folder) as project, pytest.raises(KeepwellError) as told:
        ACTS[act](project)
    assert not type(told.value).__subclasses__(), "a leaf of the tree"
    assert told.value.facts and 400 <= told.value.status < 500


FILES: dict[str, tuple[str, bytes]] = {
    "settings that are no TOML": ("keepwell.toml", b"[gate\n"),
    "settings that are no text": ("keepwell.toml", b"\xff\xfe\x00"),
    "an unknown setting": ("keepwell.toml", b"[gate]\nconfidnce = 0.9\n"),
    "an impossible setting": ("keepwell.toml", b"[gate]\nconfidence = 9\n"),
    "an unknown source": ("keepwell.toml", b'[source]\nkind = "crystal-ball"\n'),
    "a missing model": ("keepwell.toml", b'[model]\nfile = "../other.py"\n'),
    "a store that is nowhere": ("keepwell.toml", b'[store]\ndatabase = "oracle://nowhere"\n'),
    "a database that is not reached": ("keepwell.toml", b'[store]\ndatabase = "postgresql://127.0.0.1:1/none"\n'),
    "code that does not parse": ("model.py", b"def broken(:\n"),
    "code that cannot be imported": ("model.py", b"import nothing_of_that_name\n"),
    "code that leaves": ("model.py", b"import sys\nsys.exit(3)\n"),
    "code without a model": ("model.py", b"x = 1\n"),
}


@pytest.mark.parametrize("what", FILES)
def test_a_bad_file_is_refused_and_the_project_opens_again(tiny: Path, what: str) -> None:
    name, content = FILES[what]
    before, kept = record_of(tiny), (tiny / name).read_bytes()
    (tiny / name).write_bytes(content)
    with pytest.raises(KeepwellError) as told:
        Project(tiny)
    assert told.value.message and told.value.headline
    result = CliRunner().invoke(app, ["-C", str(tiny), "status"])
    assert result.exit_code in (1, 2) and "Traceback" not in result.output
    (tiny / name).write_bytes(kept)
    assert first_difference(before, record_of(tiny)) is None
