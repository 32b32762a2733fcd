"""Creating indexes, once; and changing what earlier versions made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from checkpoint_base.migrate import Migration, pending
from checkpoint_base.plan import Plan
from checkpoint_mongo.keys import PLACES, RECENT
from checkpoint_mongo.log import Logs
from checkpoint_mongo.requests import (
    MIGRATIONS,
    CreateIndexes,
    DropIndexes,
    Index,
    Op,
    documents,
    write_all,
)

INDEXES: Final[Sequence[Index]] = (
    Index((("thread_id", 1), ("key", 1)), unique=True),
    Index((("ref", 1),), sparse=True),
    Index((("seek", 1),), sparse=True),
    Index((("tag", 1),), sparse=True),
)

OBSOLETE: Final = frozenset(
    f"{name}_1" for name in ("place", "recent", "run_id", "expires_at", "open_at")
)
"""Indexes of version 1, each of which every put paid for."""

_VERSIONS: Final = (1, 2)


def _found_by(letter: str, field: str, tag: str) -> Op:
    """Documents of version 1, with the fields of version 2."""
    seek = {"$concat": [f"{letter}\0", f"${field}"]}
    changed = {"seek": seek, "tag": {"$ifNull": [tag, "$$REMOVE"]}}
    where = {field: {"$exists": True}}
    return Op(where, [{"$set": changed}, {"$unset": [field, "run_id"]}], many=True)


_RENAMED: Final = (
    _found_by(RECENT, "recent", "$expires_at"),
    _found_by(PLACES, "place", "$run_id"),
)


class Setup:
    """The plan of `setup`."""

    _logs: Logs

    def setup(self) -> Plan[None]:
        """Create what is missing; only reads when there is nothing to do. Creating an index that
        somebody else is creating waits for it.
        """
        applied = yield from documents([{"$project": {"_id": 1}}], MIGRATIONS)
        numbers = {one["_id"] for one in applied}
        known = [Migration(number, "") for number in _VERSIONS]
        missing = pending(known, numbers, "this MongoDB database")
        if not missing:
            return
        yield CreateIndexes(INDEXES)
        if numbers:
            yield from write_all(_RENAMED)
            yield DropIndexes(OBSOLETE)
        for migration in missing:
            noted = {"_id": migration.number, "applied_at": self._logs.clock()}
            where = {"_id": migration.number}
            yield from write_all([Op(where, noted, upsert=True)], collection=MIGRATIONS)
