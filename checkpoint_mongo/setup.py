"""Creating indexes, once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from checkpoint_base.migrate import Migration, pending
from checkpoint_base.plan import Plan
from checkpoint_mongo.log import Logs
from checkpoint_mongo.requests import MIGRATIONS, CreateIndexes, Index, Op, documents, write_all

INDEXES: Final[dict[int, Sequence[Index]]] = {
    1: (
        Index((("thread_id", 1), ("key", 1)), unique=True),
        Index((("ref", 1),), sparse=True),
        Index((("place", 1),), sparse=True),
        Index((("recent", 1),), sparse=True),
        Index((("run_id", 1),), sparse=True),
        Index((("expires_at", 1),), sparse=True),
        Index((("open_at", 1),), sparse=True),
    ),
}
"""Migration -> the indexes that it creates. What was released never changes."""


def create(indexes: Sequence[Index]) -> Plan[None]:
    """Create indexes, unless they are there."""
    yield CreateIndexes(indexes)


class Setup:
    """The plan of `setup`."""

    _logs: Logs

    def setup(self) -> Plan[None]:
        """Create what is missing; only reads when there is nothing to do. Creating an index that
        somebody else is creating waits for it.
        """
        applied = yield from documents([{"$project": {"_id": 1}}], MIGRATIONS)
        known = [Migration(number, "") for number in INDEXES]
        numbers = {one["_id"] for one in applied}
        for migration in pending(known, numbers, "this MongoDB database"):
            yield from create(INDEXES[migration.number])
            noted = {"_id": migration.number, "applied_at": self._logs.clock()}
            where = {"_id": migration.number}
            yield from write_all([Op(where, noted, upsert=True)], collection=MIGRATIONS)
