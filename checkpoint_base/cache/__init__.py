"""LangGraph's `BaseCache` on every database: cached results of nodes and tasks."""

from checkpoint_base.cache.memory import MemoryCache
from checkpoint_base.cache.options import CACHE_TIMEOUT, CacheOptions
from checkpoint_base.cache.planner import CacheStats
from checkpoint_base.cache.shell import AsyncCache, Cache, SyncCache

__all__ = [
    "CACHE_TIMEOUT",
    "AsyncCache",
    "Cache",
    "CacheOptions",
    "CacheStats",
    "MemoryCache",
    "SyncCache",
]
