"""What the author of a backend writes: how to open it, and how to look at it behind its back."""

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
    """Epoch seconds that stand still until a clause moves them: a clock for savers and stores."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class FaultHooks:
    """What a harness may offer for the clauses about faults.

    Each of them belongs to a capability, which is `not looked at` if the harness does not override
    the hook.

    Attributes:
        place: Where the data is. Clauses about servers are not asked of files.
        budgets: Round trips of each method by its name, a pipeline counted once.
        ends_when_full: Whether the server ends when its disk is full, as MongoDB's does. Then
            nothing can be read before it runs again.
    """

    place: ClassVar[Place] = Place.SERVER
    budgets: ClassVar[Mapping[str, int]] = MappingProxyType({})
    ends_when_full: ClassVar[bool] = False

    def address(self) -> tuple[str, int]:
        """Host and port of the server."""
        raise LookupError("the harness names no server that could be reached through a proxy")

    def through(self, host: str, port: int) -> Any:
        """A harness on the same database, which reaches its server at this address.

        What it opens should give up within seconds when the server does not answer.
        """
        raise LookupError(f"the harness cannot reach its server by way of {host}:{port}")

    def server_killed(self) -> AbstractContextManager[None]:
        """Inside the block the server is dead, by `kill -9`; at its end it runs again."""
        raise LookupError("the harness has no server process to kill")

    def disk_full(self) -> AbstractContextManager[None]:
        """Inside the block there is no room: no file can grow, or no memory is left.

        3 MB can then not be stored, and what is stored can be read. A server that has ended runs
        again at the end of the block.
        """
        raise LookupError("the harness has no way to fill the disk")

    def reading_only(self) -> AbstractContextManager[Any]:
        """Inside the block, a harness on the same database and clock, as a user who may read all
        of it and write nothing. What was set up stays so.
        """
        raise LookupError("the harness has no user who may only read")

    def damage_record(self, record: str) -> None:
        """Raw write: change one byte of a stored record.

        Args:
            record: `"value"` (of up to 100 bytes), `"write"`, or of a checkpoint `"body"` (all that
                is none of the others), `"versions"` or `"metadata"`; `"digests"`: what else is
                stored of a large value besides its bytes, or a byte of it where there is nothing.
        """
        raise LookupError(f"the harness cannot change a byte of a stored {record}")

    def lose_value(self, channel: str) -> None:
        """Raw write: remove the stored values of a channel, but nothing that refers to them."""
        raise LookupError(f"the harness cannot remove the stored value of {channel!r}")

    def swap_records(self, record: str) -> None:
        """Raw write: exchange all but the keys of two stored records.

        Args:
            record: `"value"`, `"write"` or `"checkpoint"`. Of several the first two.
        """
        raise LookupError(f"the harness cannot exchange two stored records of kind {record!r}")

    def not_looked_at(self) -> dict[Capability, str]:
        """Capabilities whose hooks are not overridden, with the reason."""
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
        """Whether a harness overrides one of the methods that are optional."""
        return getattr(type(self), hook) not in [
            vars(base)[hook] for base in _OWN if hook in vars(base)
        ]


class Harness(FaultHooks):
    """What the harnesses of savers and of stores share. One method has to be written: `open` or
    `aopen`. A clause that needs another one which is not there is `not looked at`.

    Attributes:
        name: The backend and what distinguishes this harness, e.g. `"sqlite (file)"`.
        gaps: What this backend is known to lack, by capability or by clause, each with the reason.
            Those clauses are expected to fail; one that passes is reported as a failure.
    """

    name: str = ""
    gaps: ClassVar[Gaps] = MappingProxyType({})

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.name in {"", *(base.__name__ for base in cls.__mro__[1:])}:  # none is given
            cls.name = cls.__name__

    def takes(self, option: str, flavour: str = "sync") -> bool:
        """Whether `open`, or `aopen`, takes an option."""
        is_async = flavour == "async" and self.looks("aopen")
        known = inspect.signature(self.aopen if is_async else self.open).parameters
        return option in known or any(
            each.kind is inspect.Parameter.VAR_KEYWORD for each in known.values()
        )

    def check_options(self, flavour: str, options: Mapping[str, Any]) -> None:
        """End the running case if the harness cannot open what it needs."""
        for name in options:
            if not self.takes(name, flavour):
                not_looked_at(f"the harness opens nothing with the option `{name}`")

    def check_opens(self) -> None:
        """Say at once what every clause would say.

        Raises:
            TypeError: There is nothing to open.
        """
        if not (self.looks("open") or self.looks("aopen")):
            raise TypeError(f"{type(self).__name__} has neither `open` nor `aopen`")

    def open(self, *_: Any, **options: Any) -> AbstractContextManager[Any]:
        """A sync saver or store, set up, on this harness's database (the same one each time).

        Args:
            **options: As the class under test takes them: `serde` and `ttl` for savers, and for
                two capabilities of their own `on_unreadable` and `encrypted`; `index` and `ttl`
                for stores. Clauses that need one which `open` does not take are `not looked at`.
        """
        not_offered(f"the harness opens nothing in the sync flavour, options {sorted(options)}")

    def aopen(self, *_: Any, **options: Any) -> AbstractAsyncContextManager[Any]:
        """The same for the async flavour; without it, what `open` gives is called by its
        a-methods.
        """
        return _async_of(self.open(**options))

    def advance(self, seconds: float) -> None:
        """Move the clock that time to live and the times of items use, for all that is open."""
        not_looked_at(f"the harness has no `advance` to move a clock by {seconds} s")

    def rows(self) -> Mapping[str, int]:
        """Raw read: how many rows of each kind are stored, read behind the backend's back."""
        not_looked_at("the harness has no `rows` to count what is stored")

    def version(self) -> str:
        """The server that was really talked to, and its version, e.g. `"SQLite 3.40.1"`."""
        return f"Python {platform.python_version()}"

    def location(self) -> str:
        """What another process passes to `reopen`."""
        not_looked_at("the harness has no `location` for another process")

    @classmethod
    def reopen(cls, location: str) -> Any:
        """A harness on the same database, made in another process."""
        raise LookupError(f"{cls.__name__} has no `reopen` for {location!r}")

    def close(self) -> None:
        """Remove what this harness made. What it opened is closed before."""


class SaverHarness(Harness):
    """One empty database, and every way in which the clauses touch it."""

    def stored(self) -> bytes:
        """Raw read: every byte that is stored, read without the saver."""
        not_looked_at("the harness has no `stored` to look for plaintext")

    def damage(self) -> None:
        """Raw write: flip one byte of a large value that is stored.

        Raises:
            LookupError: There is none.
        """
        not_looked_at("the harness has no `damage` to flip a byte")


_OWN = (Harness, SaverHarness, FaultHooks)


@asynccontextmanager
async def _async_of(context: AbstractContextManager[Any]) -> AsyncIterator[Any]:
    with context as opened:
        yield opened
