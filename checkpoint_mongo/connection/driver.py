"""Transactions and retries, shared by both drivers as plans that yield calls of PyMongo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from pymongo.errors import OperationFailure, PyMongoError

from checkpoint_base.plan import Atomic, Plan, run_nested
from checkpoint_base.sql.requests import Execute, ExecuteMany, Query
from checkpoint_mongo.connection.bson_ops import (
    BATCH,
    OPTIONS,
    changes,
    index_models,
    server_of,
    transaction_options,
    written,
)
from checkpoint_mongo.connection.errors import (
    ABORT,
    MongoRetryPolicy,
    commit_is_unknown,
    is_refusal,
    own_timeout,
    pause_of,
)
from checkpoint_mongo.connection.requests import (
    SHARDED,
    Aggregate,
    CreateIndexes,
    Deployment,
    DropIndex,
    Find,
    ListIndexes,
    Pause,
    RefusedError,
    Server,
    Shard,
    Write,
    Written,
)

INDEX_NOT_FOUND: Final = 27
TURN: Final = "the wait for other writes to the thread"
"""What a timeout error names while a write waits for the process's lock on its thread."""


class DriverCall(NamedTuple):
    """Request: call PyMongo; the asyncio driver awaits the result.

    Attributes:
        work: the call.
        limit: seconds that it may take; None: the client's own limits.
        patience: seconds that a cancelled caller waits for its end; None: without limit. It may be
            short only if the abort of the transaction undoes the call.
    """

    work: Callable[[], Any]
    limit: float | None
    patience: float | None = ABORT


class Local(NamedTuple):
    """Request: a call of PyMongo that sends nothing; its result is awaited as for `DriverCall`."""

    work: Callable[[], Any]


class Sleep(NamedTuple):
    """Request: wait this many seconds."""

    seconds: float


