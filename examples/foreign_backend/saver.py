"""A checkpoint saver on LMDB: one record for each checkpoint, one for each pending write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, NamedTuple

import lmdb
import ormsgpack
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    PendingWrite,
    get_checkpoint_id,
    get_checkpoint_metadata,
    writes_sort_key,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from examples.foreign_backend.database import DIGEST, digest, scan

_BELOW_ZERO = 16
"""Added to the index of a write in its key: special writes have negative indexes, but LMDB compares
keys as unsigned bytes.
"""
_LONGEST_ID = 511 - 2 * DIGEST


class Record(NamedTuple):
    """A stored checkpoint. Body, metadata and values are results of `serde.dumps_typed`."""

    thread: str
    ns: str
    id: str
    parent: str | None
    body: tuple[str, bytes]
    metadata: tuple[str, bytes]
    values: dict[str, tuple[str, bytes]]


class LmdbSaver(BaseCheckpointSaver[int]):
    """A checkpoint saver on an LMDB environment, which the caller opens and closes.

    Args:
        environment: must allow two more named databases.
        serde: the serializer; None: LangGraph's `JsonPlusSerializer`.
    """

    def __init__(
        self, environment: lmdb.Environment, *, serde: SerializerProtocol | None = None
    ) -> None:
        super().__init__(serde=serde)
        self._environment = environment
        self._checkpoints = environment.open_db(b"checkpoints")
        self._writes = environment.open_db(b"writes")

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that `config` names, else the newest of its thread and namespace."""
        prefix, checkpoint_id = _prefix(config), get_checkpoint_id(config)
        with self._environment.begin() as txn:
            key = prefix + _id(checkpoint_id) if checkpoint_id else self._newest(txn, prefix)
            return None if key is None else self._read(txn, key)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """List checkpoints, newest first. No transaction stays open while the caller iterates."""
        left = float("inf") if limit is None else limit
        for key in self._keys(config, before):
            if left <= 0:
                return
            with self._environment.begin() as txn:
                found = self._read(txn, key, filter or {})
            if found is not None:
                left -= 1
                yield found

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,  # noqa: ARG002 (all values are in the checkpoint)
    ) -> RunnableConfig:
        """Store a checkpoint with all its values; replaces one of the same id."""
        thread, ns = _names(config)
        values = checkpoint["channel_values"]
        record = Record(
            thread,
            ns,
            checkpoint["id"],
            get_checkpoint_id(config) or None,
            self.serde.dumps_typed({**checkpoint, "channel_values": {}}),
            self.serde.dumps_typed(get_checkpoint_metadata(config, metadata)),
            {name: self.serde.dumps_typed(value) for name, value in values.items()},
        )
        with self._environment.begin(write=True) as txn:
            key = _prefix(config) + _id(record.id)
            txn.put(key, ormsgpack.packb(list(record)), db=self._checkpoints)
        return _config(thread, ns, record.id)

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Store a task's writes. A repeated regular write is ignored, a repeated special write (an
        interrupt, an error, …) replaces the old one.
        """
        prefix = _prefix(config) + digest(config["configurable"]["checkpoint_id"]) + digest(task_id)
        rows = []
        for position, (channel, value) in enumerate(writes):
            index = WRITES_IDX_MAP.get(channel, position)
            row = [task_path, task_id, index, channel, *self.serde.dumps_typed(value)]
            rows.append((index, ormsgpack.packb(row)))
        with self._environment.begin(write=True) as txn:
            for index, packed in rows:
                key = prefix + (index + _BELOW_ZERO).to_bytes(4, "big")
                txn.put(key, packed, db=self._writes, overwrite=index < 0)

    def delete_thread(self, thread_id: str) -> None:
        """Remove all checkpoints and writes of a thread."""
        prefix = digest(str(thread_id))
        with self._environment.begin(write=True) as txn:
            for database in (self._checkpoints, self._writes):
                for key in [key for key, _ in scan(txn, database, prefix)]:
                    txn.delete(key, db=database)

    def _newest(self, txn: Any, prefix: bytes) -> bytes | None:
        """The key of the highest checkpoint id. Ids sort as their UTF-8 bytes do."""
        with txn.cursor(db=self._checkpoints) as cursor:
            there = cursor.prev() if cursor.set_range(prefix + b"\xff") else cursor.last()
            key: bytes = cursor.key()
            return key if there and key.startswith(prefix) else None

    def _keys(self, config: RunnableConfig | None, before: RunnableConfig | None) -> list_of_keys:
        """The keys that `list` has to read, in order."""
        prefix, wanted, end = b"", None, get_checkpoint_id(before) if before else None
        if config is not None:
            of_one = "checkpoint_ns" in config["configurable"]
            prefix = _prefix(config) if of_one else _prefix(config)[:DIGEST]
            wanted = get_checkpoint_id(config)
        with self._environment.begin() as txn, txn.cursor(db=self._checkpoints) as cursor:
            there, found = cursor.set_range(prefix), []
            while there and cursor.key().startswith(prefix):
                found_id = _id_of(cursor.key(), cursor.value())
                if (not wanted or found_id == wanted) and (not end or found_id < end):
                    found.append((found_id, cursor.key()))
                there = cursor.next()
        return [key for _, key in sorted(found, reverse=True)]

    def _read(
        self, txn: Any, key: bytes, wanted: dict[str, Any] | None = None
    ) -> CheckpointTuple | None:
        """A checkpoint with its writes; None if it does not exist, or does not match the filter."""
        stored = txn.get(key, db=self._checkpoints)
        if stored is None:
            return None
        record = Record(*ormsgpack.unpackb(stored))
        metadata = self._load(record.metadata)
        if any(metadata.get(name) != value for name, value in (wanted or {}).items()):
            return None
        body, parent = self._load(record.body), record.parent
        body["channel_values"] = {name: self._load(typed) for name, typed in record.values.items()}
        return CheckpointTuple(
            config=_config(record.thread, record.ns, record.id),
            checkpoint=body,
            metadata=metadata,
            parent_config=_config(record.thread, record.ns, parent) if parent else None,
            pending_writes=self._pending(txn, key[: 2 * DIGEST] + digest(record.id)),
        )

    def _pending(self, txn: Any, prefix: bytes) -> list_of_writes:
        rows = [row for _, row in scan(txn, self._writes, prefix)]
        rows.sort(key=lambda row: writes_sort_key(*row[:3]))
        return [(task, channel, self._load(typed)) for _, task, _, channel, *typed in rows]

    def _load(self, typed: Sequence[Any]) -> Any:
        name, data = typed
        return self.serde.loads_typed((name, data))

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return await asyncio.to_thread(self.get_tuple, config)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        found = self.list(config, filter=filter, before=before, limit=limit)
        while (item := await asyncio.to_thread(next, found, None)) is not None:
            yield item

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        return await asyncio.to_thread(self.put, config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        await asyncio.to_thread(self.put_writes, config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        await asyncio.to_thread(self.delete_thread, thread_id)


list_of_keys = list[bytes]
list_of_writes = list[PendingWrite]


def _names(config: RunnableConfig) -> tuple[str, str]:
    """The thread's id and the namespace of a config."""
    configurable = config["configurable"]
    return str(configurable["thread_id"]), configurable.get("checkpoint_ns") or ""


def _prefix(config: RunnableConfig) -> bytes:
    """The common prefix of the keys of a thread's namespace."""
    thread, ns = _names(config)
    return digest(thread) + digest(ns)


def _id(checkpoint_id: str) -> bytes:
    """Encode a checkpoint's id for a key. Ids of 479 bytes and more end in a hash, so only their
    first 463 bytes sort.
    """
    encoded = checkpoint_id.encode()
    if len(encoded) < _LONGEST_ID:
        return encoded
    return encoded[: _LONGEST_ID - DIGEST] + digest(checkpoint_id)


def _id_of(key: bytes, value: bytes) -> str:
    """Decode a checkpoint's id from its key, or from its record if the key has a hash."""
    encoded = key[2 * DIGEST :]
    if len(encoded) < _LONGEST_ID:
        return encoded.decode()
    return Record(*ormsgpack.unpackb(value)).id


def _config(thread: str, ns: str, checkpoint_id: str) -> RunnableConfig:
    return {
        "configurable": {
            "thread_id": thread,
            "checkpoint_ns": ns,
            "checkpoint_id": checkpoint_id,
        }
    }
