"""The binary format of records. Scripts unpack it, too: lua/records.lua."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final

from checkpoint_base.saver.records.checksums import CHECKSUM_SIZE, checksum, damaged
from checkpoint_base.saver.records.embedded import unpacked
from checkpoint_base.saver.records.kinds import CheckpointRecord, Stored, WriteRecord
from checkpoint_base.saver.records.versions import Versions

_FORMAT: Final = 1
_NONE: Final = 0xFFFFFFFF
_VALUELESS, _EMBEDDED = "-", "="  # before the version of a channel without a value record
_CHECKPOINT: Final = struct.Struct("<B9I")
_VALUE: Final = struct.Struct("<2I")
_WRITE: Final = struct.Struct("<4I")
_LENGTH: Final = struct.Struct("<I")


def checkpoint_name(ns: str, checkpoint_id: str) -> bytes:
    """A checkpoint's field in the hash of records."""
    return f"n{ns}\0{checkpoint_id}".encode()


def value_name(ns: str, channel: str, version: str) -> bytes:
    """A value's field."""
    return f"v{ns}\0{channel}\0{version}".encode()


def digests_name(start: int) -> bytes:
    """The field of a segment's digests."""
    return f"d{start}".encode()


def write_name(ns: str, checkpoint_id: str, task_id: str, idx: int) -> bytes:
    """A write's field."""
    return f"w{ns}\0{checkpoint_id}\0{task_id}\0{idx}".encode()


def names_of(field: bytes) -> list[str]:
    """The parts of a field's name, without its kind."""
    return field[1:].decode().split("\0")


# ---------------------------------------------------------------- checkpoints


def pack_checkpoint(salt: bytes, record: CheckpointRecord, run_id: str | None) -> bytes:
    """Pack a checkpoint, with the checksum of its link and its own."""
    kind, body = record.body
    sealed_kind, sealed = record.sealed or ("", None)
    versions = _pack_versions(record)
    parts = [
        None if record.parent_id is None else record.parent_id.encode(),
        None if run_id is None else run_id.encode(),
        versions,
        record.metadata.encode(),
        kind.encode(),
        body,
        None if sealed is None else sealed_kind.encode(),
        record.small.packed(),
    ]
    lengths = [_NONE if part is None else len(part) for part in parts]
    head = _CHECKPOINT.pack(_FORMAT, record.v, *lengths)
    link = link_checksum(salt, record.ns, record.checkpoint_id, record.parent_id, versions)
    packed = b"".join([head, *(part for part in parts if part), sealed or b"", link])
    return with_checksum(salt, checkpoint_name(record.ns, record.checkpoint_id), packed)


def unpack_checkpoint(
    thread_id: str, salt: bytes, place: tuple[str, str], stored: bytes
) -> CheckpointRecord:
    """Unpack a checkpoint, given its place (namespace, checkpoint id).

    Raises:
        CorruptValueError: a checksum is wrong: it was damaged, or is another checkpoint's.
    """
    packed = without_checksum(thread_id, salt, checkpoint_name(*place), stored)
    packed = packed[:-CHECKSUM_SIZE]  # without the checksum of the link
    _, v, *lengths = _CHECKPOINT.unpack_from(packed)
    at = _CHECKPOINT.size
    parts: list[Any] = []
    for length in lengths:
        if length == _NONE:
            parts.append(None)
        else:
            parts.append(packed[at : at + length])
            at += length
    parent, _, versions, metadata, kind, body, sealed_kind, small = parts
    stored_versions, valueless, embedded = _unpack_versions(versions)
    return CheckpointRecord(
        thread_id,
        *place,
        None if parent is None else parent.decode(),
        v,
        stored_versions,
        (kind.decode(), body),
        metadata.decode(),
        None if sealed_kind is None else (sealed_kind.decode(), packed[at:]),
        valueless,
        unpacked(small, embedded),
    )


def _pack_versions(record: CheckpointRecord) -> bytes:
    marks = dict.fromkeys(record.valueless, _VALUELESS)
    marks |= dict.fromkeys(record.small.names, _EMBEDDED)
    mark = marks.get
    return "".join(
        [f"{name}\0{mark(name, '')}{version}\0" for name, version in record.versions.items()]
    ).encode()


