"""Checkpoints that this process read or stored last: from where on a read has to look."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from threading import Lock
from typing import Final, NamedTuple

Place = tuple[str, str]
"""A namespace, and a checkpoint in it."""

_CAPACITY: Final = 50_000  # places in all threads, about 8 MB
_OF_ONE: Final = 64  # places in a thread


class Landmark(NamedTuple):
    """What is known of a thread.

    Attributes:
        epoch: that it had; another one makes the rest void.
        places: where checkpoints were, those noted last first.
    """

    epoch: int
    places: tuple[Place, ...]


class Landmarks:
    """Known checkpoints of the threads used last.

    If ten of those before an end are known, the ten nearest to it are not before the first of
    them, whatever else is there. So a read has to look no further, unless some were removed: then
    it finds too few, or (in a list of several namespaces) older ones, and looks everywhere.
    """

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._capacity = capacity
        self._known: OrderedDict[str, Landmark] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def epoch(self, thread_id: str) -> int | None:
        """The epoch that a thread had when it was read."""
        known = self._known.get(thread_id)
        return None if known is None else known.epoch

    def epoch_of(self, thread_id: str, place: Place) -> int | None:
        """An epoch that a thread had when a checkpoint was there, and with it all its values."""
        known = self._known.get(thread_id)
        return known.epoch if known is not None and place in known.places else None

    def start(self, thread_id: str, ns: str, end: str | None, count: int) -> str | None:
        """The id from which on so many checkpoints before `end` were there, if that is known."""
        known = self._known.get(thread_id)
        if known is None:
            return None
        ids = [one for space, one in known.places if space == ns and (end is None or one < end)]
        return sorted(ids)[-count] if len(ids) >= count else None

    def read(self, thread_id: str, epoch: int, places: Iterable[Place]) -> None:
        """Checkpoints were there when their thread had this epoch."""
        with self._lock:
            old = self._drop(thread_id)
            kept = old.places if old is not None and old.epoch == epoch else ()
            self._keep(thread_id, Landmark(epoch, (*places, *kept)))

    def put(self, thread_id: str, place: Place, epoch: int | None = None) -> None:
        """A checkpoint was stored, when its thread had this epoch; None: nobody looked."""
        if epoch is not None:
            self.read(thread_id, epoch, [place])
            return
        with self._lock:
            old = self._drop(thread_id)
            if old is not None:
                self._keep(thread_id, Landmark(old.epoch, (place, *old.places)))

    def forget(self, thread_id: str) -> None:
        """What was known is gone."""
        with self._lock:
            self._drop(thread_id)

    def _keep(self, thread_id: str, known: Landmark) -> None:
        places = tuple(dict.fromkeys(known.places))[:_OF_ONE]
        self._known[thread_id] = known._replace(places=places)
        self._size += len(places)
        while self._size > self._capacity:
            self._drop(next(iter(self._known)))

    def _drop(self, thread_id: str) -> Landmark | None:
        old = self._known.pop(thread_id, None)
        if old is not None:
            self._size -= len(old.places)
        return old
