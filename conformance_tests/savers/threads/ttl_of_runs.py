"""Clauses about the TTL that a run sets in its config."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.harness import SaverHarness
from conformance_tests.samples.build import (
    Chain,
    new_id,
    on,
    told,
    values,
)
from conformance_tests.samples.driver_adapter import Facade, opened
from conformance_tests.savers.base import Opener, SaverClauses, row_count
from conformance_tests.savers.threads.ttl import SECONDS, listed, policy


@clauses_of(Capability.TTL)
class RunTTLClauses(SaverClauses):
    """Clauses about `config["configurable"]["ttl"]`."""

    def test_ttl_a_run_may_ask_for_another(self, reopened: Opener, harness: SaverHarness) -> None:
        """A run may set its own TTL in minutes, longer or shorter than the policy's."""
        saver = reopened(ttl=policy())
        short, usual, long = Chain(saver, ttl=0.1), Chain(saver), Chain(saver, ttl=10)
        for chain in (short, usual, long):
            chain.put({"a": 1})
        expected = sorted([usual.thread_id, long.thread_id])
        harness.advance(7)
        assert listed(saver) == expected
        harness.advance(SECONDS)
        assert listed(saver) == [long.thread_id]
        harness.advance(570)
        assert listed(saver) == []

    def test_ttl_without_a_default(self, reopened: Opener, harness: SaverHarness) -> None:
        """Without a default TTL, only threads of runs that set one expire."""
        saver = reopened(ttl=policy(default_ttl=None))
        asked, usual = Chain(saver, ttl=0.4), Chain(saver)
        asked.put({"a": 1})
        usual.put({"a": 1})
        harness.advance(SECONDS + 1)
        assert listed(saver) == [usual.thread_id]

    def test_ttl_the_thread_remembers_it(self, reopened: Opener, harness: SaverHarness) -> None:
        """The TTL of a run is stored with the thread: later refreshes extend it by the same
        time."""
        saver = reopened(ttl=policy(refresh_on_read=True))
        chain = Chain(saver, ttl=1)
        chain.put({"a": 1})
        chain.configurable = {}
        chain.put({"a": 2})
        harness.advance(50)
        saver.get_tuple(chain.head)
        harness.advance(50)
        assert values(saver.get_tuple(chain.head)) == {"a": 2}
        harness.advance(61)
        assert saver.get_tuple(chain.head) is None

    def test_ttl_it_is_no_metadata(self, reopened: Opener) -> None:
        """The TTL is not stored in the metadata, into which LangGraph copies other scalars of
        `configurable`."""
        chain = Chain(reopened(ttl=policy()), ttl=5, user="ada")
        entries = told(chain.saver.get_tuple(chain.put({"a": 1})))
        assert "ttl" not in entries
        assert entries["user"] == "ada"

    @pytest.mark.parametrize("long", [1e9, 4e9, 5e9, 1e308])
    def test_ttl_of_thousands_of_years(self, saver: Facade, long: float) -> None:
        """A TTL of thousands of years is rejected or listed, but does not break `list_threads`."""
        usual, asked = Chain(saver), Chain(saver, ttl=long)
        usual.put({"a": 1})
        there = {usual.thread_id}
        with suppress(ValueError):
            asked.put({"a": 1})
            there.add(asked.thread_id)
        assert set(listed(saver)) == there

    @pytest.mark.parametrize(
        "bad",
        [-1, 0, "5", True, float("nan"), float("inf"), [1], 10**400],
        ids=lambda bad: f"{bad!r:.9}",
    )
    def test_ttl_invalid_values(self, saver: Facade, harness: SaverHarness, bad: Any) -> None:
        """Invalid TTLs are rejected before anything is stored; none of them means "forever"."""
        chain = Chain(saver, ttl=bad)
        with pytest.raises(ValueError, match="ttl"):
            chain.put({"a": 1})
        with pytest.raises(ValueError, match="ttl"):
            saver.put_writes(on(chain.thread_id, "", new_id(), ttl=bad), [("a", 1)], "task")
        assert row_count(harness) == 0

    @pytest.mark.parametrize(
        "bad",
        [
            {"default_ttl": -1},
            {"default_ttl": "5"},
            {"default_ttl": True},
            {"default_ttl": float("nan")},
            {"sweep_interval_minutes": 0},
            {"strategy": "forget"},
            {"defualt_ttl": 5},
        ],
        ids=str,
    )
    def test_ttl_invalid_policies(
        self, harness: SaverHarness, flavour: Any, bad: dict[str, Any]
    ) -> None:
        """An invalid policy is rejected, so that a typo does not silently disable expiry."""
        with (
            pytest.raises(ValueError, match=next(iter(bad))),
            opened(harness, flavour, ttl={**policy(), **bad}),
        ):
            pass
