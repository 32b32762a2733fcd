"""What the author of a backend writes: how to open it, and how to look at it behind its back."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import MappingProxyType
from typing import Any, ClassVar

from langgraph.checkpoint.base import BaseCheckpointSaver

from conformance_tests.capabilities import Capability


class SaverHarness(abc.ABC):
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
        """Raw write: flip one byte in a stored segment.

        Raises:
            LookupError: There is no segment to damage.
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
