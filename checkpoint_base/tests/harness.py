"""How the conformance suite opens MemorySaver, and looks at it behind its back."""

from __future__ import annotations

import platform
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, ClassVar

from checkpoint_base.memory.saver import MemorySaver
from checkpoint_base.memory.thread import MemoryThread
from conformance_tests import Capability, MovableClock, Place, SaverHarness


class MemoryHarness(SaverHarness):
    """One set of dicts; every saver that is opened works on it."""

    name = "memory"
    place = Place.MEMORY
    gaps: ClassVar[Mapping[Capability, str]] = {
        Capability.SHARING: "the reference keeps every value whole, to be simple",
    }

    def __init__(self) -> None:
        self.clock = MovableClock()
        self._first = MemorySaver(clock=self.clock)

    def _saver(self, **options: Any) -> MemorySaver:
        saver = MemorySaver(clock=self.clock, **options)
        # two savers of one database: the same dicts, under the same lock
        saver._memory.threads = self._first._memory.threads
        saver._memory.lease = self._first._memory.lease
        saver._driver = self._first._driver
        return saver

    @contextmanager
    def open(self, **options: Any) -> Iterator[MemorySaver]:
        saver = self._saver(**options)
        saver.setup()
        try:
            yield saver
        finally:
            saver.stop_ttl_sweeper()

    @asynccontextmanager
    async def aopen(self, **options: Any) -> AsyncIterator[MemorySaver]:
        saver = self._saver(**options)
        await saver.asetup()
        try:
            yield saver
        finally:
            await saver.astop_ttl_sweeper()

    def advance(self, seconds: float) -> None:
        self.clock.now += seconds

    @property
    def _threads(self) -> list[MemoryThread]:
        return list(self._first.threads.values())

    def rows(self) -> Mapping[str, int]:
        threads = self._threads
        return {
            "threads": len(threads),
            "checkpoints": sum(len(thread.checkpoints) for thread in threads),
            "values": sum(len(thread.values) for thread in threads),
            "writes": sum(len(there) for thread in threads for there in thread.writes.values()),
        }

    def stored(self) -> bytes:
        return _bytes_of({name: vars(thread) for name, thread in self._first.threads.items()})

    def damage(self) -> None:
        raise LookupError("MemorySaver is on no disk")

    def version(self) -> str:
        return f"Python {platform.python_version()}"

    def location(self) -> str:
        raise LookupError("no other process can open it: it is in memory")

    @classmethod
    def reopen(cls, location: str) -> SaverHarness:
        raise LookupError(f"there is no saver in memory at {location!r}")

    def close(self) -> None:
        """Nothing was made."""


def _bytes_of(value: Any) -> bytes:
    """Every byte and every character that is somewhere in here."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, Mapping):
        return b"\n".join(_bytes_of(entry) for item in value.items() for entry in item)
    if isinstance(value, (tuple, list)):
        return b"\n".join(map(_bytes_of, value))
    return str(value).encode()
