"""`adopt`: copies threads from LangGraph's own tables in the same Postgres database."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.plan import Plan, in_callers_transaction, read, write
from checkpoint_base.saver.codec.checkpoints import Codec
from checkpoint_base.saver.config import text
from checkpoint_base.sql.requests import execute, rows
from checkpoint_postgres.migrate_from_langgraph.source import RowConflict
from checkpoint_postgres.migrate_from_langgraph.storing import Adopting, Task
from checkpoint_postgres.saver.statements import adopting

if TYPE_CHECKING:
    from checkpoint_postgres.saver.planner import PostgresPlanner

T = TypeVar("T")
_THREADS_AT_ONCE: Final = 200
_KNOWN_VERSION: Final = 9
"""The migration that LangGraph's own tables must have: since 2.0.22, and in all of 3.x."""


class Conflict(NamedTuple):
    """A thread that was not copied. It is unchanged in both places."""

    thread_id: str
    reason: str


class AdoptionProgress(NamedTuple):
    """The progress of `adopt`, after each committed page."""

    thread_id: str
    """the page's thread"""
    threads: int
    """threads that are done"""
    of: int
    """threads in all"""
    checkpoints: int
    """checkpoints copied so far"""


@dataclass
class Adopted:
    """The result of `adopt`.

    Attributes:
        threads: how many threads were copied or completed.
        unchanged: how many were copied before, and their originals have not changed since.
        checkpoints: how many checkpoints were copied.
        writes: how many pending writes were copied.
        conflicts: threads that were not copied, with the reason.
    """

    threads: int = 0
    unchanged: int = 0
    checkpoints: int = 0
    writes: int = 0
    conflicts: list[Conflict] = field(default_factory=list)


class Adoption:
    """The state of one call of `adopt`. `step` is the plan that copies the next page."""

    def __init__(
        self,
        planner: PostgresPlanner,
        codec: Codec,
        thread_ids: Sequence[str] | None,
        from_schema: str,
    ) -> None:
        logs, schema = planner.logs, planner.schema
        self.result = Adopted()
        self._queries = adopting(schema, from_schema)
        self._schema = from_schema
        self._adopting = Adopting(logs, self._queries, codec)
        self._all = thread_ids is None
        self._waiting = deque([text("thread_id", one) for one in thread_ids or ()])
        self._last: str | None = None  # of the threads listed
        self._total: int | None = None if self._all else len(self._waiting)
        self._done = 0
        self._looked = False
        self._task: Task | None = None

    def step(self) -> Plan[AdoptionProgress | None]:
        """Copy a page, or skip a thread that need not or cannot be copied. None: all are done."""
        if not self._looked:
            yield from read(self._look)
            if not (yield from rows(self._queries["has_adopted"])):
                yield from write(execute, self._queries["create_adopted"])
            self._looked = True
        if self._task is None:
            if not self._waiting and self._all:
                yield from self._list()
            if not self._waiting:
                return None
            self._task = yield from self._begin(self._waiting.popleft())
        thread_id = self._task.thread_id
        yield from self._page(self._task)
        return AdoptionProgress(thread_id, self._done, self._total or 0, self.result.checkpoints)

    def _look(self) -> Plan[None]:
        if not (yield from rows(self._queries["has_source"])):
            raise InvalidArgumentError(
                f"from_schema: {self._schema!r} has no tables of LangGraph's own Postgres saver"
            )
        ((version,),) = yield from rows(self._queries["source_version"])
        if version is None or version < _KNOWN_VERSION:
            raise InvalidArgumentError(
                f"from_schema: the tables in {self._schema!r} are of an old version; call setup() "
                "of langgraph-checkpoint-postgres 3 on them once"
            )
        if self._total is None:
            ((self._total,),) = yield from rows(self._queries["count_threads"])

    def _list(self) -> Plan[None]:
        values = (self._last, _THREADS_AT_ONCE)
        for (thread_id,) in (yield from rows(self._queries["next_threads"], values)):
            self._waiting.append(thread_id)
            self._last = thread_id

    def _begin(self, thread_id: str) -> Plan[Task]:
        return (yield from read(self._adopting.begin, thread_id))

    def _page(self, task: Task) -> Plan[None]:
        """The next page of a thread, in one transaction."""
        result = self.result
        try:
            if task.clash is not None:
                raise RowConflict(task.clash)
            if not task.unchanged:
                page = yield from read(self._adopting.read, task)
                stored = yield from write(self._adopting.store, task, page)
                if not (yield from in_callers_transaction()):
                    self._adopting.committed(task, stored)
                result.checkpoints += stored.checkpoints
                result.writes += stored.writes
                if page.last is not None:
                    task.after = page.last
                    return
        except RowConflict as clash:
            result.conflicts.append(Conflict(task.thread_id, str(clash)))
        else:
            result.threads += not task.unchanged
            result.unchanged += task.unchanged
        self._done += 1
        self._task = None


class Adopts:
    """Mixin of the savers: `adopt` and `aadopt`."""

    if TYPE_CHECKING:
        _postgres: PostgresPlanner

        @property
        def _codec(self) -> Codec: ...
        def _drive(self, plan: Plan[T]) -> T: ...
        async def _adrive(self, plan: Plan[T]) -> T: ...

    def adopt(
        self,
        thread_ids: Sequence[str] | None = None,
        *,
        from_schema: str = "public",
        progress: Callable[[AdoptionProgress], Any] | None = None,
    ) -> Adopted:
        """Copy threads from the tables of LangGraph's own Postgres saver in this database.

        The originals are only read. Each page of a thread is a transaction, which compares every
        checkpoint with its original before it commits. The next call continues an interrupted one,
        and copies what is new since. If this saver has a row that the original lacks, or that
        differs, the thread stays as it is, and is reported as a conflict. In the caller's
        transaction, each page is a savepoint, and the caller commits.

        Args:
            thread_ids: the threads to copy; None: all.
            from_schema: the schema of LangGraph's tables.
            progress: called after each page; an error that it raises ends the call.

        Raises:
            InvalidArgumentError: the schema has no such tables, or they are of an old version.
        """
        adoption = Adoption(self._postgres, self._codec, thread_ids, from_schema)
        while (told := self._drive(adoption.step())) is not None:
            if progress is not None:
                progress(told)
        return adoption.result

    async def aadopt(
        self,
        thread_ids: Sequence[str] | None = None,
        *,
        from_schema: str = "public",
        progress: Callable[[AdoptionProgress], Any] | None = None,
    ) -> Adopted:
        """`adopt`, without blocking. `progress` is called on the event loop."""
        adoption = Adoption(self._postgres, self._codec, thread_ids, from_schema)
        while (told := await self._adrive(adoption.step())) is not None:
            if progress is not None:
                progress(told)
        return adoption.result
