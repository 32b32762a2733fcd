"""A put of which the unchanged values are not looked up yet: which are stored, and how."""

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
    """A put whose new values are serialized.

    Attributes:
        checkpoint: without what `complete` decides.
        new: the values that are new.
        changed: the channels that have a new version, with a value or without one.
        unchanged: what the put carries for other channels.
        dump: serializes one of these, by channel.
        run_id: of the metadata.
        ttl: minutes that this run asks for.
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
        """Whether it must be known what the parent has."""
        to = self.checkpoint
        return to.parent_id is not None and not (to.versions.keys() <= set(self.changed))

    def encoded(self, lost: Collection[ValueKey]) -> Draft:
        """The same with those of its unchanged values serialized that have no record any more."""
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

        What did not change is as the parent has it, at the same version: the bytes that are
        embedded there are embedded again, a record is kept. At another version (a copy of a
        checkpoint beside it) there may be a record.

        Args:
            parent: what it has; None: there is no parent.
            lost: values of `kept` that were looked for and have no record: they are stored now, if
                the put carries them. One that the parent has, and the put does not carry, stays
                marked as stored: to read it is an error, as it is in the parent.
            embeds: whether small values are embedded; else each has a record.
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
