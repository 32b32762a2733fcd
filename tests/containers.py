"""The conformance suite against servers in containers: `make test-containers`.

`python -m tests.containers [service …]` tests the named services of docker-compose.test.yml, or
all. The fixtures of conftest.py start servers by functions of tests.servers; this module replaces
these functions by ones that start containers.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.servers import mongo as mongo_servers
from tests.servers import postgres as postgres_servers
from tests.servers import redis as redis_servers
from tests.servers.process import START_WITHIN, free_port

ROOT: Final = Path(__file__).parents[1]
SERVICES: Final[Mapping[str, Any]] = yaml.safe_load(
    (ROOT / "docker-compose.test.yml").read_text(encoding="utf-8")
)["services"]
_POSTGRES: Final = "checkpoint_postgres/tests"
_REDIS: Final = "checkpoint_redis/tests"
_MONGO: Final = "checkpoint_mongo/tests"
TESTS: Final = {
    "postgres": [
        f"{_POSTGRES}/test_conformance.py",
        f"{_POSTGRES}/test_store_conformance.py",
    ],
    "redis": [
        f"{_REDIS}/test_conformance.py::TestRedisSaver",
        f"{_REDIS}/test_store_conformance.py::TestRedisStore",
        f"{_REDIS}/test_store_conformance.py::TestRedisVectorSet",
    ],
    "valkey": [
        f"{_REDIS}/test_conformance.py::TestRedisSaver",
        f"{_REDIS}/test_store_conformance.py::TestRedisStore",
    ],
    "redis-cluster": [f"{_REDIS}/test_conformance.py::TestRedisClusterSaver"],
    "mongo": [
        f"{_MONGO}/test_conformance.py",
        f"{_MONGO}/test_store_conformance.py::TestMongoDBStore",
    ],
}
"""Service -> the tests that run on it."""


class ContainerServer:
    """A container of a service. It can be killed and restarted with the same data and port."""

    def __init__(self, name: str) -> None:
        from testcontainers.core.container import DockerContainer

        self._service = SERVICES[name]
        self.container = DockerContainer(self._service["image"])
        bindings: dict[Any, Any] = {}
        self.ports: dict[int, int] = {}
        for entry in self._service["ports"]:
            _, published, inside = entry.split(":")
            # cluster nodes announce fixed ports to clients; other services get free ports
            port = int(published) if published == inside else free_port()
            self.ports[int(inside)] = port
            bindings[int(inside)] = ("127.0.0.1", port)  # publish on the loopback interface only
        self.container.ports = bindings  # the type lacks (address, port), which Docker accepts
        for variable, value in self._service.get("environment", {}).items():
            self.container.with_env(variable, value)
        if "command" in self._service:
            command = [part.replace("$$", "$") for part in self._service["command"]]
            self.container.with_command(command)

    def wait(self) -> None:
        """Wait until the service's health check succeeds.

        Raises:
            RuntimeError: the container exited, or is not healthy in time.
        """
        kind, *check = self._service["healthcheck"]["test"]
        command = ["sh", "-c", *check] if kind == "CMD-SHELL" else check
        wrapped = self.container.get_wrapped_container()
        deadline = time.monotonic() + START_WITHIN
        while wrapped.exec_run(command).exit_code != 0:
            wrapped.reload()
            if wrapped.status == "exited" or time.monotonic() > deadline:
                raise RuntimeError(f"not healthy:\n{wrapped.logs().decode()[-2000:]}")
            time.sleep(0.1)

    @contextmanager
    def killed(self) -> Iterator[None]:
        """Kill the server by SIGKILL; restart it at the end of the block."""
        wrapped = self.container.get_wrapped_container()
        wrapped.kill()
        wrapped.wait()
        try:
            yield
        finally:
            wrapped.start()
            self.wait()


@contextmanager
def running(name: str) -> Iterator[ContainerServer]:
    """Start a container of a service, and wait until it is healthy."""
    server = ContainerServer(name)
    with server.container:
        server.wait()
        yield server


def starts(name: str, url: str, servers: dict[int, Any]) -> Callable[..., Any]:
    """A function that starts a service, to replace one of tests.servers."""

    @contextmanager
    def start(*_: Any, **__: Any) -> Iterator[str]:
        with running(name) as server:
            (port,) = server.ports.values()
            servers[port] = server
            yield url.format(port=port)

    return start


@contextmanager
def cluster(*_: Any, **__: Any) -> Iterator[str]:
    """Start the cluster of three nodes; yields its URL."""
    with running("redis-cluster") as server:
        nodes = ",".join(f"127.0.0.1:{port}" for port in server.ports.values())
        yield f"redis+cluster://{nodes}"


def use(name: str) -> None:
    """Patch tests.servers, so that fixtures start this service instead of a process."""
    if name == "postgres":
        url = "postgresql://postgres:test@127.0.0.1:{port}/postgres"
        postgres_servers.postgres = starts(name, url, postgres_servers.SERVERS)
    elif name == "mongo":
        # the replica set announces a port that is valid only inside the container
        url = "mongodb://127.0.0.1:{port}/?directConnection=true"
        mongo_servers.mongo = starts(name, url, mongo_servers.SERVERS)
    elif name == "redis-cluster":
        redis_servers.redis_cluster = cluster
    else:
        url = "redis://127.0.0.1:{port}/0"
        redis_servers.redis_server = starts(name, url, redis_servers.SERVERS)


def why_no_docker() -> str | None:
    """Why Docker cannot be used, in one line; None if a Docker engine answers."""
    try:
        import docker

        docker.from_env().ping()
    except ImportError as error:
        return str(error)
    except docker.errors.DockerException as error:
        return str(error).splitlines()[0]
    return None


def main(names: list[str]) -> int:
    """Test each service, one after the other, each in a separate process.

    Returns:
        0: all tests passed. 1: a test failed, or there is no Docker. 2: unknown service.
    """
    if unknown := sorted(set(names) - set(TESTS)):
        print(f"no such service: {unknown[0]}; there are {', '.join(TESTS)}", file=sys.stderr)  # noqa: T201
        return 2
    if told := why_no_docker():
        print(f"make test-containers needs Docker, and none answers: {told}", file=sys.stderr)  # noqa: T201
        return 1
    if len(names) == 1:
        use(names[0])
        return int(pytest.main(["-q", *TESTS[names[0]]]))
    outcomes = {}
    for name in names or TESTS:
        command = [sys.executable, "-m", "tests.containers", name]
        outcomes[name] = subprocess.run(command, check=False).returncode
    for name, code in outcomes.items():
        print(f"{name:<14} {SERVICES[name]['image']:<32} {'ok' if not code else 'FAILED'}")  # noqa: T201
    return min(1, max(outcomes.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
