"""LangGraph checkpoints in SQLite."""

from checkpoint_sqlite.saver import AsyncSqliteSaver, SqliteSaver

__all__ = ["AsyncSqliteSaver", "SqliteSaver"]
