"""LangGraph checkpoints, long-term memory and caches in SQLite."""

from checkpoint_sqlite.cache import AsyncSqliteCache, SqliteCache
from checkpoint_sqlite.saver.saver import AsyncSqliteSaver, SqliteSaver
from checkpoint_sqlite.store.store import AsyncSqliteStore, SqliteStore

__all__ = [
    "AsyncSqliteCache",
    "AsyncSqliteSaver",
    "AsyncSqliteStore",
    "SqliteCache",
    "SqliteSaver",
    "SqliteStore",
]
