"""A Postgres pooler in transaction mode, stricter than PgBouncer.

Each transaction of a client runs in another server session than the one before, and each session
is reset after a transaction.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from conformance_tests.samples.driver_adapter import LoopThread

_NEGOTIATIONS = (80877103, 80877104)  # request codes of TLS and GSSAPI
_DISCARD = b"Q" + struct.pack("!I", 16) + b"DISCARD ALL\0"
_SESSIONS = 3

Message = tuple[bytes, bytes]


async def _message(reader: asyncio.StreamReader) -> Message:
    """Read the next message; returns its kind and all its bytes."""
    head = await reader.readexactly(5)
    return head[:1], head + await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)


async def _startup(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    while True:
        head = await reader.readexactly(4)
        packet = head + await reader.readexactly(struct.unpack("!I", head)[0] - 4)
        if struct.unpack_from("!I", packet, 4)[0] not in _NEGOTIATIONS:
            return packet
        writer.write(b"N")


class _Session:
    """A connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.greeting = b""

    async def begin(self, startup: bytes) -> None:
        self.writer.write(startup)
        self.greeting = await self._until_ready()

    async def discard(self) -> None:
        self.writer.write(_DISCARD)
        await self._until_ready()

    async def _until_ready(self) -> bytes:
        told = kind = b""
        while kind != b"Z":
            kind, message = await _message(self.reader)
            told += message
        return told


class _Client:
    """A client's connection, and the session of its current transaction."""

    def __init__(self, pooler: _Pooler, startup: bytes, writer: asyncio.StreamWriter) -> None:
        self.pooler, self.startup, self.writer = pooler, startup, writer
        self.session: _Session | None = None
        self.awaited = 0  # number of ReadyForQuery messages to come
        self.unsynced = False

    async def serve(self, reader: asyncio.StreamReader) -> None:
        while True:
            kind, message = await _message(reader)
            if kind == b"X":
                return
            if self.session is None:
                self.session = await self.pooler.take(self.startup)
                self.pooler.start(self._answer(self.session))
            self.unsynced = kind not in b"SQ"
            self.awaited += not self.unsynced
            self.session.writer.write(message)

    async def _answer(self, session: _Session) -> None:
        """Forward the server's messages until the transaction ends."""
        while True:
            kind, message = await _message(session.reader)
            if kind == b"Z":
                self.awaited -= 1
                if not self.awaited and not self.unsynced and message[-1:] == b"I":
                    self.session = None
                    # Forward before the reset: the client's next transaction does not wait for the
                    # reset, and its replies must not overtake this one.
                    self.writer.write(message)
                    await self.pooler.give_back(self.startup, session)
                    return
            self.writer.write(message)


class _Pooler:
    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.transactions = 0
        self._idle: dict[bytes, asyncio.Queue[_Session]] = {}
        self._all: list[_Session] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            # cancelled when the pooler ends; the callback of a server must not raise that
            with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                startup = await _startup(reader, writer)
                session = await self.take(startup)
                await self.give_back(startup, session)
                writer.write(session.greeting)
                await _Client(self, startup, writer).serve(reader)
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine as a task beside the client's, until the pooler ends."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def take(self, startup: bytes) -> _Session:
        """Take the session that has been idle for longest."""
        if startup not in self._idle:
            idle = self._idle[startup] = asyncio.Queue()
            for _ in range(_SESSIONS):
                session = _Session(*await asyncio.open_connection(*self.target))
                self._all.append(session)
                await session.begin(startup)
                idle.put_nowait(session)
        self.transactions += 1
        return await self._idle[startup].get()

    async def give_back(self, startup: bytes, session: _Session) -> None:
        await session.discard()
        self._idle[startup].put_nowait(session)

    async def end(self, server: asyncio.Server) -> None:
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for session in self._all:
            session.writer.transport.abort()
        await asyncio.sleep(0)  # let the transports close


@contextmanager
def pooled(url: str) -> Iterator[str]:
    """Start a pooler before a database; yields the database's URL through it."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    pooler, loop = _Pooler(parts.hostname, parts.port), LoopThread()
    server = loop.run(asyncio.start_server(pooler.accept, "127.0.0.1", 0))
    port = server.sockets[0].getsockname()[1]
    try:
        yield url.replace(f":{parts.port}", f":{port}", 1)
        assert pooler.transactions
    finally:
        loop.run(pooler.end(server))
        loop.close()
