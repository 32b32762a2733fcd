"""Clauses about setup, statistics, the other flavour, and closing of a store."""

from __future__ import annotations

import asyncio

import pytest

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.samples.driver_adapter import Flavour
from conformance_tests.stores.base import (
    Numbers,
    StoreClauses,
    StoreOpener,
    index_of,
    keys,
    value_of,
)
from conformance_tests.stores.facade import AsyncStoreFacade, StoreFacade, opened
from conformance_tests.stores.harness import StoreHarness

AT = ("n",)


@clauses_of(Capability.STORE_LIFE)
class StoreLifeClauses(StoreClauses):
    """Clauses about everything but the operations themselves."""

    def test_life_set_up_any_number_of_times(
        self, reopened: StoreOpener, harness: StoreHarness
    ) -> None:
        """Repeated calls of `setup`, by one or several stores, keep the data."""
        store = reopened(index=index_of(harness, Numbers()))
        store.put(AT, "a", {"text": "1 0 0"})
        store.call("setup")
        again = reopened(index=index_of(harness, Numbers()))
        assert keys(again.search(AT, query="1 0 0")) == ["a"]
        assert keys(reopened().search(AT)) == ["a"]

    def test_life_stats(self, reopened: StoreOpener, harness: StoreHarness) -> None:
        """`stats` returns the numbers of items and vectors, and the server."""
        store = reopened(index=index_of(harness, Numbers()))
        before = store.call("stats")
        assert (before.items, before.vectors) == (0, 0)
        assert before.server
        store.put(AT, "a", {"list": ["1 0 0", "0 1 0"]}, index=["list[*]"])
        store.put(AT, "b", {"text": "1"}, index=False)
        after = store.call("stats")
        assert (after.backend, after.items, after.vectors) == (before.backend, 2, 2)
        assert after.bytes > 0

    def test_life_the_other_flavour_from_another_thread(self, store: StoreFacade) -> None:
        """Methods of the other flavour work from another thread: a tool reads in a thread while the
        graph runs async, or vice versa."""
        store.put(AT, "a", {"n": 1})
        raw = store.raw
        if isinstance(store, AsyncStoreFacade):
            raw.put(AT, "b", {"n": 2})
            assert value_of(raw.get(AT, "a")) == {"n": 1}
            assert sorted(keys(raw.search(AT))) == ["a", "b"]
            assert raw.list_namespaces() == [AT]
            raw.delete(AT, "b")
            return

        async def calls() -> None:
            await raw.aput(AT, "b", {"n": 2})
            assert value_of(await raw.aget(AT, "a")) == {"n": 1}
            assert sorted(keys(await raw.asearch(AT))) == ["a", "b"]
            assert await raw.alist_namespaces() == [AT]
            await raw.adelete(AT, "b")

        for _ in range(2):  # works on any event loop
            asyncio.run(calls())

    def test_life_blocking_call_on_the_event_loop(self, store: StoreFacade) -> None:
        """On the event loop's thread, a sync call works or raises an error at once."""
        store.put(AT, "a", {"n": 1})

        async def block() -> object:
            try:
                return value_of(store.raw.get(AT, "a"))
            except asyncio.InvalidStateError as error:  # as LangGraph's own stores do
                return error

        on_loop = store.loop.run if isinstance(store, AsyncStoreFacade) else asyncio.run
        got = on_loop(block())
        assert got == {"n": 1} or "aget" in str(got)

    def test_life_both_names_are_there(self, store: StoreFacade) -> None:
        """Every store has the sync and async methods that LangGraph's own stores have."""
        for name in ("start_ttl_sweeper", "stop_ttl_sweeper", "sweep_ttl", "stats", "batch"):
            assert callable(getattr(store.raw, name))
            assert callable(getattr(store.raw, f"a{name}"))
        assert store.raw.supports_ttl
        assert store.raw.index_config is None
        assert store.raw.embeddings is None

    def test_life_the_index_can_be_seen(self, reopened: StoreOpener, harness: StoreHarness) -> None:
        """A store has `index_config` and `embeddings`, as LangGraph's own stores."""
        raw = reopened(index=index_of(harness, Numbers())).raw
        assert raw.index_config["dims"] == 3
        assert raw.index_config["fields"] == ["text"]
        assert raw.index_config["embed"] is raw.embeddings
        index = index_of(harness, Numbers())
        index["text_fields"] = index.pop("fields")  # the name in LangGraph's SQLite store
        raw = reopened(index=index).raw
        assert raw.index_config["text_fields"] == raw.index_config["fields"] == ["text"]

    def test_life_context_managers(self, harness: StoreHarness, flavour: Flavour) -> None:
        """A store is a context manager, whose exit stops the sweeper but keeps the connection."""
        with opened(harness, flavour) as store:
            if isinstance(store, AsyncStoreFacade):

                async def enter() -> None:
                    async with store.raw as same:
                        assert same is store.raw
                        await same.aput(AT, "a", {"n": 1})
                        await same.start_ttl_sweeper()

                store.loop.run(enter())
            else:
                with store.raw as same:
                    same.put(AT, "a", {"n": 1})
                    same.start_ttl_sweeper()
            assert keys(store.search(AT)) == ["a"]

    def test_life_provider_strings(self, reopened: StoreOpener, harness: StoreHarness) -> None:
        """A provider string is passed to LangGraph's `ensure_embeddings`, whose error is raised."""
        with pytest.raises(ValueError, match="no-such-provider"):
            reopened(index=index_of(harness, "no-such-provider:model"))
