"""`MemoryCache`: a cache in a dict, for tests and single processes.

Values are serialized, so that modifying a returned value does not modify the cached one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, TypeVar

from typing_extensions import Unpack

from checkpoint_base.cache.entries import CacheEntry
from checkpoint_base.cache.options import CacheOptions, CacheSettings
from checkpoint_base.cache.planner import CacheStats
from checkpoint_base.cache.shell import SyncCache
from checkpoint_base.memory.locking import LockDriver, locked
from checkpoint_base.plan import Plan, arun

T = TypeVar("T")


class MemoryCachePlanner:
    """Plans on a dict, which keeps entries in the order of storing."""

    def __init__(self) -> None:
        self.entries: dict[str, CacheEntry] = {}

    def setup(self) -> Plan[None]:
        """Do nothing: there is no schema."""
        yield from ()

    def get(self, ids: Sequence[str], now: float) -> Plan[list[CacheEntry]]:
        return (yield from locked(partial(self._get, ids, now)))

    def _get(self, ids: Sequence[str], now: float) -> list[CacheEntry]:
        found = (self.entries[digest] for digest in ids if digest in self.entries)
        return [entry for entry in found if not _has_expired(entry, now)]

    def put(self, entries: Sequence[CacheEntry], now: float) -> Plan[None]:  # noqa: ARG002 (others do)
        yield from locked(partial(self._put, entries))

    def _put(self, entries: Sequence[CacheEntry]) -> None:
        for entry in entries:
            self.entries.pop(entry.id, None)
            self.entries[entry.id] = entry

    def delete(self, ids: Sequence[str]) -> Plan[None]:
        yield from locked(partial(self._delete, ids))

    def _delete(self, ids: Sequence[str]) -> int:
        return sum(self.entries.pop(digest, None) is not None for digest in ids)

    def clear(self, namespace_ids: Sequence[str] | None) -> Plan[None]:
        yield from locked(partial(self._clear, namespace_ids))

    def _clear(self, namespace_ids: Sequence[str] | None) -> None:
        for digest in list(self.entries):
            if namespace_ids is None or digest.startswith(tuple(namespace_ids)):
                del self.entries[digest]

    def sweep(self, now: float) -> Plan[int]:
        return (yield from locked(partial(self._sweep, now)))

    def _sweep(self, now: float) -> int:
        expired = [entry.id for entry in self.entries.values() if _has_expired(entry, now)]
        return self._delete(expired)

    def trim(self, max_bytes: int) -> Plan[int]:
        return (yield from locked(partial(self._trim, max_bytes)))

    def _trim(self, max_bytes: int) -> int:
        total, too_many = sum(len(entry.data) for entry in self.entries.values()), []
        for entry in self.entries.values():
            if total <= max_bytes:
                break
            total -= len(entry.data)
            too_many.append(entry.id)
        return self._delete(too_many)

    def stats(self) -> Plan[CacheStats]:
        return (yield from locked(self._stats))

    def _stats(self) -> CacheStats:
        size = sum(len(entry.data) for entry in self.entries.values())
        return CacheStats(backend="memory", server="", entries=len(self.entries), bytes=size)


def _has_expired(entry: CacheEntry, now: float) -> bool:
    return entry.expires_at is not None and entry.expires_at <= now


class MemoryCache(SyncCache):
    """A cache in memory. Needs no `setup()`.

    Args:
        options: `CacheOptions`. No step waits, so `call_timeout` has no effect.

    Raises:
        InvalidArgumentError: an option is invalid, or the serializer pickles.
    """

    def __init__(self, **options: Unpack[CacheOptions]) -> None:
        self._memory = MemoryCachePlanner()
        super().__init__(self._memory, LockDriver(), CacheSettings.of(options))

    async def _adrive(self, plan: Plan[T]) -> T:
        if self._life.is_over:
            raise self._life.ended()

        async def perform(request: Any) -> Any:
            return self._driver.perform(request)  # no I/O, so it may run on the event loop

        return await arun(plan, perform)
