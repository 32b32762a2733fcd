"""Tests of the test pooler (tests/servers/pooler.py): the order of a client's replies."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterator

import pytest

from conformance_tests.samples.driver_adapter import LoopThread
from tests.servers.pooler import pooled

READY = b"Z" + struct.pack("!I", 5) + b"I"
STARTUP = struct.pack("!II", 9, 196608) + b"\0"


def query(text: bytes) -> bytes:
    return b"Q" + struct.pack("!I", len(text) + 5) + text + b"\0"


def complete(tag: bytes) -> bytes:
    return b"C" + struct.pack("!I", len(tag) + 5) + tag + b"\0"


async def serve_without_resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A fake server that echoes each query, but never answers a DISCARD ALL after a query."""
    await reader.readexactly(len(STARTUP))
    writer.write(READY)
    used = False
    while head := await reader.read(5):
        text = (await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4))[:-1]
        if not (used and text == b"DISCARD ALL"):
            writer.write(complete(text) + READY)
        used |= text != b"DISCARD ALL"
    writer.transport.abort()


@pytest.fixture
def url() -> Iterator[str]:
    loop = LoopThread()
    server = loop.run(asyncio.start_server(serve_without_resets, "127.0.0.1", 0))
    yield f"postgresql://any@127.0.0.1:{server.sockets[0].getsockname()[1]}/any"
    server.close()
    loop.run(asyncio.sleep(0))
    loop.close()


def test_a_transaction_is_over_before_the_next_one_is_answered(url: str) -> None:
    """The pooler must not wait for the reset of the first transaction's session, which never ends
    here. If replies were reordered, the client would take the second for a part of the first, and
    wait forever.
    """
    with pooled(url) as through:
        port = int(through.rpartition(":")[2].partition("/")[0])
        with (
            socket.create_connection(("127.0.0.1", port), 10) as client,
            client.makefile("rb") as replies,
        ):
            client.sendall(STARTUP)
            assert replies.read(len(READY)) == READY
            client.sendall(query(b"first"))
            assert replies.read(len(complete(b"first"))) == complete(b"first")
            client.sendall(query(b"second"))
            wanted = READY + complete(b"second") + READY
            assert replies.read(len(wanted)) == wanted
