"""LangGraph checkpoints in Redis."""

from checkpoint_redis.saver import AsyncRedisSaver, RedisSaver

__all__ = ["AsyncRedisSaver", "RedisSaver"]
