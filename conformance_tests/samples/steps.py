"""A bound on the steps of a call, for clauses about calls that might never end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

import pytest

from conformance_tests.samples.driver_adapter import AsyncFacade, Facade

ENOUGH: Final = 1_000_000
"""Lines of Python: some hundred times what a call on a few checkpoints takes."""


@contextmanager
def ending(saver: Facade, told: str) -> Iterator[None]:
    """Fails the clause if a call in the block goes through more lines of Python than any may.

    A time limit would leave the call running; this ends it where it is. A call that waits is left
    to the limits of the command.

    Args:
        saver: Whose calls, sync or async, the block makes.
        told: What does not end, and what it should do.
    """
    left = ENOUGH

    def count(_frame: FrameType, _event: str, _arg: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            pytest.fail(f"{told}\ngot:      {ENOUGH:,} lines of Python, and no end")
        return count

    before = sys.gettrace()
    if isinstance(saver, AsyncFacade):
        saver.loop.loop.call_soon_threadsafe(sys.settrace, count)
    sys.settrace(count)
    try:
        yield
    finally:
        sys.settrace(before)
        if isinstance(saver, AsyncFacade):
            saver.loop.loop.call_soon_threadsafe(sys.settrace, None)
