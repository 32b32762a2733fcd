"""Threads of another package's saver, copied through LangGraph's own interface."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointTuple,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from checkpoint_base.errors import UnreadableValueError
from checkpoint_base.saver.codec.strict import (
    Unbuildable,
    keeps_objects_packed,
    load_strictly,
    strict,
    without_objects,
)
from checkpoint_base.saver.config import config_of
from checkpoint_base.saver.records.kinds import Typed
from checkpoint_base.saver.shell import Saver


def import_threads(
    source: BaseCheckpointSaver[Any],
    target: BaseCheckpointSaver[Any],
    thread_ids: Iterable[str] | None = None,
    *,
    progress: Callable[[str, int], None] | None = None,
) -> int:
    """Copy threads from one saver to another, with all their checkpoints, forks and pending
    writes, oldest first. The source is only read. What is there already is stored again, which
    changes nothing: after an interruption, or when a thread went on in the source, call it again.

    No class is needed where both savers have LangGraph's serializer, encrypted or not: objects stay
    as they are serialized. Otherwise values are decoded and encoded again, and the first one that
    cannot be rebuilt ends the call: nothing is stored in a value's place.

    What LangGraph's interface does not tell is not copied: time to live begins with the copy, and
    the paths of tasks are empty. Versions that are numbers become texts.

    Args:
        source: any saver with `list` and `get_tuple`; blocking, as its database's own class is.
        target: any saver with `put` and `put_writes`.
        thread_ids: which threads; None: all that `source.list(None)` gives.
        progress: called after each thread with its id and the number of its checkpoints.

    Returns:
        how many checkpoints were copied.

    Raises:
        UnreadableValueError: a value cannot be rebuilt. Its checkpoint is not stored; those before
            it are.
        UnserializableValueError: the serializer of `target` cannot store a value.
    """
    names = thread_names(source) if thread_ids is None else dict.fromkeys(thread_ids)
    reader = _reading(source, target)
    copied = 0
    for name in names:
        try:
            count = _import_thread(reader, target, name)
        except Unbuildable as error:
            raise UnreadableValueError(
                f"thread {name!r}: a value of type {error.kind!r} cannot be rebuilt: "
                f"{error.reason}. Either {error.remedy}, or give both savers LangGraph's own "
                "serializer: then no value has to be rebuilt"
            ) from error.__cause__
        copied += count
        if progress is not None:
            progress(name, count)
    return copied


class _Strict:
    """A serializer that only decodes, and raises `Unbuildable` rather than give a substitute."""

    def __init__(self, serde: SerializerProtocol) -> None:
        self._serde = strict(serde)
        self.dumps_typed = serde.dumps_typed

    def loads_typed(self, data: Typed) -> Any:
        return load_strictly(self._serde, data)


def _reading(
    source: BaseCheckpointSaver[Any], target: BaseCheckpointSaver[Any]
) -> BaseCheckpointSaver[Any]:
    """The source, so that it gives objects packed, or else rebuilt, but no substitutes for them."""
    packed = keeps_objects_packed(source.serde)
    return reader_of(source, packed if keeps_objects_packed(target.serde) is not None else None)


def reader_of(
    source: BaseCheckpointSaver[Any], packed: SerializerProtocol | None
) -> BaseCheckpointSaver[Any]:
    """The source, so that it gives what `packed` does, or else values rebuilt: no substitutes."""
    if packed is not None:
        return _decoding(source, packed)
    own = isinstance(source, Saver)
    return _decoding(source, source.serde if own else _Strict(source.serde))


def _decoding(
    saver: BaseCheckpointSaver[Any], serde: SerializerProtocol
) -> BaseCheckpointSaver[Any]:
    """A clone of a saver that reads with another serializer; `with_allowlist` makes one, too."""
    if isinstance(saver, Saver):
        return saver._decoding(serde)
    clone = copy.copy(saver)
    clone.serde = serde
    return clone


def thread_names(source: BaseCheckpointSaver[Any]) -> dict[str, None]:
    """The ids of all threads of a saver, which is only read."""
    lister = _decoding(source, without_objects(source.serde))
    return {str(_at(one.config)["thread_id"]): None for one in lister.list(None)}


def _at(config: RunnableConfig) -> dict[str, Any]:
    found: dict[str, Any] = config["configurable"]
    return found


def _import_thread(
    source: BaseCheckpointSaver[Any], target: BaseCheckpointSaver[Any], thread_id: str
) -> int:
    importing = ThreadImport(target, thread_id)
    for one in thread_tuples(source, thread_id):
        importing.store(one)
    return importing.count


def thread_tuples(source: BaseCheckpointSaver[Any], thread_id: str) -> Iterator[CheckpointTuple]:
    """A thread's checkpoints, parents first, one at a time."""
    # only their ids are kept: a state may be large, and there may be many
    listed = source.list({"configurable": {"thread_id": thread_id}})
    places = [(one.checkpoint["id"], _at(one.config).get("checkpoint_ns", "")) for one in listed]
    for checkpoint_id, ns in sorted(places):
        one = source.get_tuple(config_of(thread_id, ns, checkpoint_id))
        if one is not None:  # else it was deleted meanwhile
            yield one


