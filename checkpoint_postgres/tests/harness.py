"""How the conformance suite opens the Postgres savers, and looks into their database."""

from __future__ import annotations

import atexit
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from functools import cache
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import psycopg
from psycopg_pool import ConnectionPool

from checkpoint_base.deadlines.timeouts import CALL_TIMEOUT
from checkpoint_base.tests.damage import COLUMNS, CONDITIONS, CONTENTS, flipped
from checkpoint_postgres import AsyncPostgresSaver, PostgresSaver
from conformance_tests import Capability, MovableClock, SaverHarness
from conformance_tests.harness import FaultHooks
from tests.servers.postgres import SERVERS

RECORDS = ("threads", "checkpoints", "values", "segments", "writes")
POOL: Mapping[str, Any] = {"min_size": 1, "max_size": 8}


def new_database(server: str) -> str:
    """Make an empty database; returns its URL."""
    name = f"saver_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} STRATEGY file_copy".encode())
    return server.rpartition("/")[0] + "/" + name


def drop_database(url: str) -> None:
    """Remove a database, whoever is connected."""
    server, _, name = url.rpartition("/")
    with psycopg.connect(server + "/postgres", autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


OTHERS: Final = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
"""Terminates all other connections to a database."""


def empty_database(url: str) -> None:
    """Remove all tables."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(OTHERS.encode())
        found = connection.execute(
            "SELECT oid::regnamespace FROM pg_namespace "
            "WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'"
        ).fetchall()
        names = [str(name) for (name,) in found]
        connection.execute(f"DROP SCHEMA {', '.join(names)} CASCADE; CREATE SCHEMA public".encode())


@cache
def looks(url: str) -> ConnectionPool[psycopg.Connection[Any]]:
    """The connection by which a process looks into a database, behind the back of savers and
    stores: a new one takes longer than most of what it is asked.
    """
    pool: ConnectionPool[psycopg.Connection[Any]] = ConnectionPool(
        url,
        min_size=1,
        max_size=1,
        kwargs={"autocommit": True},
        check=ConnectionPool.check_connection,  # clauses kill the server
        open=True,
    )
    atexit.register(pool.close)
    return pool


class OnServer(FaultHooks):
    """What can be done to the server of a harness.

    Attributes:
        url: The database.
    """

    url: str

    def address(self) -> tuple[str, int]:
        found = urlsplit(self.url)
        return str(found.hostname), int(found.port or 5432)

    def url_at(self, host: str, port: int) -> str:
        """The same database by way of another address, which is given up on soon."""
        at = urlsplit(self.url)
        netloc = at.netloc.replace(f"{at.hostname}:{at.port}", f"{host}:{port}")
        return at._replace(netloc=netloc, query="connect_timeout=2").geturl()

    def server_killed(self) -> AbstractContextManager[None]:
        return SERVERS[self.address()[1]].killed()

    @contextmanager
    def reader(self) -> Iterator[str]:
        """A role that may read everything; its name."""
        role = f"reader_{secrets.token_hex(6)}"
        with psycopg.connect(self.url, autocommit=True) as admin:
            admin.execute(f"CREATE ROLE {role} LOGIN; GRANT pg_read_all_data TO {role}".encode())
            try:
                yield role
            finally:
                admin.execute(f"DROP ROLE {role}".encode())

    def disk_full(self) -> AbstractContextManager[None]:
        return SERVERS[self.address()[1]].full()

    def not_looked_at(self) -> dict[Capability, str]:
        missing = super().not_looked_at()
        if not hasattr(SERVERS.get(self.address()[1]), "full"):
            for each in (Capability.DISK_FULL, Capability.STORE_DISK_FULL):
                missing[each] = "the disk of a container is that of its machine"
        return missing


class PostgresHarness(OnServer, SaverHarness):
    """A database; sync and async savers open it side by side."""

    name = "postgres (pool)"
    budgets: ClassVar[Mapping[str, int]] = {
        "put": 1,
        "put_writes": 1,
        "get_tuple": 1,
        "list": 1,
        "delete_thread": 1,
    }

    def __init__(
        self, url: str, pool: Mapping[str, Any] = POOL, call_timeout: float | None = CALL_TIMEOUT
    ) -> None:
        self.url = url
        self.pool = pool
        self.call_timeout = call_timeout
        self.clock = MovableClock()

    def _options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return {"clock": self.clock, "call_timeout": self.call_timeout, **options}

    def sync_saver(self, **options: Any) -> AbstractContextManager[PostgresSaver]:
        """A saver, whether or not the database is set up."""
        options = self._options(options)
        return PostgresSaver.from_conn_string(self.url, pool=self.pool, **options)

    def async_saver(self, **options: Any) -> AbstractAsyncContextManager[AsyncPostgresSaver]:
        """The same for the async flavour."""
        options = self._options(options)
        return AsyncPostgresSaver.from_conn_string(self.url, pool=self.pool, **options)

    @contextmanager
    def open(self, **options: Any) -> Iterator[PostgresSaver]:
        with self.sync_saver(**options) as saver:
            saver.setup()
            yield saver

    @asynccontextmanager
    async def aopen(self, **options: Any) -> AsyncIterator[AsyncPostgresSaver]:
        async with self.async_saver(**options) as saver:
            await saver.setup()
            yield saver

    def advance(self, seconds: float) -> None:
        self.clock.now += seconds

    def through(self, host: str, port: int) -> PostgresHarness:
        return PostgresHarness(self.url_at(host, port), {**self.pool, "timeout": 0.4}, 2.0)

    @contextmanager
    def reading_only(self) -> Iterator[PostgresHarness]:
        with self.reader() as role:
            restricted = PostgresHarness(self.url.replace("//postgres@", f"//{role}@"), self.pool)
            restricted.clock = self.clock
            yield restricted

    def look(self) -> AbstractContextManager[psycopg.Connection[Any]]:
        """A connection of the harness's own."""
        return psycopg.connect(self.url, autocommit=True)

    def query(self, sql: str) -> list[Any]:
        """Raw read."""
        with self.look() as connection:
            return connection.execute(sql.encode()).fetchall()

    def rows(self) -> Mapping[str, int]:
        if self.query("SELECT to_regclass('saver_threads')") == [(None,)]:
            return dict.fromkeys(RECORDS, 0)
        counts = ", ".join(f"(SELECT count(*) FROM saver_{record})" for record in RECORDS)
        return dict(zip(RECORDS, self.query(f"SELECT {counts}")[0], strict=True))

    def stored(self) -> bytes:
        found = []
        with self.look() as connection:
            for record in RECORDS:
                with connection.cursor(binary=True) as cursor:
                    for row in cursor.execute(f"SELECT * FROM saver_{record}".encode()):
                        found += [
                            one if isinstance(one, bytes) else str(one).encode() for one in row
                        ]
        return b"\0".join(found)

    def damage(self) -> None:
        changed = self.query(
            "UPDATE saver_segments SET data = set_byte(data, length(data) / 2, "
            "get_byte(data, length(data) / 2) # 1) WHERE (thread_id, start) IN "
            "(SELECT thread_id, start FROM saver_segments LIMIT 1) RETURNING 1"
        )
        if not changed:
            raise LookupError("no segment is stored")

    def damage_record(self, record: str) -> None:
        table, column = COLUMNS[record]
        where = CONDITIONS.get(record, "")
        stored, place = self.query(f"SELECT {column}, ctid::text FROM saver_{table} {where}")[0]
        changed = flipped(stored.encode() if isinstance(stored, str) else stored, record)
        with self.look() as connection:
            connection.execute(
                f"UPDATE saver_{table} SET {column} = %s WHERE ctid = %s::tid".encode(),
                (changed.decode() if isinstance(stored, str) else changed, place),
            )

    def lose_value(self, channel: str) -> None:
        with self.look() as connection:
            connection.execute("DELETE FROM saver_values WHERE channel = %s", (channel,))

    def swap_records(self, record: str) -> None:
        contents = ", ".join(CONTENTS[record])
        self.query(
            f"WITH two AS (SELECT *, ctid AS at FROM saver_{record}s LIMIT 2) "
            f"UPDATE saver_{record}s AS t "
            f"SET ({contents}) = (SELECT {contents} FROM two WHERE two.at <> t.ctid) "
            "WHERE t.ctid IN (SELECT at FROM two) RETURNING 1"
        )

    def version(self) -> str:
        return f"Postgres {self.query('SHOW server_version')[0][0]}"

    def location(self) -> str:
        return self.url

    @classmethod
    def reopen(cls, location: str) -> SaverHarness:
        return cls(location)

    def close(self) -> None:
        empty_database(self.url)


class KeptHarness(PostgresHarness):
    """A database whose tables are there and stay, and are emptied: making them takes longer than
    most clauses.
    """

    @contextmanager
    def open(self, **options: Any) -> Iterator[PostgresSaver]:
        with self.sync_saver(**options) as saver:
            yield saver

    @asynccontextmanager
    async def aopen(self, **options: Any) -> AsyncIterator[AsyncPostgresSaver]:
        async with self.async_saver(**options) as saver:
            yield saver

    def look(self) -> AbstractContextManager[psycopg.Connection[Any]]:
        return looks(self.url).connection()

    def close(self) -> None:
        with self.look() as connection:
            connection.execute(OTHERS.encode())
            for record in (*RECORDS, "leases"):
                connection.execute(f"DELETE FROM saver_{record}".encode())
