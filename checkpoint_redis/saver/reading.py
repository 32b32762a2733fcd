"""Parsing and checking the replies of scripts that read checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import Any

from checkpoint_base.saver.delta import Lineage
from checkpoint_base.saver.planner import Listing
from checkpoint_base.saver.records.snapshot import CheckpointRow, ReadSnapshot
from checkpoint_base.saver.ttl.refresh import warn_not_moved
from checkpoint_redis.connection.requests import Arg
from checkpoint_redis.saver.packing import (
    digests_name,
    names_of,
    pieces_of,
    unpack_checkpoint,
    unpack_link,
    unpack_value,
    unpack_write,
    without_checksum,
)


def found_in(snapshot: ReadSnapshot, thread_id: str, reply: Any) -> list[CheckpointRow]:
    """Parse a reply (lua/response.lua): add values, writes and segments to `snapshot`, and return
    the checkpoints in order. A reply of None has none.

    Raises:
        CorruptValueError: a checksum is wrong: a record was damaged, or is another one's.
    """
    if reply is None:
        return []
    small: bytes = reply if isinstance(reply, bytes) else reply[0]
    large: Sequence[bytes] = () if isinstance(reply, bytes) else reply[1]
    pieces, segments, found = pieces_of(small), iter(large), []
    epoch, log_end, salt = int(next(pieces)), int(next(pieces)), next(pieces)
    check = partial(without_checksum, thread_id, salt)
    for kind in pieces:
        if kind == b"c":
            ns, checkpoint_id = next(pieces).decode(), next(pieces).decode()
            record = unpack_checkpoint(thread_id, salt, (ns, checkpoint_id), next(pieces))
            position = (checkpoint_id, thread_id, ns)
            found.append(CheckpointRow(record, thread_id, epoch, log_end, None, position, salt))
        elif kind == b"v":
            ns, channel, version = names_of(field := next(pieces))
            stored = unpack_value(check(field, next(pieces)))
            snapshot.add_value((thread_id, ns, channel, version, *stored))
        elif kind == b"w":
            ns, checkpoint_id, task_id, idx = names_of(field := next(pieces))
            path, channel, stored = unpack_write(check(field, next(pieces)))
            where = (thread_id, ns, checkpoint_id)
            snapshot.add_write((*where, task_id, path, int(idx), channel, *stored))
        elif kind == b"e":
            warn_not_moved(f"thread {thread_id!r}", next(pieces).decode())
        else:
            start = int(next(pieces))
            digests = check(digests_name(start), next(pieces))
            data = next(segments) if kind == b"l" else next(pieces)
            snapshot.add_segment(thread_id, start, digests, data)
    return found


def salt_of(reply: Any) -> bytes:
    """The thread's salt in a reply (lua/response.lua)."""
    _, _, salt = islice(pieces_of(reply if isinstance(reply, bytes) else reply[0]), 3)
    return salt


def wanted(listing: Listing) -> list[Arg] | None:
    """The arguments of lua/order.lua for a listing; None: nothing can match."""
    only, before, position = listing.checkpoint_id, listing.before, listing.position
    if only is not None and before is not None and only >= before:
        return None
    bound, inner = before, None
    if position is not None and (before is None or position[0] < before):
        bound, inner = position[0], position[2]
    if only is not None and inner is None:
        bound = only
    return [
        *_optional(listing.ns),
        *_optional(bound),
        *_optional(inner),
        *_optional(only),
    ]


def _optional(value: str | bytes | None) -> tuple[int, bytes]:
    if value is None:
        return 0, b""
    return 1, value if isinstance(value, bytes) else value.encode()


def lineage_of(
    thread_id: str,
    ns: str,
    reply: Sequence[Any],
    channels: Sequence[str],
    embedding: Sequence[CheckpointRow] = (),
) -> Lineage:
    """Parse the reply of the script `ancestors`: which ancestor each channel needs.

    Args:
        thread_id: the thread.
        ns: the namespace of the checkpoint and its ancestors.
        reply: the script's reply.
        channels: the delta channels to be rebuilt.
        embedding: ancestors whose own record embeds the value from which a channel starts.

    Raises:
        CorruptValueError: a checksum is wrong: a record was damaged, or is another one's.
    """
    salt = salt_of(reply)
    told, seeds = reply[2:4]
    links = zip(*[iter(told)] * 4, strict=True)
    chain = [unpack_link(thread_id, salt, ns, link) for link in links]
    small = {one.record.checkpoint_id: one.record.small.values() for one in embedding}
    line, last = Lineage(), dict.fromkeys(channels, len(chain))
    for n in range(0, len(seeds), 3):
        channel, version, number = seeds[n].decode(), seeds[n + 1].decode(), int(seeds[n + 2])
        last[channel] = number
        value = small.get(chain[number - 1], {}).get(channel)
        if value is None:
            line.seeds[channel] = (channel, version)
        else:
            line.small[channel] = value
    for number, ancestor in enumerate(chain, 1):
        line.needed[ancestor] = {name for name in last if last[name] >= number}
    return line
