"""The blocking driver, over PyMongo's MongoClient."""

from __future__ import annotations

import time
from typing import Any

import pymongo
from pymongo.database import Database

from checkpoint_base.batching.thread_queue import Turns
from checkpoint_base.deadlines.timeouts import Deadline
from checkpoint_base.plan import run
from checkpoint_mongo.connection.driver import TURN, DriverCall, Local, Performer, Sleep
from checkpoint_mongo.connection.requests import ThreadTransaction


class SyncMongoDriver:
    """Performs the requests of plans, from any number of threads.

    Args:
        database: the database of the collections.
        prefix: the collections' names begin with it.
        call_timeout: seconds that a step may take; None: no limit.
    """

    def __init__(self, database: Database[Any], prefix: str, call_timeout: float | None) -> None:
        self.database, self.call_timeout = database, call_timeout
        self._performer = Performer(database, prefix, call_timeout)
        self._turns = Turns()

    def perform(self, request: Any) -> Any:
        """Perform a request that is not inside a transaction, with retries.

        Raises:
            CheckpointError: the class of the cause, as `translate_error` says.
        """
        if type(request) is ThreadTransaction:
            with self._turns.turn(request.thread_id, Deadline(self.call_timeout, TURN)):
                return run(self._performer.perform(request), _io)
        return run(self._performer.perform(request), _io)


def _io(request: DriverCall | Local | Sleep) -> Any:
    if isinstance(request, Sleep):
        return time.sleep(request.seconds)
    if isinstance(request, Local):
        return request.work()
    with pymongo.timeout(request.limit):
        return request.work()
