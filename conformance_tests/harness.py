"""What the author of a backend writes: how to open it, and how to look at it behind its back."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import MappingProxyType
from typing import Any, ClassVar

from langgraph.checkpoint.base import BaseCheckpointSaver

from conformance_tests.capabilities import Capability


class FaultHooks:
    """What a harness may offer for the clauses about faults.

    Each of them belongs to a capability. A harness that does not override it has a declared gap,
    with the reason that the hook's `LookupError` gives.

    Attributes:
        budgets: Round trips of each method by its name, a pipeline counted once.
    """

    budgets: ClassVar[Mapping[str, int]] = MappingProxyType({})

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
        """Inside the block no file of the database can grow."""
        raise LookupError("the harness has no way to fill the disk")

    def not_offered(self) -> dict[Capability, str]:
        """The gaps that come of hooks which are not overridden."""
        own = type(self)
        gaps = {
            Capability.NETWORK: (own.through is FaultHooks.through, "no address to put a proxy at"),
            Capability.SERVER_DEATH: (
                FaultHooks.server_killed is own.server_killed or own.through is FaultHooks.through,
                "no server process to kill",
            ),
            Capability.DISK_FULL: (own.disk_full is FaultHooks.disk_full, "no disk to fill"),
            Capability.ROUND_TRIPS: (
                own.through is FaultHooks.through or not own.budgets,
                "no budget of round trips is stated",
            ),
        }
        return {
            capability: f"the harness offers {reason}"
            for capability, (missing, reason) in gaps.items()
            if missing
        }


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
            **options: `serde` and `ttl`, as the saver takes them.
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