class Performer:
    """Plans that perform requests on one database.

    Args:
        database: PyMongo's database, of either client.
        prefix: the collections' names begin with it.
        call_timeout: seconds that a call of PyMongo may take, and after which nothing is retried.
            None: no limit; conflicts are retried for a minute.
    """

    def __init__(self, database: Any, prefix: str, call_timeout: float | None) -> None:
        self._database = database
        self._prefix = prefix
        self._seconds = call_timeout
        # pymongo.timeout() overrides socketTimeoutMS and serverSelectionTimeoutMS. Do not use it if
        # these make the client give up earlier.
        own = own_timeout(database.client)
        self._limit = None if call_timeout is None or own <= call_timeout else call_timeout
        self._server: Server | None = None
        self._collections: dict[str, Any] = {}

    def _attempts(self) -> MongoRetryPolicy:
        return MongoRetryPolicy(self._database.client, self._seconds, self._limit)

    def _call(self, work: Callable[..., Any], *args: Any, **options: Any) -> Plan[Any]:
        return (yield DriverCall(partial(work, *args, **options), self._limit))

    def perform(self, request: Any) -> Plan[Any]:
        """Perform a request that is not inside a transaction, with retries."""
        kind = type(request)
        if kind is Pause:
            return (yield Sleep(pause_of(request.attempt)))
        attempts = self._attempts()
        while True:
            try:
                return (yield from self._once(request))
            except PyMongoError as error:
                if kind is Write and is_refusal(error):
                    return None
                yield Sleep(attempts.after(error))

    def _once(self, request: Any) -> Plan[Any]:
        if not isinstance(request, Atomic):
            return (yield from self._do(None, request))
        server = yield from self._deployment()
        work = partial(self._plan, request=request)
        if not server.has_transactions:
            return (yield from work(None))
        pins = not request.write and server.pins_snapshots
        session = self._database.client.start_session(snapshot=pins)
        try:
            if pins:
                return (yield from work(session))
            return (yield from self._transaction(work, session, writes=request.write))
        finally:
            yield Local(session.end_session)

    def _transaction(
        self, work: Callable[[Any], Plan[Any]], session: Any, *, writes: bool
    ) -> Plan[Any]:
        """Run `work` in a transaction, as PyMongo's `with_transaction` does, except that a call
        that timed out is not repeated. `perform` retries after a transient error.
        """
        options = transaction_options(self._database.write_concern)
        yield Local(partial(session.start_transaction, **options))
        try:
            result = yield from work(session)
            if writes:
                yield from self._commit(session)
        except BaseException:
            if session.in_transaction:  # false after a failed commit, whose result is unknown
                yield DriverCall(session.abort_transaction, ABORT)
            raise
        if not writes:
            yield DriverCall(session.abort_transaction, ABORT)
        return result

    def _commit(self, session: Any) -> Plan[None]:
        attempts = self._attempts()
        while True:
            try:
                yield DriverCall(session.commit_transaction, self._limit, self._seconds)
                return
            except PyMongoError as error:
                if not commit_is_unknown(error):
                    raise
                yield Sleep(attempts.after(error))

    def _plan(self, session: Any, request: Atomic[Any]) -> Plan[Any]:
        return (yield from run_nested(request.make(), partial(self._inside, session)))

    def _inside(self, session: Any, request: Any) -> Plan[Any]:
        try:
            return (yield from self._do(session, request))
        except PyMongoError as error:
            if type(request) is Write and is_refusal(error):
                raise RefusedError from error
            raise

    def _do(self, session: Any, request: Any) -> Plan[Any]:
        kind = type(request)
        if kind is Find:
            collection = self._collection(request.collection)
            cursor = collection.find(**request.options, batch_size=BATCH, session=session)
            return (yield from self._call(cursor.to_list))
        if kind is Aggregate:
            collection, stages = self._collection(request.collection), list(request.stages)
            options = {"session": session, "batchSize": BATCH}
            cursor = yield from self._call(collection.aggregate, stages, **options)
            return (yield from self._call(cursor.to_list))
        if kind is Write:
            return (yield from self._write(request, session))
        if kind in (Query, Execute, ExecuteMany):
            reply = yield from self._do(session, request.sql.request(request))
            return request.sql.reply(request, reply)
        return (yield from self._administer(request))

    def _administer(self, request: Any) -> Plan[Any]:
        kind = type(request)
        if kind is Deployment:
            return (yield from self._deployment())
        collection = self._collection(request.collection)
        if kind is CreateIndexes:
            return (yield from self._call(collection.create_indexes, index_models(request.indexes)))
        if kind is ListIndexes:
            cursor = yield from self._call(collection.list_indexes)
            return [index["name"] for index in (yield from self._call(cursor.to_list))]
        if kind is DropIndex:
            try:
                return (yield from self._call(collection.drop_index, request.name))
            except OperationFailure as error:
                if error.code != INDEX_NOT_FOUND:
                    raise
                return None  # another process has dropped it
        if kind is Shard:
            command = {"shardCollection": collection.full_name, "key": dict(request.fields)}
            return (yield from self._call(self._database.client.admin.command, command))
        raise TypeError(f"cannot perform {request!r}")

    def _write(self, request: Write, session: Any) -> Plan[Written]:
        if not request.ops:
            return Written(frozenset(), 0, 0)
        collection = self._collection(request.collection)
        patience = self._seconds if session is None else ABORT

        def write(ops: Sequence[Any]) -> Plan[Any]:
            work = partial(collection.bulk_write, ops, session=session)
            return (yield DriverCall(work, self._limit, patience))

        is_sharded = self._server is None or self._server.topology == SHARDED
        ops = changes(request.ops, is_sharded=is_sharded)
        if not request.guarded:
            return written((yield from write(ops)))
        if session is None:  # no transaction can undo the rest, so write the guard first
            guard = written((yield from write(ops[:1])))
            if not guard.has_changed_all(1):
                raise RefusedError
            rest = written((yield from write(ops[1:]))) if ops[1:] else None
            return guard.then(rest)
        result = written((yield from write(ops)))
        if not result.has_changed_all(len(ops)):
            raise RefusedError
        return result

    def _collection(self, name: str) -> Any:
        if name not in self._collections:
            collection = self._database.get_collection(self._prefix + name, **OPTIONS)
            self._collections[name] = collection
        return self._collections[name]

    def _deployment(self) -> Plan[Server]:
        if self._server is None:
            command = self._database.client.admin.command
            hello = yield from self._call(command, "hello")
            self._server = server_of(hello, (yield from self._call(command, "buildInfo")))
        return self._server
