"""Jobs: plans that wait in a queue to be run on a SQLite connection."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from checkpoint_base.errors import BackendUnavailableError
from checkpoint_base.plan import Plan, in_callers_transaction, run
from checkpoint_base.sql.requests import Row, rows

T = TypeVar("T")


class Job(Generic[T]):
    """A plan that waits to be run in a transaction, and its result.

    Args:
        make: makes the plan. It is called again if the transaction was interrupted.
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
        """What the plan returned.

        Raises:
            BackendUnavailableError: the transaction was interrupted.
            BaseException: what the plan raised, or why the transaction failed.
        """
        if self.error is not None:
            raise self.error
        if not self.done:
            raise BackendUnavailableError("the transaction was interrupted, nothing was stored")
        value: T = self._result
        return value


class Single(NamedTuple):
    """Request: a read by one statement, continued by a plan if its rows are not enough.

    The reply is a pair: the result, and whether it was read in the caller's transaction. Then it
    must not be cached, since the caller may roll back.
    """

    sql: str
    values: Sequence[Any]
    read: Callable[[list[Row]], Any]
    """makes the result from the rows; None: more rows are needed"""
    rest: Callable[[list[Row]], Plan[Any]]
    """makes the plan that reads everything; gets the rows, which are of its snapshot"""


def in_snapshot(request: Single) -> Plan[tuple[Any, bool]]:
    """The plan that performs a `Single` inside a read transaction."""
    found = yield from rows(request.sql, request.values)
    answer = request.read(found)
    if answer is None:
        answer = yield from request.rest(found)
    return answer, (yield from in_callers_transaction())


def withdraw(job: Job[Any], waiting: deque[Job[Any]]) -> bool:
    """Remove a job from the queue. False: it is not there, its transaction has begun or ended."""
    try:
        waiting.remove(job)
    except ValueError:
        return False
    return True


def taken(waiting: deque[Job[Any]], count: int) -> Iterator[Job[Any]]:
    """Take up to `count` jobs out of the queue, each just before it runs. A job can be withdrawn
    until it is taken.
    """
    for _ in range(count):
        try:
            job = waiting.popleft()
        except IndexError:  # callers withdrew jobs meanwhile
            return
        yield job
