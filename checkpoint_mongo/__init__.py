"""LangGraph checkpoints and long-term memory in MongoDB."""

from checkpoint_mongo.saver import AsyncMongoDBSaver, MongoDBSaver
from checkpoint_mongo.store import AsyncMongoDBStore, MongoDBStore

__all__ = ["AsyncMongoDBSaver", "AsyncMongoDBStore", "MongoDBSaver", "MongoDBStore"]
