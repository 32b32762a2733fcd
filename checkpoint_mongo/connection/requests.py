"""What this backend's plans ask of its drivers, in terms of no driver."""

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
ITEMS: Final = "store_items"
STORE_MIGRATIONS: Final = "store_migrations"


SHARDED: Final = "sharded cluster"


class RefusedError(Exception):
    """A write found another state than it was prepared for, and its transaction was aborted. The
    planner looks and tries again: this never reaches the caller of a saver.
    """


@dataclass(frozen=True)
class ThreadTransaction(Atomic[T]):
    """Request: a transaction that writes to one thread. Those of one process take turns: in the
    database they would conflict, and all but one would have to start over.
    """

    thread_id: str


class Aggregate(NamedTuple):
    """Request: the reply is the documents of a pipeline."""

    stages: Stages
    collection: str = RECORDS


class Find(NamedTuple):
    """Request: the reply is these fields of the documents that `where` finds, in an order; the
    first `limit` of them, or all. `fields` None: all fields.
    """

    where: Document
    fields: Document | None = None
    collection: str = RECORDS
    sort: Document | None = None
    limit: int = 0

    @property
    def options(self) -> dict[str, Any]:
        """As PyMongo calls them."""
        sort = None if self.sort is None else list(self.sort.items())
        wanted = {"filter": self.where, "projection": self.fields, "sort": sort}
        return {**wanted, "limit": self.limit}


class Op(NamedTuple):
    """A change of documents: all that `where` finds are deleted, if `what` is None; else the first
    one is replaced by it, or changed, if it has operators or is a pipeline. If it is `new`, one
    that is there stays as it is; if it is `fresh`, it is refused where one is.
    """

    where: Document
    what: Document | Stages | None = None
    upsert: bool = False
    new: bool = False
    fresh: bool = False


class Written(NamedTuple):
    """What became of some changes."""

    made: frozenset[int]
    """which of them made a document that was not there"""
    matched: int
    deleted: int

    def has_changed_all(self, count: int) -> bool:
        """Whether each of so many updates has found its document, or made it."""
        return self.matched + len(self.made) == count

    def then(self, rest: Written | None) -> Written:
        """This first change, and the rest of the changes behind it."""
        if rest is None:
            return self
        made = self.made | {number + 1 for number in rest.made}
        return Written(made, self.matched + rest.matched, self.deleted + rest.deleted)


class Write(NamedTuple):
    """Request: changes, in this order; the reply is a `Written`. Where a document is there that
    should be new, the reply is None; in a transaction, a RefusedError.

    Attributes:
        ops: changes of one kind are one command.
        collection: where.
        guarded: all are refused, unless the first one changes a document.
    """

    ops: Sequence[Op]
    collection: str = RECORDS
    guarded: bool = False


class Deployment(NamedTuple):
    """Request: what the server is; asked once for a driver."""


class Server(NamedTuple):
    """The reply to `Deployment`."""

    version: str
    topology: str
    """standalone, replica set or sharded cluster (`SHARDED`)"""
    pins_snapshots: bool = True
    """whether a snapshot session reads all at one moment, as MongoDB documents it"""

    @property
    def has_transactions(self) -> bool:
        """Whether several documents can be changed as one."""
        return self.topology != "standalone"


class Index(NamedTuple):
    """An index of a collection."""

    fields: Sequence[tuple[str, int]]
    sparse: bool = False
    only: Document | None = None
    """only of documents that match: a partial index"""
    name: str | None = None
    """None: as the server calls it"""


class CreateIndexes(NamedTuple):
    """Request: indexes, unless they are there."""

    indexes: Sequence[Index]
    collection: str = RECORDS


class ListIndexes(NamedTuple):
    """Request: the reply is the names of the indexes that a collection has."""

    collection: str = RECORDS


class DropIndex(NamedTuple):
    """Request: drop an index, if it is there."""

    name: str
    collection: str = RECORDS


class Shard(NamedTuple):
    """Request: shard a collection."""

    fields: Sequence[tuple[str, int]]
    collection: str = RECORDS


class Pause(NamedTuple):
    """Request: wait a little, longer each time."""

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
    """Make changes; None if one was refused."""
    written: Written | None = yield Write(ops, collection)
    return written


def write_guarded(ops: Sequence[Op]) -> Plan[Written]:
    """Make changes in a transaction, if the first one finds its document.

    Raises:
        RefusedError: it does not, or a document is there that should be new.
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
    """What the server is."""
    result: Server = yield Deployment()
    return result


def pause(attempt: int) -> Plan[None]:
    """Let other writers finish."""
    yield Pause(attempt)
