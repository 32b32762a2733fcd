"""Creating indexes, once; and changing what earlier versions made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from checkpoint_base.errors import NotSetUpError
from checkpoint_base.migrate import Migration, pending
from checkpoint_base.plan import Plan
from checkpoint_mongo.documents import REFS_OF_VALUES
from checkpoint_mongo.keys import PLACES, RECENT, THREAD, ref_of_thread, under
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

_VERSIONS: Final = (1, 2, 3)
_THREADS_AT_ONCE: Final = 1000


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


_REFS_OF_CHECKPOINTS: Final = Op(
    {"seek": under(PLACES)},
    [
        {"$set": {"ref": {"$cond": [{"$isArray": "$values"}, REFS_OF_VALUES, "$$REMOVE"]}}},
        {"$unset": "refs"},
    ],
    many=True,
)
"""Documents of version 2, whose checkpoints had a ref of their own and a list of others."""


def migrations(
    collection: str, versions: Iterable[int]
) -> Plan[tuple[set[int], Sequence[Migration]]]:
    """The numbers of the migrations that a collection notes, and those still to be run.

    Raises:
        SchemaVersionError: one is newer than this library.
    """
    applied = yield from documents([{"$project": {"_id": 1}}], collection)
    numbers = {one["_id"] for one in applied}
    known = [Migration(number, "") for number in versions]
    return numbers, pending(known, numbers, "this MongoDB database")


def expect_migrations(collection: str, versions: Iterable[int]) -> Plan[None]:
    """Look whether `setup` was ever called. What an older version has set up will do.

    Raises:
        NotSetUpError: it was not.
        SchemaVersionError: a newer version of this library has called it.
    """
    numbers, _ = yield from migrations(collection, versions)
    if not numbers:
        raise NotSetUpError("this MongoDB database was never set up, call setup() once")


class Setup:
    """The plan of `setup`."""

    _logs: Logs
    is_set_up = False

    def expect_setup(self) -> Plan[None]:
        """Look for the record of migrations."""
        yield from expect_migrations(MIGRATIONS, _VERSIONS)

    def setup(self) -> Plan[None]:
        """Create what is missing; only reads when there is nothing to do. Creating an index that
        somebody else is creating waits for it.
        """
        numbers, missing = yield from migrations(MIGRATIONS, _VERSIONS)
        if not missing:
            return
        yield CreateIndexes(INDEXES)
        if 2 not in numbers and numbers:
            yield from write_all(_RENAMED)
            yield DropIndexes(OBSOLETE)
        if numbers:
            yield from write_all([_REFS_OF_CHECKPOINTS])
            yield from self._name_threads()
        for migration in missing:
            noted = {"_id": migration.number, "applied_at": self._logs.clock()}
            where = {"_id": migration.number}
            yield from write_all([Op(where, noted, upsert=True)], collection=MIGRATIONS)

    def _name_threads(self) -> Plan[None]:
        """Give threads a ref that is behind all others."""
        recent, only = {"$match": {"seek": under(RECENT)}}, {"$project": {"_id": 0, "thread_id": 1}}
        found = yield from documents([recent, only])
        names = [one["thread_id"] for one in found]
        for at in range(0, len(names), _THREADS_AT_ONCE):
            yield from write_all(
                [
                    Op({"thread_id": name, "key": THREAD}, [{"$set": {"ref": ref_of_thread(name)}}])
                    for name in names[at : at + _THREADS_AT_ONCE]
                ]
            )
