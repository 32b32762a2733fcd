"""Blocking I/O on PyMongo's MongoClient."""

from __future__ import annotations

import time
from typing import Any

import pymongo
from pymongo.database import Database

from checkpoint_base.plan import run
from checkpoint_base.timeouts import Deadline
from checkpoint_base.turns import Turns
from checkpoint_mongo.driver import TURN, Call, Local, Performer, Sleep
from checkpoint_mongo.requests import ThreadTransaction


class SyncMongoDriver:
    """Performs plans, from any number of threads.

    Args:
        database: where the collections are.
        prefix: what their names begin with.
        call_timeout: seconds that a step may take; None: no limit.
    """

    def __init__(self, database: Database[Any], prefix: str, call_timeout: float | None) -> None:
        self.call_timeout = call_timeout
        self._performer = Performer(database, prefix, call_timeout)
        self._turns = Turns()

    def perform(self, request: Any) -> Any:
        """Perform a request of a plan that is not in a transaction."""
        if type(request) is ThreadTransaction:
            with self._turns.turn(request.thread_id, Deadline(self.call_timeout, TURN)):
                return run(self._performer.perform(request), _io)
        return run(self._performer.perform(request), _io)


def _io(request: Call | Local | Sleep) -> Any:
    if isinstance(request, Sleep):
        return time.sleep(request.seconds)
    if isinstance(request, Local):
        return request.work()
    with pymongo.timeout(request.limit):
        return request.work()
