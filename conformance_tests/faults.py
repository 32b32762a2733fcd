"""A TCP proxy that simulates network faults (delays, resets, stalls) and counts round trips.


with Proxy("127.0.0.1", 5432) as proxy, PostgresSaver.from_conn_string(url_of(proxy)) as saver:
    with proxy.counting() as counted:
        saver.get_tuple(config)
    assert counted.round_trips == 1
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from conformance_tests.samples.driver_adapter import LoopThread

Towards = Literal["client", "server"]
Pieces = asyncio.Queue[tuple[float, bytes]]

T = TypeVar("T")

ATTEMPTS = 12
"""More than the connections of a pool: each broken connection may fail one call."""
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with timeout 0: close sends a TCP reset


@dataclass
class Counted:
    """Traffic through the proxy during `counting`."""

    round_trips: int = 0
    sent: Counter[Towards] = field(default_factory=Counter)  # bytes


@dataclass
class _Fault:
    towards: Towards
    left: int  # bytes until the fault, summed over all connections; it fires once
    stall: bool


@dataclass(eq=False)
class _Link:
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    answered: bool = True  # the next bytes of the client begin a new round trip
    swallowed: bool = False  # drop everything, including the end of the stream
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def reset(self) -> None:
        _reset(self.client)
        _reset(self.server)


def _reset(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):  # the peer may have closed the connection already
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


def works_again(call: Callable[[], T]) -> T:
    """Retry the call, once for each broken connection of a pool; returns its result."""
    for _ in range(ATTEMPTS - 1):
        try:
            return call()
        except Exception:  # noqa: BLE001 (which error it is is the driver's business)
            continue
    return call()


class Proxy:
    """Listens on a free port of 127.0.0.1 and forwards connections to the server.

    A round trip is counted when a client sends after an answer, so a pipeline counts as one. For
    exact counts, set `delay` to some milliseconds, so that no answer arrives amid a pipeline.

    Attributes:
        delay: Latency in each direction, in seconds; may be changed at any time.
    """

    host = "127.0.0.1"

    def __init__(self, host: str, port: int, *, delay: float = 0.0) -> None:
        self.target = (host, port)
        self.delay = delay
        self.port = 0
        self._counted: list[Counted] = []
        self._links: set[_Link] = set()
        self._relays: set[asyncio.Task[None]] = set()  # one a connection, from its first moment
        self._fault: _Fault | None = None
        self._loop = LoopThread()
        self._server: asyncio.Server | None = None
        self._resumed = asyncio.Event()

    def __enter__(self) -> Proxy:
        self._loop.run(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._loop.run(self._end())
        finally:
            self._loop.close()

    # --- faults, called by tests

    @contextmanager
    def counting(self) -> Iterator[Counted]:
        """Count the traffic during the block."""
        counted = Counted()
        self._counted = [*self._counted, counted]
        yield counted
        self._counted = [each for each in self._counted if each is not counted]

    def cut(self) -> None:
        """Reset all open connections. New connections are accepted."""
        self._loop.run(self._cut())

    def cut_after(self, size: int, *, towards: Towards = "client") -> None:
        """Forward `size` more bytes in this direction, then reset the connection."""
        self._fault = _Fault(towards, size, stall=False)

    def stall_after(self, size: int, *, towards: Towards = "client") -> None:
        """Forward `size` more bytes in this direction, then stall the connection until `resume`."""
        self._resumed.clear()
        self._fault = _Fault(towards, size, stall=True)

    def resume(self) -> None:
        """Continue stalled connections."""
        self._loop.loop.call_soon_threadsafe(self._resumed.set)

    def swallow(self, *, noticed_after: float = 2.0) -> None:
        """Drop all further traffic of open connections, as a firewall does that has lost its
        state. The client is never told; new connections work.

        Args:
            noticed_after: seconds until the server's side is reset, as the server's keepalives
                would. Until then its session lives on, with the locks of an open transaction.
        """
        self._loop.run(self._swallow(noticed_after))

    @contextmanager
    def down(self) -> Iterator[None]:
        """Reset all connections, and refuse new ones during the block."""
        self._loop.run(self._end())
        try:
            yield
        finally:
            self._loop.run(self._listen())

    # --- run on the event loop

    async def _listen(self) -> None:
        # after `down`, listen on the same port again
        self._server = await asyncio.start_server(self._accept, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._cut()

    async def _swallow(self, noticed_after: float) -> None:
        for link in self._links:
            link.swallowed = True
            self._loop.loop.call_later(noticed_after, _reset, link.server)

    async def _cut(self) -> None:
        tasks = [*self._relays, *(task for link in self._links for task in link.tasks)]
        for link in self._links:
            link.reset()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        if self._server is None:  # accepted just before the proxy was closed
            _reset(client)
            return
        relay = asyncio.ensure_future(self._relay(reader, client))
        self._relays.add(relay)
        relay.add_done_callback(self._relays.discard)
        relay.add_done_callback(lambda _: _reset(client))

    async def _relay(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        try:
            answers, server = await asyncio.open_connection(*self.target)
        except OSError:  # the server is down
            return
        link = _Link(client, server)
        self._links.add(link)
        ways = self._pass(link, reader, "server"), self._pass(link, answers, "client")
        link.tasks = {asyncio.ensure_future(way) for way in ways}
        try:
            await asyncio.wait(link.tasks)
        finally:
            self._links.discard(link)
            link.reset()

    async def _pass(self, link: _Link, reader: asyncio.StreamReader, towards: Towards) -> None:
        pieces: Pieces = asyncio.Queue()
        delivery = asyncio.ensure_future(self._deliver(link, pieces, towards))
        try:
            with suppress(OSError):
                while piece := await reader.read(1 << 16):
                    if towards == "server" and link.answered:
                        link.answered = False
                        for counted in self._counted:
                            counted.round_trips += 1
                    pieces.put_nowait((self._loop.loop.time() + self.delay, piece))
            pieces.put_nowait((0.0, b""))
            await delivery
        finally:
            delivery.cancel()

    async def _deliver(self, link: _Link, pieces: Pieces, towards: Towards) -> None:
        writer = link.server if towards == "server" else link.client
        with suppress(OSError):
            while (due_piece := await pieces.get())[1]:
                due, piece = due_piece
                if (wait := due - self._loop.loop.time()) > 0:
                    await asyncio.sleep(wait)
                if link.swallowed:
                    continue
                link.answered = link.answered or towards == "client"
                for counted in self._counted:
                    counted.sent[towards] += len(piece)
                piece = await self._past_fault(link, writer, piece, towards)
                writer.write(piece)
                await writer.drain()
            if not link.swallowed:
                writer.write_eof()

    async def _past_fault(
        self, link: _Link, writer: asyncio.StreamWriter, piece: bytes, towards: Towards
    ) -> bytes:
        fault = self._fault
        if fault is None or fault.towards != towards:
            return piece
        if len(piece) <= fault.left:
            fault.left -= len(piece)
            return piece
        self._fault = None
        writer.write(piece[: fault.left])
        await writer.drain()
        if fault.stall:
            await self._resumed.wait()
            return piece[fault.left :]
        link.reset()
        return b""
