"""Blocking I/O on PyMongo's MongoClient."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from pymongo import MongoClient, ReadPreference
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError

from checkpoint_base.plan import Atomic, run
from checkpoint_base.statements.requests import Execute, ExecuteMany, Query
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

Session = ClientSession | None


class SyncMongoDriver:
    """Performs plans, from any number of threads."""

    def __init__(self, database: Database[Any], prefix: str) -> None:
        self._database = database
        self._prefix = prefix
        self._server: Server | None = None

    def perform(self, request: Any) -> Any:
        """Perform a request of a plan that is not in a transaction."""
        if type(request) is Pause:
            return time.sleep(pause_of(request.attempt))
        if type(request) is Wait:
            return time.sleep(request.seconds)
        if type(request) is Add:
            return request.is_done(self.perform(request.alone))
        attempts = Attempts()
        while True:
            try:
                return self._once(request)
            except PyMongoError as error:
                if type(request) is Write and is_refusal(error):
                    return None
                time.sleep(attempts.after(error))

    def _once(self, request: Any) -> Any:
        if isinstance(request, Atomic) and request.write:
            return self._transaction(partial(self._plan, request))
        if type(request) is Write and request.whole:
            return self._transaction(partial(self._do, request=request))
        if isinstance(request, Atomic):
            return self._plan(request, None)
        return self._do(None, request)

    def _plan(self, request: Atomic[Any], session: Session) -> Any:
        return run(request.make(), partial(self._inside, session))

    def _inside(self, session: Session, request: Any) -> Any:
        try:
            return self._do(session, request)
        except PyMongoError as error:
            if type(request) is Write and is_refusal(error):
                return None
            raise

    def _transaction(self, work: Any) -> Any:
        client: MongoClient[Any] = self._database.client
        with client.start_session() as session:
            session.start_transaction(
                ONE_MOMENT, self._database.write_concern, ReadPreference.PRIMARY
            )
            try:
                result = work(session)
            except BaseException:
                session.abort_transaction()
                raise
            self._commit(session)
            return result

    def _commit(self, session: ClientSession) -> None:
        attempts = Attempts()
        while True:
            try:
                return session.commit_transaction()
            except PyMongoError as error:
                if not commit_is_unknown(error):
                    raise
                time.sleep(attempts.after(error))

    def _do(self, session: Session, request: Any) -> Any:
        kind = type(request)
        if kind is Named:
            return self._do(session, request.alone)
        if kind is Aggregate:
            collection = self._collection(request.collection)
            stages = list(request.stages)
            return list(collection.aggregate(stages, session=session, batchSize=BATCH))
        if kind is Find:
            collection = self._collection(request.collection)
            return list(collection.find(**request.options, batch_size=BATCH, session=session))
        if kind is Write:
            return self._write(request, session)
        if kind in (Query, Execute, ExecuteMany):
            return request.sql.reply(self._do(session, request.sql.request(request)))
        if kind is Deployment:
            return self._deployment()
        if kind is CreateIndexes:
            models = index_models(request.indexes)
            return self._collection(request.collection).create_indexes(models)
        if kind is DropIndexes:
            return self._drop(request)
        if kind is Probe:
            return self._probe(request.request)
        raise TypeError(f"cannot perform {request!r}")

    def _probe(self, request: Aggregate | CreateSearchIndex) -> Any:
        try:
            if type(request) is CreateSearchIndex:
                collection = self._collection(request.collection)
                return collection.create_search_index(search_index_model(request))
            return self._do(None, request)
        except PyMongoError as error:
            if is_unsupported(error):
                return Unsupported(str(error).partition(", full error")[0])
            raise

    def _write(self, request: Write, session: Session) -> Written | None:
        ops = changes(request.ops)
        if not ops:
            return Written(frozenset(), 0, 0)
        return written(self._collection(request.collection).bulk_write(ops, session=session))

    def _drop(self, request: DropIndexes) -> None:
        records = self._collection(RECORDS)
        for name in request.names.intersection(records.index_information()):
            try:
                records.drop_index(name)
            except OperationFailure as error:
                if error.code != NO_SUCH_INDEX:  # somebody else was faster
                    raise

    def _collection(self, name: str) -> Any:
        return self._database.get_collection(self._prefix + name, **OPTIONS)

    def _deployment(self) -> Server:
        if self._server is None:
            admin = self._database.client.admin
            self._server = server_of(admin.command("hello"), admin.command("buildInfo"))
        return self._server
