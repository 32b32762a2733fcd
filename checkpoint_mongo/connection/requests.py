"""The requests of plans on MongoDB, independent of PyMongo."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar

from checkpoint_base.plan import Atomic, Plan

P = ParamSpec("P")
T = TypeVar("T")
Document = Mapping[str, Any]
Stages = Sequence[Mapping[str, Any]]

RECORDS: Final = "saver_records"
MIGRATIONS: Final = "saver_migrations"
LEASES: Final = "saver_leases"
ITEMS: Final = "store_items"
STORE_MIGRATIONS: Final = "store_migrations"


SHARDED: Final = "sharded cluster"


class RefusedError(Exception):
    """A write was prepared for another state of the thread, and its transaction was aborted. The
    planner reads the state and retries; the caller of a saver never gets this error.
    """


@dataclass(frozen=True)
class ThreadTransaction(Atomic[T]):
    """Request: a transaction that writes to one thread. A lock of the process runs those on one
    thread one after the other; otherwise they would conflict in the database and start over.
    """

    thread_id: str


class Aggregate(NamedTuple):
    """Request: run an aggregation pipeline; the reply is its documents."""

    stages: Stages
    collection: str = RECORDS


class Find(NamedTuple):
    """Request: find documents.

    Attributes:
        where: the filter.
        fields: the projection; None: all fields.
        collection: its name without prefix.
        sort: field -> 1 or -1; None: in no order.
        limit: how many documents; 0: all.
    """

    where: Document
    fields: Document | None = None
    collection: str = RECORDS
    sort: Document | None = None
    limit: int = 0

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of PyMongo's `find`."""
        sort = None if self.sort is None else list(self.sort.items())
        wanted = {"filter": self.where, "projection": self.fields, "sort": sort}
        return {**wanted, "limit": self.limit}


class Op(NamedTuple):
    """A change of documents.

    Attributes:
        where: the filter.
        what: None: delete all documents found; a document: replace the first one; operators or a
            pipeline: update the first one.
        upsert: insert a document if none is found.
        new: insert `what` if no document is found, and leave an existing one unchanged.
        fresh: insert `what`; refuse the change if the document exists.
    """

    where: Document
    what: Document | Stages | None = None
    upsert: bool = False
    new: bool = False
    fresh: bool = False


class Written(NamedTuple):
    """The result of changes."""

    made: frozenset[int]
    """numbers of the changes that inserted a document by upsert"""
    matched: int
    deleted: int

    def has_changed_all(self, count: int) -> bool:
        """Whether each of `count` updates has found its document, or inserted it."""
        return self.matched + len(self.made) == count

    def then(self, rest: Written | None) -> Written:
        """The result of this first change and the `rest` of the changes, as one."""
        if rest is None:
            return self
        made = self.made | {number + 1 for number in rest.made}
        return Written(made, self.matched + rest.matched, self.deleted + rest.deleted)


class Write(NamedTuple):
    """Request: make changes in this order; the reply is a `Written`. If a `fresh` document exists,
    the reply is None, and inside a transaction RefusedError is raised.

    Attributes:
        ops: the changes; consecutive ones of one kind are one command.
        collection: its name without prefix.
        guarded: raise RefusedError unless the first change, and in a transaction each change,
            finds or inserts its document.
    """

    ops: Sequence[Op]
    collection: str = RECORDS
    guarded: bool = False


class Deployment(NamedTuple):
    """Request: the server's version and topology, which each driver reads once."""


class Server(NamedTuple):
    """The reply to `Deployment`."""

    version: str
    topology: str
    """standalone, replica set or sharded cluster (`SHARDED`)"""
    pins_snapshots: bool = True
    """whether a snapshot session reads everything as of one moment"""

    @property
    def has_transactions(self) -> bool:
        """Whether the server has transactions of several documents."""
        return self.topology != "standalone"


class Index(NamedTuple):
    """An index of a collection."""

    fields: Sequence[tuple[str, int]]
    sparse: bool = False
    only: Document | None = None
    """partial index: the filter of the documents that it has"""
    name: str | None = None
    """None: PyMongo derives it from the fields"""


class CreateIndexes(NamedTuple):
    """Request: create the indexes that do not exist."""

    indexes: Sequence[Index]
    collection: str = RECORDS


class ListIndexes(NamedTuple):
    """Request: list the names of a collection's indexes."""

    collection: str = RECORDS


class DropIndex(NamedTuple):
    """Request: drop an index, if it exists."""

    name: str
    collection: str = RECORDS


class Shard(NamedTuple):
    """Request: shard a collection."""

    fields: Sequence[tuple[str, int]]
    collection: str = RECORDS


class Pause(NamedTuple):
    """Request: wait before attempt number `attempt`, longer each time."""

    attempt: int


def documents(stages: Stages, collection: str = RECORDS) -> Plan[list[dict[str, Any]]]:
    """The documents of a pipeline."""
    result: list[dict[str, Any]] = yield Aggregate(stages, collection)
    return result


def find(request: Find) -> Plan[list[dict[str, Any]]]:
    """The documents that a `find` returns."""
    result: list[dict[str, Any]] = yield request
    return result


def write_all(ops: Sequence[Op], *, collection: str = RECORDS) -> Plan[Written | None]:
    """Make changes; None: a `fresh` document exists."""
    written: Written | None = yield Write(ops, collection)
    return written


def write_guarded(ops: Sequence[Op]) -> Plan[Written]:
    """Make changes inside a transaction, if the first one finds its document.

    Raises:
        RefusedError: it does not, or a `fresh` document exists.
    """
    written: Written = yield Write(ops, guarded=True)
    return written


def write_thread(
    thread_id: str, make: Callable[P, Plan[T]], *args: P.args, **kwargs: P.kwargs
) -> Plan[T]:
    """Run the plan `make(*args)` as one transaction that writes to a thread."""
    work = partial(make, *args, **kwargs)
    result: T = yield ThreadTransaction(work, write=True, thread_id=thread_id)
    return result


def server() -> Plan[Server]:
    """The server's version and topology."""
    result: Server = yield Deployment()
    return result


def pause(attempt: int) -> Plan[None]:
    """Wait, so that other writers can finish."""
    yield Pause(attempt)
