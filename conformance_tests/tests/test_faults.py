"""The proxy itself, between a real server and a real client."""

from __future__ import annotations

import asyncio
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from conformance_tests.faults import Proxy


class Doubling(socketserver.StreamRequestHandler):
    """Answers each line with itself, twice."""

    def handle(self) -> None:
        with suppress(ConnectionError):
            for line in self.rfile:
                self.wfile.write(line * 2)

    def finish(self) -> None:
        super().finish()
        assert isinstance(self.server, Server)
        self.server.disconnected.release()


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Doubling)
        self.disconnected = threading.Semaphore(0)

    def handle_error(self, *_: object) -> None:
        """A reset connection is what the tests are about."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as one:
        thread = threading.Thread(target=one.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield one
        finally:
            one.shutdown()
            thread.join()


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with Proxy("127.0.0.1", server.server_address[1], delay=0.01) as one:
        yield one


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection((proxy.host, proxy.port), timeout=10) as one:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as drivers do
        yield one


def ask(client: socket.socket, *lines: bytes) -> bytes:
    for line in lines:
        client.sendall(line)
    wanted, got = 2 * sum(map(len, lines)), b""
    while len(got) < wanted and (more := client.recv(1 << 16)):
        got += more
    return got


def receive(client: socket.socket) -> tuple[bytes, type[OSError] | None]:
    """All that comes, and how it ends."""
    got = b""
    try:
        while more := client.recv(1 << 16):
            got += more
    except OSError as error:
        return got, type(error)
    return got, None


def test_a_burst_is_one_round_trip(proxy: Proxy, client: socket.socket) -> None:
    ask(client, b"warm\n")  # connecting is over when the first answer is there
    with proxy.counting() as counted:
        assert ask(client, b"a\n", b"b\n", b"c\n") == b"a\na\nb\nb\nc\nc\n"
        assert counted.round_trips == 1
        ask(client, b"d\n")
        ask(client, b"e\n")
    ask(client, b"not counted\n")
    assert counted.round_trips == 3
    assert counted.sent == {"server": 10, "client": 20}


def test_large_answers_arrive_whole(proxy: Proxy, client: socket.socket) -> None:
    line = b"x" * 1_000_000 + b"\n"
    with proxy.counting() as counted:
        assert ask(client, line) == line * 2
    assert counted.round_trips == 1


def test_the_delay_is_taken_in_both_directions(proxy: Proxy, client: socket.socket) -> None:
    proxy.delay, begun = 0.05, time.monotonic()
    ask(client, b"a\n", b"b\n")
    assert time.monotonic() - begun >= 0.1


def test_a_cut_resets_what_is_open_and_lets_new_ones_in(
    proxy: Proxy, client: socket.socket
) -> None:
    ask(client, b"a\n")
    proxy.cut()
    assert receive(client) == (b"", ConnectionResetError)
    with socket.create_connection((proxy.host, proxy.port), timeout=10) as again:
        assert ask(again, b"d\n") == b"d\nd\n"


@pytest.mark.parametrize("size", [0, 5, 12])
def test_cut_in_mid_message(proxy: Proxy, client: socket.socket, size: int) -> None:
    proxy.cut_after(size)
    client.sendall(b"message\n")
    got, ended = receive(client)
    assert ended is ConnectionResetError
    assert got == b"message\nmessage\n"[: len(got)]
    assert len(got) <= size


def test_a_request_cut_in_mid_message_is_not_answered(proxy: Proxy, client: socket.socket) -> None:
    proxy.cut_after(3, towards="server")
    client.sendall(b"message\n")
    assert receive(client) == (b"", ConnectionResetError)


def test_stopped_in_mid_message_until_resumed(proxy: Proxy, client: socket.socket) -> None:
    proxy.stall_after(5)
    client.settimeout(0.1)
    client.sendall(b"message\n")
    assert receive(client) == (b"messa", TimeoutError)
    with socket.create_connection((proxy.host, proxy.port), timeout=10) as other:
        assert ask(other, b"a\n") == b"a\na\n"
    proxy.resume()
    client.settimeout(10)
    assert client.recv(11, socket.MSG_WAITALL) == b"ge\nmessage\n"


def test_a_swallowed_connection_ends_for_the_server_and_not_for_the_client(
    proxy: Proxy, server: Server, client: socket.socket
) -> None:
    ask(client, b"a\n")
    proxy.swallow(noticed_after=0.2)
    client.sendall(b"b\n")
    assert server.disconnected.acquire(timeout=10)
    client.settimeout(0.1)
    assert receive(client) == (b"", TimeoutError)
    with socket.create_connection((proxy.host, proxy.port), timeout=10) as other:
        assert ask(other, b"c\n") == b"c\nc\n"


def test_connections_that_are_being_made_end_with_the_proxy(server: Server) -> None:
    """None of its tasks is left when its event loop is closed, which would be a warning."""
    for _ in range(50):
        with Proxy("127.0.0.1", server.server_address[1]) as one:
            clients = [socket.create_connection((one.host, one.port), timeout=10) for _ in range(4)]
            loop = one._loop.loop
            while len(one._relays) < len(clients):
                time.sleep(0)
        assert asyncio.all_tasks(loop) == set()
        for client in clients:
            assert receive(client) == (b"", ConnectionResetError)
            client.close()


def test_down_and_up_again_on_the_same_port(proxy: Proxy, client: socket.socket) -> None:
    ask(client, b"a\n")
    with proxy.down(), pytest.raises(ConnectionError):
        socket.create_connection((proxy.host, proxy.port), timeout=10)
    with socket.create_connection((proxy.host, proxy.port), timeout=10) as again:
        assert ask(again, b"a\n") == b"a\na\n"


def test_a_server_that_is_not_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with Proxy("127.0.0.1", unused.getsockname()[1]) as nowhere:
            try:
                with socket.create_connection((nowhere.host, nowhere.port), timeout=10) as client:
                    ended = receive(client)
            except ConnectionResetError:  # the reset was faster than the connection
                ended = (b"", ConnectionResetError)
    assert ended == (b"", ConnectionResetError)
