"""LangGraph checkpoints and long-term memory in Redis."""

from checkpoint_redis.saver import AsyncRedisSaver, RedisSaver
from checkpoint_redis.store import AsyncRedisStore, RedisStore

__all__ = ["AsyncRedisSaver", "AsyncRedisStore", "RedisSaver", "RedisStore"]
