"""Clauses about failures of a cache: they are misses, never wrong values, and fail no run."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final

import pytest
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from conformance_tests.caches.base import AT, CacheClauses, CacheOpener
from conformance_tests.caches.facade import AsyncCacheFacade, CacheFacade, on_loop, opened
from conformance_tests.caches.graphs import counting_graph
from conformance_tests.caches.harness import CacheHarness
from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.contract.verdicts import not_offered
from conformance_tests.faults import ATTEMPTS, Proxy
from conformance_tests.samples.driver_adapter import Flavour
from conformance_tests.savers.values.unreadable import Handle, add_note, without_note

OTHER: Final = (("other",), "key")
PATIENCE: Final = 20.0  # timeout in seconds, after which an event loop counts as blocked


@contextmanager
def warned(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail unless the block logs a warning."""
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        yield
    assert caplog.records, "nothing was logged: who wonders why nothing is cached finds no reason"


@clauses_of(Capability.CACHE_FAILURES)
class CacheFailureClauses(CacheClauses):
    """Clauses about values that cannot be stored or read."""

    @pytest.fixture
    def users_module(self) -> Iterator[Any]:
        """A module with a user-defined class."""
        module = ModuleType("conformance_users")
        sys.modules[module.__name__] = module
        add_note(module, "text")
        yield module
        del sys.modules[module.__name__]

    def test_failures_a_damaged_value_is_a_miss(
        self, harness: CacheHarness, cache: CacheFacade, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A damaged value is a miss with a warning: not an error, which would end the run, and not
        a wrong value."""
        cache.put(AT, {"answer": "forty-two " * 10})
        harness.damage()
        with warned(caplog):
            try:
                found = cache.get([AT])
            except Exception as error:  # noqa: BLE001 (any ends a run)
                pytest.fail(f"a damaged value has ended the run: {error!r}")
        assert found == {}
        cache.put(AT, "again")
        assert cache.has(AT, "again")

    def test_failures_a_value_whose_class_is_gone_is_a_miss(
        self, cache: CacheFacade, caplog: pytest.LogCaptureFixture, users_module: Any
    ) -> None:
        """A value whose class was renamed is a miss, and is not read as a dict or None."""
        cache.set({AT: (users_module.Note("hi"), None), OTHER: ("kept", None)})
        with without_note(users_module), warned(caplog):
            assert cache.get([AT, OTHER]) == {OTHER: "kept"}

    def test_failures_a_value_that_cannot_be_stored_is_left_out(
        self, cache: CacheFacade, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A value that cannot be serialized is skipped without an error. Others are stored, and an
        older value of the same name is removed."""
        cache.put(AT, "before")
        with warned(caplog):
            cache.set({AT: (Handle(), None), OTHER: ("stored", None)})
        assert cache.get([AT, OTHER]) == {OTHER: "stored"}

    def test_failures_a_serializer_that_pickles_is_refused(self, reopened: CacheOpener) -> None:
        """A serializer that unpickles is rejected: an attacker with write access to the cache could
        run code in every reader."""
        with pytest.raises(ValueError, match="pickle"):
            reopened(serde=JsonPlusSerializer(pickle_fallback=True))


class Spy(JsonPlusSerializer):
    """A serializer that records the threads in which it is used."""

    def __init__(self) -> None:
        super().__init__(pickle_fallback=False)
        self.threads: set[int] = set()

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        self.threads.add(threading.get_ident())
        return super().dumps_typed(obj)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        self.threads.add(threading.get_ident())
        return super().loads_typed(data)


@contextmanager
def awaited(harness: CacheHarness, flavour: Flavour, **options: Any) -> Iterator[AsyncCacheFacade]:
    """Open the cache of a flavour, and call its async methods, which sync caches have, too."""
    harness.check_options(flavour, options)
    if flavour == "async":
        context = harness.aopen(**options)
    else:
        context = CacheHarness.aopen(harness, **options)
    with on_loop(context) as facade:
        if not hasattr(type(facade.raw), "aget"):
            not_offered("it has no `aget`")
        yield facade


@clauses_of(Capability.CACHE_LOOP)
class CacheLoopClauses(CacheClauses):
    """Clauses about caches not blocking the event loop."""

    def test_loop_large_values_are_encoded_elsewhere(
        self, harness: CacheHarness, flavour: Flavour
    ) -> None:
        """Large values are encoded and decoded in another thread, not on the event loop."""
        spy = Spy()
        with awaited(harness, flavour, serde=spy) as cache:

            async def ident() -> int:
                return threading.get_ident()

            value = {"texts": ["x" * 10_000 for _ in range(100)]}
            cache.put(AT, value)
            assert cache.has(AT, value)
            assert spy.threads, "the serializer was not used"
            assert cache.loop.run(ident()) not in spy.threads


CALLS: Final[dict[str, Callable[[CacheFacade], Any]]] = {
    "get": lambda cache: cache.get([AT]),
    "set": lambda cache: cache.put(AT, "new"),
}


@clauses_of(Capability.CACHE_OUTAGES)
class CacheOutageClauses(CacheClauses):
    """Clauses with a proxy between the cache and its server."""

    @pytest.mark.parametrize("call", CALLS)
    def test_outages_are_misses(
        self,
        harness: CacheHarness,
        flavour: Flavour,
        caplog: pytest.LogCaptureFixture,
        call: str,
    ) -> None:
        """During an outage, calls are misses with a warning; afterwards the cache works again."""
        with Proxy(*harness.address()) as proxy:
            far = harness.through(proxy.host, proxy.port)
            with opened(far, flavour) as cache:
                cache.put(AT, "value")
                with proxy.down(), warned(caplog):
                    assert not CALLS[call](cache)
                for _ in range(ATTEMPTS):
                    cache.put(OTHER, "again")
                    if cache.has(OTHER, "again"):
                        break
                assert cache.get([AT, OTHER]) == {AT: "value", OTHER: "again"}

    def test_outages_of_clear_are_errors(self, harness: CacheHarness, flavour: Flavour) -> None:
        """During an outage, `clear` raises an error, since values that must be removed would
        stay."""
        with Proxy(*harness.address()) as proxy:
            far = harness.through(proxy.host, proxy.port)
            with opened(far, flavour) as cache:
                cache.put(AT, "value")
                with proxy.down(), pytest.raises(Exception):  # noqa: B017, PT011 (any)
                    cache.clear()

    def test_outages_fail_no_run(self, harness: CacheHarness, flavour: Flavour) -> None:
        """During an outage, a graph runs its nodes as without a cache."""
        with Proxy(*harness.address()) as proxy:
            far = harness.through(proxy.host, proxy.port)
            with opened(far, flavour) as cache:
                graph, runs = counting_graph(cache, ttl=None)
                with proxy.down():
                    assert cache.invoke(graph, {"said": "hi"})["answer"] == "HI"
                assert runs == ["hi"]

    @pytest.mark.parametrize("call", ["get", "set", "clear"])
    def test_outages_do_not_hold_up_the_loop(
        self, harness: CacheHarness, flavour: Flavour, call: str
    ) -> None:
        """A stalled network blocks one call, not the event loop."""
        arguments: dict[str, Any] = {"get": [AT], "set": {AT: (1, None)}, "clear": None}
        with Proxy(*harness.address()) as proxy:
            far = harness.through(proxy.host, proxy.port)
            with awaited(far, flavour) as cache:
                cache.put(AT, "value")
                proxy.stall_after(0)
                method = getattr(cache.raw, f"a{call}")
                waiting = asyncio.run_coroutine_threadsafe(method(arguments[call]), cache.loop.loop)
                beat = asyncio.run_coroutine_threadsafe(asyncio.sleep(0), cache.loop.loop)
                try:
                    beat.result(PATIENCE)
                except TimeoutError:
                    pytest.fail("the event loop is blocked while a call waits for the server")
                finally:
                    proxy.resume()
                    waiting.exception(PATIENCE)
