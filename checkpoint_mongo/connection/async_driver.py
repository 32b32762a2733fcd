"""The asyncio driver, over PyMongo's AsyncMongoClient."""

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
    """Performs the requests of plans, for any number of tasks of an event loop.

    Args:
        database: the database of the collections.
        prefix: the collections' names begin with it.
        call_timeout: seconds that a step may take; None: no limit.
    """

    def __init__(
        self, database: AsyncDatabase[Any], prefix: str, call_timeout: float | None
    ) -> None:
        self.database, self.call_timeout = database, call_timeout
        self._performer = Performer(database, prefix, call_timeout)
        self._turns = LoopTurns()

    async def perform(self, request: Any) -> Any:
        """Perform a request that is not inside a transaction, with retries.

        Raises:
            CheckpointError: the class of the cause, as `translate_error` says.
        """
        if type(request) is ThreadTransaction:
            async with self._turns.turn(request.thread_id, Deadline(self.call_timeout, TURN)):
                return await arun(self._performer.perform(request), _io)
        return await arun(self._performer.perform(request), _io)


async def _io(request: DriverCall | Local | Sleep) -> Any:
    """Perform a call. If the caller is cancelled, it first waits for the reply: otherwise the
    server might run the command after the call has ended, or after its transaction was aborted.
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
