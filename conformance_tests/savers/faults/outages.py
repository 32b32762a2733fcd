"""Clauses about outages: they raise errors, never return "no such checkpoint", and acknowledged
data is not lost.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import pytest

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.faults import Proxy, works_again
from conformance_tests.harness import SaverHarness
from conformance_tests.samples.build import (
    Chain,
    checkpoint,
    ids,
    large,
    metadata,
    new_thread,
    new_versions,
    on,
    values,
    writes,
)
from conformance_tests.samples.driver_adapter import Facade, Flavour, opened
from conformance_tests.savers.base import SaverClauses

CALLS: dict[str, Callable[[Facade, Any], Any]] = {
    "get_tuple": lambda s, at: s.get_tuple(at),
    "list": lambda s, at: list(s.list(at)),
    "put": lambda s, at: s.put(at, checkpoint({"a": 1}), metadata(), {}),
}


_AT_MOST = 90.0
"""Timeout in seconds, after which a call counts as hanging."""


@contextmanager
def behind_proxy(harness: SaverHarness, flavour: Flavour) -> Iterator[tuple[Facade, Proxy]]:
    """Open the saver with a proxy between it and its server."""
    with (
        Proxy(*harness.address()) as proxy,
        opened(harness.through(proxy.host, proxy.port), flavour) as far,
    ):
        yield far, proxy


@clauses_of(Capability.NETWORK)
class NetworkClauses(SaverClauses):
    """Clauses with a proxy between the saver and its server."""

    @pytest.mark.parametrize("call", CALLS)
    def test_network_an_outage_is_an_error(
        self, harness: SaverHarness, flavour: Flavour, call: str
    ) -> None:
        """An outage raises an error. A graph that is told "no such checkpoint" would start its
        conversation anew."""
        with behind_proxy(harness, flavour) as (far, proxy):
            chain = Chain(far)
            chain.put({"a": 1})
            with proxy.down(), pytest.raises(Exception):  # noqa: B017, PT011 (any, but not an answer)
                CALLS[call](far, chain.head)
            found = works_again(lambda: far.get_tuple(chain.head))
            assert values(found) == {"a": 1}

    def test_network_cut_connections_are_replaced(
        self, harness: SaverHarness, flavour: Flavour
    ) -> None:
        """After connections are reset, calls succeed on new ones: a server outlives connections."""
        with behind_proxy(harness, flavour) as (far, proxy):
            chain = Chain(far)
            for n in range(3):
                works_again(partial(chain.put, {"n": n}))
                proxy.cut()
                found = works_again(lambda: far.get_tuple(on(chain.thread_id)))
                assert values(found) == {"n": n}

    @pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.95])
    def test_network_an_answer_cut_short_is_no_answer(
        self, harness: SaverHarness, flavour: Flavour, part: float
    ) -> None:
        """A truncated reply must be an error, not a smaller state and not an absent one."""
        with behind_proxy(harness, flavour) as (far, proxy):
            chain = Chain(far)
            chain.put({"a": large(1, 60_000), "b": "small"})
            chain.write(("a", "pending"))
            with proxy.counting() as counted:
                expected = far.get_tuple(chain.head)
            proxy.cut_after(int(part * counted.sent["client"]))
            try:
                found = far.get_tuple(chain.head)
            except Exception:  # noqa: BLE001 (an error is right, so is a second attempt)
                found = works_again(lambda: far.get_tuple(chain.head))
            assert found == expected

    @pytest.mark.parametrize("part", [0.0, 0.3, 0.6, 0.9])
    def test_network_a_put_cut_short_is_there_whole_or_not_at_all(
        self, harness: SaverHarness, flavour: Flavour, saver: Facade, part: float
    ) -> None:
        """After a connection loss during a put, the stored state is the old one or the new one."""
        with behind_proxy(harness, flavour) as (far, proxy):
            chain = Chain(far)
            before = chain.put({"a": large(1, 40_000)})
            with proxy.counting() as counted:
                chain.put({"a": large(2, 40_000)})
            body = checkpoint({"a": large(3, 40_000), "b": large(4, 40_000)})
            proxy.cut_after(int(part * 2 * counted.sent["server"]), towards="server")
            with suppress(Exception):  # after an error, the put may be stored or not
                far.put(chain.head, body, metadata(), new_versions(body))
            found = saver.get_tuple(on(chain.thread_id))
            whole = body["channel_values"], {"a": large(2, 40_000)}
            assert values(found) in whole
            assert values(saver.get_tuple(before)) == {"a": large(1, 40_000)}
            again = works_again(lambda: far.put(chain.head, body, metadata(), new_versions(body)))
            assert values(saver.get_tuple(again)) == body["channel_values"]

    def test_network_a_stalled_call_ends_when_the_network_goes_on(
        self, harness: SaverHarness, flavour: Flavour
    ) -> None:
        """When a stalled network recovers, the call returns its result or raises an error."""
        with behind_proxy(harness, flavour) as (far, proxy):
            chain = Chain(far)
            chain.put({"a": large(1, 30_000)})
            proxy.stall_after(100)
            resume = threading.Timer(0.3, proxy.resume)
            resume.start()
            found = works_again(lambda: far.get_tuple(chain.head))
            resume.join()
            assert values(found) == {"a": large(1, 30_000)}

    @pytest.mark.parametrize("call", CALLS)
    def test_network_a_peer_that_swallows_packets_ends_a_call(
        self, harness: SaverHarness, flavour: Flavour, call: str
    ) -> None:
        """A firewall drops a connection without telling either side: the call must end with an
        error by a timeout, or the run would hang until the process is restarted.
        """
        with behind_proxy(harness, flavour) as (far, proxy):
            chain = Chain(far)
            chain.put({"a": 1})
            proxy.swallow()
            answers: queue.Queue[Any] = queue.Queue()

            def attempt() -> None:
                try:
                    answers.put(CALLS[call](far, chain.head))
                except Exception as error:  # noqa: BLE001 (it is right, as a second attempt is)
                    answers.put(error)

            threading.Thread(target=attempt, daemon=True).start()
            try:
                answer = answers.get(timeout=_AT_MOST)
            except queue.Empty:
                raise AssertionError(f"{call} has not ended within {_AT_MOST} seconds") from None
            assert answer, f"{call} took no answer for an empty one"
            found = works_again(lambda: far.get_tuple(chain.head))
            assert found is not None
            assert values(found) == {"a": 1}

    def test_network_a_slow_one_changes_nothing(
        self, harness: SaverHarness, flavour: Flavour
    ) -> None:
        """Latency of milliseconds, as between availability zones, does not change results."""
        with behind_proxy(harness, flavour) as (far, proxy):
            proxy.delay = 0.02
            chain = Chain(far)
            for n in range(3):
                chain.put({"n": n, "text": large(n)})
                chain.write(("n", n))
            assert [values(each)["n"] for each in far.list(on(chain.thread_id))] == [2, 1, 0]


@clauses_of(Capability.SERVER_DEATH)
class ServerDeathClauses(SaverClauses):
    """Clauses in which the server is killed by SIGKILL."""

    def test_server_death_keeps_what_was_acknowledged(
        self, harness: SaverHarness, flavour: Flavour
    ) -> None:
        """A put that has returned survives a crash of the server: the graph has relied on it."""
        with opened(harness.through(*harness.address()), flavour) as saver:
            chains = [Chain(saver) for _ in range(3)]
            for n in range(4):
                for chain in chains:
                    chain.put({"n": n, "text": large(n)})
                    chain.write(("n", n))
            with harness.server_killed():
                pass
            for chain in chains:
                found = works_again(partial(saver.get_tuple, on(chain.thread_id)))
                assert values(found) == {"n": 3, "text": large(3)}
                assert writes(found) == [("task-1", "n", 3)]
                assert len(ids(saver.list(on(chain.thread_id)))) == 4

    def test_server_death_is_an_error_until_it_runs_again(
        self, harness: SaverHarness, flavour: Flavour
    ) -> None:
        """While the server is down, calls raise errors; then the open saver works again, without
        a restart of the application."""
        with opened(harness.through(*harness.address()), flavour) as saver:
            chain = Chain(saver)
            chain.put({"n": 0})
            with harness.server_killed(), pytest.raises(Exception):  # noqa: B017, PT011
                saver.get_tuple(chain.head)
            works_again(lambda: chain.put({"n": 1}))
            assert values(saver.get_tuple(on(chain.thread_id))) == {"n": 1}


@clauses_of(Capability.DISK_FULL)
class DiskFullClauses(SaverClauses):
    """Clauses in which the database cannot grow."""

    def test_disk_full_is_an_error_and_nothing_half(
        self, harness: SaverHarness, saver: Facade
    ) -> None:
        """On a full disk, a put fails as a whole and reads work; with room, puts succeed again."""
        chain = Chain(saver)
        chain.put({"a": "before"})
        size = 3_000_000
        body = checkpoint({"a": large(1, size), "b": large(2, size)})
        with harness.disk_full():
            with pytest.raises(Exception):  # noqa: B017, PT011 (the driver's own)
                saver.put(chain.head, body, metadata(), new_versions(body))
            if not harness.ends_when_full:
                assert values(saver.get_tuple(on(chain.thread_id))) == {"a": "before"}
                assert len(ids(saver.list(on(chain.thread_id)))) == 1
        found = works_again(lambda: list(saver.list(on(chain.thread_id))))
        assert [values(one) for one in found] == [{"a": "before"}]
        stored = saver.put(chain.head, body, metadata(), new_versions(body))
        assert values(saver.get_tuple(stored)) == body["channel_values"]

    def test_disk_full_writes_of_a_task_are_all_there_or_none(
        self, harness: SaverHarness, saver: Facade
    ) -> None:
        """All writes of a task are stored or none: a part would be applied as if complete."""
        chain = Chain(saver)
        chain.put({"a": 1})
        batch = [("a", large(n, 1_500_000)) for n in range(3)]
        with harness.disk_full(), pytest.raises(Exception):  # noqa: B017, PT011
            chain.write(*batch)
        if harness.ends_when_full:
            works_again(lambda: saver.get_tuple(chain.head))
        assert writes(saver.get_tuple(chain.head)) == []
        chain.write(*batch)
        assert [value for _, _, value in writes(saver.get_tuple(chain.head))] == [
            value for _, value in batch
        ]


@clauses_of(Capability.ROUND_TRIPS)
class RoundTripClauses(SaverClauses):
    """Clauses that count round trips."""

    def test_round_trips_are_those_that_the_harness_states(
        self, harness: SaverHarness, flavour: Flavour
    ) -> None:
        """No call takes more round trips than the harness's `budgets` allow: they determine its
        latency over a network."""
        chain_values = [{"log": [f"{n} {large(n, 400)}" for n in range(size)]} for size in (9, 10)]
        with (
            Proxy(*harness.address()) as proxy,
            opened(harness.through(proxy.host, proxy.port), flavour) as far,
        ):
            chain, taken = Chain(far, new_thread()), {}
            for state in chain_values:  # the first pass opens connections and prepares statements
                chain.put(state)
                calls: dict[str, Callable[[], Any]] = {
                    "put": lambda: chain.put({"log": ["short"]}),
                    "put_writes": lambda: chain.write(("log", "x"), task=new_thread("task")),
                    "get_tuple": lambda: far.get_tuple(on(chain.thread_id)),
                    "list": lambda: list(far.list(on(chain.thread_id), limit=10)),
                    "delete_thread": lambda: far.delete_thread("of somebody else"),
                }
                for name, call in calls.items():
                    with proxy.counting() as counted:
                        call()
                    taken[name] = counted.round_trips
                proxy.delay = 0.02
        stated = {name: harness.budgets[name] for name in taken}
        assert {name: min(count, stated[name]) for name, count in taken.items()} == taken
