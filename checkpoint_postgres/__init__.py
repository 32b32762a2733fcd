"""LangGraph checkpoints in Postgres."""

from checkpoint_postgres.saver import AsyncPostgresSaver, PostgresSaver

__all__ = ["AsyncPostgresSaver", "PostgresSaver"]
