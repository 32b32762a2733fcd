"""LangGraph checkpoints and long-term memory in SQLite."""

from checkpoint_sqlite.saver import AsyncSqliteSaver, SqliteSaver
from checkpoint_sqlite.store import AsyncSqliteStore, SqliteStore

__all__ = ["AsyncSqliteSaver", "AsyncSqliteStore", "SqliteSaver", "SqliteStore"]
