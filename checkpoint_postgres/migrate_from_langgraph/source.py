"""Reads checkpoints from LangGraph's own tables, as this library's records."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from checkpoint_base.plan import Plan
from checkpoint_base.saver.codec.checkpoints import Codec
from checkpoint_base.saver.records.kinds import CheckpointRecord, Typed, WriteRecord
from checkpoint_base.saver.records.versions import version_key
from checkpoint_base.sql.requests import Row, rows

PAGE_CHECKPOINTS: Final = 100
PAGE_BYTES: Final = 1 << 23
"""Maximum size of a page, unless its first checkpoint alone is larger."""

Spot = tuple[str, str]
"""(namespace, checkpoint id)"""

Name = tuple[str, str, str]
"""(namespace, channel, version key)"""


class RowConflict(Exception):  # noqa: N818 (it never leaves the package)
    """The thread cannot be copied; the message says why."""


class SourceRow(NamedTuple):
    """A checkpoint's row, without its values."""

    record: CheckpointRecord
    run_id: str | None


@dataclass
class SourceReader:
    """A page of a thread. Values are serialized, and decrypted.

    Attributes:
        spots: the keys of the page's checkpoints, and of writes whose checkpoint does not exist.
        last: the last key, where the next page begins; None: this is the last page.
        checkpoints: by key.
        values: by name.
        absent: names without a value, though a checkpoint has that version of the channel.
        writes: by the key of their checkpoint.
    """

    spots: list[Spot]
    last: Spot | None
    checkpoints: dict[Spot, SourceRow]
    values: dict[Name, Typed]
    absent: set[Name]
    writes: dict[Spot, list[WriteRecord]]


def page_of(
    queries: Mapping[str, str], codec: Codec, thread_id: str, after: Spot
) -> Plan[SourceReader]:
    """Read the next page of a thread; the caller runs this on one snapshot.

    Raises:
        RowConflict: this library's records cannot represent a checkpoint.
    """
    near = yield from rows(queries["next_places"], (thread_id, *after, PAGE_CHECKPOINTS))
    taken = _within(near)
    spots: list[Spot] = [(ns, checkpoint_id) for ns, checkpoint_id, *_ in taken]
    more = len(taken) < len(near) or len(near) == PAGE_CHECKPOINTS
    page = SourceReader(spots, spots[-1] if more else None, {}, {}, set(), {})
    if not spots:
        return page
    places = (thread_id, *columns_of(spots, 2))
    found = yield from rows(queries["source_checkpoints"], places)
    keys = {
        (ns, channel, version)
        for ns, _, _, named in taken
        for channel, version, _ in json.loads(named or "[]")
    }
    blobs: dict[Any, Typed] = {}
    if keys:
        named = (thread_id, *columns_of(keys, 3))
        for *name, kind, blob in (yield from rows(queries["source_blobs"], named)):
            blobs[tuple(name)] = codec.unseal((kind, blob))
    for one in found:
        _take(page, codec, thread_id, one, blobs)
    for ns, checkpoint_id, *columns in (yield from rows(queries["source_writes"], places)):
        task_id, path, idx, channel, kind, blob = columns
        write = WriteRecord(task_id, path, idx, channel, codec.unseal((kind, blob)))
        page.writes.setdefault((ns, checkpoint_id), []).append(write)
    return page


def _within(near: Sequence[Any]) -> list[Any]:
    """The next checkpoints that fit into a page. A value that several of them have counts once."""
    seen: set[Name] = set()
    total = 0
    for count, (ns, _, size, named) in enumerate(near):
        total += size
        for channel, version, length in json.loads(named or "[]"):
            if (ns, channel, version) not in seen:
                seen.add((ns, channel, version))
                total += length
        if count and total > PAGE_BYTES:
            return list(near[:count])
    return list(near)


def _take(
    page: SourceReader, codec: Codec, thread_id: str, row: Row, blobs: Mapping[Any, Typed]
) -> None:
    """Add a checkpoint and its values, from blobs and from the checkpoint itself, to the page."""
    ns, checkpoint_id, parent = row[:3]
    checkpoint, metadata = json.loads(row[3]), json.loads(row[4])
    inline = checkpoint.get("channel_values") or {}
    versions = checkpoint.get("channel_versions") or {}
    if lost := inline.keys() - versions.keys():
        raise RowConflict(
            f"checkpoint {checkpoint_id!r} has values without a version: {sorted(lost)}"
        )
    body = {**checkpoint, "id": checkpoint_id}
    record, run_id = codec.record(thread_id, ns, parent or None, body, metadata)
    valueless: set[str] = set()
    for channel, version in versions.items():
        value = blobs.get((ns, channel, str(version)))
        if value is None and channel in inline:  # else it only refers to a blob
            value = codec.unseal(codec.dump(inline[channel]))
        name = (ns, channel, version_key(version))
        if value is None:
            valueless.add(channel)
            page.absent.add(name)
        elif page.values.setdefault(name, value) != value:
            raise RowConflict(
                f"channel {channel!r} has two values of one version in namespace {ns!r}"
            )
    record = record._replace(valueless=frozenset(valueless))
    page.checkpoints[ns, checkpoint_id] = SourceRow(record, run_id)


def columns_of(keys: Iterable[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """Keys as columns, for `unnest`."""
    found = list(keys)
    return [[key[column] for key in found] for column in range(width)]
