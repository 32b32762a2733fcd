"""A limit on the executed lines of a call, for clauses about calls that might never end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

import pytest

from conformance_tests.samples.driver_adapter import AsyncFacade, Facade

ENOUGH: Final = 1_000_000
"""Maximum number of lines: about a hundred times what a call on a few checkpoints takes."""


@contextmanager
def ending(saver: Facade, told: str) -> Iterator[None]:
    """Fail the clause if the block executes more than `ENOUGH` lines of Python.

    Unlike a timeout, this stops the call. It does not stop a call that waits; the command's time
    limit does.

    Args:
        saver: The saver that the block calls, sync or async.
        told: The failure message: what does not end, and what is expected.
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
