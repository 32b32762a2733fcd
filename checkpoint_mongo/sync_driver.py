"""Blocking I/O on PyMongo's MongoClient."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import Any

import pymongo
from pymongo.database import Database

from checkpoint_base.plan import run
from checkpoint_mongo.driver import Call, Performer, Sleep
from checkpoint_mongo.failures import has_timeouts
from checkpoint_mongo.requests import ThreadTransaction
from checkpoint_mongo.turns import ThreadTurns


class SyncMongoDriver:
    """Performs plans, from any number of threads.

    Args:
        database: where the collections are.
        prefix: what their names begin with.
        call_timeout: seconds that a step may take, with its retries; None: no limit.
    """

    def __init__(self, database: Database[Any], prefix: str, call_timeout: float | None) -> None:
        self._performer = Performer(database, prefix, call_timeout)
        self._turns = ThreadTurns(call_timeout)
        # Within PyMongo's `timeout`, neither socketTimeoutMS nor serverSelectionTimeoutMS counts:
        # it is for clients that have none.
        self._limit = None if has_timeouts(database.client) else call_timeout

    def perform(self, request: Any) -> Any:
        """Perform a request of a plan that is not in a transaction."""
        is_turn = type(request) is ThreadTransaction
        with self._turns.turn(request.thread_id) if is_turn else nullcontext():
            return run(self._performer.perform(request), self._call)

    def _call(self, request: Call | Sleep) -> Any:
        if isinstance(request, Sleep):
            return time.sleep(request.seconds)
        with pymongo.timeout(request.limit or self._limit):
            return request.work()
