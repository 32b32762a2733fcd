"""The shells over LangGraph's `BaseCache`: the operations of every cache, sync and async.

A cache may forget, and never fails a run: what cannot be read is a miss, what cannot be stored is
left out, each with a warning. Three kinds of errors are raised all the same. Those of the program:
an argument that cannot be used, a cache that is closed, another event loop. Those of the deployment
that no retry mends: `NotSetUpError`, `SchemaVersionError`; LangGraph reads the cache before it runs
a node, so that a deployment without `setup()` fails at its first run and not by being slow. And all
of `clear`, `sweep_ttl` and `stats`: who clears a cache relies on what was in it being gone.
"""

from __future__ import annotations

import logging
import math
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Final, TypeVar

from langgraph.cache.base import BaseCache, FullKey, Namespace
from langgraph.checkpoint.serde.base import SerializerProtocol
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
from checkpoint_base.cache.planner import CachePlanner, CacheStats
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

CACHE_TIMEOUT: Final = 5.0
"""Seconds; the `call_timeout` of caches. A run waits no longer for one that does not answer."""

RAISED: Final = (
    ClosedError,
    EventLoopError,
    InvalidArgumentError,
    MissingDriverError,
    NotSetUpError,
    SchemaVersionError,
    UnsupportedServerError,
)
"""Errors of the program or of its deployment. All others of `get` and `set` are a warning."""

_UPKEEP: Final = 3600.0  # seconds
_PARTS: Final = 16


