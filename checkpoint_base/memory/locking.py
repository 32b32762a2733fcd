"""The lock of the in-memory backends: a request to hold it, and the driver that does."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any, NamedTuple, TypeVar

from checkpoint_base.plan import Plan

T = TypeVar("T")


class Locked(NamedTuple):
    """Request: call `work` under the driver's lock."""

    work: Callable[[], Any]


def locked(work: Callable[[], T]) -> Plan[T]:
    """Call `work` under the driver's lock, as one atomic step."""
    result: T = yield Locked(work)
    return result


class LockDriver:
    """Driver of the in-memory backends: performs `Locked` under one lock."""

    def __init__(self) -> None:
        self._lock = Lock()

    def perform(self, request: Any) -> Any:
        """Perform a request of a plan.

        Raises:
            TypeError: it is not a `Locked`.
        """
        if isinstance(request, Locked):
            with self._lock:
                return request.work()
        raise TypeError(f"cannot perform {request!r}")
