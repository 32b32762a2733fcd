"""A directory as a dict of threads, with transactions: reads lazily, writes what has changed."""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path

from checkpoint_base.memory.thread import MemoryThread
from examples.file_backend.records import decode, encode


class Folder(MutableMapping[str, MemoryThread]):
    """A dict of threads by id, for use inside `transaction`, which holds an exclusive lock.

    If the block raises, nothing is written. Each file is replaced atomically.

    Args:
        path: the directory.
        durable: whether to fsync each file before it replaces the old one.
    """

    def __init__(self, path: Path, *, durable: bool) -> None:
        self.path = path
        self._durable = durable
        self._one_thread = threading.Lock()
        self._open: dict[str, MemoryThread | None] = {}  # threads in use; None: deleted

    def create(self) -> None:
        """Make the directory, if it does not exist."""
        self.path.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Lock out other threads and processes, run the block, write the threads it changed."""
        with self._one_thread, (self.path / "lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                yield
                self._write()
            finally:
                self._open.clear()

    def take_lease(self, owner: str, now: float, end: float) -> bool:
        """Take the lease of sweepers until `end`, unless another process has it at `now` (both in
        epoch seconds). For use inside `transaction`.
        """
        file = self.path / "lease"
        other, _, until = _bytes(file).decode().partition(" ")
        if other not in ("", owner) and float(until) > now:
            return False
        self._replace(file, f"{owner} {end}".encode())
        return True

    # ------------------------------------------------------------------ the dict

    def __getitem__(self, name: str) -> MemoryThread:
        if name not in self._open:
            file = self._file(name)
            found = decode(file.read_bytes(), f"thread {name!r}")[1] if file.exists() else None
            self._open[name] = found
        thread = self._open[name]
        if thread is None:
            raise KeyError(name)
        return thread

    def __setitem__(self, name: str, thread: MemoryThread) -> None:
        self._open[name] = thread

    def __contains__(self, name: object) -> bool:
        """Whether the thread exists. Reads no file, so that a damaged thread can be deleted."""
        if name in self._open:
            return self._open[name] is not None
        return isinstance(name, str) and self._file(name).exists()

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        self._open[name] = None

    def __iter__(self) -> Iterator[str]:
        for file in self.path.glob("*.thread"):
            name, thread = decode(file.read_bytes(), file.name)
            self._open.setdefault(name, thread)
        return iter([name for name, thread in self._open.items() if thread is not None])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    # ------------------------------------------------------------------ the files

    def _file(self, name: str) -> Path:
        # a hash: ids may be too long for a file name, or have characters it cannot have
        return self.path / f"{hashlib.sha256(name.encode()).hexdigest()}.thread"

    def _write(self) -> None:
        for name, thread in self._open.items():
            file = self._file(name)
            if thread is None:
                file.unlink(missing_ok=True)
            elif (data := encode(name, thread)) != _bytes(file):
                self._replace(file, data)

    def _replace(self, file: Path, data: bytes) -> None:
        """Replace the file atomically: write a new file, then rename it."""
        new = file.with_suffix(".new")
        try:
            with new.open("wb") as to:
                to.write(data)
                to.flush()
                if self._durable:
                    os.fsync(to.fileno())
            new.replace(file)
        finally:
            new.unlink(missing_ok=True)


def _bytes(file: Path) -> bytes:
    return file.read_bytes() if file.exists() else b""
