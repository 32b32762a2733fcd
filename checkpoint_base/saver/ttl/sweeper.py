"""The background thread that removes what has expired, and the methods that start and stop it."""

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
"""What a sweep that meets it passes over: a thread of another key, or a damaged one."""


def log_unreadable(thread_id: str, error: Exception) -> None:
    """Log that a sweep leaves a thread as it is."""
    logger.error("thread %r cannot be read: the sweep leaves it", thread_id, exc_info=error)


class Sweeper:
    """Calls a sweep again and again. One per saver or store, shared by a saver's copies.

    Args:
        interval_minutes: between two sweeps, unless `start` is given another interval.
    """

    def __init__(self, interval_minutes: float) -> None:
        self._interval = interval_minutes
        self._lock = Lock()
        self._thread: Thread | None = None
        self._stopped = Event()
        self._ended: Future[None] = Future()

    def start(
        self, sweep: Callable[[], object], interval_minutes: float | None = None
    ) -> Future[None]:
        """Begin; a sweeper that runs already goes on, at its own interval.

        Returns:
            A future that has its result when the sweeper has ended; cancelling it stops the
            sweeper.

        Raises:
            InvalidArgumentError: the interval is no time in minutes.
        """
        interval = self._interval
        if interval_minutes is not None:
            interval = minutes("sweep_interval_minutes", interval_minutes)
        with self._lock:
            if self._thread is not None and not self._stopped.is_set():
                return self._ended
            stopped, ended = Event(), Future[None]()
            self._stopped, self._ended = stopped, ended
            ended.add_done_callback(lambda _: stopped.set())
            run = (sweep, min(interval * 60.0, TIMEOUT_MAX), stopped, ended, self._thread)
            self._thread = Thread(target=_run, args=run, name="ttl-sweeper", daemon=True)
            self._thread.start()
            return ended

    def stop(self, timeout: float | None = None) -> bool:
        """End, and wait for a sweep under way.

        Args:
            timeout: seconds to wait; None: as long as the sweep takes.

        Returns:
            False if that sweep is still under way; no other one follows it.
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
        before.join()  # `stop` waits for this thread only
    while not stopped.wait(seconds):
        try:
            swept = sweep()
        except Exception:  # one failed sweep must not end all later ones; it is in the log
            logger.exception("sweeping what has expired failed; the next sweep tries again")
        else:
            logger.debug("swept: %s expired", swept)
    if ended.set_running_or_notify_cancel():
        ended.set_result(None)


class SweepMixin:
    """The methods about expiry that every saver and store has."""

    _sweeper: Sweeper
    if TYPE_CHECKING:
        _life: Any

        def _drive(self, plan: Plan[T]) -> T: ...
        async def _adrive(self, plan: Plan[T]) -> T: ...

    @abstractmethod
    def _sweep(self) -> Plan[int]:
        """Remove what has expired; returns how much that was."""

    def sweep_ttl(self) -> int:
        """Remove what has expired, once.

        Returns:
            How many threads of a saver, or items of a store, have expired.
        """
        return self._drive(self._sweep())

    async def asweep_ttl(self) -> int:
        """`sweep_ttl`, without blocking."""
        return await self._adrive(self._sweep())

    def start_ttl_sweeper(self, sweep_interval_minutes: float | None = None) -> Future[None]:
        """Sweep again and again, from a background thread, until stopped or closed. Where that is
        done already, it goes on as it was started.

        Args:
            sweep_interval_minutes: between two sweeps; None: as `ttl` says, else 60.

        Returns:
            A future that ends when the sweeper does; cancelling it stops the sweeper.

        Raises:
            ClosedError: the connection is closed already.
            InvalidArgumentError: the interval is no time in minutes.
        """
        if self._life.is_over:
            raise self._life.ended()
        return self._sweeper.start(lambda: self._drive(self._sweep()), sweep_interval_minutes)

    async def astart_ttl_sweeper(
        self, sweep_interval_minutes: float | None = None
    ) -> asyncio.Task[None]:
        """`start_ttl_sweeper`, with a task instead of a future."""
        return asyncio.create_task(
            _end_of(SweepMixin.start_ttl_sweeper(self, sweep_interval_minutes))
        )

    def stop_ttl_sweeper(self, timeout: float | None = None) -> bool:
        """Stop sweeping, and wait for a sweep under way.

        Args:
            timeout: seconds to wait; None: as long as the sweep takes.

        Returns:
            False if that sweep is still under way; no other one follows it.
        """
        return self._sweeper.stop(timeout)

    async def astop_ttl_sweeper(self, timeout: float | None = None) -> bool:
        """`stop_ttl_sweeper`, without blocking the event loop, which that sweep may need."""
        return await asyncio.to_thread(self._sweeper.stop, timeout)


async def _end_of(sweeper: Future[None]) -> None:
    await asyncio.wrap_future(sweeper)


class AsyncSweepMixin(SweepMixin):
    """As LangGraph's async stores have them: to be awaited on an event loop. Called in a thread
    that runs none they block, as the other methods without `a` do.
    """

    def sweep_ttl(self) -> Any:
        """`asweep_ttl`; blocking in a thread without an event loop."""
        return super().sweep_ttl() if running_loop() is None else self.asweep_ttl()

    def start_ttl_sweeper(self, sweep_interval_minutes: float | None = None) -> Any:
        """`astart_ttl_sweeper`; blocking in a thread without an event loop."""
        if running_loop() is None:
            return super().start_ttl_sweeper(sweep_interval_minutes)
        return self.astart_ttl_sweeper(sweep_interval_minutes)

    def stop_ttl_sweeper(self, timeout: float | None = None) -> Any:
        """`astop_ttl_sweeper`; blocking in a thread without an event loop."""
        if running_loop() is None:
            return super().stop_ttl_sweeper(timeout)
        return self.astop_ttl_sweeper(timeout)
