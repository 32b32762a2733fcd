"""What this backend's plans ask of its drivers, in terms of no driver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from checkpoint_base.plan import Plan

Document = Mapping[str, Any]
Stages = Sequence[Mapping[str, Any]]

RECORDS: Final = "saver_records"
MIGRATIONS: Final = "saver_migrations"
ITEMS: Final = "store_items"
STORE_MIGRATIONS: Final = "store_migrations"


class Aggregate(NamedTuple):
    """Request: the reply is the documents of a pipeline."""

    stages: Stages
    collection: str = RECORDS


class Op(NamedTuple):
    """A change of documents: all that `where` finds are deleted, if `what` is None; else the first
    one (or all of them, if `many`) is replaced by it, or changed, if it is a pipeline. If it is
    `new`, one that is there stays as it is.
    """

    where: Document
    what: Document | Stages | None = None
    upsert: bool = False
    many: bool = False
    new: bool = False


class Written(NamedTuple):
    """What became of some changes."""

    made: frozenset[int]
    """which of them made a document that was not there"""
    matched: int
    deleted: int


class Write(NamedTuple):
    """Request: changes, in this order; the reply is a `Written`, or None if one was refused, and
    with it all that follow.

    Attributes:
        ops: changes of one kind are one command.
        whole: in a transaction of their own.
        collection: where.
    """

    ops: Sequence[Op]
    whole: bool = False
    collection: str = RECORDS


class Deployment(NamedTuple):
    """Request: what the server is; asked once for a driver."""


class Server(NamedTuple):
    """The reply to `Deployment`."""

    version: str
    topology: str
    """standalone, replica set or sharded cluster"""

    @property
    def has_transactions(self) -> bool:
        """Whether several documents can be changed as one."""
        return self.topology != "standalone"


class Index(NamedTuple):
    """An index of a collection."""

    fields: Sequence[tuple[str, int]]
    unique: bool = False
    sparse: bool = False


class CreateIndexes(NamedTuple):
    """Request: indexes, unless they are there."""

    indexes: Sequence[Index]
    collection: str = RECORDS


class CreateSearchIndex(NamedTuple):
    """Request: begin to build an index of type `vectorSearch`."""

    name: str
    definition: Document
    collection: str


class Unsupported(NamedTuple):
    """The reply to a `Probe` of what a server does not do."""

    why: str


class Probe(NamedTuple):
    """Request: another one that not every server knows; the reply is its own, or `Unsupported`."""

    request: Aggregate | CreateSearchIndex


class Wait(NamedTuple):
    """Request: let some seconds pass."""

    seconds: float


class DropIndexes(NamedTuple):
    """Request: remove indexes, those that are there."""

    names: frozenset[str]


class RefusedError(Exception):
    """Somebody else writes to the thread. It never reaches the caller of a saver."""


class Pause(NamedTuple):
    """Request: wait a little, longer each time."""

    attempt: int


def documents(stages: Stages, collection: str = RECORDS) -> Plan[list[dict[str, Any]]]:
    """The documents of a pipeline."""
    found: list[dict[str, Any]] = yield Aggregate(stages, collection)
    return found


def write_all(
    ops: Sequence[Op], *, whole: bool = False, collection: str = RECORDS
) -> Plan[Written | None]:
    """Make changes; None if one was refused."""
    written: Written | None = yield Write(ops, whole, collection)
    return written


def server() -> Plan[Server]:
    """What the server is."""
    found: Server = yield Deployment()
    return found


def pause(attempt: int) -> Plan[None]:
    """Wait for others to get done."""
    yield Pause(attempt)
