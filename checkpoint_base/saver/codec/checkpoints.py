"""Codec of checkpoints and pending writes: to records and back, without I/O."""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    PendingWrite,
    get_checkpoint_metadata,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.types import TASKS

from checkpoint_base.errors import CheckpointError, CorruptValueError
from checkpoint_base.saver.codec.sizes import ChannelSizes
from checkpoint_base.saver.codec.values import OnUnreadable, ValueCodec, place_of
from checkpoint_base.saver.config import address, channel_name, config_of, text
from checkpoint_base.saver.records.drafts import Draft
from checkpoint_base.saver.records.json_text import is_plain, parsed
from checkpoint_base.saver.records.kinds import (
    CheckpointRecord,
    Typed,
    ValueKey,
    ValueRecord,
    WriteRecord,
)
from checkpoint_base.saver.records.versions import version_keys, versions_of

BASE_METADATA: Final = frozenset({"source", "step", "run_id", "parents"})
"""Metadata keys that are stored unencrypted even if the serializer encrypts."""

_OWN_KEYS: Final = frozenset({"v", "id", "channel_values", "channel_versions"})
"""Checkpoint keys that are stored outside of the record's body."""

_MSGPACK: Final = frozenset({"msgpack", "null"})
_JOINED_BYTES: Final = 1 << 14
"""Maximum bytes to join and decode at once; beyond that, copying costs more than it saves."""
_SEEN: Final = "versions_seen"
_COUNTERS: Final = "counters_since_delta_snapshot"
_to_json: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class Values(NamedTuple):
    """The stored values of a checkpoint's channels."""

    stored: Container[ValueKey]
    get: Callable[[ValueKey], Typed]
    """returns the value of a key in `stored`"""


def _none(key: ValueKey) -> Typed:
    raise KeyError(key)


NO_VALUES: Final = Values((), _none)
"""For a checkpoint without value records."""


