"""TTL sweeper: the background OS thread that removes expired data, and the methods that run it."""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from threading import TIMEOUT_MAX, Event, Lock, Thread
from typing import TYPE_CHECKING, Any, Final, TypeVar

from checkpoint_base.errors import (
    CorruptValueError,
    DecryptionError,
    UnencryptedValueError,
    UnreadableValueError,
)
from checkpoint_base.lifecycle.lifecycle import running_loop
from checkpoint_base.plan import Plan
from checkpoint_base.saver.ttl.policy import minutes

T = TypeVar("T")
logger = logging.getLogger(__name__)

UNREADABLE: Final = (
    CorruptValueError,
    UnencryptedValueError,
    DecryptionError,
    UnreadableValueError,
)
"""Errors for which a sweep skips a thread: it is damaged, or encrypted with another key."""


def log_unreadable(thread_id: str, error: Exception) -> None:
    """Log that a sweep skips an unreadable thread."""
    logger.error("thread %r cannot be read: the sweep leaves it", thread_id, exc_info=error)


class Sweeper:
    """Calls a sweep periodically. One per saver, store or cache, shared by a saver's copies.

    Attributes:
        interval_minutes: minutes between two sweeps, unless `start` is given others.
    """

    def __init__(self, interval_minutes: float) -> None:
        self.interval_minutes = interval_minutes
        self._lock = Lock()
        self._thread: Thread | None = None
        self._stopped = Event()
        self._ended: Future[None] = Future()

    def start(
        self, sweep: Callable[[], object], interval_minutes: float | None = None
    ) -> Future[None]:
        """Start sweeping. If the sweeper already runs, it continues at its current interval.

        Returns:
            A future that is done when the sweeper has ended; cancelling it stops the sweeper.

        Raises:
            InvalidArgumentError: the interval is invalid.
        """
        interval = self.interval_minutes
        if interval_minutes is not None:
            interval = minutes("sweep_interval_minutes", interval_minutes)
        with self._lock:
            if self._thread is not None and not self._stopped.is_set():
                return self._ended
            self.interval_minutes = interval
            stopped, ended = Event(), Future[None]()
            self._stopped, self._ended = stopped, ended
            ended.add_done_callback(lambda _: stopped.set())
            run = (sweep, min(interval * 60.0, TIMEOUT_MAX), stopped, ended, self._thread)
            self._thread = Thread(target=_run, args=run, name="ttl-sweeper", daemon=True)
            self._thread.start()
            return ended

    def stop(self, timeout: float | None = None) -> bool:
        """Stop sweeping, and wait for the current sweep to end.

        Args:
            timeout: seconds to wait; None: until the sweep ends.

        Returns:
            False if the current sweep is still running. It is the last one.
        """
        with self._lock:
            thread = self._thread
            self._stopped.set()
        if thread is not None:
            thread.join(timeout)
        return thread is None or not thread.is_alive()


def _run(
    sweep: Callable[[], object],
    seconds: float,
    stopped: Event,
    ended: Future[None],
    before: Thread | None,
) -> None:
    if before is not None:
        before.join()  # `stop` joins only this thread, so wait here for its predecessor
    while not stopped.wait(seconds):
        try:
            swept = sweep()
        except Exception:  # log a failed sweep, and continue with the next one
            logger.exception("sweeping what has expired failed; the next sweep tries again")
        else:
            logger.debug("swept: %s expired", swept)
    if ended.set_running_or_notify_cancel():
        ended.set_result(None)


class SweepMixin:
    """The sweep methods of every saver, store and cache."""

    _sweeper: Sweeper
    if TYPE_CHECKING:
        _life: Any

        def _drive(self, plan: Plan[T]) -> T: ...
        async def _adrive(self, plan: Plan[T]) -> T: ...

    @abstractmethod
    def _sweep(self) -> Plan[int]:
        """Remove expired data; returns the number of expired threads, items or entries."""

    def sweep_ttl(self) -> int:
        """Remove expired data, once.

        Returns:
            The number of expired threads of a saver, items of a store, or entries of a cache.
        """
        return self._drive(self._sweep())

    async def asweep_ttl(self) -> int:
        """`sweep_ttl`, without blocking."""
        return await self._adrive(self._sweep())

    def start_ttl_sweeper(self, sweep_interval_minutes: float | None = None) -> Future[None]:
        """Sweep periodically from a background thread, until stopped or closed. If the sweeper
        already runs, it continues at its current interval.

        Args:
            sweep_interval_minutes: minutes between two sweeps; None: as in `ttl`, or else 60.

        Returns:
            A future that is done when the sweeper has ended; cancelling it stops the sweeper.

        Raises:
            ClosedError: the saver, store or cache is closed.
            InvalidArgumentError: the interval is invalid.
        """
        if self._life.is_over:
            raise self._life.ended()
        return self._sweeper.start(lambda: self._drive(self._sweep()), sweep_interval_minutes)

    async def astart_ttl_sweeper(
        self, sweep_interval_minutes: float | None = None
    ) -> asyncio.Task[None]:
        """`start_ttl_sweeper`, but returns a task instead of a future."""
        return asyncio.create_task(
            _end_of(SweepMixin.start_ttl_sweeper(self, sweep_interval_minutes))
        )

    def stop_ttl_sweeper(self, timeout: float | None = None) -> bool:
        """Stop sweeping, and wait for the current sweep to end.

        Args:
            timeout: seconds to wait; None: until the sweep ends.

        Returns:
            False if the current sweep is still running. It is the last one.
        """
        return self._sweeper.stop(timeout)

    async def astop_ttl_sweeper(self, timeout: float | None = None) -> bool:
        """`stop_ttl_sweeper`, without blocking the event loop, which the sweep may need."""
        return await asyncio.to_thread(self._sweeper.stop, timeout)


async def _end_of(sweeper: Future[None]) -> None:
    await asyncio.wrap_future(sweeper)


class AsyncSweepMixin(SweepMixin):
    """Sweep methods that are awaitable on an event loop, like those of LangGraph's async stores.
    Called in a thread without an event loop, they block, as the other sync methods do.
    """

    def sweep_ttl(self) -> Any:
        """`asweep_ttl`; blocks in a thread without an event loop."""
        return super().sweep_ttl() if running_loop() is None else self.asweep_ttl()

    def start_ttl_sweeper(self, sweep_interval_minutes: float | None = None) -> Any:
        """`astart_ttl_sweeper`; returns a future in a thread without an event loop."""
        if running_loop() is None:
            return super().start_ttl_sweeper(sweep_interval_minutes)
        return self.astart_ttl_sweeper(sweep_interval_minutes)

    def stop_ttl_sweeper(self, timeout: float | None = None) -> Any:
        """`astop_ttl_sweeper`; blocks in a thread without an event loop."""
        if running_loop() is None:
            return super().stop_ttl_sweeper(timeout)
        return self.astop_ttl_sweeper(timeout)
