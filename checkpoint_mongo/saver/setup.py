"""`setup()`: migrations, which create indexes."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Final

from checkpoint_base.errors import NotSetUpError, UnsupportedServerError
from checkpoint_base.plan import Plan
from checkpoint_base.sql.logs import SqlDedupWriter
from checkpoint_base.sql.migrations import Migration, pending
from checkpoint_mongo.connection.requests import (
    MIGRATIONS,
    CreateIndexes,
    Find,
    Index,
    Op,
    Shard,
    find,
    server,
    write_all,
)

logger = logging.getLogger("checkpoint_mongo")

INDEXES: Final[Sequence[Index]] = (
    Index((("thread_id", 1), ("key", 1))),
    Index((("run_id", 1),), sparse=True),
    Index((("expires_at", 1),), sparse=True),
    Index((("garbage", 1),), sparse=True),
    Index((("updated_at", 1), ("thread_id", 1)), only={"kind": "thread"}),
    Index((("checkpoint_id", 1), ("thread_id", 1), ("key", 1)), only={"kind": "checkpoint"}),
)

_VERSIONS: Final = (1,)
_SHARD_KEY: Final = (("thread_id", 1),)

STANDALONE: Final = (
    "this MongoDB server is standalone and has no transactions: if a process dies between the "
    "commands of a write, parts of it stay, and a put beside a prune, a retention policy or a "
    "sweep may lose its value. To get transactions, start it as a replica set of one node (mongod "
    "--replSet rs0, then rs.initiate() once)"
)


def migrations(
    collection: str, versions: Iterable[int]
) -> Plan[tuple[set[int], Sequence[Migration]]]:
    """Read the record of migrations: the numbers of those applied, and the migrations to be run.

    Raises:
        SchemaVersionError: a migration was applied that is newer than this library.
    """
    applied = yield from find(Find({}, {"_id": 1}, collection))
    numbers = {document["_id"] for document in applied}
    known = [Migration(number, "") for number in versions]
    return numbers, pending(known, numbers, "this MongoDB database")


def expect_migrations(collection: str, versions: Iterable[int]) -> Plan[None]:
    """Check that `setup()` was called.

    Raises:
        NotSetUpError: it was never called.
        SchemaVersionError: a newer version of this library has called it.
    """
    numbers, _ = yield from migrations(collection, versions)
    if not numbers:
        raise NotSetUpError("this MongoDB database was never set up, call setup() once")


class MongoSetup:
    """The plan of `setup`."""

    _logs: SqlDedupWriter
    is_set_up = False

    def expect_setup(self) -> Plan[None]:
        """Check the record of migrations; raise as `expect_migrations` does."""
        yield from expect_migrations(MIGRATIONS, _VERSIONS)

    def setup(self, require_transactions: bool = False, shard: bool = False) -> Plan[None]:
        """Run the missing migrations; if there are none, this only reads.

        Args:
            require_transactions: refuse a standalone server, which has no transactions.
            shard: shard the collection by thread, on a sharded cluster.

        Raises:
            UnsupportedServerError: the server is standalone, and transactions are required.
        """
        deployment = yield from server()
        if not deployment.has_transactions:
            if require_transactions:
                raise UnsupportedServerError(STANDALONE)
            logger.warning(STANDALONE)
        _, missing = yield from migrations(MIGRATIONS, _VERSIONS)
        if missing:
            yield CreateIndexes(INDEXES)
            for migration in missing:
                where = {"_id": migration.number}
                noted = {**where, "applied_at": self._logs.clock()}
                yield from write_all([Op(where, noted, upsert=True)], collection=MIGRATIONS)
        if shard:
            yield Shard(_SHARD_KEY)
