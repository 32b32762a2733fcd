"""Builders of checkpoints as a graph run writes them: chains, forks, versions, metadata."""

from __future__ import annotations

import random
import uuid
from collections.abc import Collection, Mapping
from datetime import datetime, timezone
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.base.id import uuid6

from conformance_tests.samples.driver_adapter import Facade

MAIL = "I said that I would write, and I do: number {number}. "


def new_thread(name: str = "thread") -> str:
    """A unique thread id."""
    return f"{name}-{uuid.uuid4()}"


def new_id(step: int = 0) -> str:
    """A checkpoint id as LangGraph makes them: a UUID that sorts after all earlier ones."""
    return str(uuid6(clock_seq=step))


def version(count: int) -> str:
    """A channel version as LangGraph's savers make them. Its random part differs between forks."""
    return f"{count:032}.{random.random():016}"


def on(
    thread_id: Any, ns: str | None = "", checkpoint_id: str | None = None, **configurable: Any
) -> RunnableConfig:
    """The config of a thread or a checkpoint. `ns=None` omits the namespace."""
    entries: dict[str, Any] = {"thread_id": thread_id, **configurable}
    if ns is not None:
        entries["checkpoint_ns"] = ns
    if checkpoint_id is not None:
        entries["checkpoint_id"] = checkpoint_id
    return {"configurable": entries}


def checkpoint_id(config: RunnableConfig) -> str:
    """The checkpoint id in a config."""
    return str(config["configurable"]["checkpoint_id"])


def checkpoint(
    values: Mapping[str, Any] | None = None,
    versions: Mapping[str, Any] | None = None,
    *,
    id: str | None = None,
    v: int = 4,
    **body: Any,
) -> Checkpoint:
    """A checkpoint; channels without a version get version 1."""
    values = dict(values or {})
    entries: dict[str, Any] = {
        "v": v,
        "id": id or new_id(),
        "ts": datetime.now(timezone.utc).isoformat(),
        "channel_values": values,
        "channel_versions": dict.fromkeys(values, version(1)) if versions is None else versions,
        "versions_seen": {},
        "updated_channels": None,
        **body,
    }
    return cast("Checkpoint", entries)


def metadata(source: str = "loop", step: int = 0, **extra: Any) -> CheckpointMetadata:
    """Metadata as LangGraph writes it, with the user's entries in `extra`."""
    return cast("CheckpointMetadata", {"source": source, "step": step, "parents": {}, **extra})


def new_versions(stored: Checkpoint) -> ChannelVersions:
    """The `new_versions` argument of `put`, as if all channels had changed."""
    return dict(stored["channel_versions"])


def large(number: int = 0, size: int = 20_000) -> str:
    """A text well above the size at which savers deduplicate values by chunks."""
    line = MAIL.format(number=number)
    return "".join(f"{i} {line}" for i in range(size // len(line)))


class Chain:
    """Puts checkpoints of a thread in one namespace, one after another, as LangGraph's loop does.

    The parent is the previous checkpoint, unchanged channels keep their versions, and
    `channel_values` has all values.
    """

    def __init__(
        self, saver: Facade, thread_id: Any = None, ns: str = "", **configurable: Any
    ) -> None:
        self.saver = saver
        self.thread_id = new_thread() if thread_id is None else thread_id
        self.ns = ns
        self.configurable = configurable
        self.head: RunnableConfig = on(self.thread_id, ns)
        self.step = -1
        self._values: dict[str, Any] = {}
        self._versions: dict[str, Any] = {}

    def put(
        self,
        changed: Mapping[str, Any] | None = None,
        *,
        drop: Collection[str] = (),
        empty: Collection[str] = (),
        id: str | None = None,
        v: int = 4,
        **extra: Any,
    ) -> RunnableConfig:
        """Store the next checkpoint.

        Args:
            changed: Channels that get a new value.
            drop: Channels that lose their value and their version.
            empty: Channels that lose their value and get a new version.
            id: The checkpoint's id, when it matters.
            v: The checkpoint format.
            **extra: More metadata.
        """
        self.step += 1
        fresh: ChannelVersions = {n: self._next(n) for n in [*(changed or {}), *empty]}
        self._versions = {k: n for k, n in {**self._versions, **fresh}.items() if k not in drop}
        gone = {*drop, *empty}
        values = {**self._values, **(changed or {})}
        self._values = {name: value for name, value in values.items() if name not in gone}
        body = checkpoint(self._values, dict(self._versions), id=id or new_id(self.step), v=v)
        parent = self.head["configurable"].get("checkpoint_id")
        config = on(self.thread_id, self.ns, parent, **self.configurable)
        self.head = self.saver.put(config, body, metadata(step=self.step, **extra), fresh)
        return self.head

    def fork(self) -> Chain:
        """A second chain that continues from the same checkpoint."""
        other = Chain(self.saver, self.thread_id, self.ns, **self.configurable)
        other.head, other.step = self.head, self.step
        other._values, other._versions = dict(self._values), dict(self._versions)
        return other

    def write(self, *writes: tuple[str, Any], task: str = "task-1", path: str = "") -> None:
        """Store pending writes of a task for the newest checkpoint."""
        self.saver.put_writes(self.head, list(writes), task, path)

    def _next(self, name: str) -> str:
        before = self._versions.get(name)
        return version(1 if before is None else int(str(before).split(".", maxsplit=1)[0]) + 1)


def the(found: CheckpointTuple | None) -> CheckpointTuple:
    """Assert that the checkpoint exists, and return it."""
    assert found is not None, "no such checkpoint, but it was stored"
    return found


def values(found: CheckpointTuple | None) -> dict[str, Any]:
    """The channel values of a checkpoint, which must exist."""
    return the(found).checkpoint["channel_values"]


def writes(found: CheckpointTuple | None) -> list[tuple[str, str, Any]]:
    """The pending writes of a checkpoint, which must exist."""
    pending = the(found).pending_writes
    assert pending is not None, "pending_writes is None; a checkpoint without writes has []"
    return pending


def told(found: CheckpointTuple | None) -> dict[str, Any]:
    """The metadata of a checkpoint, which must exist, including the user's entries."""
    return cast("dict[str, Any]", the(found).metadata)


def ids(found: Any) -> list[str]:
    """The checkpoint ids of tuples, in their order."""
    return [each.checkpoint["id"] for each in found]
