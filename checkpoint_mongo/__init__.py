"""LangGraph checkpoints in MongoDB."""

from checkpoint_mongo.saver import AsyncMongoDBSaver, MongoDBSaver

__all__ = ["AsyncMongoDBSaver", "MongoDBSaver"]
