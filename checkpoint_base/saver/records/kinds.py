"""The records of a saver, as every backend stores them (see docs/reference/records.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypedDict

from checkpoint_base.saver.records.embedded import NOTHING, EmbeddedValues

Typed = tuple[str, bytes]
"""What a serializer makes of a value: (type, bytes). Kept verbatim."""

ValueKey = tuple[str, str]
"""(channel, version key) of a value in a thread's namespace."""


class Stored(NamedTuple):
    """A serialized value as it is stored: all of it inline, or its ends and a layout."""

    kind: str
    inline: bytes
    layout: bytes | None


class Remembered(NamedTuple):
    """A value that was stored a moment ago, and where its body was cut."""

    value: Typed
    stored: Stored
    ends: list[int]


class CheckpointRecord(NamedTuple):
    """A checkpoint, with those of its channel values that are small."""

    thread_id: str
    ns: str
    checkpoint_id: str
    parent_id: str | None
    v: int
    versions: Mapping[str, str]
    """channel -> version key (see `versions.version_key`)"""
    body: Typed
    metadata: str
    """JSON of the entries that may be read and filtered in the database"""
    sealed: Typed | None
    """the other entries, through the serializer"""
    valueless: frozenset[str] = frozenset()
    """channels of `versions` that have no value; the value of any other one is in `small` or in a
    record"""
    small: EmbeddedValues = NOTHING
    """the values that are embedded in it"""


class ValueRecord(NamedTuple):
    """A channel's value at a version."""

    channel: str
    version: str
    value: Typed


class WriteRecord(NamedTuple):
    """A pending write; `idx` is negative where the last write wins."""

    task_id: str
    task_path: str
    idx: int
    channel: str
    value: Typed


ChannelRecord = ValueRecord | WriteRecord
"""What has a channel and a serialized value."""


class PutRecord(NamedTuple):
    """All that one `put` stores."""

    checkpoint: CheckpointRecord
    values: list[ValueRecord]
    run_id: str | None
    ttl: float | None
    kept: Sequence[ValueKey] = ()
    """the values that it has besides, of which an earlier put stored a record: if that is still
    there"""


class ThreadInfo(NamedTuple):
    """A thread, as `list_threads` shows it."""

    thread_id: str
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None


class ThreadPage(NamedTuple):
    """A page of `list_threads`; `cursor` gets the next one, None after the last."""

    threads: list[ThreadInfo]
    cursor: str | None


class Stats(TypedDict):
    """What `stats` counts; `bytes` is what the database keeps for it, as near as it can tell."""

    backend: str
    server: str
    threads: int
    checkpoints: int
    values: int
    segments: int
    writes: int
    bytes: int


Filter = Mapping[str, Any]
