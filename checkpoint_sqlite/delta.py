"""DeltaChannels: which ancestors they are rebuilt from, and with which writes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from langgraph.checkpoint.base import DeltaChannelHistory, PendingWrite

from checkpoint_base.codec import Codec
from checkpoint_base.known import LogCache
from checkpoint_base.plan import Plan
from checkpoint_base.records import ValueKey
from checkpoint_sqlite.reading import Found, Snapshot
from checkpoint_sqlite.requests import QUERIES, rows

_CHAIN: Final = 256  # ancestors read at a time


@dataclass
class Lineage:
    """The ancestors of a checkpoint that some channels need, nearest first.

    Attributes:
        needed: ancestor -> the channels whose writes there count.
        seeds: channel -> the value to begin with.
    """

    needed: dict[str, set[str]] = field(default_factory=dict)
    seeds: dict[str, ValueKey] = field(default_factory=dict)


def lineage(no: int, ns: str, checkpoint_id: str, channels: Sequence[str]) -> Plan[Lineage]:
    """Walk from a checkpoint's parent towards the root, until each channel has a stored value."""
    result = Lineage()
    stored = yield from _stored_versions(no, ns, channels)
    remaining = set(channels)
    visited = {checkpoint_id}
    chain = yield from rows(QUERIES["parents"], (no, ns, checkpoint_id, 0))
    at = chain[0][1] if chain else None
    while at and remaining:
        chain = yield from rows(QUERIES["parents"], (no, ns, at, _CHAIN))
        at = chain[-1][1] if len(chain) > _CHAIN else None
        for ancestor, _, versions in chain:
            if not remaining or ancestor in visited:  # a re-put can close a ring
                return result
            visited.add(ancestor)
            result.needed[ancestor] = set(remaining)
            for entry in json.loads(versions).items():
                if entry[0] in remaining and entry in stored:
                    result.seeds[entry[0]] = entry
                    remaining.discard(entry[0])
    return result


def _stored_versions(no: int, ns: str, channels: Sequence[str]) -> Plan[set[ValueKey]]:
    marks = ", ".join("?" * len(channels))
    sql = (
        "SELECT channel, version FROM saver_values "  # noqa: S608 (marks only)
        f"WHERE thread = ? AND ns = ? AND channel IN ({marks})"
    )
    return set((yield from rows(sql, (no, ns, *channels))))


def histories(
    codec: Codec, target: Found, line: Lineage, snapshot: Snapshot, channels: Sequence[str]
) -> dict[str, DeltaChannelHistory]:
    """What `get_delta_channel_history` gives, of what `gather` read."""
    writes: dict[str, list[PendingWrite]] = {channel: [] for channel in channels}
    for ancestor in reversed(line.needed):
        place = (target.no, target.record.ns, ancestor)
        needed = line.needed[ancestor]
        for write in codec.pending_writes(snapshot.writes_of(place, needed.__contains__)):
            writes[write[1]].append(write)
    result: dict[str, DeltaChannelHistory] = {}
    for channel in channels:
        result[channel] = {"writes": writes[channel]}
        if (key := line.seeds.get(channel)) is not None:
            stored = snapshot.values[target.no, target.record.ns][key]
            result[channel]["seed"] = codec.load(snapshot.value(target.no, stored))
    return result


def gather(
    target: Found, channels: Sequence[str], known: LogCache
) -> Plan[tuple[Lineage, Snapshot]]:
    """Read what the channels are rebuilt from at `target`."""
    no, record = target.no, target.record
    line = yield from lineage(no, record.ns, record.checkpoint_id, channels)
    snapshot = Snapshot([target])
    yield from snapshot.load_parts(
        [(no, record.ns, *key) for key in line.seeds.values()],
        [(no, record.ns, ancestor) for ancestor in line.needed],
        known,
    )
    return line, snapshot
