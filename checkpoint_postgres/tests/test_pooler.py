"""Behind a pooler that shares out sessions: PgBouncer where it is installed, as in CI, else the
tests' own. The last lines of `make test` name the one that was used.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import (
    asynccontextmanager,
    contextmanager,
)
from typing import Any

import psycopg
import pytest

from checkpoint_base.errors import CheckpointError
from checkpoint_postgres import AsyncPostgresSaver, PostgresSaver
from checkpoint_postgres.tests.harness import POOL, PostgresHarness
from conformance_tests.samples.build import Chain, large, on, values
from conformance_tests.samples.driver_adapter import FLAVOURS, Flavour, SyncFacade, opened
from conformance_tests.savers.reading.listing import ListClauses
from conformance_tests.savers.setup import SetupClauses
from conformance_tests.savers.threads.copy_thread import CopyThreadClauses
from conformance_tests.savers.threads.delete_thread import DeleteThreadClauses
from conformance_tests.savers.threads.prune import PruneClauses
from conformance_tests.savers.values.put_writes import PutWritesClauses
from tests.servers import pgbouncer
from tests.servers.pooler import pooled

UNPREPARED = {**POOL, "kwargs": {"prepare_threshold": None}}


class PooledHarness(PostgresHarness):
    """Savers talk to a pooler; the harness itself looks at the server."""

    name = "postgres-pooler"

    def __init__(self, url: str, pooler: str) -> None:
        super().__init__(url)
        self.pooler = pooler

    @contextmanager
    def open(self, **options: Any) -> Iterator[PostgresSaver]:
        with PostgresSaver.from_conn_string(
            self.pooler, pool=UNPREPARED, clock=self.clock, **options
        ) as saver:
            saver.setup()
            yield saver

    @asynccontextmanager
    async def aopen(self, **options: Any) -> AsyncIterator[AsyncPostgresSaver]:
        async with AsyncPostgresSaver.from_conn_string(
            self.pooler, pool=UNPREPARED, clock=self.clock, **options
        ) as saver:
            await saver.setup()
            yield saver

    def version(self) -> str:
        return pgbouncer.version() if pgbouncer.PROGRAM else "the tests' own pooler"


@pytest.fixture
def pooled_database(database: PostgresHarness) -> Iterator[PooledHarness]:
    pooler = pgbouncer.bounced if pgbouncer.PROGRAM else pooled
    with pooler(database.url) as through:
        yield PooledHarness(database.url, through)


class TestBehindAPooler(
    SetupClauses,
    PutWritesClauses,
    ListClauses,
    DeleteThreadClauses,
    CopyThreadClauses,
    PruneClauses,
):
    @pytest.fixture
    def harness(self, pooled_database: PooledHarness) -> PooledHarness:
        return pooled_database


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_many_at_once_behind_a_pooler(pooled_database: PooledHarness, flavour: Flavour) -> None:
    with opened(pooled_database, flavour) as saver:

        def work(n: int) -> None:
            own = Chain(saver, f"own {n}")
            for step in range(5):
                own.put({"log": large(n) + large(step), "step": step})
                own.write(("step", step))
                Chain(saver, "shared").put({"n": n})
                assert values(saver.get_tuple(own.head))["step"] == step

        with ThreadPoolExecutor(16) as threads:
            list(threads.map(work, range(16)))
        for n in range(16):
            found = list(saver.list(on(f"own {n}")))
            assert [values(one)["step"] for one in found] == [4, 3, 2, 1, 0]
            assert all(values(one)["log"].startswith(large(n)) for one in found)
        assert len(list(saver.list(on("shared")))) == 16 * 5


def test_setups_at_once_behind_a_pooler(pooled_database: PooledHarness) -> None:
    def work(n: int) -> None:
        with PostgresSaver.from_conn_string(pooled_database.pooler, pool=UNPREPARED) as saver:
            saver.setup()
            Chain(SyncFacade(saver), f"thread {n}").put({"n": n})

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert pooled_database.rows()["threads"] == 8
    locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    assert pooled_database.query(locks) == [(0,)]


def test_prepared_statements_are_told_about(database: PostgresHarness) -> None:
    """The pooler of the tests does break what is kept in a session."""
    with pooled(database.url) as through, PostgresSaver.from_conn_string(through) as saver:
        saver.setup()
        with pytest.raises(CheckpointError, match="prepare_threshold=None") as caught:
            saver.get_tuple(on("t"))
        assert isinstance(caught.value.__cause__, psycopg.Error)
