"""What the drivers give a session to do: plans that wait for its connection."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from checkpoint_base.errors import BackendUnavailableError
from checkpoint_base.plan import Plan, in_callers_transaction, run
from checkpoint_base.sql.requests import Row, rows

T = TypeVar("T")


class Job(Generic[T]):
    """A plan that waits to be run in a transaction, and what came of it.

    Args:
        make: gives the plan. It is called again if the transaction is interrupted.
        write: whether the plan changes anything.
        limited: whether its statements are interrupted after `call_timeout`.

    Attributes:
        done: whether the transaction has ended: `result` is final.
        error: what the plan raised, or why the transaction failed.
    """

    def __init__(self, make: Callable[[], Plan[T]], *, write: bool, limited: bool = True) -> None:
        self.make = make
        self.write = write
        self.limited = limited
        self.done = False
        self.error: BaseException | None = None
        self._result: Any = None

    def run(self, perform: Callable[[Any], Any]) -> None:
        """Run the plan from its start."""
        self.error = None
        self._result = run(self.make(), perform)

    def result(self) -> T:
        """What the plan returned, or raised."""
        if self.error is not None:
            raise self.error
        if not self.done:
            raise BackendUnavailableError("the transaction was interrupted, nothing was stored")
        value: T = self._result
        return value


class Single(NamedTuple):
    """Request: one statement that reads, and a plan where its rows are not all that is wanted.

    The reply is what either gives, and whether the caller's transaction is open, which may be
    rolled back with what they say.
    """

    sql: str
    values: Sequence[Any]
    read: Callable[[list[Row]], Any]
    """what it makes of the rows; None: they are not all"""
    rest: Callable[[list[Row] | None], Plan[Any]]
    """reads all; given the rows, if it runs on the snapshot that they are of"""


def in_snapshot(request: Single) -> Plan[tuple[Any, bool]]:
    """What answers `Single` inside a transaction."""
    found = yield from rows(request.sql, request.values)
    answer = request.read(found)
    if answer is None:
        answer = yield from request.rest(found)
    return answer, (yield from in_callers_transaction())


def withdraw(job: Job[Any], waiting: deque[Job[Any]]) -> bool:
    """Take a job back. False: its transaction has begun, or ended."""
    try:
        waiting.remove(job)
    except ValueError:
        return False
    return True


def taken(waiting: deque[Job[Any]], count: int) -> Iterator[Job[Any]]:
    """The first jobs that wait, each taken out when it is needed: then it cannot be withdrawn."""
    for _ in range(count):
        try:
            job = waiting.popleft()
        except IndexError:  # some were withdrawn meanwhile
            return
        yield job
