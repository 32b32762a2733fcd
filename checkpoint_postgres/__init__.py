"""LangGraph checkpoints and long-term memory in Postgres."""

from checkpoint_postgres.saver import AsyncPostgresSaver, PostgresSaver
from checkpoint_postgres.store import AsyncPostgresStore, PostgresStore

__all__ = ["AsyncPostgresSaver", "AsyncPostgresStore", "PostgresSaver", "PostgresStore"]
