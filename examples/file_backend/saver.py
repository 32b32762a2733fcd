"""The saver: the operations of the reference planner, on a directory."""

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
    """What each operation does to a thread is written in `MemoryPlanner`; this says where."""

    def __init__(self, folder: Folder, policy: TTLPolicy, clock: Callable[[], float]) -> None:
        super().__init__(policy, clock)
        self._folder = folder
        self.threads = folder

    def setup(self) -> Plan[None]:
        """Make the directory."""
        yield from offload()
        self._folder.create()

    def stats(self, thread_id: str | None) -> Plan[Stats]:
        """Count what is stored."""
        counted = yield from super().stats(thread_id)
        return {**counted, "backend": "files", "server": "the file system"}


class FileDriver:
    """Performs the requests of plans: the only place that knows about locks."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def perform(self, request: Any) -> Any:
        if isinstance(request, Locked):
            with self._folder.transaction():
                return request.work()
        raise TypeError(f"cannot perform {request!r}")


class FileSaver(FullSyncSaver):
    """Checkpoints in a directory, a file for each thread.

    Each step rewrites its thread's file, so this is for short threads and few of them at a time.

    Args:
        path: the directory; `setup` makes it.
        serde: LangGraph's `JsonPlusSerializer` unless another is given.
        on_unreadable: what reading does with a value that the serializer cannot rebuild:
            `"raise"` UnreadableValueError, `"skip"` the channel or write with a warning, or return
            what LangGraph's serializer makes of it (`"langgraph"`).
        encrypted: the serializer encrypts, though it is not LangGraph's `EncryptedSerializer` and
            has no `cipher`: metadata goes through it, too.
        ttl: time to live in `langgraph.json`'s shape, in minutes; see `TTLPolicy`.
        clock: epoch seconds, for `ttl`.
        durable: whether a call waits for the disk; without, a power cut may take the last steps.
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
