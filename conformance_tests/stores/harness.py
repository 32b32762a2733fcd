"""What the author of a store writes: how to open it, and how to look at it behind its back."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import MappingProxyType
from typing import Any, ClassVar

from langgraph.store.base import BaseStore

from conformance_tests.capabilities import Capability
from conformance_tests.harness import FaultHooks


class StoreHarness(FaultHooks, abc.ABC):
    """One empty database, and every way in which the clauses touch it.

    Attributes:
        name: The backend, and what distinguishes this harness, e.g. `"sqlite (file)"`.
        gaps: Capabilities that this backend does not have, each with the reason. Their clauses
            are expected to fail; one that passes is reported as a failure.
        engine: What the engine under test adds to the index's configuration, e.g.
            `{"ann_index_config": {"kind": "hnsw"}}`.
    """

    name: str
    gaps: ClassVar[Mapping[Capability, str]] = MappingProxyType({})
    engine: Mapping[str, Any] = MappingProxyType({})

    @abc.abstractmethod
    def open(self, **options: Any) -> AbstractContextManager[BaseStore]:
        """A sync store, set up, on this harness's database (the same one each time).

        Args:
            **options: `index` and `ttl`, as the store takes them. Its clock is the harness's.
        """

    @abc.abstractmethod
    def aopen(self, **options: Any) -> AbstractAsyncContextManager[BaseStore]:
        """An async store, set up, on the same database. Options as in `open`."""

    @abc.abstractmethod
    def advance(self, seconds: float) -> None:
        """Move the clock that items' times and expiry use, for all stores of this harness."""

    def end_what_is_left(self) -> None:
        """End now what a client that was killed has left open, if the database would only do so
        after a while: transactions, locks.
        """

    @abc.abstractmethod
    def rows(self) -> Mapping[str, int]:
        """Raw read: how many `items` and how many `vectors` are stored, read without the store."""

    @abc.abstractmethod
    def version(self) -> str:
        """The server that was really talked to, and its version, e.g. `"SQLite 3.40.1"`."""

    @abc.abstractmethod
    def location(self) -> str:
        """What another process passes to `reopen`."""

    @classmethod
    @abc.abstractmethod
    def reopen(cls, location: str) -> StoreHarness:
        """A harness on the same database, made in another process."""

    @abc.abstractmethod
    def close(self) -> None:
        """Remove what this harness made. Stores are closed before."""
