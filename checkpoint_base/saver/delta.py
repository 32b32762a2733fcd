"""DeltaChannels: which ancestors they are rebuilt from, and with which writes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from langgraph.checkpoint.base import DeltaChannelHistory, PendingWrite

from checkpoint_base.plan import Plan, offload
from checkpoint_base.saver.codec.checkpoints import Codec, is_stored
from checkpoint_base.saver.records.kinds import Typed, ValueKey
from checkpoint_base.saver.records.snapshot import CheckpointRow, ReadSnapshot

_NEAR: Final = 16
_FAR: Final = 256
"""So many ancestors are read at first, and so many at a time after those."""


class Link(NamedTuple):
    """What of a checkpoint says from which ancestors a channel is rebuilt."""

    checkpoint_id: str
    parent_id: str | None
    versions: Mapping[str, str]
    valueless: frozenset[str]
    """as in `CheckpointRecord`"""
    embedded: Collection[str] = ()
    """channels whose value is in the checkpoint's row"""


Chain = Callable[[str, int], Plan[Iterable[Link]]]
"""Reads a checkpoint and up to so many of its ancestors, nearest first. Each is checked when it is
taken: damage to those that are not needed is for others to find.
"""


@dataclass
class Lineage:
    """The ancestors of a checkpoint that some channels need, nearest first.

    Attributes:
        needed: ancestor -> the channels whose writes there count.
        seeds: channel -> the value to begin with, which has a record.
        embedded: channel -> the ancestor whose row has the value to begin with.
        small: channel -> such a value, once the row is read.
    """

    needed: dict[str, set[str]] = field(default_factory=dict)
    seeds: dict[str, ValueKey] = field(default_factory=dict)
    embedded: dict[str, str] = field(default_factory=dict)
    small: dict[str, Typed] = field(default_factory=dict)


def lineage(
    checkpoint_id: str,
    channels: Sequence[str],
    ancestors: Chain,
) -> Plan[Lineage]:
    """Walk from a checkpoint's parent towards the root, until each channel has a value.

    Args:
        checkpoint_id: where to begin.
        channels: what is to be rebuilt.
        ancestors: reads a piece of the way.
    """
    result = Lineage()
    remaining = set(channels)
    visited = {checkpoint_id}
    at = next((one.parent_id for one in (yield from ancestors(checkpoint_id, 0))), None)
    depth = _NEAR
    while at and remaining:
        chain = yield from ancestors(at, depth)
        at = None
        for number, link in enumerate(chain):
            if link.checkpoint_id in visited:  # a re-put can close a ring
                return result
            visited.add(link.checkpoint_id)
            at = link.parent_id if number == depth else None
            result.needed[link.checkpoint_id] = set(remaining)
            for entry in link.versions.items():
                channel = entry[0]
                if channel not in remaining or channel in link.valueless:
                    continue
                remaining.discard(channel)
                if channel in link.embedded:
                    result.embedded[channel] = link.checkpoint_id
                else:
                    result.seeds[channel] = entry
            if not remaining:
                return result
        depth = _FAR
    return result


def histories(
    codec: Codec,
    target: CheckpointRow,
    line: Lineage,
    snapshot: ReadSnapshot,
    channels: Sequence[str],
) -> Plan[dict[str, DeltaChannelHistory]]:
    """What `get_delta_channel_history` gives, of a snapshot with the lineage's rows."""
    yield from offload(snapshot.weight)
    writes: dict[str, list[PendingWrite]] = {channel: [] for channel in channels}
    for ancestor in reversed(line.needed):
        place = (target.thread, target.record.ns, ancestor)
        needed = line.needed[ancestor]
        some = snapshot.writes_of(place, target.record.thread_id, needed.__contains__)
        for write in codec.pending_writes(some, target.record.thread_id):
            writes[write[1]].append(write)
    result: dict[str, DeltaChannelHistory] = {}
    for channel in channels:
        result[channel] = {"writes": writes[channel]}
        for value in _seed(target, line, snapshot, channel):
            for seed in codec.readable(value, *_at(target, channel)):
                result[channel]["seed"] = seed
    return result


def _seed(
    target: CheckpointRow, line: Lineage, snapshot: ReadSnapshot, channel: str
) -> Iterator[Typed]:
    """The value that a channel's history begins with, if there is one.

    Raises:
        CorruptValueError: its record is gone.
    """
    if channel in line.small:
        yield line.small[channel]
    elif (key := line.seeds.get(channel)) is not None:
        there = snapshot.values.get((target.thread, target.record.ns), {})
        if is_stored((target.record.thread_id, target.record.ns), frozenset(), key, there):
            yield snapshot.value(target.thread, there[key], *_at(target, channel))


def _at(target: CheckpointRow, channel: str) -> tuple[str, ...]:
    return "thread", target.record.thread_id, "channel", channel
