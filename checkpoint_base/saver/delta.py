"""DeltaChannels: find the ancestors from which they are rebuilt, and collect their writes."""

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
"""Number of ancestors in the first read (`_NEAR`), and in each further read (`_FAR`)."""


class Link(NamedTuple):
    """The fields of a checkpoint that the walk over its ancestors needs."""

    checkpoint_id: str
    parent_id: str | None
    versions: Mapping[str, str]
    valueless: frozenset[str]
    """as in `CheckpointRecord`"""
    embedded: Collection[str] = ()
    """channels whose value is embedded in the checkpoint's row"""


Chain = Callable[[str, int], Plan[Iterable[Link]]]
"""Reads a checkpoint and up to the given number of its ancestors, nearest first. A link's checksum
is verified when the link is consumed, so damage to an unneeded ancestor raises no error.
"""


@dataclass
class Lineage:
    """The ancestors from which channels of a checkpoint are rebuilt, nearest first.

    A channel's *seed* is the stored value on which its writes are replayed.

    Attributes:
        needed: ancestor id -> the channels whose writes there are replayed.
        seeds: channel -> key of its seed, if that has a value record.
        embedded: channel -> id of the ancestor whose row embeds its seed.
        small: channel -> its embedded seed, once that row is read.
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
    """Walk from a checkpoint's parent towards the root until every channel has a seed.

    Args:
        checkpoint_id: the checkpoint whose ancestors are walked.
        channels: the channels to rebuild.
        ancestors: reads the next ancestors.
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
            if link.checkpoint_id in visited:  # putting a checkpoint again can create a cycle
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
    """The result of `get_delta_channel_history`, from a snapshot with the lineage's rows."""
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
    """Yield the channel's seed, if it has one.

    Raises:
        CorruptValueError: the seed's record is missing.
    """
    if channel in line.small:
        yield line.small[channel]
    elif (key := line.seeds.get(channel)) is not None:
        there = snapshot.values.get((target.thread, target.record.ns), {})
        if is_stored((target.record.thread_id, target.record.ns), frozenset(), key, there):
            yield snapshot.value(target.thread, there[key], *_at(target, channel))


def _at(target: CheckpointRow, channel: str) -> tuple[str, ...]:
    return "thread", target.record.thread_id, "channel", channel
