"""I/O on an event loop, on PyMongo's AsyncMongoClient."""

from __future__ import annotations

import asyncio
from typing import Any

import pymongo
from pymongo.asynchronous.database import AsyncDatabase

from checkpoint_base.batching.thread_queue import LoopTurns
from checkpoint_base.deadlines.cancellation import until_done
from checkpoint_base.deadlines.timeouts import Deadline
from checkpoint_base.plan import arun
from checkpoint_mongo.connection.driver import TURN, DriverCall, Local, Performer, Sleep
from checkpoint_mongo.connection.requests import ThreadTransaction


class AsyncMongoDriver:
    """Performs plans, for any number of tasks of an event loop.

    Args:
        database: where the collections are.
        prefix: what their names begin with.
        call_timeout: seconds that a step may take; None: no limit.
    """

    def __init__(
        self, database: AsyncDatabase[Any], prefix: str, call_timeout: float | None
    ) -> None:
        self.call_timeout = call_timeout
        self._performer = Performer(database, prefix, call_timeout)
        self._turns = LoopTurns()

    async def perform(self, request: Any) -> Any:
        """Perform a request of a plan that is not in a transaction."""
        if type(request) is ThreadTransaction:
            async with self._turns.turn(request.thread_id, Deadline(self.call_timeout, TURN)):
                return await arun(self._performer.perform(request), _io)
        return await arun(self._performer.perform(request), _io)


async def _io(request: DriverCall | Local | Sleep) -> Any:
    """Perform a call. A caller that is cancelled waits for the answer: what was sent could
    otherwise be carried out after the call has ended, or after the abort of its transaction.
    """
    if isinstance(request, Sleep):
        return await asyncio.sleep(request.seconds)
    if isinstance(request, Local):
        return await request.work()
    with pymongo.timeout(request.limit):
        task = asyncio.ensure_future(request.work())
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await until_done(task, request.patience)
        task.cancel()
        raise
