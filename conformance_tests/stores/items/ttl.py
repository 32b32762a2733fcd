"""Clauses about the TTL of items: expiry, refresh by reads, sweeps."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future
from typing import Any

import pytest
from langgraph.store.base import GetOp, PutOp

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.samples.driver_adapter import GIVE_UP_AFTER
from conformance_tests.stores.base import (
    Numbers,
    StoreClauses,
    StoreOpener,
    index_of,
    keys,
    value_of,
)
from conformance_tests.stores.facade import opened
from conformance_tests.stores.harness import StoreHarness

AT = ("n",)
SECONDS = 24.0  # 0.4 minutes
OMIT = {"omit_expired": True, "refresh_on_read": False}


async def _cancelled(task: asyncio.Future[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


@clauses_of(Capability.STORE_TTL)
class StoreTTLClauses(StoreClauses):
    """Clauses about when an item expires, and reads after that."""

    def test_ttl_minutes_as_floats(self, reopened: StoreOpener, harness: StoreHarness) -> None:
        """A TTL of 0.4 minutes is 24 seconds, as a default or of a put."""
        store = reopened(ttl={**OMIT, "default_ttl": 0.4})
        store.put(AT, "default", {"n": 1})
        store.put(AT, "own", {"n": 1}, ttl=0.8)
        store.put(AT, "never", {"n": 1}, ttl=None)
        harness.advance(SECONDS - 1)
        assert sorted(keys(store.search(AT))) == ["default", "never", "own"]
        harness.advance(2)
        assert store.get(AT, "default") is None
        assert sorted(keys(store.search(AT))) == ["never", "own"]
        harness.advance(SECONDS)
        assert keys(store.search(AT)) == ["never"]

    def test_ttl_expired_items_are_absent(
        self, reopened: StoreOpener, harness: StoreHarness
    ) -> None:
        """With `omit_expired`, get, search, vector search and list_namespaces hide expired items
        before any sweep."""
        store = reopened(ttl={**OMIT, "default_ttl": 0.4}, index=index_of(harness, Numbers()))
        store.batch([PutOp(("gone", f"{n}"), "k", {"text": "1 0 0"}, ttl=0.4) for n in range(30)])
        store.put(("kept",), "k", {"text": "0 1 0"}, ttl=None)
        harness.advance(SECONDS)
        assert store.get(("gone", "1"), "k") is None
        assert store.batch([GetOp(("gone", "1"), "k"), GetOp(("gone", "2"), "k")]) == [None, None]
        assert keys(store.search(())) == ["k"]
        assert [item.namespace for item in store.search((), query="1 0 0")] == [("kept",)]
        assert len(store.search((), filter={"text": "1 0 0"})) == 0
        assert store.list_namespaces() == [("kept",)]
        assert store.list_namespaces(max_depth=1) == [("kept",)]
        assert harness.rows()["items"] == 31

    def test_ttl_shown_until_swept(self, reopened: StoreOpener, harness: StoreHarness) -> None:
        """Without `omit_expired`, which is LangGraph's default, expired items are visible until a
        sweep."""
        store = reopened(ttl={"default_ttl": 0.4, "refresh_on_read": False})
        store.put(AT, "a", {"n": 1})
        harness.advance(SECONDS + 1)
        assert value_of(store.get(AT, "a")) == {"n": 1}
        assert keys(store.search(AT)) == ["a"]
        assert store.list_namespaces() == [AT]
        assert store.sweep_ttl() == 1
        assert store.get(AT, "a") is None

    def test_ttl_reads_refresh(self, reopened: StoreOpener, harness: StoreHarness) -> None:
        """Get and search extend the expiry of the items that they return, and of no others."""
        index = index_of(harness, Numbers())
        store = reopened(ttl={"omit_expired": True, "default_ttl": 0.4}, index=index)
        store.batch([PutOp(AT, key, {"text": "1 0 0"}, ttl=0.4) for key in ("got", "other")])
        store.put(("m",), "found", {"text": "1 0 0"})
        store.put(("o",), "meant", {"text": "1 0 0"})
        harness.advance(SECONDS - 4)
        store.get(AT, "got")
        store.search(("m",))
        store.search(("o",), query="1 0 0")
        store.list_namespaces()
        harness.advance(SECONDS - 4)
        assert sorted(keys(store.search((), refresh_ttl=False))) == ["found", "got", "meant"]
        harness.advance(5)
        assert store.search(()) == []

    def test_ttl_an_item_that_is_read_again_and_again_stays(
        self, reopened: StoreOpener, harness: StoreHarness
    ) -> None:
        """A store may skip small extensions of the expiry, but an item that is read repeatedly must
        not expire."""
        store = reopened(ttl={"omit_expired": True, "default_ttl": 0.4})
        store.put(("got",), "k", {"n": 1})
        store.put(("found",), "k", {"n": 1})
        for _ in range(100):
            harness.advance(SECONDS / 60)
            assert value_of(store.get(("got",), "k")) == {"n": 1}
            assert keys(store.search(("found",))) == ["k"]
        harness.advance(SECONDS + 1)
        assert store.search(()) == []

    def test_ttl_reads_that_do_not(self, reopened: StoreOpener, harness: StoreHarness) -> None:
        """Refreshing can be disabled by the store's option or the call's argument, which takes
        precedence."""
        quiet = reopened(ttl={**OMIT, "default_ttl": 0.4})
        eager = reopened(ttl={"omit_expired": True, "refresh_on_read": True, "default_ttl": 0.4})
        for key in ("quiet", "asked", "eager", "told"):
            eager.put(AT, key, {"key": key})
        harness.advance(SECONDS - 4)
        quiet.get(AT, "quiet")
        quiet.get(AT, "asked", refresh_ttl=True)
        eager.get(AT, "eager")
        eager.search(AT, filter={"key": "told"}, refresh_ttl=False)
        harness.advance(SECONDS - 4)
        assert sorted(keys(quiet.search(AT))) == ["asked", "eager"]

    def test_ttl_only_what_is_given_is_refreshed(
        self, reopened: StoreOpener, harness: StoreHarness
    ) -> None:
        """A search does not refresh items that the filter or the page excludes."""
        store = reopened(ttl={"omit_expired": True, "default_ttl": 0.4})
        store.batch([PutOp(AT, f"{n}", {"n": n}, ttl=0.4) for n in range(6)])
        harness.advance(SECONDS - 4)
        store.search(AT, filter={"n": {"$gte": 2}}, limit=2, offset=1)
        harness.advance(SECONDS - 4)
        assert keys(store.search(AT)) == ["3", "4"]

    def test_ttl_refreshing_adds_the_items_own_minutes(
        self, reopened: StoreOpener, harness: StoreHarness
    ) -> None:
        """A refresh extends the expiry by the TTL of the last put; an item without a TTL gets
        none."""
        store = reopened(ttl={"omit_expired": True, "default_ttl": 0.4})
        store.put(AT, "long", {"n": 1}, ttl=4)
        store.put(AT, "never", {"n": 1}, ttl=None)
        harness.advance(200)
        store.search(AT)
        harness.advance(200)
        assert sorted(keys(store.search(AT))) == ["long", "never"]
        harness.advance(241)
        assert keys(store.search(AT)) == ["never"]

    def test_ttl_a_put_starts_anew(self, reopened: StoreOpener, harness: StoreHarness) -> None:
        """A put sets a new TTL; without one and without a default, the item never expires."""
        store = reopened(ttl=OMIT)
        for key in ("cleared", "longer", "shorter"):
            store.put(AT, key, {"n": 1}, ttl=1)
        store.put(AT, "cleared", {"n": 2})
        store.put(AT, "longer", {"n": 2}, ttl=10)
        store.put(AT, "shorter", {"n": 2}, ttl=0.1)
        harness.advance(7)
        assert sorted(keys(store.search(AT))) == ["cleared", "longer"]
        harness.advance(601)
        assert keys(store.search(AT)) == ["cleared"]
        assert store.sweep_ttl() == 2

    def test_ttl_put_over_what_expired(self, reopened: StoreOpener, harness: StoreHarness) -> None:
        """A put over an expired item that reads as absent creates a new item."""
        store = reopened(ttl=OMIT)
        store.put(AT, "a", {"n": 1}, ttl=0.4)
        harness.advance(SECONDS)
        store.put(AT, "a", {"n": 2})
        found = store.get(AT, "a")
        assert found is not None
        assert found.created_at == found.updated_at

    def test_ttl_sweep(self, reopened: StoreOpener, harness: StoreHarness) -> None:
        """A sweep removes expired items and their vectors, and returns the number of items."""
        store = reopened(ttl=OMIT, index=index_of(harness, Numbers()))
        store.batch(
            [PutOp((f"n{n % 9}",), f"{n}", {"text": f"{n} 0 1"}, ttl=0.4) for n in range(400)]
        )
        store.put(AT, "kept", {"text": "0 0 1"}, ttl=4)
        assert store.sweep_ttl() == 0
        harness.advance(SECONDS)
        assert store.sweep_ttl() == 400
        assert store.sweep_ttl() == 0
        assert dict(harness.rows()) == {"items": 1, "vectors": 1}
        assert keys(store.search((), query="1 0 0", limit=50)) == ["kept"]

    def test_ttl_the_sweeper_sweeps(self, reopened: StoreOpener, harness: StoreHarness) -> None:
        """The sweeper runs in the background until it is stopped; starting and stopping it twice is
        harmless."""
        store = reopened(ttl={**OMIT, "default_ttl": 0.4, "sweep_interval_minutes": 0.0005})
        store.put(AT, "a", {"n": 1})
        harness.advance(SECONDS + 1)
        store.call("start_ttl_sweeper")
        store.call("start_ttl_sweeper")
        deadline = time.monotonic() + GIVE_UP_AFTER
        while harness.rows()["items"] and time.monotonic() < deadline:
            time.sleep(0.01)
        assert harness.rows()["items"] == 0
        store.call("stop_ttl_sweeper")
        store.call("stop_ttl_sweeper")
        store.put(AT, "a", {"n": 1})
        harness.advance(SECONDS + 1)
        time.sleep(0.1)
        assert harness.rows()["items"] == 1, "it went on after it was stopped"

    def test_ttl_the_sweeper_can_be_waited_for(
        self, reopened: StoreOpener, harness: StoreHarness
    ) -> None:
        """As on LangGraph's own stores, starting the sweeper returns a future, or on an async store
        a task. Cancelling it stops the sweeper. Stopping returns whether it has ended.
        """
        store = reopened(ttl={**OMIT, "default_ttl": 0.4})
        begun = store.plain("start_ttl_sweeper", 0.0005)
        store.put(AT, "a", {"n": 1})
        harness.advance(SECONDS + 1)
        deadline = time.monotonic() + GIVE_UP_AFTER
        while harness.rows()["items"] and time.monotonic() < deadline:
            time.sleep(0.01)
        assert harness.rows()["items"] == 0
        assert not begun.done()
        assert store.plain("stop_ttl_sweeper", GIVE_UP_AFTER) is True
        assert store.wait(begun) is None
        assert store.plain("stop_ttl_sweeper") is True
        again = store.plain("start_ttl_sweeper", 0.0005)
        again.cancel() if isinstance(again, Future) else store.wait(_cancelled(again))
        assert again.cancelled()
        assert store.plain("stop_ttl_sweeper") is True
        store.put(AT, "a", {"n": 1})
        harness.advance(SECONDS + 1)
        assert harness.rows()["items"] == 1, "it went on after it was cancelled"
        assert store.plain("sweep_ttl") == 1
        # without a running event loop, the methods block instead of being awaited
        assert store.raw.sweep_ttl() == 0
        assert isinstance(store.raw.start_ttl_sweeper(60), Future)
        assert store.raw.stop_ttl_sweeper() is True

    def test_ttl_closing_stops_the_sweeper(self, harness: StoreHarness, flavour: Any) -> None:
        """Closing a store stops its sweeper, so that nothing uses the closed connection."""
        ttl = {**OMIT, "default_ttl": 0.4, "sweep_interval_minutes": 0.0005}
        with opened(harness, flavour, ttl=ttl) as store:
            store.put(AT, "a", {"n": 1})
            store.call("start_ttl_sweeper")
        harness.advance(SECONDS + 1)
        time.sleep(0.1)
        assert harness.rows()["items"] == 1

    @pytest.mark.parametrize(
        "bad",
        [-1, 0, "5", True, float("nan"), float("inf"), [1], 10**400],
        ids=lambda bad: f"{bad!r:.9}",
    )
    def test_ttl_invalid_values(
        self, reopened: StoreOpener, harness: StoreHarness, bad: Any
    ) -> None:
        """Invalid TTLs are rejected before anything is stored; none of them means "forever"."""
        with pytest.raises(ValueError, match="ttl"):
            reopened().put(AT, "a", {"n": 1}, ttl=bad)
        with pytest.raises(ValueError, match="ttl"):
            reopened(ttl={"default_ttl": bad})
        assert harness.rows()["items"] == 0

    @pytest.mark.parametrize("bad", [{"defualt_ttl": 5}, {"sweep_interval_minutes": -1}, 5])
    def test_ttl_invalid_policies(self, reopened: StoreOpener, bad: Any) -> None:
        """An invalid `ttl` option is rejected, so that a typo does not silently disable expiry."""
        with pytest.raises(ValueError, match="ttl"):
            reopened(ttl=bad)
