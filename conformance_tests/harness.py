"""What the author of a backend writes: how to open it, and how to look at it behind its back."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import MappingProxyType
from typing import Any, ClassVar

from langgraph.checkpoint.base import BaseCheckpointSaver

from conformance_tests.capabilities import Capability, Place

_NETWORK = (Capability.NETWORK, Capability.STORE_NETWORK)
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

    Each of them belongs to a capability. A harness that does not override it has a declared gap,
    with the reason that the hook's `LookupError` gives.

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

    def not_offered(self) -> dict[Capability, str]:
        """The gaps that come of hooks which are not overridden."""
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


class SaverHarness(FaultHooks, abc.ABC):
    """One empty database, and every way in which the clauses touch it.

    Attributes:
        name: The backend and what distinguishes this harness, e.g. `"sqlite (file)"`.
        gaps: Capabilities that this backend does not have, each with the reason. Their clauses
            are expected to fail; one that passes is reported as a failure.
    """

    name: str
    gaps: ClassVar[Mapping[Capability, str]] = MappingProxyType({})

    @abc.abstractmethod
    def open(self, **options: Any) -> AbstractContextManager[BaseCheckpointSaver[Any]]:
        """A sync saver, set up, on this harness's database (the same one each time).

        Args:
            **options: `serde` and `ttl`, as the saver takes them; for two capabilities of their
                own `on_unreadable` and `encrypted`.
        """

    @abc.abstractmethod
    def aopen(self, **options: Any) -> AbstractAsyncContextManager[BaseCheckpointSaver[Any]]:
        """An async saver, set up, on the same database. Options as in `open`."""

    @abc.abstractmethod
    def advance(self, seconds: float) -> None:
        """Move the clock that time to live uses, for all savers of this harness."""

    @abc.abstractmethod
    def rows(self) -> Mapping[str, int]:
        """Raw read: how many rows of each record kind are stored, read without the saver."""

    @abc.abstractmethod
    def stored(self) -> bytes:
        """Raw read: every byte that is stored, read without the saver."""

    @abc.abstractmethod
    def damage(self) -> None:
        """Raw write: flip one byte of a large value that is stored.

        Raises:
            LookupError: There is none.
        """

    @abc.abstractmethod
    def version(self) -> str:
        """The server that was really talked to, and its version, e.g. `"SQLite 3.40.1"`."""

    @abc.abstractmethod
    def location(self) -> str:
        """What another process passes to `reopen`."""

    @classmethod
    @abc.abstractmethod
    def reopen(cls, location: str) -> SaverHarness:
        """A harness on the same database, made in another process."""

    @abc.abstractmethod
    def close(self) -> None:
        """Remove what this harness made. Savers are closed before."""
