"""`FileSaver`: a checkpoint saver on a directory, with the plans of the in-memory saver."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from typing_extensions import Unpack

from checkpoint_base.memory.locking import Locked, locked
from checkpoint_base.memory.planner import MemoryPlanner
from checkpoint_base.plan import Plan, offload
from checkpoint_base.saver.mixins import FullSyncSaver
from checkpoint_base.saver.options import SaverOptions, SaverSettings
from checkpoint_base.saver.records.kinds import Stats
from checkpoint_base.saver.ttl.policy import TTLPolicy
from examples.file_backend.folder import Folder


class FilePlanner(MemoryPlanner):
    """Inherits the operations from `MemoryPlanner`, and stores threads in a `Folder`."""

    def __init__(self, folder: Folder, policy: TTLPolicy, clock: Callable[[], float]) -> None:
        super().__init__(policy, clock)
        self._folder = folder
        self.threads = folder

    def setup(self) -> Plan[None]:
        """Make the directory, if it does not exist."""
        yield from offload()
        self._folder.create()

    def stats(self, thread_id: str | None) -> Plan[Stats]:
        """Count threads, checkpoints and bytes."""
        counted = yield from super().stats(thread_id)
        return {**counted, "backend": "files", "server": "the file system"}

    def _lease(self, owner: str, seconds: float) -> Plan[bool]:
        now = self._now()
        return (yield from locked(partial(self._folder.take_lease, owner, now, now + seconds)))


class FileDriver:
    """Performs the requests of plans, each in a transaction of the folder."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def perform(self, request: Any) -> Any:
        if isinstance(request, Locked):
            with self._folder.transaction():
                return request.work()
        raise TypeError(f"cannot perform {request!r}")


class FileSaver(FullSyncSaver):
    """A checkpoint saver that keeps one file for each thread in a directory.

    Each step locks the directory and rewrites its thread's file: use it for short threads, and few
    of them at a time.

    Args:
        path: the directory; `setup` creates it.
        durable: whether each call waits for fsync; if not, a power cut may lose the last steps.
        options: what every saver takes, such as `serde` and `ttl`; see `SaverOptions`.
    """

    def __init__(
        self, path: Path, *, durable: bool = True, **options: Unpack[SaverOptions]
    ) -> None:
        settings, folder = SaverSettings.of(options), Folder(path, durable=durable)
        planner = FilePlanner(folder, settings.ttl, settings.clock)
        super().__init__(planner, FileDriver(folder), settings)
