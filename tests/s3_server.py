"""A small real S3 server over a folder, as a process of its own: `python s3_server.py FOLDER SOCKET_FD`, until its input closes.

nanio speaks the protocol and checks every signature. What it lacks is the put that happens only when nothing is there yet
(`If-None-Match: *`), by which two writers of one table agree on an order; that is added here.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import uvicorn
from nanio.app import build_app
from nanio.config import Settings
from starlette.responses import Response


class PutOnce:
    """Refuses a conditional put of a key that is there, one at a time so that two cannot both find nothing."""

    def __init__(self, app: Any, folder: Path) -> None:
        self.app, self.folder, self.lock = app, folder, asyncio.Lock()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["method"] != "PUT" or dict(scope["headers"]).get(b"if-none-match") != b"*":
            return await self.app(scope, receive, send)
        async with self.lock:
            taken = (self.folder / scope["path"].lstrip("/")).exists()
            return await (Response(status_code=412) if taken else self.app)(scope, receive, send)


def main(folder: Path, descriptor: int) -> None:
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    app = PutOnce(build_app(Settings(data_dir=folder)), folder)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, ws="none", timeout_keep_alive=60))
    server.run(sockets=[socket.socket(fileno=descriptor)])


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
