"""The methods of savers on whole threads: list, find, count and delete them, and sweep them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from typing_extensions import TypedDict, Unpack

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.plan import Plan
from checkpoint_base.saver.codec.checkpoints import Codec
from checkpoint_base.saver.config import text
from checkpoint_base.saver.planner import FindingPlanner, ThreadPlanner, ThreadQuery
from checkpoint_base.saver.records.kinds import OpenInterrupt, Stats, ThreadPage
from checkpoint_base.saver.threads.finding import (
    FIRST_LOOK,
    LOOKED_AT,
    ThreadFilter,
    ThreadStatus,
    count_threads,
    delete_threads,
    find_interrupts,
    find_threads,
)
from checkpoint_base.saver.ttl.sweeper import SweepMixin


class ThreadWindow(TypedDict, total=False):
    """Conditions on threads that need no checkpoint.

    Attributes:
        prefix: only thread ids that start with this.
        updated_before: only threads last written before this time. Naive times are local.
        updated_after: only threads last written after this time.
    """

    prefix: str
    updated_before: datetime | None
    updated_after: datetime | None


class InterruptConditions(ThreadWindow, total=False):
    """Conditions on the threads whose questions are read: a `ThreadWindow`, and metadata.

    Attributes:
        filter: only threads whose newest checkpoint in the root namespace has these metadata
            entries, compared as `list(filter=)` compares them.
    """

    filter: Mapping[str, Any] | None


class ThreadConditions(InterruptConditions, total=False):
    """Conditions on threads: `InterruptConditions`, and a status.

    Attributes:
        status: only threads of this status. `"interrupted"`: a task of the newest checkpoint waits
            for an answer (it has an interrupt and no output); `"error"`: a task has failed;
            `"idle"`: neither. A static breakpoint stores nothing and is idle.
    """

    status: ThreadStatus | None


class ThreadAdminMixin(SweepMixin):
    """`list_threads`, `stats`, and the TTL sweep."""

    if TYPE_CHECKING:
        _planner: Any

        @property
        def _codec(self) -> Codec: ...

    @property
    def _keeping(self) -> ThreadPlanner:
        planner: ThreadPlanner = self._planner
        return planner

    def list_threads(
        self, *, limit: int = 100, cursor: str | None = None, **window: Unpack[ThreadWindow]
    ) -> ThreadPage:
        """A page of the unexpired threads, most recently updated first.

        Args:
            limit: maximum number of threads.
            cursor: the `cursor` of the previous page; None: the first page.
            window: see `ThreadWindow`.

        Raises:
            InvalidArgumentError: the cursor is not one that this method returned.
        """
        return self._drive(self._keeping.list_threads(_query(limit, cursor, **window)))

    async def alist_threads(
        self, *, limit: int = 100, cursor: str | None = None, **window: Unpack[ThreadWindow]
    ) -> ThreadPage:
        """`list_threads`, without blocking."""
        return await self._adrive(self._keeping.list_threads(_query(limit, cursor, **window)))

    def stats(self, thread_id: str | None = None) -> Stats:
        """Count the stored records and bytes of one thread, or of all."""
        return self._drive(self._keeping.stats(_optional(thread_id)))

    async def astats(self, thread_id: str | None = None) -> Stats:
        """`stats`, without blocking."""
        return await self._adrive(self._keeping.stats(_optional(thread_id)))

    def _sweep(self) -> Plan[int]:
        return self._keeping.sweep(self._codec)


class FindThreadsMixin(ThreadAdminMixin):
    """`list_threads`, `count_threads`, `interrupts` and `delete_threads`, by the metadata and the
    status of each thread's newest checkpoint in the root namespace.

    All of them look at the threads that the prefix and the times select, the last updated first:
    neither metadata nor status has an index.
    """

    @property
    def _finding(self) -> FindingPlanner:
        planner: FindingPlanner = self._planner
        return planner

    def list_threads(
        self,
        *,
        order_by: Literal["updated_at"] = "updated_at",
        limit: int = 100,
        cursor: str | None = None,
        **conditions: Unpack[ThreadConditions],
    ) -> ThreadPage:
        """A page of the unexpired threads, most recently updated first.

        Args:
            order_by: `"updated_at"`, which is the only order.
            limit: maximum number of threads.
            cursor: the `cursor` of the previous page; None: the first page.
            conditions: see `ThreadConditions`.

        Raises:
            InvalidArgumentError: an argument is invalid, or the cursor is not one that this method
                returned.
        """
        return self._drive(self._listed(order_by, limit, cursor, **conditions))

    async def alist_threads(
        self,
        *,
        order_by: Literal["updated_at"] = "updated_at",
        limit: int = 100,
        cursor: str | None = None,
        **conditions: Unpack[ThreadConditions],
    ) -> ThreadPage:
        """`list_threads`, without blocking."""
        return await self._adrive(self._listed(order_by, limit, cursor, **conditions))

    def _listed(
        self,
        order_by: str,
        limit: int,
        cursor: str | None,
        **conditions: Unpack[ThreadConditions],
    ) -> Plan[ThreadPage]:
        if order_by != "updated_at":
            raise InvalidArgumentError(f"order_by: wanted 'updated_at', got {order_by!r}")
        query, wanted = _selected(limit, cursor, **conditions)
        return find_threads(self._finding, self._codec, query, wanted)

    def count_threads(self, **conditions: Unpack[ThreadConditions]) -> int:
        """Count the threads that `list_threads` lists for these conditions."""
        return self._drive(self._counted(**conditions))

    async def acount_threads(self, **conditions: Unpack[ThreadConditions]) -> int:
        """`count_threads`, without blocking."""
        return await self._adrive(self._counted(**conditions))

    def _counted(self, **conditions: Unpack[ThreadConditions]) -> Plan[int]:
        return count_threads(self._finding, self._codec, *_selected(LOOKED_AT, None, **conditions))

    def interrupts(
        self, *, limit: int | None = None, **conditions: Unpack[InterruptConditions]
    ) -> Iterator[OpenInterrupt]:
        """The questions that wait for a person's answer, those of the last updated thread first.

        Reads some threads at a time, and holds neither a lock nor a connection in between. The
        values of channels are not read.

        Args:
            limit: maximum number of questions; None: all.
            conditions: see `InterruptConditions`.

        Raises:
            InvalidArgumentError: an argument is invalid.
            UnreadableValueError: the serializer cannot rebuild a question; see `on_unreadable`.
        """
        rest, wanted = _first(limit, **conditions)
        while rest is not None:
            plan = find_interrupts(self._finding, self._codec, rest, wanted)
            found, cursor = self._drive(plan)
            yield from found[:limit]
            limit, rest = _next(rest, limit, len(found), cursor)

    async def ainterrupts(
        self, *, limit: int | None = None, **conditions: Unpack[InterruptConditions]
    ) -> AsyncIterator[OpenInterrupt]:
        """`interrupts`, without blocking."""
        rest, wanted = _first(limit, **conditions)
        while rest is not None:
            plan = find_interrupts(self._finding, self._codec, rest, wanted)
            found, cursor = await self._adrive(plan)
            for question in found[:limit]:
                yield question
            limit, rest = _next(rest, limit, len(found), cursor)

    def delete_threads(
        self, *, dry_run: bool = False, **conditions: Unpack[ThreadConditions]
    ) -> int:
        """Delete the threads that `list_threads` lists for these conditions, each by itself.

        A thread that is written to meanwhile may be missed: call again until the result is 0.

        Args:
            dry_run: count the threads, and delete none.
            conditions: see `ThreadConditions`. At least one must be given.

        Returns:
            The number of threads.

        Raises:
            InvalidArgumentError: an argument is invalid, or no condition is given.
        """
        return self._drive(self._deleted(dry_run, **conditions))

    async def adelete_threads(
        self, *, dry_run: bool = False, **conditions: Unpack[ThreadConditions]
    ) -> int:
        """`delete_threads`, without blocking."""
        return await self._adrive(self._deleted(dry_run, **conditions))

    def _deleted(self, dry_run: bool, **conditions: Unpack[ThreadConditions]) -> Plan[int]:
        query, wanted = _selected(LOOKED_AT, None, **conditions)
        return delete_threads(self._finding, self._codec, query, wanted, dry_run=dry_run)


def _query(
    limit: int,
    cursor: str | None,
    *,
    prefix: str = "",
    updated_before: datetime | None = None,
    updated_after: datetime | None = None,
) -> ThreadQuery:
    return ThreadQuery.of(prefix, updated_before, updated_after, limit, cursor)


def _selected(
    limit: int,
    cursor: str | None,
    *,
    filter: Mapping[str, Any] | None = None,
    status: ThreadStatus | None = None,
    **window: Unpack[ThreadWindow],
) -> tuple[ThreadQuery, ThreadFilter]:
    return _query(limit, cursor, **window), ThreadFilter.of(filter, status)


def _first(
    limit: int | None, **conditions: Unpack[InterruptConditions]
) -> tuple[ThreadQuery | None, ThreadFilter]:
    """The threads whose questions `interrupts` reads first; None: none is wanted."""
    most = 1 if limit is None else limit
    query, wanted = _selected(most, None, status="interrupted", **conditions)
    return (replace(query, limit=FIRST_LOOK) if most > 0 else None), wanted


def _next(
    query: ThreadQuery, limit: int | None, found: int, cursor: str | None
) -> tuple[int | None, ThreadQuery | None]:
    """How many questions are still wanted, and the threads to read them of (None: the end)."""
    left = None if limit is None else max(limit - found, 0)
    return left, None if cursor is None or left == 0 else replace(query, cursor=cursor)


def _optional(thread_id: str | None) -> str | None:
    return None if thread_id is None else text("thread_id", thread_id)
