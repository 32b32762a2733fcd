"""Public cache classes over LangGraph's `BaseCache`, sync and async.

A cache failure does not fail a run: an unreadable entry is a miss, and a value that cannot be
stored is skipped, each with a warning. These errors are raised nevertheless:

- errors of the program: an invalid argument, a closed cache, a call on the wrong event loop;
- errors of the deployment, such as `NotSetUpError` and `SchemaVersionError`. LangGraph reads the
  cache before it runs a node, so a deployment without `setup()` fails at its first run, instead of
  running without a cache;
- all errors of `clear`, `sweep_ttl` and `stats`: after `clear`, callers rely on an empty cache.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Final, TypeVar

from langgraph.cache.base import BaseCache, FullKey, Namespace
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from typing_extensions import Self

from checkpoint_base.cache.entries import (
    CacheEntry,
    decode,
    encode,
    entry_id,
    expiry,
    namespace_id,
)
from checkpoint_base.cache.options import CacheSettings
from checkpoint_base.cache.planner import CachePlanner, CacheStats
from checkpoint_base.cache.upkeep import Upkeep
from checkpoint_base.deadlines.cancellation import in_thread
from checkpoint_base.errors import (
    CheckpointError,
    ClosedError,
    EventLoopError,
    InvalidArgumentError,
    MissingDriverError,
    NotSetUpError,
    SchemaVersionError,
    UnsupportedServerError,
)
from checkpoint_base.lifecycle.lifecycle import Lifecycle, LoopBoundLifecycle
from checkpoint_base.plan import Plan, arun, offload, run
from checkpoint_base.saver.codec.sizes import ChannelSizes
from checkpoint_base.saver.codec.values import ValueCodec
from checkpoint_base.saver.shell import AsyncDriver, SyncDriver
from checkpoint_base.saver.ttl.sweeper import UNREADABLE, AsyncSweepMixin, Sweeper, SweepMixin

T = TypeVar("T")
logger = logging.getLogger(__name__)

RAISED: Final = (
    ClosedError,
    EventLoopError,
    InvalidArgumentError,
    MissingDriverError,
    NotSetUpError,
    SchemaVersionError,
    UnsupportedServerError,
)
"""Errors that `get` and `set` raise. They log all other errors as warnings."""


class Cache(SweepMixin, BaseCache[Any]):
    """Results of nodes and tasks that have a `CachePolicy`.

    Args:
        planner: the backend's planner.
        settings: the options.

    Raises:
        InvalidArgumentError: the serializer pickles.
    """

    _life: Lifecycle
    _largest: ClassVar[int] = 1 << 28
    """maximum bytes of an entry that the database can store"""

    def __init__(
        self,
        planner: CachePlanner,
        settings: CacheSettings,
    ) -> None:
        super().__init__(serde=settings.serde)
        _refuse_pickle(self.serde)
        self._planner = planner
        self._codec = ValueCodec(self.serde, encrypted=settings.encrypted)
        self._upkeep = Upkeep(settings.max_bytes)
        self._clock = settings.clock
        self._sizes = ChannelSizes()
        self._sweeper = Sweeper(60.0)

    @abstractmethod
    def _drive(self, plan: Plan[T]) -> T:
        """Run a plan with blocking calls."""

    @abstractmethod
    async def _adrive(self, plan: Plan[T]) -> T:
        """Run a plan without blocking the event loop."""

    # ------------------------------------------------------------------ LangGraph's methods

    def get(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        """Implements `BaseCache.get`: the cached values that have not expired, in one round trip.

        Raises:
            InvalidArgumentError: one of `keys` is not a (namespace, key) pair.
            NotSetUpError: `setup()` was never called.
        """
        names = _names(keys)
        return self._drive(self._get(names)) if names else {}

    async def aget(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        """Implements `BaseCache.aget`: `get`, without blocking."""
        names = _names(keys)
        return await self._adrive(self._get(names)) if names else {}

    def set(self, pairs: Mapping[FullKey, tuple[Any, int | None]]) -> None:
        """Implements `BaseCache.set`: store values in one round trip. Occasionally it makes more,
        to remove expired entries, or the oldest ones beyond `max_bytes`.

        Args:
            pairs: (namespace, key) -> (value, ttl in seconds; None: for ever).

        Raises:
            InvalidArgumentError: a key is not a (namespace, key) pair, or a ttl is not a number.
            NotSetUpError: `setup()` was never called.
        """
        if checked := _pairs(pairs):
            self._drive(self._set(checked))

    async def aset(self, pairs: Mapping[FullKey, tuple[Any, int | None]]) -> None:
        """Implements `BaseCache.aset`: `set`, without blocking."""
        if checked := _pairs(pairs):
            await self._adrive(self._set(checked))

    def clear(self, namespaces: Sequence[Namespace] | None = None) -> None:
        """Implements `BaseCache.clear`: remove the values of exactly these namespaces; None: all.

        Raises:
            BackendUnavailableError: the database did not answer; some values may remain.
            InvalidArgumentError: one of `namespaces` is not a tuple or list of strings.
        """
        self._drive(self._planner.clear(_namespace_ids(namespaces)))

    async def aclear(self, namespaces: Sequence[Namespace] | None = None) -> None:
        """Implements `BaseCache.aclear`: `clear`, without blocking."""
        await self._adrive(self._planner.clear(_namespace_ids(namespaces)))

    # ------------------------------------------------------------------ beyond LangGraph

    async def asetup(self) -> None:
        """Create or migrate the schema. Idempotent; many processes may call it at once."""
        await self._adrive(self._planner.setup())

    def stats(self) -> CacheStats:
        """Count the stored entries, including expired ones that are not removed yet."""
        return self._drive(self._planner.stats())

    async def astats(self) -> CacheStats:
        """`stats`, without blocking."""
        return await self._adrive(self._planner.stats())

    def _sweep(self) -> Plan[int]:
        return self._planner.sweep(self._clock())

    # ------------------------------------------------------------------ plans

    def _get(self, names: Mapping[str, FullKey]) -> Plan[dict[FullKey, Any]]:
        try:
            found = yield from self._planner.get(list(names), self._clock())
        except CheckpointError as error:
            _raise_if(error)
            logger.warning("the cache cannot be read, which is a miss: %s", error)
            return {}
        yield from offload(sum(len(entry.data) for entry in found))
        values: dict[FullKey, Any] = {}
        for entry in found:
            name = names[entry.id]
            try:
                typed = decode(name, entry.data, entry.expires_at)
                values[name] = self._codec.load(typed)
            except UNREADABLE as error:
                _warn(name, "cannot be read, which is a miss", error)
        return values

    def _set(self, pairs: Mapping[FullKey, tuple[Any, float | None]]) -> Plan[None]:
        now = self._clock()
        values = ((_size_key(name), value) for name, (value, _) in pairs.items())
        yield from offload(self._sizes.estimate(values))
        entries, left_out = self._encoded(pairs, now)
        try:
            if left_out:  # delete the old values of these names, which are outdated
                yield from self._planner.delete(left_out)
            if entries:
                yield from self._planner.put(entries, now)
                yield from self._look_after(entries, now)
        except CheckpointError as error:
            _raise_if(error)
            logger.warning("the cache cannot be written to, %d values: %s", len(pairs), error)

    def _encoded(
        self, pairs: Mapping[FullKey, tuple[Any, float | None]], now: float
    ) -> tuple[list[CacheEntry], list[str]]:
        """Encode entries, sorted by id, and list the ids of values that cannot or need not be
        stored.
        """
        entries: list[CacheEntry] = []
        left_out: list[str] = []
        for name, (value, ttl) in pairs.items():
            expires_at = expiry(ttl, now)
            try:
                data = self._encode(name, value, expires_at)
            except InvalidArgumentError as error:
                _warn(name, "is not stored", error)
                left_out.append(entry_id(name))
                continue
            if expires_at is not None and expires_at <= now:
                left_out.append(entry_id(name))
            else:
                entries.append(CacheEntry(entry_id(name), data, expires_at))
        return sorted(entries), left_out

    def _encode(self, name: FullKey, value: Any, expires_at: float | None) -> bytes:
        typed = self._codec.dump(value)
        self._sizes.note(_size_key(name), value, len(typed[1]))
        data = encode(name, typed, expires_at)
        largest = min(self._upkeep.max_bytes, self._largest)
        if len(data) > largest:
            raise InvalidArgumentError(f"it has {len(data)} bytes, the most is {largest}")
        return data

    def _look_after(self, entries: Sequence[CacheEntry], now: float) -> Plan[None]:
        """Remove expired entries, at most once an hour, and the oldest ones beyond `max_bytes`."""
        upkeep = self._upkeep
        is_full = upkeep.is_full(sum(len(entry.data) for entry in entries))
        if is_full or upkeep.is_due(now):
            yield from self._planner.sweep(now)
        if is_full:
            yield from self._planner.trim(int(upkeep.max_bytes))


class SyncCache(Cache):
    """A cache on a blocking driver. Its async methods run in a worker thread."""

    def __init__(
        self,
        planner: CachePlanner,
        driver: SyncDriver,
        settings: CacheSettings,
    ) -> None:
        super().__init__(planner, settings)
        self._driver = driver
        self._life = Lifecycle(type(self).__name__, driver)

    def _drive(self, plan: Plan[T]) -> T:
        if self._life.is_over:
            raise self._life.ended()
        return run(plan, self._driver.perform)

    async def _adrive(self, plan: Plan[T]) -> T:
        return await in_thread(partial(self._drive, plan), None, self._life.limit)

    def setup(self) -> None:
        """Create or migrate the schema. Idempotent; many processes may call it at once."""
        self._drive(self._planner.setup())

    def close(self) -> None:
        """Stop the sweeper. Does not close the connection: its opener does."""
        self.stop_ttl_sweeper(self._life.limit)

    def _end(self) -> None:
        """Called by the opener of the connection, just before it closes it."""
        self.close()
        self._life.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncCache(AsyncSweepMixin, Cache):
    """A cache bound to an event loop. Its sync methods work from any thread but the loop's own, and
    its async methods also from other loops, as long as its own loop runs.

    Raises:
        EventLoopError: no event loop is running.
    """

    _life: LoopBoundLifecycle

    def __init__(
        self,
        planner: CachePlanner,
        driver: AsyncDriver,
        settings: CacheSettings,
    ) -> None:
        super().__init__(planner, settings)
        self._driver = driver
        self._life = LoopBoundLifecycle(type(self).__name__, "aget, aset, aclear", driver)

    def _drive(self, plan: Plan[T]) -> T:
        return self._life.block(lambda: self._adrive(plan))

    async def _adrive(self, plan: Plan[T]) -> T:
        return await self._life.join(lambda: arun(plan, self._driver.perform))

    async def setup(self) -> None:
        """Create or migrate the schema. Idempotent; many processes may call it at once."""
        await self.asetup()

    async def aclose(self) -> None:
        """Stop the sweeper. Does not close the connection: its opener does."""
        await self.astop_ttl_sweeper(self._life.limit)

    async def _aend(self) -> None:
        """Called by the opener of the connection, just before it closes it."""
        await self.aclose()
        self._life.end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _names(keys: Iterable[FullKey]) -> dict[str, FullKey]:
    return {entry_id(name): (tuple(name[0]), name[1]) for name in keys}


def _pairs(pairs: Mapping[FullKey, tuple[Any, Any]]) -> dict[FullKey, tuple[Any, Any]]:
    """Validate all keys and ttls before any value is encoded."""
    for name, (_, ttl) in pairs.items():
        entry_id(name)
        expiry(ttl, 0.0)
    return dict(pairs)


def _namespace_ids(namespaces: Sequence[Namespace] | None) -> list[str] | None:
    return None if namespaces is None else sorted(set(map(namespace_id, namespaces)))


def _size_key(name: FullKey) -> tuple[str, str, bool]:
    """The key for size estimates: values of one namespace (a node or task) have similar sizes."""
    return namespace_id(name[0]), "", False


def _raise_if(error: CheckpointError) -> None:
    if isinstance(error, RAISED):
        raise error


def _warn(name: FullKey, what: str, error: Exception) -> None:
    logger.warning("the value of %r in the cache %s: %s", name, what, error)


def _refuse_pickle(serde: Any) -> None:
    inner = serde.serde if isinstance(serde, EncryptedSerializer) else serde
    if getattr(inner, "pickle_fallback", False):
        raise InvalidArgumentError(
            "serde: a cache takes no serializer that pickles, since whoever can write to the cache "
            "could run code where it is read: wanted JsonPlusSerializer(pickle_fallback=False)"
        )
