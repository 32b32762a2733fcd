"""A put's draft, and the decision per channel: embed its value, store a record, or reuse one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, NamedTuple

from checkpoint_base.saver.records.channel_cache import Channels
from checkpoint_base.saver.records.embedded import NOTHING, EmbeddedValues, embedded
from checkpoint_base.saver.records.kinds import (
    CheckpointRecord,
    PutRecord,
    Typed,
    ValueKey,
    ValueRecord,
)


class Draft(NamedTuple):
    """A put whose new values are serialized, and whose unchanged values are not looked up yet.

    Attributes:
        checkpoint: the record; `complete` adds `valueless` and `small`.
        new: the new values.
        changed: the channels with a new version, with or without a value.
        unchanged: channel -> value, as the put carries it, of the other channels.
        dump: serializes the value of an unchanged channel.
        run_id: the run id in the metadata.
        ttl: the run's time to live in minutes; None: not given.
    """

    checkpoint: CheckpointRecord
    new: list[ValueRecord]
    changed: Collection[str]
    unchanged: Mapping[str, Any]
    dump: Callable[[str], Typed]
    run_id: str | None
    ttl: float | None

    @property
    def needs_parent(self) -> bool:
        """Whether `complete` needs the parent's channels."""
        to = self.checkpoint
        return to.parent_id is not None and not (to.versions.keys() <= set(self.changed))

    def encoded(self, lost: Collection[ValueKey]) -> Draft:
        """The draft with its `lost` values, whose records are missing, already serialized."""
        dump = self.dump
        dumped = {channel: dump(channel) for channel, _ in lost if channel in self.unchanged}
        return self._replace(
            dump=lambda channel: dumped[channel] if channel in dumped else dump(channel)
        )

    def complete(
        self,
        parent: Channels | None,
        lost: Collection[ValueKey] = (),
        *,
        embeds: bool = True,
    ) -> PutRecord:
        """All records of the put.

        A channel at the same version as in the parent keeps the parent's storage: an embedded value
        is embedded again, and a value record is reused (`kept`). A channel at another version, as
        after copying a checkpoint, is first assumed to have a record.

        Args:
            parent: the parent's channels; None: there is no parent.
            lost: values of `kept` whose records turned out to be missing. Those that the put
                carries are stored now. A value that the parent has but the put does not carry stays
                marked as stored, so that reading it raises an error, as in the parent.
            embeds: whether small values are embedded; otherwise each value has a record.
        """
        values = list(self.new)
        valueless: set[str] = set()
        kept: list[ValueKey] = []
        has = parent or _NOTHING
        small = has.small.values()
        new = {one.channel for one in values}
        for key in self.checkpoint.versions.items():
            channel, version = key
            is_carried, is_same = channel in self.unchanged, has.versions.get(channel) == version
            if channel in new:
                continue
            if channel in self.changed:
                valueless.add(channel)
            elif is_same and channel in small:
                values.append(ValueRecord(channel, version, small[channel]))
            elif key not in lost and not (is_same and channel in has.valueless):
                kept.append(key)
            elif is_carried:
                values.append(ValueRecord(channel, version, self.dump(channel)))
            elif not is_same or channel in has.valueless:
                valueless.add(channel)
        return self._record(values, valueless, kept, embedded(values) if embeds else set())

    def _record(
        self,
        values: list[ValueRecord],
        valueless: set[str],
        kept: list[ValueKey],
        inside: set[str],
    ) -> PutRecord:
        to = self.checkpoint
        by_channel = {one.channel: one.value for one in values if one.channel in inside}
        small = EmbeddedValues.of(
            {name: by_channel[name] for name in to.versions if name in inside}
        )
        return PutRecord(
            to._replace(valueless=frozenset(valueless), small=small),
            [one for one in values if one.channel not in inside],
            self.run_id,
            self.ttl,
            kept,
        )


_NOTHING: Final = Channels({}, (), NOTHING)
