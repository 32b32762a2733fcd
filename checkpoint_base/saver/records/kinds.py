"""The records of a saver, as every backend stores them (see docs/reference/records.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypedDict

from checkpoint_base.saver.records.embedded import NOTHING, EmbeddedValues

Typed = tuple[str, bytes]
"""A serialized value: (type, bytes), exactly as the serializer returned it."""

ValueKey = tuple[str, str]
"""(channel, version key) of a value in a thread's namespace."""


class Stored(NamedTuple):
    """A serialized value in storage form: all bytes inline, or a layout of spans in the log and
    optionally the first and last bytes inline.
    """

    kind: str
    inline: bytes
    layout: bytes | None


class Remembered(NamedTuple):
    """A recently stored value, and the end offsets of the chunks in its body."""

    value: Typed
    stored: Stored
    ends: list[int]


class CheckpointRecord(NamedTuple):
    """A checkpoint with its embedded small values."""

    thread_id: str
    ns: str
    checkpoint_id: str
    parent_id: str | None
    v: int
    versions: Mapping[str, str]
    """channel -> version key (see `versions.version_key`)"""
    body: Typed
    metadata: str
    """JSON of the entries that the database may read and filter by"""
    sealed: Typed | None
    """the other metadata entries, serialized"""
    valueless: frozenset[str] = frozenset()
    """channels of `versions` without a value; each other channel's value is in `small` or in a
    value record"""
    small: EmbeddedValues = NOTHING
    """the embedded values"""


class ValueRecord(NamedTuple):
    """A channel's value at one version."""

    channel: str
    version: str
    value: Typed


class WriteRecord(NamedTuple):
    """A pending write. A negative `idx` marks a special write, which replaces an earlier one."""

    task_id: str
    task_path: str
    idx: int
    channel: str
    value: Typed


ChannelRecord = ValueRecord | WriteRecord
"""A record with a channel and a serialized value."""


class PutRecord(NamedTuple):
    """The records of one `put`; `ttl` is in minutes."""

    checkpoint: CheckpointRecord
    values: list[ValueRecord]
    run_id: str | None
    ttl: float | None
    kept: Sequence[ValueKey] = ()
    """values of the checkpoint that an earlier put should have stored as records"""


class ThreadInfo(NamedTuple):
    """A thread, as `list_threads` returns it. Times are in UTC."""

    thread_id: str
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None


class ThreadPage(NamedTuple):
    """A page of `list_threads`; pass `cursor` to get the next page. None: this is the last page."""

    threads: list[ThreadInfo]
    cursor: str | None


class OpenInterrupt(NamedTuple):
    """A question that waits for a person's answer, as `interrupts` returns it. `interrupt_id` is
    what `Command(resume={interrupt_id: answer})` names.
    """

    thread_id: str
    checkpoint_id: str
    interrupt_id: str
    value: Any


class Stats(TypedDict):
    """The result of `stats`; `bytes` is the database's best estimate of the storage used."""

    backend: str
    server: str
    threads: int
    checkpoints: int
    values: int
    segments: int
    writes: int
    bytes: int
