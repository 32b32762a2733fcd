"""What goes over the network: round trips, and poolers that share out sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import (
    AbstractContextManager,
    ExitStack,
    asynccontextmanager,
    contextmanager,
)
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from checkpoint_base.errors import CheckpointError
from checkpoint_postgres import AsyncPostgresSaver, PostgresSaver
from checkpoint_postgres.tests.harness import POOL, PostgresHarness
from conformance_tests.build import Chain, large, on, values
from conformance_tests.facade import FLAVOURS, Facade, Flavour, SyncFacade, opened
from conformance_tests.faults import Proxy
from conformance_tests.savers.copy_thread import CopyThreadClauses
from conformance_tests.savers.delete_thread import DeleteThreadClauses
from conformance_tests.savers.listing import ListClauses
from conformance_tests.savers.prune import PruneClauses
from conformance_tests.savers.put_writes import PutWritesClauses
from conformance_tests.savers.setup import SetupClauses
from tests.servers import pgbouncer
from tests.servers.pooler import pooled

# ---------------------------------------------------------------- round trips


class ThroughProxy(PostgresHarness):
    """Opens savers on one connection through a proxy."""

    def __init__(self, url: str, proxy: Proxy) -> None:
        super().__init__(url)
        self.pooler = url.replace(f":{urlsplit(url).port}", f":{proxy.port}", 1)

    @contextmanager
    def open(self, **options: Any) -> Iterator[PostgresSaver]:
        with PostgresSaver.from_conn_string(self.pooler, pipeline=True, **options) as saver:
            saver.setup()
            yield saver

    @asynccontextmanager
    async def aopen(self, **options: Any) -> AsyncIterator[AsyncPostgresSaver]:
        saving = AsyncPostgresSaver.from_conn_string(self.pooler, pipeline=True, **options)
        async with saving as saver:
            await saver.setup()
            yield saver


@pytest.fixture(params=FLAVOURS)
def counted_saver(
    request: pytest.FixtureRequest, database: PostgresHarness
) -> Iterator[tuple[Facade, Proxy]]:
    parts = urlsplit(database.url)
    with (
        Proxy(str(parts.hostname), int(str(parts.port)), delay=0.005) as proxy,
        opened(ThroughProxy(database.url, proxy), request.param) as saver,
    ):
        yield saver, proxy


def test_each_operation_is_one_round_trip(counted_saver: tuple[Facade, Proxy]) -> None:
    saver, proxy = counted_saver
    chain = Chain(saver, "t")

    def put_writes() -> None:
        chain.write(("log", large(1, 30_000)), task=f"task {chain.step}")

    def deleted() -> None:
        saver.delete_thread("t")
        saver.delete_thread("nobody")

    operations: dict[str, tuple[int, Callable[[], Any]]] = {
        "put": (1, lambda: chain.put({"log": large(1) + large(chain.step), "n": chain.step})),
        "put_writes": (1, put_writes),
        "get_tuple": (1, lambda: saver.get_tuple(on("t"))),
        "get_tuple of one": (1, lambda: saver.get_tuple(chain.head)),
        "list": (1, lambda: list(saver.list(on("t"), limit=10))),
        "list with a filter": (1, lambda: list(saver.list(on("t"), filter={"step": 2}, limit=1))),
        "list_threads": (1, saver.list_threads),
        "delete_thread": (2, deleted),
    }
    for prepared in (False, True):  # statements are prepared on their first use
        chain = Chain(saver, "t")
        for name, (expected, operation) in operations.items():
            for _ in range(3 if name == "put" else 1):
                with proxy.counting() as counted:
                    operation()
            if prepared:
                assert counted.round_trips == expected, name


def test_values_are_fetched_only_of_what_matches(counted_saver: tuple[Facade, Proxy]) -> None:
    saver, proxy = counted_saver
    chain = Chain(saver, "t")
    for step in range(20):
        chain.put({"log": large(step, 30_000)}, tags=[step])
    for wanted, found in (({"tags": [3]}, [3]), ({"tags": [-1]}, []), ({"step": -1}, [])):
        with proxy.counting() as counted:
            assert [one.metadata["step"] for one in saver.list(on("t"), filter=wanted)] == found
        assert counted.sent["client"] < 20_000 + 31_000 * len(found)


# ---------------------------------------------------------------- poolers

POOLERS: dict[str, Callable[[str], AbstractContextManager[str]]] = {"sessions shared": pooled}
if pgbouncer.PROGRAM:
    POOLERS["PgBouncer"] = pgbouncer.bounced

UNPREPARED = {**POOL, "kwargs": {"prepare_threshold": None}}


class PooledHarness(PostgresHarness):
    """Savers talk to a pooler; the harness itself looks at the server."""

    name = "postgres (behind a pooler)"

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


@pytest.fixture(params=POOLERS)
def pooled_database(
    request: pytest.FixtureRequest, database: PostgresHarness
) -> Iterator[PooledHarness]:
    with ExitStack() as stack:
        through = stack.enter_context(POOLERS[request.param](database.url))
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
