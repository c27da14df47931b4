"""Several processes that answer share one log writer: durable before it is said, refused while there is no writer, nothing mixed up."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from keepwell.errors import InputInvalid, StorageUnavailable
from keepwell.serving import Journal, RemoteJournal, closed_segments, read_segment, write_for_others

SOON_S = 5


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Where the writer is met; it stays when a writer goes."""
    with tempfile.TemporaryDirectory() as place, socket.socket(socket.AF_UNIX) as found:
        found.bind(f"{place}/log")
        found.listen()
        yield found


@asynccontextmanager
async def writing(folder: Path, listener: socket.socket, **limits: int) -> AsyncIterator[Journal]:
    journal, stop = Journal(folder, **limits), asyncio.Event()
    task = asyncio.create_task(write_for_others(journal, listener.dup(), stop))
    try:
        yield journal
    finally:
        stop.set()
        await task


@asynccontextmanager
async def asking(listener: socket.socket, **limits: int) -> AsyncIterator[RemoteJournal]:
    remote = RemoteJournal(listener.getsockname(), **limits)
    await remote.open()
    try:
        yield remote
    finally:
        await asyncio.to_thread(remote.close)


async def kept(remote: RemoteJournal, *records: bytes) -> None:
    await asyncio.wait_for(asyncio.wrap_future(remote.append_many(records)), SOON_S)


def records_in(folder: Path) -> list[bytes]:
    return [record for segment in closed_segments(folder) for record in read_segment(segment)]


def test_two_that_answer_share_the_syncs_of_one_writer(tmp_path: Path, listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs, sync = [], os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: (syncs.append(1), sync(descriptor)))

    async def run() -> None:
        async with writing(tmp_path, listener), asking(listener) as one, asking(listener) as other:
            await asyncio.gather(*[kept(who, b"%d of %s" % (n, name)) for n in range(100) for who, name in ((one, b"a"), (other, b"b"))])
            await asyncio.to_thread(one.roll)
            assert len(records_in(tmp_path)) == 200
            await kept(other, b"after the roll", b"together")

    asyncio.run(run())
    found = records_in(tmp_path)
    assert sorted(found[:200]) == sorted(b"%d of %s" % (n, name) for n in range(100) for name in (b"a", b"b"))
    assert found[200:] == [b"after the roll", b"together"]
    assert len(syncs) < 100


def test_a_disk_that_refuses_is_told_to_the_one_that_asked(
    tmp_path: Path, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async def run() -> None:
        async with writing(tmp_path, listener), asking(listener) as remote:
            with monkeypatch.context() as patched:
                patched.setattr(os, "fdatasync", refuse)
                with pytest.raises(StorageUnavailable, match="No space left"):
                    await kept(remote, b"refused")
            await kept(remote, b"kept")

    asyncio.run(run())
    assert records_in(tmp_path) == [b"kept"]


def test_too_much_that_waits_is_refused_by_the_one_that_asks_and_by_the_writer(tmp_path: Path, listener: socket.socket) -> None:
    async def run() -> None:
        async with writing(tmp_path, listener, waiting_bytes=2000), asking(listener, waiting_bytes=10_000) as remote:
            with pytest.raises(InputInvalid, match="larger than 10000"):
                remote.append_many([b"x" * 20_000])
            first = remote.append_many([b"x" * 8000])
            with pytest.raises(StorageUnavailable, match="wait for the disk"):
                remote.append_many([b"y" * 8000])
            with pytest.raises(StorageUnavailable, match="larger than 2000"):
                await asyncio.wrap_future(first)
            await kept(remote, b"small")

    asyncio.run(run())
    assert records_in(tmp_path) == [b"small"]


def test_without_a_writer_it_is_refused_at_once_and_with_the_next_one_it_goes_on(tmp_path: Path, listener: socket.socket) -> None:
    """A writer that dies is imitated by closing its connection before it answers."""

    async def run() -> None:
        remote = RemoteJournal(listener.getsockname())
        listener.setblocking(False)
        opening = asyncio.create_task(remote.open())
        dying, _ = await asyncio.get_running_loop().sock_accept(listener)
        with pytest.raises(StorageUnavailable, match="is being started"):
            remote.append_many([b"too early"])
        dying.send(bytes(12))  # its greeting
        await opening
        lost = remote.append_many([b"written or not"])
        dying.close()
        with pytest.raises(StorageUnavailable, match="ended before it answered"):
            await asyncio.wrap_future(lost)
        assert not remote.is_there
        async with writing(tmp_path, listener):
            until = asyncio.get_running_loop().time() + SOON_S
            while not remote.is_there and asyncio.get_running_loop().time() < until:
                await asyncio.sleep(0.01)
            await kept(remote, b"kept")
            await asyncio.to_thread(remote.close)

    asyncio.run(run())
    assert records_in(tmp_path) == [b"kept"]
