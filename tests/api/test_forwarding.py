"""What is passed on to the process that keeps the model, when that process hangs or has gone."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.types import Message

from keepwell.api.forwarding import Forward
from keepwell.settings import ServeSection

SERVE = ServeSection(read_s=0.1, answer_s=0.2)


@pytest.mark.parametrize(("listens", "path", "status", "said"), [(True, "/inbox", 504, "AnswerTooLate"), (False, "/v2/x", 503, None)])
def test_nobody_waits_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listens: bool, path: str, status: int, said: str) -> None:
    monkeypatch.setattr("keepwell.api.forwarding.WORD_S", 0.1)
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    async def ask() -> None:
        forward = Forward(str(tmp_path / "door"), lambda: SERVE)
        scope: dict[str, Any] = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [], "scheme": "http"}
        await asyncio.wait_for(forward(scope, receive, send), 20)
        await forward.close()

    with socket.socket(socket.AF_UNIX) as door:
        if listens:  # and never answers
            door.bind(str(tmp_path / "door"))
            door.listen()
        asyncio.run(ask())
    assert sent[0]["status"] == status
    told = msgspec.json.decode(sent[1]["body"])
    assert told["error"] == said or (said is None and set(told) == {"error"}), told
    assert "Model 'of this server'" in told["error"] or said, "a stranger may have asked: no name"