def _unpack_versions(packed: bytes) -> Versions:
    parts = packed.decode().split("\0")
    versions = dict(zip(parts[:-1:2], parts[1::2], strict=True))
    valueless, embedded = [], []
    for name, key in versions.items():
        if key[0] == _EMBEDDED:
            embedded.append(name)
            versions[name] = key[1:]
        elif key[0] == _VALUELESS:
            valueless.append(name)
            versions[name] = key[1:]
    return Versions(versions, frozenset(valueless), embedded)


def record_names(ns: bytes, versions: bytes) -> list[bytes]:
    """The names, without their kind, of a checkpoint's value records.

    Args:
        ns: of the checkpoint.
        versions: as packed.
    """
    parts = versions.split(b"\0")
    return [
        b"\0".join((ns, channel, version))
        for channel, version in zip(parts[:-1:2], parts[1::2], strict=True)
        if version[:1] not in (b"-", b"=")
    ]


def link_checksum(
    salt: bytes, ns: str, checkpoint_id: str, parent_id: str | None, versions: bytes
) -> bytes:
    """The checksum of a checkpoint's parent and versions, which a walk of ancestors reads alone."""
    return checksum(salt, ("link", ns, checkpoint_id, parent_id or ""), versions)


def unpack_link(
    thread_id: str, salt: bytes, ns: str, told: tuple[bytes, bytes, bytes, bytes]
) -> str:
    """Check an ancestor's (id, parent, versions, link checksum), and return its id.

    Raises:
        CorruptValueError: the checksum is wrong: it was damaged, or is another checkpoint's.
    """
    checkpoint_id, parent_id, versions, expected = told
    names = ns, checkpoint_id.decode(errors="replace"), parent_id.decode(errors="replace")
    if link_checksum(salt, *names, versions) != expected:
        raise damaged(thread_id, ("link", *names))
    return names[1]


# ---------------------------------------------------------------- checksums


def with_checksum(salt: bytes, field: bytes, packed: bytes) -> bytes:
    """A record with its checksum, which covers the name of its field."""
    return packed + checksum(salt, ("record",), field, packed)


def without_checksum(thread_id: str, salt: bytes, field: bytes, stored: bytes) -> bytes:
    """Check and remove the checksum of a record.

    Raises:
        CorruptValueError: the checksum is wrong: it was damaged, or is another record.
    """
    packed = stored[:-CHECKSUM_SIZE]
    if checksum(salt, ("record",), field, packed) != stored[-CHECKSUM_SIZE:]:
        raise damaged(thread_id, ("record", *field.decode(errors="replace").split("\0")))
    return packed


# ---------------------------------------------------------------- values and writes


def pack_value(stored: Stored) -> bytes:
    """Pack a value."""
    kind, layout = stored.kind.encode(), stored.layout or b""
    return b"".join([_VALUE.pack(len(kind), len(layout)), kind, layout, stored.inline])


def unpack_value(packed: bytes) -> Stored:
    """Unpack a value."""
    kind, layout = _VALUE.unpack_from(packed)
    at = _VALUE.size + kind
    return Stored(
        packed[_VALUE.size : at].decode(),
        packed[at + layout :],
        packed[at : at + layout] if layout else None,
    )


def pack_write(record: WriteRecord, stored: Stored) -> bytes:
    """Pack a pending write."""
    parts = [record.task_path.encode(), record.channel.encode(), stored.kind.encode()]
    parts.append(stored.layout or b"")
    return b"".join([_WRITE.pack(*map(len, parts)), *parts, stored.inline])


def unpack_write(packed: bytes) -> tuple[str, str, Stored]:
    """Unpack a pending write: its task path, channel and value."""
    path, channel, kind, layout = _WRITE.unpack_from(packed)
    at = _WRITE.size
    ends = at + path, at + path + channel, at + path + channel + kind
    end = ends[2] + layout
    stored = Stored(
        packed[ends[1] : ends[2]].decode(),
        packed[end:],
        packed[ends[2] : end] if layout else None,
    )
    return packed[at : ends[0]].decode(), packed[ends[0] : ends[1]].decode(), stored


# ---------------------------------------------------------------- replies


def pieces_of(told: bytes) -> Iterator[bytes]:
    """Split the string in which a script joined pieces, each after its length."""
    at, end = 0, len(told)
    while at < end:
        (length,) = _LENGTH.unpack_from(told, at)
        at += _LENGTH.size + length
        yield told[at - length : at]
