"""Blocking I/O on PyMongo's MongoClient."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pymongo
from pymongo.database import Database

from checkpoint_base.plan import run
from checkpoint_base.timeouts import timed_out
from checkpoint_mongo.driver import TURN, Call, Performer, Sleep
from checkpoint_mongo.requests import ThreadTransaction
from checkpoint_mongo.turns import Turns


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
        self._turns = Turns(threading.Lock)

    def perform(self, request: Any) -> Any:
        """Perform a request of a plan that is not in a transaction."""
        if type(request) is ThreadTransaction:
            with self._turn(request.thread_id):
                return run(self._performer.perform(request), _io)
        return run(self._performer.perform(request), _io)

    @contextmanager
    def _turn(self, thread_id: str) -> Iterator[None]:
        seconds = -1 if self.call_timeout is None else self.call_timeout
        with self._turns.lock(thread_id) as lock:
            if not lock.acquire(timeout=seconds):
                raise timed_out(self.call_timeout, TURN)
            try:
                yield
            finally:
                lock.release()


def _io(request: Call | Sleep) -> Any:
    if isinstance(request, Sleep):
        return time.sleep(request.seconds)
    with pymongo.timeout(request.limit):
        return request.work()
