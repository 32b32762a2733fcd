"""The harness of the conformance suite: opens savers, and inspects and damages their files."""

from __future__ import annotations

import resource
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, ClassVar

from conformance_tests import Capability, MovableClock, Place, SaverHarness
from examples.file_backend.records import decode, encode
from examples.file_backend.saver import FileSaver


class FileHarness(SaverHarness):
    """A directory that all savers of a test share."""

    name = "files (a directory)"
    place = Place.FILES
    gaps: ClassVar[Mapping[Capability, str]] = {
        Capability.SHARING: "every step rewrites its thread's file",
    }

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = MovableClock()

    def _saver(self, **options: Any) -> FileSaver:
        # no fsync, which is faster: no clause simulates a power cut
        return FileSaver(self.path, clock=self.clock, durable=False, **options)

    @contextmanager
    def open(self, **options: Any) -> Iterator[FileSaver]:
        saver = self._saver(**options)
        saver.setup()
        try:
            yield saver
        finally:
            saver.stop_ttl_sweeper()

    @asynccontextmanager
    async def aopen(self, **options: Any) -> AsyncIterator[FileSaver]:
        saver = self._saver(**options)
        await saver.asetup()
        try:
            yield saver
        finally:
            await saver.astop_ttl_sweeper()

    def advance(self, seconds: float) -> None:
        self.clock.now += seconds

    def _files(self) -> list[Path]:
        return sorted(self.path.glob("*.thread"))

    def rows(self) -> Mapping[str, int]:
        threads = [decode(file.read_bytes(), file.name)[1] for file in self._files()]
        return {
            "threads": len(threads),
            "checkpoints": sum(len(one.checkpoints) for one in threads),
            "values": sum(len(one.values) for one in threads),
            "segments": 0,
            "writes": sum(len(some) for one in threads for some in one.writes.values()),
        }

    def stored(self) -> bytes:
        return b"".join(file.read_bytes() for file in self._files())

    def damage(self) -> None:
        file = max(self._files(), key=lambda one: one.stat().st_size)
        data = bytearray(file.read_bytes())
        data[len(data) // 2] = (data[len(data) // 2] + 1) % 256  # a second call does not undo it
        file.write_bytes(data)

    def damage_record(self, record: str) -> None:  # noqa: ARG002
        self.damage()  # a thread's records are all in one file, under one checksum

    def lose_value(self, channel: str) -> None:
        for file in self._files():
            name, thread = decode(file.read_bytes(), file.name)
            for key in [key for key in thread.values if key[1] == channel]:
                del thread.values[key]
            file.write_bytes(encode(name, thread))

    @contextmanager
    def disk_full(self) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    def version(self) -> str:
        return "files, format 1"

    def location(self) -> str:
        return str(self.path)

    @classmethod
    def reopen(cls, location: str) -> SaverHarness:
        return cls(Path(location))

    def close(self) -> None:
        """Nothing to do: the directory is a temporary one of pytest."""
