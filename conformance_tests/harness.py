"""Base classes of harnesses, by which the suite opens a backend and inspects its database.

The author of a backend subclasses them.
"""

from __future__ import annotations

import inspect
import platform
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from conformance_tests.contract.capabilities import Capability, Place
from conformance_tests.contract.verdicts import not_looked_at, not_offered

if TYPE_CHECKING:
    from conformance_tests.contract.gaps import Gaps

_NETWORK = (Capability.NETWORK, Capability.STORE_NETWORK, Capability.CACHE_OUTAGES)
_SERVER_DEATH = (Capability.SERVER_DEATH, Capability.STORE_SERVER_DEATH)
_PERMISSIONS = (Capability.PERMISSIONS, Capability.STORE_PERMISSIONS)
_DISK_FULL = (Capability.DISK_FULL, Capability.STORE_DISK_FULL)


class MovableClock:
    """A clock in epoch seconds for savers and stores. It advances only when a clause moves it."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class FaultHooks:
    """Optional hooks for the clauses about faults.

    Each hook belongs to a capability. If a harness does not override the hook, the capability is
    `not looked at`.

    Attributes:
        place: Where the data is. Clauses about servers do not apply to files.
        budgets: Method name -> maximum number of round trips; a pipeline counts as one.
        ends_when_full: Whether the server process exits when its disk is full, as MongoDB's does.
            Then clauses read nothing before it is restarted.
    """

    place: ClassVar[Place] = Place.SERVER
    budgets: ClassVar[Mapping[str, int]] = MappingProxyType({})
    ends_when_full: ClassVar[bool] = False

    def address(self) -> tuple[str, int]:
        """Host and port of the server."""
        raise LookupError("the harness names no server that could be reached through a proxy")

    def through(self, host: str, port: int) -> Any:
        """A harness on the same database that connects to this address instead.

        What it opens should time out within seconds when the server does not answer.
        """
        raise LookupError(f"the harness cannot reach its server by way of {host}:{port}")

    def server_killed(self) -> AbstractContextManager[None]:
        """Kill the server by SIGKILL; restart it at the end of the block."""
        raise LookupError("the harness has no server process to kill")

    def disk_full(self) -> AbstractContextManager[None]:
        """Leave no room during the block: no file can grow, or no memory is left.

        Storing 3 MB must fail, but reads must work. Restart the server at the end of the block, if
        it has exited.
        """
        raise LookupError("the harness has no way to fill the disk")

    def reading_only(self) -> AbstractContextManager[Any]:
        """A harness on the same database and clock, whose user may read everything and write
        nothing. The database is already set up.
        """
        raise LookupError("the harness has no user who may only read")

    def damage_record(self, record: str) -> None:
        """Raw write: change one byte of a stored record.

        Args:
            record: `"value"` (of up to 100 bytes); `"write"`; a checkpoint's `"versions"`,
                `"metadata"` or `"body"` (the rest of it); `"digests"`: what is stored of a large
                value besides its bytes, or one of its bytes if there is nothing else.
        """
        raise LookupError(f"the harness cannot change a byte of a stored {record}")

    def lose_value(self, channel: str) -> None:
        """Raw write: remove the stored values of a channel, but not the references to them."""
        raise LookupError(f"the harness cannot remove the stored value of {channel!r}")

    def swap_records(self, record: str) -> None:
        """Raw write: exchange the contents of two stored records, without their keys.

        Args:
            record: `"value"`, `"write"` or `"checkpoint"`. If there are more, the first two.
        """
        raise LookupError(f"the harness cannot exchange two stored records of kind {record!r}")

    def not_looked_at(self) -> dict[Capability, str]:
        """Capability -> reason, for the capabilities whose hooks are not overridden."""
        own = type(self)
        unreachable = own.through is FaultHooks.through
        immortal = unreachable or own.server_killed is FaultHooks.server_killed
        endless = own.disk_full is FaultHooks.disk_full
        unrestricted = own.reading_only is FaultHooks.reading_only
        undamaged = (
            own.damage_record is FaultHooks.damage_record or own.lose_value is FaultHooks.lose_value
        )
        unswapped = own.swap_records is FaultHooks.swap_records
        uncounted = unreachable or not own.budgets
        gaps = [
            (unreachable, "the harness offers no address to put a proxy at", _NETWORK),
            (immortal, "the harness offers no server process to kill", _SERVER_DEATH),
            (endless, "the harness offers no disk to fill", _DISK_FULL),
            (unrestricted, "the harness offers no user who may only read", _PERMISSIONS),
            (undamaged, "the harness damages no single record", [Capability.RECORD_INTEGRITY]),
            (unswapped, "the harness swaps no records", [Capability.RECORD_IDENTITY]),
            (uncounted, "the harness states no budget of round trips", [Capability.ROUND_TRIPS]),
        ]
        return {each: reason for missing, reason, some in gaps if missing for each in some}

    def looks(self, hook: str) -> bool:
        """Whether the harness overrides an optional method."""
        return getattr(type(self), hook) not in [
            vars(base)[hook] for base in _OWN if hook in vars(base)
        ]


class Harness(FaultHooks):
    """Base class of the harnesses of savers and stores. Only `open` or `aopen` is required. Clauses
    that need another method, which the harness lacks, are `not looked at`.

    Attributes:
        name: The backend and the variant of this harness, e.g. `"sqlite (file)"`.
        gaps: What the backend is known to lack, by capability or by clause, with reasons. These
            clauses are expected to fail; one that passes is reported as a failure.
    """

    name: str = ""
    gaps: ClassVar[Gaps] = MappingProxyType({})

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.name in {"", *(base.__name__ for base in cls.__mro__[1:])}:  # no name was declared
            cls.name = cls.__name__

    def takes(self, option: str, flavour: str = "sync") -> bool:
        """Whether the flavour's `open` or `aopen` accepts an option."""
        is_async = flavour == "async" and self.looks("aopen")
        known = inspect.signature(self.aopen if is_async else self.open).parameters
        return option in known or any(
            each.kind is inspect.Parameter.VAR_KEYWORD for each in known.values()
        )

    def check_options(self, flavour: str, options: Mapping[str, Any]) -> None:
        """End the running case if `open` or `aopen` does not accept an option."""
        for name in options:
            if not self.takes(name, flavour):
                not_looked_at(f"the harness opens nothing with the option `{name}`")

    def check_opens(self) -> None:
        """Check once, before all clauses, that the harness can open anything.

        Raises:
            TypeError: It has neither `open` nor `aopen`.
        """
        if not (self.looks("open") or self.looks("aopen")):
            raise TypeError(f"{type(self).__name__} has neither `open` nor `aopen`")

    def open(self, *_: Any, **options: Any) -> AbstractContextManager[Any]:
        """Open a sync saver or store, already set up, on the database of this harness.

        Args:
            **options: Options of the class under test. Savers: `serde`, `ttl`, `on_unreadable`,
                `encrypted`; stores: `index`, `ttl`. Clauses that need an option which `open` does
                not accept are `not looked at`.
        """
        not_offered(f"the harness opens nothing in the sync flavour, options {sorted(options)}")

    def aopen(self, *_: Any, **options: Any) -> AbstractAsyncContextManager[Any]:
        """The same for the async flavour. By default, clauses call the async methods of what `open`
        opens.
        """
        return _async_of(self.open(**options))

    def advance(self, seconds: float) -> None:
        """Advance the clock that TTLs and timestamps use, for all open savers and stores."""
        not_looked_at(f"the harness has no `advance` to move a clock by {seconds} s")

    def rows(self) -> Mapping[str, int]:
        """Raw read: the number of stored rows of each kind, read without the backend's code."""
        not_looked_at("the harness has no `rows` to count what is stored")

    def version(self) -> str:
        """The name and version that the server reports, e.g. `"SQLite 3.40.1"`."""
        return f"Python {platform.python_version()}"

    def location(self) -> str:
        """The argument by which another process calls `reopen`."""
        not_looked_at("the harness has no `location` for another process")

    @classmethod
    def reopen(cls, location: str) -> Any:
        """Make a harness on the same database in another process."""
        raise LookupError(f"{cls.__name__} has no `reopen` for {location!r}")

    def close(self) -> None:
        """Remove the database. Everything that the harness opened is already closed."""


class SaverHarness(Harness):
    """An empty database, and all the ways in which clauses of savers access it."""

    def stored(self) -> bytes:
        """Raw read: all stored bytes, read without the saver."""
        not_looked_at("the harness has no `stored` to look for plaintext")

    def damage(self) -> None:
        """Raw write: change one byte of a large stored value.

        Raises:
            LookupError: There is no such value.
        """
        not_looked_at("the harness has no `damage` to flip a byte")


_OWN = (Harness, SaverHarness, FaultHooks)


@asynccontextmanager
async def _async_of(context: AbstractContextManager[Any]) -> AsyncIterator[Any]:
    with context as opened:
        yield opened
