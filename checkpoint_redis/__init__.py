"""LangGraph checkpoints, long-term memory and caches in Redis."""

from checkpoint_redis.cache import AsyncRedisCache, RedisCache
from checkpoint_redis.saver.saver import AsyncRedisSaver, RedisSaver
from checkpoint_redis.store.store import AsyncRedisStore, RedisStore

__all__ = [
    "AsyncRedisCache",
    "AsyncRedisSaver",
    "AsyncRedisStore",
    "RedisCache",
    "RedisSaver",
    "RedisStore",
]
