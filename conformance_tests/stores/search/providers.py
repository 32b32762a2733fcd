"""Clauses about slow and failing embedding providers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.samples.driver_adapter import GIVE_UP_AFTER
from conformance_tests.stores.base import (
    EmbeddingError,
    Numbers,
    StoreClauses,
    StoreOpener,
    index_of,
    keys,
    value_of,
)
from conformance_tests.stores.harness import StoreHarness

AT = ("n",)


class Slow(Numbers):
    """An embedding function that blocks on texts with an exclamation mark until released."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.go_on = threading.Event(), threading.Event()

    def vector(self, text: str) -> list[float]:
        if text.endswith("!"):
            self.asked.set()
            assert self.go_on.wait(GIVE_UP_AFTER)
        return super().vector(text.rstrip("!"))

    @contextmanager
    def holding_up(self, call: Callable[..., None], *args: Any) -> Iterator[None]:
        """Make a call in a thread, whose embedding is blocked during the block."""
        with ThreadPoolExecutor(1) as thread:
            job = thread.submit(call, *args)
            try:
                assert self.asked.wait(GIVE_UP_AFTER)
                yield
                assert not job.done()
            finally:
                self.go_on.set()
            job.result(GIVE_UP_AFTER)


@clauses_of(Capability.STORE_MEANING)
class ProviderClauses(StoreClauses):
    """Clauses about the embedding provider."""

    def test_provider_that_is_slow_holds_up_nobody_else(
        self, reopened: StoreOpener, harness: StoreHarness
    ) -> None:
        """While a slow embedding is computed, no lock or transaction is held: other calls run."""
        embed = Slow()
        store, other = reopened(index=index_of(harness, embed)), reopened()
        store.put(AT, "a", {"text": "1 0 0"})
        with embed.holding_up(store.put, AT, "b", {"text": "0 1 0!"}):
            for each in (store, other):
                each.put(AT, "c", {"text": "0 0 1"}, index=False)
                assert value_of(each.get(AT, "a")) == {"text": "1 0 0"}
                assert sorted(keys(each.search(AT))) == ["a", "c"]
                assert each.list_namespaces() == [AT]
            assert keys(store.search(AT, query="1 0 0", limit=1)) == ["a"]
        assert sorted(keys(store.search(AT, query="0 1 0"))) == ["a", "b"]

    def test_provider_that_is_slow_decides_no_order(
        self, reopened: StoreOpener, harness: StoreHarness
    ) -> None:
        """If two puts of an item overlap, the stored vector is that of the stored value."""
        embed = Slow()
        one, two = (reopened(index=index_of(harness, embed)) for _ in range(2))
        with embed.holding_up(one.put, AT, "a", {"text": "1 0 0!"}):
            two.put(AT, "a", {"text": "0 1 0"})
        text = value_of(two.get(AT, "a"))["text"].rstrip("!")
        for store in (one, two):
            (found,) = store.search(AT, query=text)
            assert found.score == pytest.approx(1, abs=1e-3)

    def test_provider_that_fails_now_and_then(
        self, reopened: StoreOpener, harness: StoreHarness
    ) -> None:
        """Of puts with a failing embedding provider, exactly those that returned are stored, each
        with its own vector."""

        class Shaky(Numbers):
            def __call__(self, texts: Sequence[str]) -> list[list[float]]:
                found = super().__call__(texts)
                if len(self.calls) % 3 == 0:
                    raise EmbeddingError("too many requests")
                return found

        store, stored = reopened(index=index_of(harness, Shaky())), []
        for n in range(9):
            try:
                store.put(AT, f"{n}", {"text": f"{n} 1 0"})
            except EmbeddingError:
                continue
            stored.append(f"{n}")
        assert len(stored) == 6
        assert sorted(keys(store.search(AT))) == stored
        assert harness.rows() == {"items": 6, "vectors": 6}
