"""`call_timeout`: how long one step of a call may take, on every backend.

A step is one request of a plan, with its retries and its wait for a connection. In a transaction of
several statements each statement is a step. `setup`, `prune`, `copy_thread`, `adopt` and sweeps are
many steps: as wholes they may take longer.
"""

from __future__ import annotations

import asyncio
import math
from time import monotonic
from types import TracebackType
from typing import Any, Final

from checkpoint_base.deadlines.loop_timer import LoopTimer, loop_timer
from checkpoint_base.errors import BackendUnavailableError, InvalidArgumentError

CALL_TIMEOUT: Final = 60.0
"""Seconds; the default of every saver and store."""


def checked_call_timeout(value: Any) -> float | None:
    """A checked `call_timeout`: seconds, or None, which never ends a step.

    Raises:
        InvalidArgumentError: it is no number above 0.
    """
    if value is None:
        return None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 < value < math.inf:
        raise InvalidArgumentError(
            f"call_timeout: wanted seconds above 0, or None for no limit, got {value!r:.80}"
        )
    return float(value)


def timed_out(seconds: float | None, step: str) -> BackendUnavailableError:
    """The error for a step that `call_timeout` has ended.

    Args:
        seconds: the `call_timeout`.
        step: what had no answer, e.g. `"a statement of Postgres"`.
    """
    return BackendUnavailableError(
        f"call_timeout: {step} was not done within {seconds:g} s and was given up; a write may "
        "have been carried out or not, and can be made again"
    )


class Deadline:
    """When a step has to end. For a blocking driver, which asks how much time is left.

    Args:
        seconds: the `call_timeout`.
        step: as in `timed_out`.

    Attributes:
        end: on `time.monotonic`; infinite without a `call_timeout`.
        expired: whether somebody has ended the step, because it was time.
    """

    __slots__ = ("_seconds", "_step", "end", "expired")

    def __init__(self, seconds: float | None, step: str) -> None:
        self._seconds = seconds
        self._step = step
        self.end = math.inf if seconds is None else monotonic() + seconds
        self.expired = False

    def remaining(self, most: float | None = None) -> float | None:
        """Seconds that are left, at least 0 and at most `most`; None: no limit."""
        if self._seconds is None:
            return most
        left = max(0.0, self.end - monotonic())
        return left if most is None else min(left, most)

    def restart(self) -> None:
        """The next statement of a transaction begins.

        Raises:
            BackendUnavailableError: the one before was ended, or is about to be.
        """
        if self.expired:
            raise self.error()
        if self._seconds is not None:
            self.end = monotonic() + self._seconds

    @property
    def is_over(self) -> bool:
        """Whether it has passed."""
        return self.end <= monotonic()

    def error(self, step: str | None = None) -> BackendUnavailableError:
        """The error for a step that has not ended by then."""
        return timed_out(self._seconds, self._step if step is None else step)


class LoopDeadline:
    """Ends what one task does on an event loop: `with LoopDeadline(seconds, step): await …`.

    At the deadline the task is cancelled, and the CancelledError that leaves the block becomes a
    `BackendUnavailableError`. If the block is left in another way, that stands.

    Args:
        seconds: the `call_timeout`.
        step: as in `timed_out`.
    """

    __slots__ = ("_cancelling", "_expired", "_task", "_timer", "deadline")

    def __init__(self, seconds: float | None, step: str) -> None:
        self.deadline = Deadline(seconds, step)
        self._expired = False
        self._timer: LoopTimer | None = None

    @classmethod
    def until(cls, deadline: Deadline) -> LoopDeadline:
        """The same, for a step that has begun before."""
        made = cls(None, "")
        made.deadline = deadline
        return made

    def __enter__(self) -> LoopDeadline:
        if self.deadline.end != math.inf:
            self._task: Any = asyncio.current_task()
            self._cancelling = _cancelling(self._task)
            self._timer = loop_timer()
            self._timer.start(self, self.deadline, self._expire)
        return self

    def restart(self) -> None:
        """The next statement of a transaction begins."""
        self.deadline.restart()

    def _expire(self) -> None:
        self._expired = self.deadline.expired = True
        self._task.cancel()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.stop(self)
        if self._expired:
            uncancel = getattr(self._task, "uncancel", None)  # since Python 3.11
            left = self._cancelling if uncancel is None else uncancel()
            if kind is asyncio.CancelledError and left <= self._cancelling:
                raise self.deadline.error() from error


def _cancelling(task: Any) -> int:
    """How often a task was cancelled; Python 3.10 does not count."""
    count = getattr(task, "cancelling", None)
    return 0 if count is None else int(count())