class Cache(SweepMixin, BaseCache[Any]):
    """What nodes and tasks have returned, for those whose `CachePolicy` says so.

    Args:
        planner: the backend.
        serde: LangGraph's `JsonPlusSerializer` unless another is given.
        encrypted: the serializer encrypts, though it is not LangGraph's `EncryptedSerializer` and
            has no `cipher`.
        max_bytes: how much the values may have together; beyond, those are removed that were
            stored longest ago. A process looks after it has stored a sixteenth of that, so it may
            be exceeded by as much for each process. None: no limit.
        clock: epoch seconds.

    Raises:
        InvalidArgumentError: a `max_bytes` that is no number above 0, or a serializer that pickles:
            whoever can write to the cache could run code where it is read.
    """

    _life: Lifecycle
    _largest: ClassVar[int] = 1 << 28
    """how many bytes the database can store in one entry"""

    def __init__(
        self,
        planner: CachePlanner,
        *,
        serde: SerializerProtocol | None = None,
        encrypted: bool = False,
        max_bytes: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(serde=serde)
        _refuse_pickle(self.serde)
        self._planner = planner
        self._codec = ValueCodec(self.serde, encrypted=encrypted)
        self._upkeep = _Upkeep(_checked(max_bytes))
        self._clock = clock
        self._sizes = ChannelSizes()
        self._sweeper = Sweeper(60.0)

    @abstractmethod
    def _drive(self, plan: Plan[T]) -> T:
        """Run a plan, blocking."""

    @abstractmethod
    async def _adrive(self, plan: Plan[T]) -> T:
        """Run a plan without holding up the event loop."""

    # ------------------------------------------------------------------ LangGraph's methods

    def get(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        """`BaseCache.get`: the values that are there and have not expired, in one round trip.

        Raises:
            InvalidArgumentError: one of `keys` is no (namespace, key).
            NotSetUpError: `setup()` was never called.
        """
        names = _names(keys)
        return self._drive(self._get(names)) if names else {}

    async def aget(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        """`BaseCache.aget`: `get`, without blocking."""
        names = _names(keys)
        return await self._adrive(self._get(names)) if names else {}

    def set(self, pairs: Mapping[FullKey, tuple[Any, int | None]]) -> None:
        """`BaseCache.set`: store values, each for so many seconds (None: for ever), in one round
        trip. Now and then a second one removes what has expired, or is too much.

        Raises:
            InvalidArgumentError: a key that is no (namespace, key), or a ttl that is no number.
            NotSetUpError: `setup()` was never called.
        """
        if checked := _pairs(pairs):
            self._drive(self._set(checked))

    async def aset(self, pairs: Mapping[FullKey, tuple[Any, int | None]]) -> None:
        """`BaseCache.aset`: `set`, without blocking."""
        if checked := _pairs(pairs):
            await self._adrive(self._set(checked))

    def clear(self, namespaces: Sequence[Namespace] | None = None) -> None:
        """`BaseCache.clear`: remove the values of exactly these namespaces; None: all values.

        Raises:
            BackendUnavailableError: some may be there still.
            InvalidArgumentError: one of `namespaces` is no tuple of texts.
        """
        self._drive(self._planner.clear(_namespace_ids(namespaces)))

    async def aclear(self, namespaces: Sequence[Namespace] | None = None) -> None:
        """`BaseCache.aclear`: `clear`, without blocking."""
        await self._adrive(self._planner.clear(_namespace_ids(namespaces)))

    # ------------------------------------------------------------------ beyond LangGraph

    async def asetup(self) -> None:
        """Create or migrate the schema. Safe from many processes at once; later a no-op."""
        await self._adrive(self._planner.setup())

    def stats(self) -> CacheStats:
        """Count what is stored, with what has expired and was not removed yet."""
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
            if left_out:  # what was stored under that name before is not what was set last
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
        """Entries, in the order of their ids, and the ids of values that are not stored."""
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
        """Remove what has expired, at most once an hour, and what is too much."""
        upkeep = self._upkeep
        is_full = upkeep.is_full(sum(len(entry.data) for entry in entries))
        if is_full or upkeep.is_due(now):
            yield from self._planner.sweep(now)
        if is_full:
            yield from self._planner.trim(int(upkeep.max_bytes))


class _Upkeep:
    """When this process removes what has expired, or is too much.

    Attributes:
        max_bytes: infinite without a limit.
    """

    def __init__(self, max_bytes: float) -> None:
        self.max_bytes = max_bytes
        # what other processes have stored is not known: the first `set` looks
        self._stored = math.inf if max_bytes < math.inf else 0.0
        self._due = -math.inf

    def is_full(self, size: int) -> bool:
        """Whether it is time to look, now that so many bytes were stored."""
        self._stored += size
        if self._stored < self.max_bytes / _PARTS or self.max_bytes == math.inf:
            return False
        self._stored = 0.0
        return True

    def is_due(self, now: float) -> bool:
        """Whether an hour has passed."""
        if now < self._due:
            return False
        self._due = now + _UPKEEP
        return True


class SyncCache(Cache):
    """A cache on a blocking driver; its async methods run in a worker thread."""

    def __init__(
        self,
        planner: CachePlanner,
        driver: SyncDriver,
        *,
        serde: SerializerProtocol | None = None,
        encrypted: bool = False,
        max_bytes: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(
            planner, serde=serde, encrypted=encrypted, max_bytes=max_bytes, clock=clock
        )
        self._driver = driver
        self._life = Lifecycle(type(self).__name__, driver)

    def _drive(self, plan: Plan[T]) -> T:
        if self._life.is_over:
            raise self._life.ended()
        return run(plan, self._driver.perform)

    async def _adrive(self, plan: Plan[T]) -> T:
        return await in_thread(partial(self._drive, plan), None, self._life.limit)

    def setup(self) -> None:
        """Create or migrate the schema. Safe from many processes at once; later a no-op."""
        self._drive(self._planner.setup())

    def close(self) -> None:
        """Stop the sweeper. The connection is closed by whoever opened it."""
        self.stop_ttl_sweeper(self._life.limit)

    def _end(self) -> None:
        """Whoever opened the connection is about to close it."""
        self.close()
        self._life.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncCache(AsyncSweepMixin, Cache):
    """A cache on an event loop. Its sync methods work from other threads than the loop's, its async
    ones from other loops too, as long as its own runs.

    Raises:
        EventLoopError: it is made outside of a loop.
    """

    _life: LoopBoundLifecycle

    def __init__(
        self,
        planner: CachePlanner,
        driver: AsyncDriver,
        *,
        serde: SerializerProtocol | None = None,
        encrypted: bool = False,
        max_bytes: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(
            planner, serde=serde, encrypted=encrypted, max_bytes=max_bytes, clock=clock
        )
        self._driver = driver
        self._life = LoopBoundLifecycle(type(self).__name__, "aget, aset, aclear", driver)

    def _drive(self, plan: Plan[T]) -> T:
        return self._life.block(lambda: self._adrive(plan))

    async def _adrive(self, plan: Plan[T]) -> T:
        return await self._life.join(lambda: arun(plan, self._driver.perform))

    async def setup(self) -> None:
        """Create or migrate the schema. Safe from many processes at once; later a no-op."""
        await self.asetup()

    async def aclose(self) -> None:
        """Stop the sweeper. The connection is closed by whoever opened it."""
        await self.astop_ttl_sweeper(self._life.limit)

    async def _aend(self) -> None:
        """Whoever opened the connection is about to close it."""
        await self.aclose()
        self._life.end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _names(keys: Iterable[FullKey]) -> dict[str, FullKey]:
    return {entry_id(name): (tuple(name[0]), name[1]) for name in keys}


def _pairs(pairs: Mapping[FullKey, tuple[Any, Any]]) -> dict[FullKey, tuple[Any, Any]]:
    """Checked, before anything is encoded."""
    for name, (_, ttl) in pairs.items():
        entry_id(name)
        expiry(ttl, 0.0)
    return dict(pairs)


def _namespace_ids(namespaces: Sequence[Namespace] | None) -> list[str] | None:
    return None if namespaces is None else sorted(set(map(namespace_id, namespaces)))


def _size_key(name: FullKey) -> tuple[str, str, bool]:
    """Values of one namespace, which is a node's or a task's, are about as large as each other."""
    return namespace_id(name[0]), "", False


def _raise_if(error: CheckpointError) -> None:
    if isinstance(error, RAISED):
        raise error


def _warn(name: FullKey, what: str, error: Exception) -> None:
    logger.warning("the value of %r in the cache %s: %s", name, what, error)


def _checked(max_bytes: Any) -> float:
    if max_bytes is None:
        return math.inf
    if isinstance(max_bytes, bool) or not isinstance(max_bytes, int) or max_bytes <= 0:
        raise InvalidArgumentError(
            f"max_bytes: wanted a number above 0, or None for no limit, got {max_bytes!r:.80}"
        )
    return max_bytes


def _refuse_pickle(serde: Any) -> None:
    inner = serde.serde if isinstance(serde, EncryptedSerializer) else serde
    if getattr(inner, "pickle_fallback", False):
        raise InvalidArgumentError(
            "serde: a cache takes no serializer that pickles, since whoever can write to the cache "
            "could run code where it is read: wanted JsonPlusSerializer(pickle_fallback=False)"
        )
