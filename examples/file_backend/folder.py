"""The directory: threads by id, read when they are asked for, written when they have changed."""

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
    """A dict of threads, inside `transaction`. Whatever is in the block happens whole or not at
    all, and no thread or process is in the block of another.

    Args:
        path: the directory.
        durable: whether to wait for the disk.
    """

    def __init__(self, path: Path, *, durable: bool) -> None:
        self.path = path
        self._durable = durable
        self._one_thread = threading.Lock()
        self._open: dict[str, MemoryThread | None] = {}  # of this transaction; None: deleted

    def create(self) -> None:
        """Make the directory, if it is not there."""
        self.path.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Take the lock, run the block, write what it changed."""
        with self._one_thread, (self.path / "lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                yield
                self._write()
            finally:
                self._open.clear()

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
        """Whether it is there; like a deletion, this reads no file that could be damaged."""
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
        # an id is any text, of any length; a file's name is not
        return self.path / f"{hashlib.sha256(name.encode()).hexdigest()}.thread"

    def _write(self) -> None:
        for name, thread in self._open.items():
            file = self._file(name)
            if thread is None:
                file.unlink(missing_ok=True)
            elif (data := encode(name, thread)) != _bytes(file):
                self._replace(file, data)

    def _replace(self, file: Path, data: bytes) -> None:
        """The file has the new bytes, or the old ones: a rename cannot be cut short."""
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
