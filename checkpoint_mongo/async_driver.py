"""I/O on an event loop, on PyMongo's AsyncMongoClient."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from functools import partial
from typing import Any

import pymongo
from pymongo.asynchronous.database import AsyncDatabase

from checkpoint_base.cancellation import until_done
from checkpoint_base.plan import arun
from checkpoint_base.timeouts import LoopDeadline
from checkpoint_mongo.driver import Call, Performer, Sleep
from checkpoint_mongo.failures import ABORT
from checkpoint_mongo.requests import ThreadTransaction
from checkpoint_mongo.turns import TaskTurns


class AsyncMongoDriver:
    """Performs plans, for any number of tasks of an event loop.

    Args:
        database: where the collections are.
        prefix: what their names begin with.
        call_timeout: seconds that a step may take, with its retries; None: no limit.
    """

    def __init__(
        self, database: AsyncDatabase[Any], prefix: str, call_timeout: float | None
    ) -> None:
        self._performer = Performer(database, prefix, call_timeout)
        self._turns = TaskTurns(call_timeout)
        self._limit = call_timeout

    async def perform(self, request: Any) -> Any:
        """Perform a request of a plan that is not in a transaction."""
        is_turn = type(request) is ThreadTransaction
        async with self._turns.turn(request.thread_id) if is_turn else nullcontext():
            with LoopDeadline(self._limit, "a command of MongoDB") as deadline:
                call = partial(self._call, deadline)
                return await arun(self._performer.perform(request), call)

    async def _call(self, deadline: LoopDeadline, request: Call | Sleep) -> Any:
        if isinstance(request, Sleep):
            return await asyncio.sleep(request.seconds)
        deadline.restart()
        if request.limit is None:
            return await _finished(request)
        with pymongo.timeout(request.limit):
            return await _finished(request)


async def _finished(call: Call) -> Any:
    """Await a call. Who is cancelled waits for the answer: what was sent may else be carried out
    after the call has ended, or after the abort of its transaction.
    """
    task = asyncio.ensure_future(call.work())
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await until_done(task, ABORT)
        task.cancel()
        raise