class Codec(ValueCodec):
    """Encodes and decodes records with one serializer.

    Args:
        serde: see `ValueCodec`.
        on_unreadable: see `ValueCodec`.
        encrypted: see `ValueCodec`.
        sizes: records the sizes of encoded values; None: do not record them.
    """

    __slots__ = ("_sizes",)

    def __init__(
        self,
        serde: SerializerProtocol,
        on_unreadable: OnUnreadable = "raise",
        encrypted: bool = False,
        sizes: ChannelSizes | None = None,
    ) -> None:
        super().__init__(serde, on_unreadable, encrypted)
        self._sizes = sizes

    # ------------------------------------------------------------------ put

    def draft(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> Draft:
        """A draft of one `put`, with its new values serialized. `Draft.complete` serializes an
        unchanged value only if it turns out not to be stored.
        """
        to = address(config)
        values = checkpoint.get("channel_values") or {}
        record, run_id = self.record(
            to.thread_id,
            to.namespace,
            to.checkpoint_id,
            checkpoint,
            self._metadata(config, metadata),
        )
        where = "thread", to.thread_id, "channel"
        new = [  # at the versions in the checkpoint, from which readers derive the records' keys
            ValueRecord(name, record.versions[name], self.dump(values[name], *where, name))
            for name in new_versions
            if name in values and name in record.versions
        ]
        if (sizes := self._sizes) is not None:
            for one in new:
                size = len(one.value[1])
                sizes.note((to.thread_id, one.channel, False), values[one.channel], size)
        unchanged = {name: value for name, value in values.items() if name not in new_versions}

        def dump(name: str) -> Typed:
            return self.dump(values[name], *where, name)

        return Draft(record, new, new_versions, unchanged, dump, run_id, to.ttl)

    def record(
        self,
        thread_id: str,
        ns: str,
        parent_id: str | None,
        checkpoint: Mapping[str, Any],
        metadata: Mapping[str, Any],
    ) -> tuple[CheckpointRecord, str | None]:
        """The record of a checkpoint, without values, and its run id; `metadata` is complete."""
        versions = checkpoint.get("channel_versions") or {}
        body = {key: value for key, value in checkpoint.items() if key not in _OWN_KEYS}
        if _SEEN in body:
            body[_SEEN] = {node: version_keys(seen) for node, seen in body[_SEEN].items()}
        plain, sealed = self._split(metadata)
        run_id = plain.get("run_id")
        record = CheckpointRecord(
            thread_id,
            ns,
            text("checkpoint['id']", checkpoint["id"]),
            parent_id,
            checkpoint.get("v", 1),
            {channel_name(name): key for name, key in version_keys(versions).items()},
            self.dump(body),
            _to_json(plain),
            self.dump(sealed, "thread", thread_id, "metadata of checkpoint", checkpoint["id"])
            if sealed
            else None,
        )
        return record, None if run_id is None else text("run_id", run_id)

    @staticmethod
    def _metadata(config: RunnableConfig, metadata: CheckpointMetadata) -> dict[str, Any]:
        """The metadata of a checkpoint, including entries from its config, except the TTL."""
        if "ttl" in (configurable := config.get("configurable") or {}):
            rest = {key: value for key, value in configurable.items() if key != "ttl"}
            config = {**config, "configurable": rest}
        return cast("dict[str, Any]", get_checkpoint_metadata(config, metadata))

    def is_readable(self, key: str) -> bool:
        """Whether a metadata entry may be stored unencrypted, so that the database can read it."""
        return not self._encrypted or key in BASE_METADATA

    def _split(self, metadata: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Split metadata: (entries stored as JSON, entries stored through the serializer)."""
        plain: dict[str, Any] = {}
        sealed: dict[str, Any] = {}
        for key, value in metadata.items():
            is_open = self.is_readable(key) and is_plain(value)
            (plain if is_open else sealed)[key] = value
        return plain, sealed

    def writes(
        self, thread_id: str, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
    ) -> list[WriteRecord]:
        """The records of one `put_writes`, with distinct `idx`.

        The `idx` of a special write depends on its channel, so of two in one call the last counts.
        """
        task_id, task_path = text("task_id", task_id), text("task_path", task_path)
        records: dict[int, WriteRecord] = {}
        for position, (name, value) in enumerate(writes):
            idx = WRITES_IDX_MAP.get(name, position)
            encoded = self.dump(value, "task", task_id, "write to", name)
            records[idx] = WriteRecord(task_id, task_path, idx, channel_name(name), encoded)
            if self._sizes is not None:
                self._sizes.note((thread_id, name, True), value, len(encoded[1]))
        return list(records.values())

    # ------------------------------------------------------------------ read

    def metadata(self, plain: str, sealed: Typed | None, *where: str) -> dict[str, Any]:
        """Join the two parts of a checkpoint's metadata; `where` as for `load`."""
        entries: dict[str, Any] = parsed(plain)
        return {**entries, **self.load_entries(sealed, *where)} if sealed else entries

    def metadata_of(self, record: CheckpointRecord) -> dict[str, Any]:
        """The complete metadata of a checkpoint."""
        return self.metadata(record.metadata, record.sealed, *_metadata_at(record))

    def delta_channels_of(self, record: CheckpointRecord) -> list[str]:
        """The DeltaChannels whose value at a checkpoint is rebuilt from its ancestors' writes.

        Raises:
            CorruptValueError: the checkpoint's metadata cannot be parsed.
            UnencryptedValueError: as `load`.
            DecryptionError: as `load`.
            UnreadableValueError: as `load`, but never because of a user's class.
        """
        where = _metadata_at(record)
        try:
            metadata: dict[str, Any] = parsed(record.metadata)
            if record.sealed and (self._encrypted or _COUNTERS not in metadata):
                metadata |= self.load_plain_entries(record.sealed, *where)
        except CheckpointError:
            raise
        except (ValueError, TypeError) as error:  # not JSON, or not an object
            raise CorruptValueError(
                f"{place_of(where)}a checkpoint's metadata cannot be read: {type(error).__name__}"
            ) from error
        counters = metadata.get(_COUNTERS)
        return sorted(counters) if isinstance(counters, Mapping) else []

    def checkpoint_tuple(
        self,
        record: CheckpointRecord,
        metadata: dict[str, Any],
        values: Values,
        writes: Iterable[WriteRecord],
        sends: Iterable[WriteRecord] = (),
    ) -> CheckpointTuple:
        """Decode a checkpoint.

        Args:
            record: the checkpoint's record.
            metadata: its complete metadata.
            values: its stored values.
            writes: its pending writes.
            sends: its parent's writes to TASKS, which a checkpoint with v < 4 reads as its own.
        """
        thread_id = record.thread_id
        body, loaded, pending = self._decoded(record, in_order(writes))
        if _SEEN in body:
            body[_SEEN] = {node: versions_of(seen) for node, seen in body[_SEEN].items()}
        versions = versions_of(record.versions)
        if len(loaded) + len(record.valueless) < len(versions):
            self._load_records(record, values, loaded)
        if record.v < 4 and (tasks := self.pending_writes(sends, thread_id)):
            loaded[TASKS] = [value for _, _, value in tasks]
            versions[TASKS] = max(versions.values()) if versions else 1
        checkpoint = {
            "v": record.v,
            "id": record.checkpoint_id,
            **body,
            "channel_values": loaded,
            "channel_versions": versions,
        }
        where = thread_id, record.ns
        return CheckpointTuple(
            config_of(*where, record.checkpoint_id),
            cast("Checkpoint", checkpoint),
            cast("CheckpointMetadata", metadata),
            config_of(*where, record.parent_id) if record.parent_id else None,
            pending,
        )

    def _decoded(
        self, record: CheckpointRecord, writes: Sequence[WriteRecord]
    ) -> tuple[dict[str, Any], dict[str, Any], list[PendingWrite]]:
        """Decode a checkpoint's body, its embedded values, and its writes."""
        names, thread_id = record.small.names, record.thread_id
        joined = self._joined(record, writes)
        if joined is not None:
            body, *values = joined
            loaded = dict(zip(names, values, strict=False))
            rest = zip(writes, values[len(names) :], strict=True)
            return body, loaded, [(one.task_id, one.channel, value) for one, value in rest]
        body = self.load(record.body, "thread", thread_id, "checkpoint", record.checkpoint_id)
        loaded = {
            name: value
            for name, stored in record.small.values().items()
            for value in self.readable(stored, "thread", thread_id, "channel", name)
        }
        return body, loaded, self.pending_writes(writes, thread_id)

    def _joined(self, record: CheckpointRecord, writes: Sequence[WriteRecord]) -> list[Any] | None:
        """Decode body, embedded values and writes in one step, joined to one msgpack array. None:
        not possible, because of a value's type, size or content.
        """
        small = record.small
        values = [record.body, *[one.value for one in writes]]
        inside = [small.data]
        if small.names and small.kinds != "msgpack":
            values[1:1] = small.values().values()
            inside = []
        pieces = [b"\xc0" if kind == "null" else data for kind, data in values]
        if {kind for kind, _ in values} - _MSGPACK or sum(map(len, pieces)) > _JOINED_BYTES:
            return None
        pieces[1:1] = inside
        return self.load_array(1 + len(small.names) + len(writes), pieces)

    def _load_records(
        self, record: CheckpointRecord, values: Values, loaded: dict[str, Any]
    ) -> None:
        """Decode the values that have records, into `loaded`."""
        where = record.thread_id, record.ns
        inside = set(record.small.names)
        for entry in record.versions.items():
            if entry[0] not in inside and is_stored(where, record.valueless, entry, values.stored):
                stored = values.get(entry)
                for value in self.readable(stored, "thread", where[0], "channel", entry[0]):
                    loaded[entry[0]] = value

    def pending_writes(self, writes: Iterable[WriteRecord], thread_id: str) -> list[PendingWrite]:
        """Decode writes to `CheckpointTuple.pending_writes`."""
        return [
            (w.task_id, w.channel, value)
            for w in in_order(writes)
            for value in self.readable(w.value, *_write_at(w, thread_id))
        ]


def in_order(writes: Iterable[WriteRecord]) -> list[WriteRecord]:
    """Writes in the order of LangGraph's `writes_sort_key`: (task_path, task_id, idx)."""
    writes = list(writes)
    if len(writes) < 2:
        return writes
    return sorted(writes, key=lambda write: (write.task_path, write.task_id, write.idx))


def is_stored(
    where: tuple[str, str],
    valueless: Container[str],
    key: ValueKey,
    stored: Container[ValueKey],
) -> bool:
    """Whether a checkpoint's channel has a stored value.

    Args:
        where: thread and namespace, for the error.
        valueless: as in `CheckpointRecord`.
        key: channel and version.
        stored: the keys of the values that were read.

    Raises:
        CorruptValueError: the channel must have a value, but its record is missing.
    """
    if key in stored:
        return True
    if key[0] not in valueless:
        thread_id, ns = where
        raise CorruptValueError(
            f"thread {thread_id!r}, namespace {ns!r}: the value of channel {key[0]!r} at version "
            f"{key[1]!r} is gone, though a checkpoint has it"
        )
    return False


def _write_at(write: WriteRecord, thread_id: str) -> tuple[str, ...]:
    return "thread", thread_id, "task", write.task_id, "write to", write.channel


def _metadata_at(record: CheckpointRecord) -> tuple[str, ...]:
    return "thread", record.thread_id, "metadata of checkpoint", record.checkpoint_id
