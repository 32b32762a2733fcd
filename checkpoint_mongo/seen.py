"""What this process has read of namespaces' newest checkpoints, to ask for less the next time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from typing import Final, NamedTuple

from checkpoint_base.reading import Found, Snapshot
from checkpoint_base.records import Stored, ValueKey
from checkpoint_mongo.keys import ref_of, value_key

_CAPACITY: Final = 1 << 25  # bytes
_LARGEST: Final = 1 << 16  # bytes of one checkpoint
_ENTRY: Final = 512  # bytes that a remembered value takes besides its own, about


class Seen(NamedTuple):
    """A checkpoint, and values that it had.

    Attributes:
        checkpoint_id: nothing is older than it and yet the newest, unless it is gone.
        epoch: of its thread. As long as that is the same, no value of it was stored anew.
        values: as they are stored, by their refs.
    """

    checkpoint_id: str
    epoch: int = -1
    values: Mapping[bytes, tuple[ValueKey, Stored]] = {}

    @property
    def size(self) -> int:
        """Bytes, about."""
        stored = (one for _, one in self.values.values())
        return _ENTRY + sum(_ENTRY + len(one.inline) + len(one.layout or b"") for one in stored)

    def complete(self, snapshot: Snapshot, found: Found) -> None:
        """Put values that were not asked for where those that were read are."""
        values = snapshot.values[found.thread, found.record.ns]
        for name, stored in self.values.values():
            if found.record.versions.get(name[0]) == name[1]:
                values.setdefault(name, stored)


def seen_in(snapshot: Snapshot, found: Found) -> Seen:
    """What to remember of a checkpoint that was read, but for its log."""
    thread_id, ns = found.record.thread_id, found.record.ns
    values = snapshot.values.get((found.thread, ns), {})
    wanted = [entry for entry in found.record.versions.items() if entry in values]
    named = {ref_of(thread_id, value_key(ns, *name)): (name, values[name]) for name in wanted}
    seen = Seen(found.record.checkpoint_id, found.epoch, named)
    return seen if seen.size <= _LARGEST else seen._replace(values={})


class NewestSeen:
    """The newest checkpoints that were read or put, of the namespaces used last."""

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._capacity = capacity
        self._seen: OrderedDict[tuple[str, str], Seen] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def get(self, thread_id: str, ns: str) -> Seen | None:
        """A checkpoint that was there."""
        return self._seen.get((thread_id, ns))

    def note(self, thread_id: str, ns: str, seen: Seen) -> None:
        """A checkpoint was read."""
        with self._lock:
            self._drop((thread_id, ns))
            self._seen[thread_id, ns] = seen
            self._size += seen.size
            while self._size > self._capacity:
                self._drop(next(iter(self._seen)))

    def note_put(self, thread_id: str, ns: str, checkpoint_id: str) -> None:
        """A checkpoint was stored: what is known of the one before is still known."""
        old = self.get(thread_id, ns) or Seen("")
        if checkpoint_id > old.checkpoint_id:
            self.note(thread_id, ns, old._replace(checkpoint_id=checkpoint_id))

    def forget(self, thread_id: str, ns: str) -> None:
        """What was seen is gone."""
        with self._lock:
            self._drop((thread_id, ns))

    def _drop(self, name: tuple[str, str]) -> None:
        old = self._seen.pop(name, None)
        if old is not None:
            self._size -= old.size
