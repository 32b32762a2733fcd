"""`FileSaver`: a checkpoint saver on a directory, with the plans of the in-memory saver."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from langgraph.checkpoint.serde.base import SerializerProtocol

from checkpoint_base.memory.planner import Locked, MemoryPlanner
from checkpoint_base.plan import Plan, offload
from checkpoint_base.saver.codec.values import OnUnreadable
from checkpoint_base.saver.mixins import FullSyncSaver
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
        serde: the serializer; None: LangGraph's `JsonPlusSerializer`.
        on_unreadable: how reads treat a value that the serializer cannot rebuild: `"raise"`
            UnreadableValueError, `"skip"` the channel or write with a warning, or return what
            LangGraph's serializer makes of it (`"langgraph"`).
        encrypted: encrypt metadata with `serde`, too. Needed only for a serializer that encrypts,
            but is not LangGraph's `EncryptedSerializer` and has no `cipher`.
        ttl: time to live in minutes, in the format of `langgraph.json`; see `TTLPolicy`.
        clock: returns the current time in epoch seconds, for `ttl`.
        durable: whether each call waits for fsync; if not, a power cut may lose the last steps.
    """

    def __init__(
        self,
        path: Path,
        *,
        serde: SerializerProtocol | None = None,
        on_unreadable: OnUnreadable = "raise",
        encrypted: bool = False,
        ttl: Mapping[str, Any] | TTLPolicy | None = None,
        clock: Callable[[], float] = time.time,
        durable: bool = True,
    ) -> None:
        policy, folder = TTLPolicy.of(ttl), Folder(path, durable=durable)
        super().__init__(
            FilePlanner(folder, policy, clock),
            FileDriver(folder),
            policy,
            serde=serde,
            on_unreadable=on_unreadable,
            encrypted=encrypted,
        )
