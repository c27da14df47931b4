"""A real server over a project, for tests that speak HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from keepwell import Project
from keepwell.api import create_app


@contextmanager
def listening_at(folder: Path, flags: Mapping[str, Any] | None = None) -> Iterator[tuple[Project, httpx.Client]]:
    """A real server over the project, in a thread of this process, and a client that talks to it."""
    with Project(folder, {"serve": {"port": 0, **(flags or {})}}) as project:
        app = create_app(project)
        server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="on", log_config=None, access_log=False, ws="none"))
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive(), "the server did not start"
                thread.join(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
                yield project, client
        finally:
            server.should_exit = True
            thread.join(20)
