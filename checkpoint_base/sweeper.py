"""The background thread that sweeps expired threads away."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import TIMEOUT_MAX, Event, Lock, Thread
from typing import Final

from checkpoint_base.errors import CorruptValueError, DecryptionError, UnencryptedValueError

logger = logging.getLogger(__name__)

UNREADABLE: Final = (CorruptValueError, UnencryptedValueError, DecryptionError)
"""What a sweep that meets it passes over: a thread of another key, or a damaged one."""


def log_unreadable(thread_id: str, error: Exception) -> None:
    """Tell of a thread that a sweep leaves as it is."""
    logger.error("expired thread %r cannot be read: it is left", thread_id, exc_info=error)


class Sweeper:
    """Calls a sweep again and again. One per saver, shared by its copies."""

    def __init__(self, interval_minutes: float) -> None:
        self._interval = min(interval_minutes * 60.0, TIMEOUT_MAX)
        self._lock = Lock()
        self._thread: Thread | None = None
        self._stopped = Event()

    def start(self, sweep: Callable[[], int]) -> None:
        """Begin; a sweeper that runs already goes on."""
        with self._lock:
            if self._thread is not None:
                return
            self._stopped = Event()
            self._thread = Thread(
                target=self._run, args=(sweep, self._stopped), name="ttl-sweeper", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """End, and wait for a sweep under way."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._stopped.set()
        if thread is not None:
            thread.join()

    def _run(self, sweep: Callable[[], int], stopped: Event) -> None:
        while not stopped.wait(self._interval):
            try:
                swept = sweep()
            except Exception:  # one failed sweep must not end all later ones; it is in the log
                logger.exception("sweeping expired threads failed; the next sweep tries again")
            else:
                logger.debug("swept %d expired threads", swept)
