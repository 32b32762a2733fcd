"""Our savers and stores for a side-by-side benchmark that loads adapter files (`--ours FILE`).

`core` is a module of that benchmark. Savers and stores are opened with their defaults, as the
README shows; only while a workload preloads data (`relaxed`), SQLite does not wait for the disk.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator

import core
from core import Adapter, Ctx, register

from checkpoint_mongo import AsyncMongoDBSaver, MongoDBSaver, MongoDBStore
from checkpoint_postgres import AsyncPostgresSaver, PostgresSaver, PostgresStore
from checkpoint_redis import AsyncRedisSaver, RedisSaver, RedisStore
from checkpoint_sqlite import AsyncSqliteSaver, SqliteSaver, SqliteStore


@contextlib.contextmanager
def sqlite_saver(cell: Ctx) -> Iterator[SqliteSaver]:
    synchronous = "off" if cell.relaxed else "full"
    with SqliteSaver.from_conn_string(cell.dir / "c.sqlite", synchronous=synchronous) as saver:
        saver.setup()
        yield saver


@contextlib.asynccontextmanager
async def sqlite_asaver(cell: Ctx) -> AsyncIterator[AsyncSqliteSaver]:
    async with AsyncSqliteSaver.from_conn_string(cell.dir / "c.sqlite") as saver:
        await saver.setup()
        yield saver


register(
    Adapter(
        name="ours-sqlite",
        kind="saver",
        package="langgraph-checkpoint-suite",
        open=sqlite_saver,
        aopen=sqlite_asaver,
        family="sqlite",
        durable="WAL, synchronous=FULL (fsync per commit; writers that wait together share one)",
    )
)


@contextlib.contextmanager
def sqlite_store(cell: Ctx) -> Iterator[SqliteStore]:
    synchronous = "off" if cell.relaxed else "full"
    opened = SqliteStore.from_conn_string(
        cell.dir / "s.sqlite", index=cell.index, synchronous=synchronous
    )
    with opened as store:
        store.setup()
        yield store


register(
    Adapter(
        name="ours-sqlite",
        kind="store",
        package="langgraph-checkpoint-suite",
        open=sqlite_store,
        family="sqlite",
        durable="WAL, synchronous=FULL (fsync per commit)",
        vector=True,
        ttl="sweep",
    )
)


@contextlib.contextmanager
def postgres_saver(cell: Ctx) -> Iterator[PostgresSaver]:
    with PostgresSaver.from_conn_string(cell.url, pool={"max_size": cell.pool}) as saver:
        saver.setup()
        yield saver


@contextlib.asynccontextmanager
async def postgres_asaver(cell: Ctx) -> AsyncIterator[AsyncPostgresSaver]:
    opened = AsyncPostgresSaver.from_conn_string(cell.url, pool={"max_size": cell.pool})
    async with opened as saver:
        await saver.setup()
        yield saver


register(
    Adapter(
        name="ours-pg",
        kind="saver",
        package="langgraph-checkpoint-suite",
        open=postgres_saver,
        aopen=postgres_asaver,
        server="pg",
        family="pg",
        durable="fsync=on, synchronous_commit=on",
    )
)


@contextlib.contextmanager
def postgres_store(cell: Ctx) -> Iterator[PostgresStore]:
    opened = PostgresStore.from_conn_string(
        cell.url, pool={"max_size": cell.pool}, index=cell.index
    )
    with opened as store:
        store.setup()
        yield store


register(
    Adapter(
        name="ours-pg",
        kind="store",
        package="langgraph-checkpoint-suite",
        open=postgres_store,
        server="pg",
        family="pg",
        durable="fsync=on, synchronous_commit=on",
        vector=True,
        vector_server="pgvector",
        ttl="sweep",
    )
)


@contextlib.contextmanager
def redis_saver(cell: Ctx) -> Iterator[RedisSaver]:
    with RedisSaver.from_conn_string(cell.url) as saver:
        saver.setup()
        yield saver


@contextlib.asynccontextmanager
async def redis_asaver(cell: Ctx) -> AsyncIterator[AsyncRedisSaver]:
    opened = AsyncRedisSaver.from_conn_string(cell.url, max_connections=cell.pool)
    async with opened as saver:
        await saver.setup()
        yield saver


register(
    Adapter(
        name="ours-redis",
        kind="saver",
        package="langgraph-checkpoint-suite",
        open=redis_saver,
        aopen=redis_asaver,
        server="redis",
        family="redis",
        durable="none (no AOF, no snapshots)",
    )
)


@contextlib.contextmanager
def redis_store(cell: Ctx) -> Iterator[RedisStore]:
    with RedisStore.from_conn_string(cell.url, index=cell.index) as store:
        store.setup()
        yield store


register(
    Adapter(
        name="ours-redis",
        kind="store",
        package="langgraph-checkpoint-suite",
        open=redis_store,
        server="redis",
        family="redis",
        durable="none (no AOF, no snapshots)",
        vector=True,
        ttl="sweep",
    )
)


@contextlib.contextmanager
def mongo_saver(cell: Ctx) -> Iterator[MongoDBSaver]:
    with MongoDBSaver.from_conn_string(cell.url) as saver:
        saver.setup()
        yield saver


@contextlib.asynccontextmanager
async def mongo_asaver(cell: Ctx) -> AsyncIterator[AsyncMongoDBSaver]:
    url = core.mongo_url(cell.url, maxPoolSize=cell.pool)
    async with AsyncMongoDBSaver.from_conn_string(url) as saver:
        await saver.setup()
        yield saver


register(
    Adapter(
        name="ours-mongo",
        kind="saver",
        package="langgraph-checkpoint-suite",
        open=mongo_saver,
        aopen=mongo_asaver,
        server="mongo",
        family="mongo",
        durable="fsync on every commit",
    )
)


@contextlib.contextmanager
def mongo_store(cell: Ctx) -> Iterator[MongoDBStore]:
    url = core.mongo_url(cell.url, maxPoolSize=cell.pool)
    with MongoDBStore.from_conn_string(url, index=cell.index) as store:
        store.setup()
        yield store


register(
    Adapter(
        name="ours-mongo",
        kind="store",
        package="langgraph-checkpoint-suite",
        open=mongo_store,
        server="mongo",
        family="mongo",
        durable="fsync on every commit",
        vector=True,
        ttl="sweep",
    )
)
