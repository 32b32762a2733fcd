"""`call_timeout`: the time limit for one step of a call, on every backend.

A step is one request of a plan, with its retries and its wait for a connection. In a transaction of
several statements each statement is a step. `setup`, `prune`, `copy_thread`, `adopt` and sweeps
consist of many steps, so as a whole they may take longer.
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
    """Validate a `call_timeout`: seconds, or None for no limit.

    Raises:
        InvalidArgumentError: the value is not a finite number above 0.
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
    """The error for a step that exceeded `call_timeout`.

    Args:
        seconds: the `call_timeout`.
        step: describes the step, e.g. `"a statement of Postgres"`.
    """
    return BackendUnavailableError(
        f"call_timeout: {step} was not done within {seconds:g} s and was given up; a write may "
        "have been carried out or not, and can be made again"
    )


class Deadline:
    """The time by which a step must end. A blocking driver asks it how much time is left.

    Args:
        seconds: the `call_timeout`.
        step: as in `timed_out`.

    Attributes:
        end: on `time.monotonic`; infinite without a `call_timeout`.
        expired: whether a timer or the watchdog has ended the step after its deadline.
    """

    __slots__ = ("_seconds", "_step", "end", "expired")

    def __init__(self, seconds: float | None, step: str) -> None:
        self._seconds = seconds
        self._step = step
        self.end = math.inf if seconds is None else monotonic() + seconds
        self.expired = False

    def remaining(self, most: float | None = None) -> float | None:
        """Seconds left, at least 0 and at most `most`; None: no limit."""
        if self._seconds is None:
            return most
        left = max(0.0, self.end - monotonic())
        return left if most is None else min(left, most)

    def restart(self) -> None:
        """Restart the time limit for the next statement of a transaction.

        Raises:
            BackendUnavailableError: the previous statement exceeded the limit.
        """
        if self.expired:
            raise self.error()
        if self._seconds is not None:
            self.end = monotonic() + self._seconds

    @property
    def is_over(self) -> bool:
        """Whether the deadline has passed."""
        return self.end <= monotonic()

    def error(self, step: str | None = None) -> BackendUnavailableError:
        """The error for a step that exceeded this deadline."""
        return timed_out(self._seconds, self._step if step is None else step)


class LoopDeadline:
    """Time limit for a block of one task: `with LoopDeadline(seconds, step): await …`.

    At the deadline the task is cancelled, and the block turns that CancelledError into a
    `BackendUnavailableError`. A result or another error of the block is left as it is.

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
        """A limit that uses the deadline of a step that has already started."""
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
        """As `Deadline.restart`."""
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
    """The task's pending cancellation requests; always 0 on Python 3.10, which does not count."""
    count = getattr(task, "cancelling", None)
    return 0 if count is None else int(count())
