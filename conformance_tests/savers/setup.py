"""setup and the methods of the other flavour: what a saver does before and besides its work."""

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
        """Every start of a server calls it; data stays."""
        chain = Chain(saver)
        chain.put({"a": 1})
        for each in (saver, reopened(), saver):
            each.setup()
            each.setup()
            assert values(each.get_tuple(on(chain.thread_id))) == {"a": 1}

    def test_setup_both_names(self, saver: Facade) -> None:
        """`asetup` is there on every saver, also where `setup` is a coroutine function itself."""
        called = saver.raw.setup()
        if isinstance(saver, AsyncFacade) and asyncio.iscoroutine(called):
            saver.loop.run(called)
        Chain(saver).put({"a": 1})
        assert callable(saver.raw.asetup)

    def test_setup_eight_savers_at_once(self, harness: SaverHarness, flavour: Flavour) -> None:
        """The workers of one process open the new database at the same moment."""

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
    """Clauses about the methods of the other flavour."""

    def test_bridge_the_other_flavour_from_another_thread(self, saver: Facade) -> None:
        """A tool calls `get_state` in a thread while the graph runs async, or the reverse."""
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
        """The a-methods of a sync saver."""
        raw = saver.raw
        stored = await raw.aput(*arguments)
        found = await raw.aget_tuple(stored), await raw.aget_tuple(on(thread))
        return stored, found, ids([each async for each in raw.alist(None)])

    def test_bridge_blocking_call_on_the_event_loop(self, saver: Facade) -> None:
        """On the loop's own thread a sync call works, or says at once that it cannot: it must
        not wait for itself."""
        chain = Chain(saver)
        chain.put({"a": 1})

        async def block() -> object:
            try:
                return values(saver.raw.get_tuple(chain.head))
            except asyncio.InvalidStateError as error:  # LangGraph's own raise it
                return error

        on_loop = saver.loop.run if isinstance(saver, AsyncFacade) else asyncio.run
        got = on_loop(block())
        assert got == {"a": 1} or "aget_tuple" in str(got)

    def test_bridge_sync_sweeper_and_async_sweeper(self, saver: Facade) -> None:
        """Both names are there on every saver."""
        for name in ("start_ttl_sweeper", "stop_ttl_sweeper", "sweep_ttl", "list_threads", "stats"):
            assert callable(getattr(saver.raw, name))
            assert callable(getattr(saver.raw, f"a{name}"))

    def test_bridge_one_sync_saver_on_many_loops(self, harness: SaverHarness) -> None:
        """A sync saver's a-methods belong to no loop: scripts call `asyncio.run` repeatedly."""
        with opened(harness, "sync") as saver:
            for n in range(3):
                body = checkpoint({"n": n})
                arguments = on(new_thread()), body, metadata(), new_versions(body)
                _, found, _ = asyncio.run(self.calls(saver, arguments, "none"))
                assert values(found[0]) == {"n": n}
