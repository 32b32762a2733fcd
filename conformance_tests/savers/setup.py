"""Clauses about setup, and about calling async methods on a sync saver and vice versa."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.harness import SaverHarness
from conformance_tests.samples.build import (
    Chain,
    checkpoint,
    ids,
    metadata,
    new_thread,
    new_versions,
    on,
    values,
)
from conformance_tests.samples.driver_adapter import AsyncFacade, Facade, Flavour, opened
from conformance_tests.savers.base import Opener, SaverClauses
from conformance_tests.savers.faults.concurrency import at_once


@clauses_of(Capability.SETUP)
class SetupClauses(SaverClauses):
    """Clauses of `setup`."""

    def test_setup_any_number_of_times(self, saver: Facade, reopened: Opener) -> None:
        """Repeated calls of `setup` keep the data: every start of a server calls it."""
        chain = Chain(saver)
        chain.put({"a": 1})
        for each in (saver, reopened(), saver):
            each.setup()
            each.setup()
            assert values(each.get_tuple(on(chain.thread_id))) == {"a": 1}

    def test_setup_both_names(self, saver: Facade) -> None:
        """Every saver has `asetup`, also if its `setup` is a coroutine function."""
        called = saver.raw.setup()
        if isinstance(saver, AsyncFacade) and asyncio.iscoroutine(called):
            saver.loop.run(called)
        Chain(saver).put({"a": 1})
        assert callable(saver.raw.asetup)

    def test_setup_eight_savers_at_once(self, harness: SaverHarness, flavour: Flavour) -> None:
        """Eight savers of one process set up an empty database at the same time."""

        def run(n: int) -> list[str]:
            with opened(harness, flavour) as saver:
                saver.setup()
                chain = Chain(saver)
                chain.put({"n": n})
                return ids(saver.list(on(chain.thread_id)))

        found = at_once([partial(run, n) for n in range(8)])
        assert [len(each) for each in found] == [1] * 8


@clauses_of(Capability.BRIDGE)
class BridgeClauses(SaverClauses):
    """Clauses about async methods of sync savers, and sync methods of async savers."""

    def test_bridge_the_other_flavour_from_another_thread(self, saver: Facade) -> None:
        """Methods of the other flavour work from another thread: a tool calls `get_state` in a
        thread while the graph runs async, or vice versa."""
        chain = Chain(saver)
        chain.put({"a": 1})
        body = checkpoint({"a": 2})
        arguments = on(new_thread()), body, metadata(), new_versions(body)
        if isinstance(saver, AsyncFacade):
            raw = saver.raw
            stored = raw.put(*arguments)
            found = raw.get_tuple(stored), raw.get_tuple(on(chain.thread_id))
            listed = ids(raw.list(None))
        else:
            stored, found, listed = asyncio.run(self.calls(saver, arguments, chain.thread_id))
        assert [values(each) for each in found] == [{"a": 2}, {"a": 1}]
        assert len(listed) == 2

    @staticmethod
    async def calls(saver: Facade, arguments: Any, thread: str) -> Any:
        """Call the async methods of a sync saver."""
        raw = saver.raw
        stored = await raw.aput(*arguments)
        found = await raw.aget_tuple(stored), await raw.aget_tuple(on(thread))
        return stored, found, ids([each async for each in raw.alist(None)])

    def test_bridge_blocking_call_on_the_event_loop(self, saver: Facade) -> None:
        """On the event loop's thread, a sync call works or raises an error at once; it must not
        deadlock."""
        chain = Chain(saver)
        chain.put({"a": 1})

        async def block() -> object:
            try:
                return values(saver.raw.get_tuple(chain.head))
            except asyncio.InvalidStateError as error:  # as LangGraph's own savers do
                return error

        on_loop = saver.loop.run if isinstance(saver, AsyncFacade) else asyncio.run
        got = on_loop(block())
        assert got == {"a": 1} or "aget_tuple" in str(got)

    def test_bridge_sync_sweeper_and_async_sweeper(self, saver: Facade) -> None:
        """Every saver has the sync and the async methods of the sweeper."""
        for name in ("start_ttl_sweeper", "stop_ttl_sweeper", "sweep_ttl", "list_threads", "stats"):
            assert callable(getattr(saver.raw, name))
            assert callable(getattr(saver.raw, f"a{name}"))

    def test_bridge_one_sync_saver_on_many_loops(self, harness: SaverHarness) -> None:
        """A sync saver's async methods work on any event loop: scripts call `asyncio.run`
        repeatedly."""
        with opened(harness, "sync") as saver:
            for n in range(3):
                body = checkpoint({"n": n})
                arguments = on(new_thread()), body, metadata(), new_versions(body)
                _, found, _ = asyncio.run(self.calls(saver, arguments, "none"))
                assert values(found[0]) == {"n": n}