def parent_of(one: CheckpointTuple) -> str:
    """The id of a checkpoint's parent; empty if it has none."""
    found = _at(one.parent_config).get("checkpoint_id") if one.parent_config else None
    return found or ""


class ThreadImport:
    """Stores one thread's checkpoints, which are given parents first.

    Args:
        target: any saver with `put` and `put_writes`.
        thread_id: the thread.

    Attributes:
        count: how many were stored.
    """

    def __init__(self, target: BaseCheckpointSaver[Any], thread_id: str) -> None:
        self.count = 0
        self._target = target
        self._thread_id = thread_id
        self._lines: dict[tuple[str, str], ImportedVersions] = {}

    def store(self, one: CheckpointTuple) -> None:
        """Store a checkpoint with its writes; of its values those that its parent has not."""
        checkpoint_id, parent = one.checkpoint["id"], parent_of(one)
        ns = _at(one.config).get("checkpoint_ns", "")
        line = ImportedVersions(checkpoint_id, self._lines.get((ns, parent)))
        self._lines[ns, checkpoint_id] = line
        _store(self._target, one, config_of(self._thread_id, ns, parent), line)
        self.count += 1


class ImportedVersions:
    """The versions of a checkpoint's channels, and of its ancestors'.

    A saver that numbers versions, 1, 2, 3, gives two forks the same ones for different values. So
    each number becomes a version as LangGraph's savers for databases make them, which only what
    descends from it shares; others stay as they are.
    """

    def __init__(self, checkpoint_id: str, parent: ImportedVersions | None) -> None:
        self._checkpoint_id = checkpoint_id
        self._named: dict[tuple[str, Any], str] = dict(parent._named) if parent else {}
        self._current: ChannelVersions = parent._current if parent else {}

    def note(self, current: ChannelVersions) -> ChannelVersions:
        """Those of this checkpoint; which of them its parent has not."""
        changed = {
            channel: version
            for channel, version in current.items()
            if self._current.get(channel) != version
        }
        for channel, version in changed.items():
            if isinstance(version, (int, float)):
                told_apart = random.Random(f"{self._checkpoint_id}\0{channel}").random()  # noqa: S311 (the same each time)
                self._named[channel, version] = f"{int(version):032}.{told_apart:016}"
        self._current = current
        return self.named(changed)

    def forget_but(self, checkpoint: Checkpoint) -> None:
        """No descendant names a version that this checkpoint does not name any more."""
        spaces = checkpoint["channel_versions"], *checkpoint["versions_seen"].values()
        used = {entry for space in spaces for entry in space.items()}
        self._named = {entry: name for entry, name in self._named.items() if entry in used}

    def named(self, versions: ChannelVersions) -> ChannelVersions:
        """Versions under their new names."""
        return {channel: self._name(channel, version) for channel, version in versions.items()}

    def _name(self, channel: str, version: Any) -> Any:
        if not isinstance(version, (int, float)):
            return version
        return self._named.get((channel, version), f"{int(version):032}.{0.0:016}")


def _store(
    target: BaseCheckpointSaver[Any],
    one: CheckpointTuple,
    parent: RunnableConfig,
    line: ImportedVersions,
) -> None:
    new = line.note(one.checkpoint["channel_versions"])
    checkpoint = one.checkpoint.copy()
    checkpoint["channel_versions"] = line.named(one.checkpoint["channel_versions"])
    seen = one.checkpoint["versions_seen"]
    checkpoint["versions_seen"] = {node: line.named(versions) for node, versions in seen.items()}
    line.forget_but(one.checkpoint)
    at = target.put(parent, checkpoint, one.metadata, new)
    tasks: dict[str, list[tuple[str, Any]]] = {}
    for task_id, channel, value in one.pending_writes or ():
        tasks.setdefault(task_id, []).append((channel, value))
    for task_id, writes in tasks.items():
        target.put_writes(at, writes, task_id)
