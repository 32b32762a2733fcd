"""What this backend's plans ask of its drivers, in terms of no driver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from checkpoint_base.errors import BackendUnavailableError
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


class Find(NamedTuple):
    """Request: the reply is these fields of the documents that `where` finds, in an order; `limit`
    of them behind the first `skip`, or all.
    """

    where: Document
    fields: Document
    collection: str
    sort: Document | None = None
    skip: int = 0
    limit: int = 0

    @property
    def options(self) -> dict[str, Any]:
        """As PyMongo calls them."""
        sort = None if self.sort is None else list(self.sort.items())
        found = {"filter": self.where, "projection": self.fields, "sort": sort}
        return {**found, "skip": self.skip, "limit": self.limit}


class Named(NamedTuple):
    """Request: the reply is the documents of some threads that have one of these refs, as they lie
    in that index. What carries a value comes whole: what it has besides is little.
    """

    refs: Sequence[bytes]
    thread_ids: Sequence[str]

    @property
    def alone(self) -> Aggregate:
        """What asks for them."""
        refs, thread_ids = list(self.refs), list(self.thread_ids)
        return Aggregate(
            [{"$match": {"ref": {"$in": refs}}}, {"$match": {"thread_id": {"$in": thread_ids}}}]
        )


class Op(NamedTuple):
    """A change of documents: all that `where` finds are deleted, if `what` is None; else the first
    one is replaced by it, or changed, if it has `$set` or is a pipeline (all of them, if `many`).
    If it is `new`, one that is there stays as it is; if it is `fresh`, it is refused where one is.
    """

    where: Document
    what: Document | Stages | None = None
    upsert: bool = False
    many: bool = False
    new: bool = False
    fresh: bool = False


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


class Clock(NamedTuple):
    """A thread's time to live: minutes for this run, minutes of the saver."""

    now: float
    ttl: float | None
    default: float | None

    @property
    def expires_at(self) -> Any:
        """The field `expires_at`."""
        if self.ttl is not None:
            return self.now + self.ttl * 60
        minutes = {"$ifNull": ["$ttl_override", self.default]}
        return {"$ifNull": [{"$add": [self.now, {"$multiply": [minutes, 60]}]}, "$$REMOVE"]}


AHEAD: Final = 2.0
"""Seconds by which a thread that never expires may be said to have been written to later than it
was: so long it need not be changed again.
"""


class Add(NamedTuple):
    """Request: a new document of a thread, and then what moves the thread's clock, which must be
    there. The reply is whether both was done; if not, there may be the document.

    Attributes:
        new: makes the document.
        touch: moves the clock.
        clock: what it is moved to.
        horizon: a thread that expires by then is absent.
        epoch: that the thread must have; None: any.
    """

    new: Op
    touch: Op
    clock: Clock
    horizon: float
    epoch: int | None = None

    @property
    def alone(self) -> Write:
        """The changes."""
        return Write([self.new, self.touch])

    def is_done(self, written: Written | None) -> bool:
        """Whether that is what the changes did."""
        return written is not None and 0 in written.made and written.matched == 1

    @property
    def thread_id(self) -> str:
        """Whose document."""
        name: str = self.new.where["thread_id"]
        return name

    @property
    def document(self) -> dict[str, Any]:
        """The document."""
        assert isinstance(self.new.what, Mapping)  # noqa: S101
        return {**self.new.where, **self.new.what}

    def is_kept_by(self, thread: Document | None) -> bool:
        """Whether its thread is there as it must be, and nobody removes anything of it."""
        if thread is None or thread.get("dead") or "held_at" in thread:
            return False
        if self.epoch is not None and thread["epoch"] != self.epoch:
            return False
        expires_at = thread.get("expires_at")
        return expires_at is None or expires_at > self.horizon

    def moving(self, thread: Document) -> Clock | None:
        """What the clock of a thread that was found has to be moved to."""
        now, ttl, default = self.clock
        if ttl is not None or default is not None or "expires_at" in thread:
            return self.clock
        is_ahead = now <= thread["updated_at"] <= now + AHEAD
        return None if is_ahead else Clock(now + AHEAD, ttl, default)


OF_THREADS: Final = ("thread_id", "updated_at", "expires_at", "dead", "held_at", "epoch")
"""What `Add` wants to know of threads."""


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


def named(refs: Sequence[bytes], thread_ids: Sequence[str]) -> Plan[list[dict[str, Any]]]:
    """The documents of some threads that have one of these refs."""
    found: list[dict[str, Any]] = yield Named(refs, thread_ids)
    return found


def find(request: Find) -> Plan[list[dict[str, Any]]]:
    """The documents that are there."""
    found: list[dict[str, Any]] = yield request
    return found


def write_all(
    ops: Sequence[Op], *, whole: bool = False, collection: str = RECORDS
) -> Plan[Written | None]:
    """Make changes; None if one was refused."""
    written: Written | None = yield Write(ops, whole, collection)
    return written


def add(request: Add) -> Plan[bool]:
    """Add a document; whether it was done."""
    done: bool = yield request
    return done


def server() -> Plan[Server]:
    """What the server is."""
    found: Server = yield Deployment()
    return found


def pause(attempt: int) -> Plan[None]:
    """Wait for others to get done."""
    yield Pause(attempt)


PATIENCE: Final = 2000
"""How often a thread is asked for that others write to: longer than one who died is waited for."""


def wait(attempt: int, thread_ids: Sequence[str]) -> Plan[None]:
    """Wait for others to get done with some threads.

    Raises:
        BackendUnavailableError: they do not.
    """
    if attempt > PATIENCE:
        raise BackendUnavailableError(
            f"threads {list(thread_ids)!r} are being written to all the time"
        )
    yield from pause(attempt)
