"""LangGraph checkpoints, long-term memory and caches in MongoDB."""

from checkpoint_mongo.cache import AsyncMongoDBCache, MongoDBCache
from checkpoint_mongo.saver.saver import AsyncMongoDBSaver, MongoDBSaver
from checkpoint_mongo.store.store import AsyncMongoDBStore, MongoDBStore

__all__ = [
    "AsyncMongoDBCache",
    "AsyncMongoDBSaver",
    "AsyncMongoDBStore",
    "MongoDBCache",
    "MongoDBSaver",
    "MongoDBStore",
]
