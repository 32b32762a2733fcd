"""Import threads from another package's saver, through LangGraph's `BaseCheckpointSaver` API."""

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
    """Copy threads from one saver to another, with all checkpoints, forks and pending writes,
    oldest first. The source is only read. The import is idempotent: after an interruption, or when
    a thread has grown in the source, call it again.

    If both savers use LangGraph's serializer, encrypted or not, objects are copied in serialized
    form and their classes need not be importable. Otherwise values are decoded and encoded again.
    The call stops at the first value that cannot be rebuilt, and never stores a substitute.

    LangGraph's API does not expose times to live and task paths, so they are not copied: a copy's
    time to live starts anew, and its task paths are empty. Numeric versions become strings.

    Args:
        source: any saver whose `list` and `get_tuple` may be called blocking.
        target: any saver whose `put` and `put_writes` may be called blocking.
        thread_ids: the threads to copy; None: all that `source.list(None)` yields.
        progress: called after each thread with its id and its number of checkpoints.

    Returns:
        The number of copied checkpoints.

    Raises:
        UnreadableValueError: a value cannot be rebuilt. Earlier checkpoints are stored, the one
            with that value is not.
        UnserializableValueError: the serializer of `target` cannot encode a value.
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
    """A serializer whose decoding raises `Unbuildable` instead of returning a substitute."""

    def __init__(self, serde: SerializerProtocol) -> None:
        self._serde = strict(serde)
        self.dumps_typed = serde.dumps_typed

    def loads_typed(self, data: Typed) -> Any:
        return load_strictly(self._serde, data)


def _reading(
    source: BaseCheckpointSaver[Any], target: BaseCheckpointSaver[Any]
) -> BaseCheckpointSaver[Any]:
    """A clone of the source that returns objects packed, or else rebuilt, but never substitutes."""
    packed = keeps_objects_packed(source.serde)
    return reader_of(source, packed if keeps_objects_packed(target.serde) is not None else None)


def reader_of(
    source: BaseCheckpointSaver[Any], packed: SerializerProtocol | None
) -> BaseCheckpointSaver[Any]:
    """A clone of the source that decodes with `packed`; None: strictly, without substitutes."""
    if packed is not None:
        return _decoding(source, packed)
    own = isinstance(source, Saver)
    return _decoding(source, source.serde if own else _Strict(source.serde))


def _decoding(
    saver: BaseCheckpointSaver[Any], serde: SerializerProtocol
) -> BaseCheckpointSaver[Any]:
    """A clone of a saver that reads with another serializer (LangGraph's `with_allowlist` also
    clones savers).
    """
    if isinstance(saver, Saver):
        return saver._decoding(serde)
    clone = copy.copy(saver)
    clone.serde = serde
    return clone


def thread_names(source: BaseCheckpointSaver[Any]) -> dict[str, None]:
    """The ids of all threads of a saver, as the keys of a dict."""
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
    """A thread's checkpoints, parents first, read one at a time."""
    # keep only the ids in memory: there may be many checkpoints with large states
    listed = source.list({"configurable": {"thread_id": thread_id}})
    places = [(one.checkpoint["id"], _at(one.config).get("checkpoint_ns", "")) for one in listed]
    for checkpoint_id, ns in sorted(places):
        one = source.get_tuple(config_of(thread_id, ns, checkpoint_id))
        if one is not None:  # otherwise it was deleted after `list`
            yield one


def parent_of(one: CheckpointTuple) -> str:
    """The id of a checkpoint's parent, or `""`."""
    found = _at(one.parent_config).get("checkpoint_id") if one.parent_config else None
    return found or ""


class ThreadImport:
    """Stores the checkpoints of one thread, which must arrive parents first.

    Args:
        target: as in `import_threads`.
        thread_id: the thread.

    Attributes:
        count: the number of checkpoints stored so far.
    """

    def __init__(self, target: BaseCheckpointSaver[Any], thread_id: str) -> None:
        self.count = 0
        self._target = target
        self._thread_id = thread_id
        self._lines: dict[tuple[str, str], ImportedVersions] = {}

    def store(self, one: CheckpointTuple) -> None:
        """Store a checkpoint with its writes, and those of its values that its parent lacks."""
        checkpoint_id, parent = one.checkpoint["id"], parent_of(one)
        ns = _at(one.config).get("checkpoint_ns", "")
        line = ImportedVersions(checkpoint_id, self._lines.get((ns, parent)))
        self._lines[ns, checkpoint_id] = line
        _store(self._target, one, config_of(self._thread_id, ns, parent), line)
        self.count += 1


class ImportedVersions:
    """Renames numeric channel versions of a checkpoint and its ancestors.

    A saver that numbers versions 1, 2, 3 gives two forks equal versions for different values. So
    each number is renamed to a string in the format of LangGraph's database savers, unique to the
    checkpoint that introduced it and shared only with its descendants. String versions are kept.
    """

    def __init__(self, checkpoint_id: str, parent: ImportedVersions | None) -> None:
        self._checkpoint_id = checkpoint_id
        self._named: dict[tuple[str, Any], str] = dict(parent._named) if parent else {}
        self._current: ChannelVersions = parent._current if parent else {}

    def note(self, current: ChannelVersions) -> ChannelVersions:
        """Add this checkpoint's versions; returns the renamed ones that its parent lacks."""
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
        """Drop renamings that this checkpoint does not use: no descendant can use them either."""
        spaces = checkpoint["channel_versions"], *checkpoint["versions_seen"].values()
        used = {entry for space in spaces for entry in space.items()}
        self._named = {entry: name for entry, name in self._named.items() if entry in used}

    def named(self, versions: ChannelVersions) -> ChannelVersions:
        """The renamed versions."""
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
