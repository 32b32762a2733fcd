"""I/O on an event loop, on PyMongo's AsyncMongoClient."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

from bson.errors import BSONError
from pymongo import ReadPreference
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure, PyMongoError

from checkpoint_base.lanes import Lanes
from checkpoint_base.plan import Atomic, arun
from checkpoint_base.statements.requests import Execute, ExecuteMany, Query
from checkpoint_mongo.adding import added
from checkpoint_mongo.bson_ops import (
    BATCH,
    ONE_MOMENT,
    OPTIONS,
    changes,
    index_models,
    search_index_model,
    server_of,
    written,
)
from checkpoint_mongo.failures import (
    NO_SUCH_INDEX,
    Attempts,
    commit_is_unknown,
    is_refusal,
    is_unsupported,
    pause_of,
)
from checkpoint_mongo.lookups import JOINED, SMALL, joined, shared_out
from checkpoint_mongo.requests import (
    RECORDS,
    Add,
    Aggregate,
    CreateIndexes,
    CreateSearchIndex,
    Deployment,
    DropIndexes,
    Find,
    Named,
    Pause,
    Probe,
    Server,
    Unsupported,
    Wait,
    Write,
    Written,
)

Session = AsyncClientSession | None

_TOGETHER: Final = 64
_NARROW: Final = 1  # trips, if each is short
_ADDING: Final = 2  # trips at most
_LOOKING: Final = 16

_UNDONE: Final = (PyMongoError, BSONError, OverflowError)
"""What the driver raises: the last two for a document that cannot be one."""


class AsyncMongoDriver:
    """Performs plans, from any number of threads."""

    def __init__(self, database: AsyncDatabase[Any], prefix: str) -> None:
        self._database = database
        self._prefix = prefix
        self._server: Server | None = None
        self._adds = Lanes[Add, bool | None](self._add, _TOGETHER, _NARROW, lambda: _ADDING)
        self._lookups = Lanes[Named, list[Any]](self._look_up, JOINED, _NARROW, lambda: _LOOKING)

    async def aclose(self) -> None:
        """Wait for what callers who were cancelled have left under way."""
        await self._adds.aclose()
        await self._lookups.aclose()

    async def perform(self, request: Any) -> Any:
        """Perform a request of a plan that is not in a transaction."""
        if type(request) is Pause:
            return await asyncio.sleep(pause_of(request.attempt))
        if type(request) is Wait:
            return await asyncio.sleep(request.seconds)
        if type(request) is Add:
            return await self._finished(self._added(request))
        if type(request) is Named and len(request.refs) <= SMALL:
            return await self._lookups.send(request)
        return await self._alone(request)

    async def _alone(self, request: Any) -> Any:
        attempts = Attempts()
        while True:
            try:
                return await self._finished(self._once(request))
            except PyMongoError as error:
                if type(request) is Write and is_refusal(error):
                    return None
                await asyncio.sleep(attempts.after(error))

    async def _added(self, request: Add) -> bool:
        """Add a document; who did not get along with others, or failed with them, is tried alone
        and fails alone.
        """
        done = await self._adds.send(request)
        return request.is_done(await self._alone(request.alone)) if done is None else done

    async def _add(self, requests: Sequence[Add]) -> Sequence[bool | None]:
        """Which of the documents were added; None: that is to be tried alone."""
        if len(requests) == 1:
            return [requests[0].is_done(await self._alone(requests[0].alone))]
        with suppress(*_UNDONE):  # else nobody knows what was done
            return [each or None for each in await added(self._collection(RECORDS), requests)]
        return [None] * len(requests)

    async def _look_up(self, requests: Sequence[Named]) -> Sequence[list[Any]]:
        return shared_out(requests, await self._alone(joined(requests)))

    @staticmethod
    async def _finished(work: Coroutine[Any, Any, Any]) -> Any:
        """What was sent is waited for, though the caller be cancelled: a deletion or a put of
        several commands should not stop between two of them.
        """
        task = asyncio.ensure_future(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            raise

    async def _once(self, request: Any) -> Any:
        if isinstance(request, Atomic) and request.write:
            return await self._transaction(partial(self._plan, request))
        if type(request) is Write and request.whole:
            return await self._transaction(partial(self._do, request=request))
        if isinstance(request, Atomic):
            return await self._plan(request, None)
        return await self._do(None, request)

    async def _plan(self, request: Atomic[Any], session: Session) -> Any:
        return await arun(request.make(), partial(self._inside, session))

    async def _inside(self, session: Session, request: Any) -> Any:
        try:
            return await self._do(session, request)
        except PyMongoError as error:
            if type(request) is Write and is_refusal(error):
                return None
            raise

    async def _transaction(self, work: Any) -> Any:
        async with self._database.client.start_session() as session:
            await session.start_transaction(
                ONE_MOMENT, self._database.write_concern, ReadPreference.PRIMARY
            )
            try:
                result = await work(session)
            except BaseException:
                await session.abort_transaction()
                raise
            await self._commit(session)
            return result

    async def _commit(self, session: AsyncClientSession) -> None:
        attempts = Attempts()
        while True:
            try:
                return await session.commit_transaction()
            except PyMongoError as error:
                if not commit_is_unknown(error):
                    raise
                await asyncio.sleep(attempts.after(error))

    async def _do(self, session: Session, request: Any) -> Any:
        kind = type(request)
        if kind is Named:
            return await self._do(session, request.alone)
        if kind is Aggregate:
            collection = self._collection(request.collection)
            stages = list(request.stages)
            cursor = await collection.aggregate(stages, session=session, batchSize=BATCH)
            return await cursor.to_list()
        if kind is Find:
            collection = self._collection(request.collection)
            found = collection.find(**request.options, batch_size=BATCH, session=session)
            return await found.to_list()
        if kind is Write:
            return await self._write(request, session)
        if kind in (Query, Execute, ExecuteMany):
            return request.sql.reply(await self._do(session, request.sql.request(request)))
        if kind is Deployment:
            return await self._deployment()
        if kind is CreateIndexes:
            models = index_models(request.indexes)
            return await self._collection(request.collection).create_indexes(models)
        if kind is DropIndexes:
            return await self._drop(request)
        if kind is Probe:
            return await self._probe(request.request)
        raise TypeError(f"cannot perform {request!r}")

    async def _probe(self, request: Aggregate | CreateSearchIndex) -> Any:
        try:
            if type(request) is CreateSearchIndex:
                collection = self._collection(request.collection)
                return await collection.create_search_index(search_index_model(request))
            return await self._do(None, request)
        except PyMongoError as error:
            if is_unsupported(error):
                return Unsupported(str(error).partition(", full error")[0])
            raise

    async def _write(self, request: Write, session: Session) -> Written | None:
        ops = changes(request.ops)
        if not ops:
            return Written(frozenset(), 0, 0)
        collection = self._collection(request.collection)
        return written(await collection.bulk_write(ops, session=session))

    async def _drop(self, request: DropIndexes) -> None:
        records = self._collection(RECORDS)
        for name in request.names.intersection(await records.index_information()):
            try:
                await records.drop_index(name)
            except OperationFailure as error:
                if error.code != NO_SUCH_INDEX:  # somebody else was faster
                    raise

    def _collection(self, name: str) -> Any:
        return self._database.get_collection(self._prefix + name, **OPTIONS)

    async def _deployment(self) -> Server:
        if self._server is None:
            admin = self._database.client.admin
            self._server = server_of(await admin.command("hello"), await admin.command("buildInfo"))
        return self._server
