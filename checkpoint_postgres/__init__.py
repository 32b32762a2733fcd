"""LangGraph checkpoints, long-term memory and caches in Postgres."""

from checkpoint_postgres.cache import AsyncPostgresCache, PostgresCache
from checkpoint_postgres.saver.saver import AsyncPostgresSaver, PostgresSaver
from checkpoint_postgres.store.store import AsyncPostgresStore, PostgresStore

__all__ = [
    "AsyncPostgresCache",
    "AsyncPostgresSaver",
    "AsyncPostgresStore",
    "PostgresCache",
    "PostgresSaver",
    "PostgresStore",
]
