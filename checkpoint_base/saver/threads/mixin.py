"""The methods of savers on whole threads: list, find, count and delete them, and sweep them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

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
        self,
        *,
        prefix: str = "",
        updated_before: datetime | None = None,
        updated_after: datetime | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> ThreadPage:
        """A page of the unexpired threads, most recently updated first.

        Args:
            prefix: only thread ids that start with this.
            updated_before: only threads last written before this time. Naive times are local.
            updated_after: only threads last written after this time.
            limit: maximum number of threads.
            cursor: the `cursor` of the previous page; None: the first page.

        Raises:
            InvalidArgumentError: the cursor is not one that this method returned.
        """
        query = ThreadQuery.of(prefix, updated_before, updated_after, limit, cursor)
        return self._drive(self._keeping.list_threads(query))

    async def alist_threads(
        self,
        *,
        prefix: str = "",
        updated_before: datetime | None = None,
        updated_after: datetime | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> ThreadPage:
        """`list_threads`, without blocking."""
        query = ThreadQuery.of(prefix, updated_before, updated_after, limit, cursor)
        return await self._adrive(self._keeping.list_threads(query))

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
        filter: Mapping[str, Any] | None = None,
        status: ThreadStatus | None = None,
        prefix: str = "",
        updated_before: datetime | None = None,
        updated_after: datetime | None = None,
        order_by: Literal["updated_at"] = "updated_at",
        limit: int = 100,
        cursor: str | None = None,
    ) -> ThreadPage:
        """A page of the unexpired threads, most recently updated first.

        Args:
            filter: only threads whose newest checkpoint in the root namespace has these metadata
                entries, compared as `list(filter=)` compares them.
            status: only threads of this status. `"interrupted"`: a task of the newest checkpoint
                waits for an answer (it has an interrupt and no output); `"error"`: a task has
                failed; `"idle"`: neither. A static breakpoint stores nothing and is idle.
            prefix: only thread ids that start with this.
            updated_before: only threads last written before this time. Naive times are local.
            updated_after: only threads last written after this time.
            order_by: `"updated_at"`, which is the only order.
            limit: maximum number of threads.
            cursor: the `cursor` of the previous page; None: the first page.

        Raises:
            InvalidArgumentError: an argument is invalid, or the cursor is not one that this method
                returned.
        """
        query = _ordered(order_by, prefix, updated_before, updated_after, limit, cursor)
        wanted = ThreadFilter.of(filter, status)
        return self._drive(find_threads(self._finding, self._codec, query, wanted))

    async def alist_threads(
        self,
        *,
        filter: Mapping[str, Any] | None = None,
        status: ThreadStatus | None = None,
        prefix: str = "",
        updated_before: datetime | None = None,
        updated_after: datetime | None = None,
        order_by: Literal["updated_at"] = "updated_at",
        limit: int = 100,
        cursor: str | None = None,
    ) -> ThreadPage:
        """`list_threads`, without blocking."""
        query = _ordered(order_by, prefix, updated_before, updated_after, limit, cursor)
        wanted = ThreadFilter.of(filter, status)
        return await self._adrive(find_threads(self._finding, self._codec, query, wanted))

    def count_threads(
        self,
        *,
        filter: Mapping[str, Any] | None = None,
        status: ThreadStatus | None = None,
        prefix: str = "",
        updated_before: datetime | None = None,
        updated_after: datetime | None = None,
    ) -> int:
        """Count the threads that `list_threads` lists for these arguments."""
        query = ThreadQuery.of(prefix, updated_before, updated_after, LOOKED_AT, None)
        wanted = ThreadFilter.of(filter, status)
        return self._drive(count_threads(self._finding, self._codec, query, wanted))

    async def acount_threads(
        self,
        *,
        filter: Mapping[str, Any] | None = None,
        status: ThreadStatus | None = None,
        prefix: str = "",
        updated_before: datetime | None = None,
        updated_after: datetime | None = None,
    ) -> int:
        """`count_threads`, without blocking."""
        query = ThreadQuery.of(prefix, updated_before, updated_after, LOOKED_AT, None)
        wanted = ThreadFilter.of(filter, status)
        return await self._adrive(count_threads(self._finding, self._codec, query, wanted))

    def interrupts(
        self,
        *,
        filter: Mapping[str, Any] | None = None,
        prefix: str = "",
        updated_before: datetime | None = None,
        updated_after: datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[OpenInterrupt]:
        """The questions that wait for a person's answer, those of the last updated thread first.

        Reads some threads at a time, and holds neither a lock nor a connection in between. The
        values of channels are not read.

        Args:
            filter: as for `list_threads`, and so are the next three.
            prefix: see `filter`.
            updated_before: see `filter`.
            updated_after: see `filter`.
            limit: maximum number of questions; None: all.

        Raises:
            InvalidArgumentError: an argument is invalid.
            UnreadableValueError: the serializer cannot rebuild a question; see `on_unreadable`.
        """
        wanted = ThreadFilter.of(filter, "interrupted")
        rest = _first(prefix, updated_before, updated_after, limit)
        while rest is not None:
            plan = find_interrupts(self._finding, self._codec, rest, wanted)
            found, cursor = self._drive(plan)
            yield from found[:limit]
            limit, rest = _next(rest, limit, len(found), cursor)

    async def ainterrupts(
        self,
        *,
        filter: Mapping[str, Any] | None = None,
        prefix: str = "",
        updated_before: datetime | None = None,
        updated_after: datetime | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[OpenInterrupt]:
        """`interrupts`, without blocking."""
        wanted = ThreadFilter.of(filter, "interrupted")
        rest = _first(prefix, updated_before, updated_after, limit)
        while rest is not None:
            plan = find_interrupts(self._finding, self._codec, rest, wanted)
            found, cursor = await self._adrive(plan)
            for question in found[:limit]:
                yield question
            limit, rest = _next(rest, limit, len(found), cursor)

    def delete_threads(
        self,
        *,
        filter: Mapping[str, Any] | None = None,
        status: ThreadStatus | None = None,
        prefix: str = "",
        updated_before: datetime | None = None,
        updated_after: datetime | None = None,
        dry_run: bool = False,
    ) -> int:
        """Delete the threads that `list_threads` lists for these arguments, each by itself.

        A thread that is written to meanwhile may be missed: call again until the result is 0.

        Args:
            filter: as for `list_threads`, and so are `status`, `prefix`, `updated_before`,
                `updated_after`. At least one must be given.
            status: see `filter`.
            prefix: see `filter`.
            updated_before: see `filter`.
            updated_after: see `filter`.
            dry_run: count the threads, and delete none.

        Returns:
            The number of threads.

        Raises:
            InvalidArgumentError: an argument is invalid, or no condition is given.
        """
        query = ThreadQuery.of(prefix, updated_before, updated_after, LOOKED_AT, None)
        wanted = ThreadFilter.of(filter, status)
        plan = delete_threads(self._finding, self._codec, query, wanted, dry_run=dry_run)
        return self._drive(plan)

    async def adelete_threads(
        self,
        *,
        filter: Mapping[str, Any] | None = None,
        status: ThreadStatus | None = None,
        prefix: str = "",
        updated_before: datetime | None = None,
        updated_after: datetime | None = None,
        dry_run: bool = False,
    ) -> int:
        """`delete_threads`, without blocking."""
        query = ThreadQuery.of(prefix, updated_before, updated_after, LOOKED_AT, None)
        wanted = ThreadFilter.of(filter, status)
        plan = delete_threads(self._finding, self._codec, query, wanted, dry_run=dry_run)
        return await self._adrive(plan)


def _ordered(order_by: str, *args: Any) -> ThreadQuery:
    if order_by != "updated_at":
        raise InvalidArgumentError(f"order_by: wanted 'updated_at', got {order_by!r}")
    return ThreadQuery.of(*args)


def _first(
    prefix: str, before: datetime | None, after: datetime | None, limit: int | None
) -> ThreadQuery | None:
    """The threads whose questions `interrupts` reads first; None: none is wanted."""
    query = ThreadQuery.of(prefix, before, after, 1 if limit is None else limit, None)
    return replace(query, limit=FIRST_LOOK) if query.limit > 0 else None


def _next(
    query: ThreadQuery, limit: int | None, found: int, cursor: str | None
) -> tuple[int | None, ThreadQuery | None]:
    """How many questions are still wanted, and the threads to read them of (None: the end)."""
    left = None if limit is None else max(limit - found, 0)
    return left, None if cursor is None or left == 0 else replace(query, cursor=cursor)


def _optional(thread_id: str | None) -> str | None:
    return None if thread_id is None else text("thread_id", thread_id)
