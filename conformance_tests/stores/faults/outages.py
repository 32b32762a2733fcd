"""Clauses about outages: they raise errors, never return empty results, and acknowledged data is
not lost.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import pytest
from langgraph.store.base import Op, PutOp

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.faults import Proxy, works_again
from conformance_tests.samples.driver_adapter import Flavour
from conformance_tests.stores.base import (
    Numbers,
    StoreClauses,
    StoreOpener,
    index_of,
    keys,
    scores,
    value_of,
)
from conformance_tests.stores.facade import StoreFacade, opened
from conformance_tests.stores.harness import StoreHarness

AT = ("memories", "ada")
CALLS: dict[str, Callable[[StoreFacade], Any]] = {
    "get": lambda store: store.get(AT, "a"),
    "search": lambda store: store.search(AT, query="1 0 0"),
    "list_namespaces": lambda store: store.list_namespaces(),
    "put": lambda store: store.put(AT, "b", {"text": "0 1 0"}),
}


@contextmanager
def behind_proxy(harness: StoreHarness, flavour: Flavour) -> Iterator[tuple[StoreFacade, Proxy]]:
    """Open the store with a proxy between it and its server."""
    with Proxy(*harness.address()) as proxy:
        far = harness.through(proxy.host, proxy.port)
        with opened(far, flavour, index=index_of(harness, Numbers())) as store:
            yield store, proxy


def noise(n: int, size: int) -> str:
    """Random text, which databases cannot compress well."""
    return random.Random(n).randbytes(size // 2).hex()


def written(n: int, size: int = 20_000) -> list[Op]:
    """A batch that changes every item to number `n`, so that a partly stored batch is noticed."""
    more = {"text": f"{n} 1 0", "n": n, "size": size, "long": noise(n, size)}
    gone: Op = PutOp(AT, "odd", None) if n % 2 == 0 else PutOp(AT, "odd", more)
    return [PutOp(AT, "a", more), PutOp(AT, "b", more), gone]


def batches(store: StoreFacade) -> set[int]:
    """The numbers of the batches of all items, as found by a plain and by a vector search."""
    # items of the vector search come last, so `scores` has their scores
    found = [*store.search(AT), *store.search(AT, query="1 0 0")]
    numbers = {int(item.value["n"]) for item in found}
    for n in numbers:
        assert sorted(keys(found)) == sorted(2 * (["a", "b", "odd"] if n % 2 else ["a", "b"]))
        assert all(item.value["long"] == noise(n, item.value["size"]) for item in found)
        expected = dict.fromkeys(keys(found), n / (n * n + 1) ** 0.5)
        assert scores(found) == pytest.approx(expected, abs=1e-3)
    return numbers


@clauses_of(Capability.STORE_NETWORK)
class StoreNetworkClauses(StoreClauses):
    """Clauses with a proxy between the store and its server."""

    @pytest.mark.parametrize("call", CALLS)
    def test_network_an_outage_is_an_error(
        self, harness: StoreHarness, flavour: Flavour, call: str
    ) -> None:
        """An outage raises an error. An agent that gets an empty result would ask everything
        again."""
        with behind_proxy(harness, flavour) as (far, proxy):
            far.put(AT, "a", {"text": "1 0 0"})
            with proxy.down(), pytest.raises(Exception):  # noqa: B017, PT011 (any, but not an answer)
                CALLS[call](far)
            assert value_of(works_again(lambda: far.get(AT, "a"))) == {"text": "1 0 0"}

    def test_network_cut_connections_are_replaced(
        self, harness: StoreHarness, flavour: Flavour
    ) -> None:
        """After connections are reset, calls succeed on new ones: a server outlives connections."""
        with behind_proxy(harness, flavour) as (far, proxy):
            for n in range(3):
                works_again(partial(far.put, AT, "a", {"text": f"{n + 1} 0 0", "n": n}))
                proxy.cut()
                assert value_of(works_again(lambda: far.get(AT, "a")))["n"] == n
                proxy.cut()
                found = works_again(lambda: far.search(AT, query="1 0 0"))
                assert [item.value["n"] for item in found] == [n]

    @pytest.mark.parametrize("part", [0.0, 0.5, 0.95])
    def test_network_an_answer_cut_short_is_no_answer(
        self, harness: StoreHarness, flavour: Flavour, part: float
    ) -> None:
        """A truncated reply must be an error, not a shorter result."""
        with behind_proxy(harness, flavour) as (far, proxy):
            far.batch(written(1))
            far.search(AT)  # warm up, so that all statements are prepared
            with proxy.counting() as counted:
                expected = far.search(AT)
            proxy.cut_after(int(part * counted.sent["client"]))
            try:
                found = far.search(AT)
            except Exception:  # noqa: BLE001 (an error is right, so is a second attempt)
                found = works_again(lambda: far.search(AT))
            assert found == expected

    @pytest.mark.parametrize("part", [0.0, 0.4, 0.9])
    def test_network_a_batch_cut_short_is_there_whole_or_not_at_all(
        self, harness: StoreHarness, flavour: Flavour, reopened: StoreOpener, part: float
    ) -> None:
        """After a connection loss during a batch, all of it is stored or nothing, also of
        vectors."""
        near = reopened(index=index_of(harness, Numbers()))
        with behind_proxy(harness, flavour) as (far, proxy):
            far.batch(written(1))
            with proxy.counting() as counted:
                far.batch(written(2))
            proxy.cut_after(int(part * counted.sent["server"]), towards="server")
            with suppress(Exception):  # after an error, the batch may be stored or not
                far.batch(written(3))
            assert batches(near) in ({2}, {3})
            works_again(lambda: far.batch(written(5)))
            assert batches(near) == {5}
            assert harness.rows() == {"items": 3, "vectors": 3}

    def test_network_a_stalled_call_ends_when_the_network_goes_on(
        self, harness: StoreHarness, flavour: Flavour
    ) -> None:
        """When a stalled network recovers, the call returns its result or raises an error."""
        with behind_proxy(harness, flavour) as (far, proxy):
            far.batch(written(1))
            proxy.stall_after(100)
            resume = threading.Timer(0.2, proxy.resume)
            resume.start()
            found = works_again(lambda: far.search(AT))
            resume.join()
            assert sorted(keys(found)) == ["a", "b", "odd"]

    def test_network_a_slow_one_changes_nothing(
        self, harness: StoreHarness, flavour: Flavour
    ) -> None:
        """Latency of milliseconds, as between availability zones, does not change results."""
        with behind_proxy(harness, flavour) as (far, proxy):
            proxy.delay = 0.02
            for n in (1, 2, 3):
                far.batch(written(n))
                assert batches(far) == {n}


@clauses_of(Capability.STORE_SERVER_DEATH)
class StoreServerDeathClauses(StoreClauses):
    """Clauses in which the server is killed by SIGKILL."""

    def test_server_death_keeps_what_was_acknowledged(
        self, harness: StoreHarness, flavour: Flavour
    ) -> None:
        """Puts and deletes that have returned survive a crash of the server, vectors included."""
        index = index_of(harness, Numbers())
        with opened(harness.through(*harness.address()), flavour, index=index) as store:
            for n in (1, 2, 3):
                store.batch(written(n))
            store.put(AT, "gone", {"text": "1 0 0"})
            store.delete(AT, "gone")
            with harness.server_killed():
                pass
            assert works_again(lambda: store.get(AT, "gone")) is None
            assert works_again(lambda: batches(store)) == {3}

    def test_server_death_is_an_error_until_it_runs_again(
        self, harness: StoreHarness, flavour: Flavour
    ) -> None:
        """While the server is down, calls raise errors; then the open store works again, without
        a restart of the application."""
        index = index_of(harness, Numbers())
        with opened(harness.through(*harness.address()), flavour, index=index) as store:
            store.batch(written(1))
            with harness.server_killed(), pytest.raises(Exception):  # noqa: B017, PT011
                store.search(AT)
            works_again(lambda: store.batch(written(2)))
            assert batches(store) == {2}


@clauses_of(Capability.STORE_DISK_FULL)
class StoreDiskFullClauses(StoreClauses):
    """Clauses in which the database cannot grow."""

    def test_disk_full_is_an_error_and_nothing_half(
        self, harness: StoreHarness, reopened: StoreOpener
    ) -> None:
        """On a full disk, a put fails as a whole and older items are found; with room, puts succeed
        again."""
        store = reopened(index=index_of(harness, Numbers()))
        store.batch(written(1))
        with harness.disk_full():
            with pytest.raises(Exception):  # noqa: B017, PT011 (the driver's own)
                store.batch(written(2, 3_000_000))
            if not harness.ends_when_full:
                assert batches(store) == {1}
        assert works_again(lambda: batches(store)) == {1}
        store.batch(written(2, 3_000_000))
        assert batches(store) == {2}
