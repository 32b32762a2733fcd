"""DeltaChannels: which ancestors they are rebuilt from, and with which writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from langgraph.checkpoint.base import DeltaChannelHistory, PendingWrite

from checkpoint_base.codec import Codec, is_stored
from checkpoint_base.plan import Plan, offload
from checkpoint_base.reading import Found, Snapshot
from checkpoint_base.records import ValueKey

_CHAIN: Final = 256  # ancestors read at a time


class Link(NamedTuple):
    """What of a checkpoint says from which ancestors a channel is rebuilt."""

    checkpoint_id: str
    parent_id: str | None
    versions: Mapping[str, str]
    valueless: frozenset[str] | None
    """as in `CheckpointRecord`"""


Chain = Callable[[str, int], Plan[list[Link]]]
"""Reads a checkpoint and up to so many of its ancestors, nearest first."""


@dataclass
class Lineage:
    """The ancestors of a checkpoint that some channels need, nearest first.

    Attributes:
        needed: ancestor -> the channels whose writes there count.
        seeds: channel -> the value to begin with.
    """

    needed: dict[str, set[str]] = field(default_factory=dict)
    seeds: dict[str, ValueKey] = field(default_factory=dict)


def lineage(
    where: tuple[str, str],
    checkpoint_id: str,
    channels: Sequence[str],
    stored: set[ValueKey],
    ancestors: Chain,
) -> Plan[Lineage]:
    """Walk from a checkpoint's parent towards the root, until each channel has a stored value.

    Args:
        where: thread and namespace of the checkpoint, for errors.
        checkpoint_id: where to begin.
        channels: what is to be rebuilt.
        stored: (channel, version) of their values in this namespace.
        ancestors: reads a piece of the way.

    Raises:
        CorruptValueError: a stored value on the way is gone.
    """
    result = Lineage()
    remaining = set(channels)
    visited = {checkpoint_id}
    chain = yield from ancestors(checkpoint_id, 0)
    at = chain[0].parent_id if chain else None
    while at and remaining:
        chain = yield from ancestors(at, _CHAIN)
        at = chain[-1].parent_id if len(chain) > _CHAIN else None
        for link in chain:
            if not remaining or link.checkpoint_id in visited:  # a re-put can close a ring
                return result
            visited.add(link.checkpoint_id)
            result.needed[link.checkpoint_id] = set(remaining)
            for entry in link.versions.items():
                if entry[0] in remaining and is_stored(where, link.valueless, entry, stored):
                    result.seeds[entry[0]] = entry
                    remaining.discard(entry[0])
    return result


def histories(
    codec: Codec, target: Found, line: Lineage, snapshot: Snapshot, channels: Sequence[str]
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
        if (key := line.seeds.get(channel)) is not None:
            stored = snapshot.values[target.thread, target.record.ns][key]
            where = "thread", target.record.thread_id, "channel", channel
            value = snapshot.value(target.thread, stored, *where)
            for seed in codec.readable(value, *where):
                result[channel]["seed"] = seed
    return result
