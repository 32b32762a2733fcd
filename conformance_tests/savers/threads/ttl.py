"""Clauses about TTL: a thread expires as a whole, and reads as absent from then on."""

from __future__ import annotations

import time
from typing import Any

import pytest

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.harness import SaverHarness
from conformance_tests.samples.build import (
    Chain,
    checkpoint,
    ids,
    large,
    metadata,
    new_id,
    new_thread,
    on,
    the,
    values,
    version,
    writes,
)
from conformance_tests.samples.driver_adapter import GIVE_UP_AFTER, Facade, opened
from conformance_tests.savers.base import Opener, SaverClauses, row_count
from conformance_tests.savers.threads.delete_thread import filled_thread

SECONDS = 24.0  # 0.4 minutes


def policy(**changes: Any) -> dict[str, Any]:
    """A TTL policy of 0.4 minutes, in the format of `langgraph.json`."""
    usual = {"strategy": "delete", "default_ttl": 0.4, "refresh_on_read": False}
    return {**usual, "sweep_interval_minutes": 60, **changes}


def listed(saver: Facade) -> list[str]:
    """The ids of all threads."""
    return sorted(info.thread_id for info in saver.list_threads().threads)


@clauses_of(Capability.TTL)
class ExpiryClauses(SaverClauses):
    """Clauses about when a thread expires, and reads after that."""

    def test_ttl_minutes_as_floats(self, reopened: Opener, harness: SaverHarness) -> None:
        """A TTL of 0.4 minutes is 24 seconds: it is neither rounded nor taken as seconds."""
        chain = Chain(reopened(ttl=policy()))
        chain.put({"a": 1})
        harness.advance(SECONDS - 1)
        assert values(chain.saver.get_tuple(chain.head)) == {"a": 1}
        harness.advance(2)
        assert chain.saver.get_tuple(chain.head) is None

    def test_ttl_expired_reads_as_absent_before_any_sweep(
        self, reopened: Opener, harness: SaverHarness
    ) -> None:
        """An expired thread reads as absent at once, however late the sweeper runs."""
        saver = reopened(ttl=policy())
        chain = filled_thread(saver)
        harness.advance(SECONDS + 1)
        other = Chain(saver)
        other.put({"a": 1})
        assert saver.get_tuple(on(chain.thread_id)) is None
        assert saver.get_tuple(chain.head) is None
        assert list(saver.list(on(chain.thread_id, ns=None))) == []
        assert ids(saver.list(None)) == ids([the(saver.get_tuple(other.head))])
        assert listed(saver) == [other.thread_id]
        history = saver.get_delta_channel_history(config=chain.head, channels=["n"])
        assert {name: dict(entry) for name, entry in history.items()} == {"n": {"writes": []}}
        assert row_count(harness) > len(harness.rows()), "this clause needs rows that expired"

    def test_ttl_expired_thread_is_not_copied(
        self, reopened: Opener, harness: SaverHarness
    ) -> None:
        """`copy_thread` treats an expired source as absent, and an expired target as free."""
        saver = reopened(ttl=policy())
        chain, target = filled_thread(saver), filled_thread(saver)
        harness.advance(SECONDS + 1)
        saver.copy_thread(chain.thread_id, "copy")
        assert saver.get_tuple(on("copy")) is None
        source = Chain(saver)
        source.put({"a": 1})
        saver.copy_thread(source.thread_id, target.thread_id)
        found = [values(each) for each in saver.list(on(target.thread_id, ns=None))]
        assert found == [{"a": 1}]

    @pytest.mark.parametrize("touch", ["put", "put_writes"])
    def test_ttl_writing_moves_the_clock(
        self, reopened: Opener, harness: SaverHarness, touch: str
    ) -> None:
        """A write extends the expiry of the whole thread, including other namespaces and the
        oldest checkpoints."""
        saver = reopened(ttl=policy())
        chain, sub = Chain(saver), None
        first = chain.put({"a": 1, "text": large()})
        sub = Chain(saver, chain.thread_id, "sub:1")
        sub.put({"b": 1})
        for n in range(5):
            harness.advance(SECONDS * 0.75)
            if touch == "put":
                chain.put({"a": n})
            else:
                saver.put_writes(first, [("a", n)], f"task {n}")
        assert values(saver.get_tuple(first)) == {"a": 1, "text": large()}
        assert values(saver.get_tuple(sub.head)) == {"b": 1}
        harness.advance(SECONDS + 1)
        assert list(saver.list(on(chain.thread_id, ns=None))) == []

    @pytest.mark.parametrize("read", ["get_tuple", "list", "delta history"])
    @pytest.mark.parametrize("refresh", [True, False])
    def test_ttl_reading_moves_the_clock_if_asked(
        self, reopened: Opener, harness: SaverHarness, read: str, refresh: bool
    ) -> None:
        """A read extends the expiry if and only if `refresh_on_read` is set."""
        saver = reopened(ttl=policy(refresh_on_read=refresh))
        chain = Chain(saver)
        chain.put({"a": 1})
        chain.put({"a": 2})
        for _ in range(3):
            harness.advance(SECONDS * 0.75)
            if read == "get_tuple":
                saver.get_tuple(on(chain.thread_id))
            elif read == "list":
                list(saver.list(on(chain.thread_id)))
            else:
                saver.get_delta_channel_history(config=chain.head, channels=["a"])
        found = saver.get_tuple(on(chain.thread_id))
        if refresh:
            assert values(found) == {"a": 2}
        else:
            assert found is None

    def test_ttl_a_thread_that_is_read_again_and_again_stays(
        self, reopened: Opener, harness: SaverHarness
    ) -> None:
        """A saver may skip small extensions of the expiry, but a thread that is read repeatedly
        must not expire."""
        saver = reopened(ttl=policy(refresh_on_read=True))
        chain = Chain(saver)
        chain.put({"a": 1})
        for _ in range(100):
            harness.advance(SECONDS / 60)
            assert values(saver.get_tuple(chain.head)) == {"a": 1}
        harness.advance(SECONDS + 1)
        assert saver.get_tuple(chain.head) is None

    def test_ttl_reading_refreshes_the_thread_that_is_read(
        self, reopened: Opener, harness: SaverHarness
    ) -> None:
        """A read extends the expiry of the thread that is read, and of no other."""
        saver = reopened(ttl=policy(refresh_on_read=True))
        read, unread = Chain(saver), Chain(saver)
        read.put({"a": 1})
        unread.put({"a": 1})
        harness.advance(SECONDS * 0.75)
        saver.get_tuple(read.head)
        harness.advance(SECONDS * 0.75)
        assert listed(saver) == [read.thread_id]

    def test_ttl_unchanged_channel_lives_as_long_as_its_thread(
        self, reopened: Opener, harness: SaverHarness
    ) -> None:
        """The value of an unchanged channel does not expire before its thread."""
        saver = reopened(ttl=policy())
        chain = Chain(saver)
        chain.put({"a": 0, "old": large(), "small": "kept"})
        for n in range(1, 6):
            harness.advance(SECONDS * 0.9)
            saver.sweep_ttl()
            chain.put({"a": n})
        state = {"a": 5, "old": large(), "small": "kept"}
        assert values(saver.get_tuple(on(chain.thread_id))) == state

    def test_ttl_put_on_an_expired_thread_begins_anew(
        self, reopened: Opener, harness: SaverHarness
    ) -> None:
        """A put on an expired thread starts a new one, without old checkpoints, values or
        writes."""
        saver = reopened(ttl=policy())
        old = filled_thread(saver)
        coming = new_id()
        saver.put_writes(on(old.thread_id, "", coming), [("n", "old early write")], "task")
        known = the(saver.get_tuple(old.head)).checkpoint["channel_versions"]
        harness.advance(SECONDS + 1)
        body = checkpoint({"n": "new"}, {**known, "n": version(9)}, id=coming)
        saver.put(on(old.thread_id), body, metadata(), {"n": body["channel_versions"]["n"]})
        found = list(saver.list(on(old.thread_id, ns=None)))
        assert [values(each) for each in found] == [{"n": "new"}]
        assert writes(found[0]) == []
        again = Chain(saver, old.thread_id)
        again.put({"text": large(1)})
        assert values(saver.get_tuple(again.head)) == {"text": large(1)}
        saver.delete_thread(old.thread_id)
        assert row_count(harness) == 0, dict(harness.rows())

    @pytest.mark.parametrize("first", ["put", "put_writes"])
    def test_ttl_a_run_that_outlasts_it_puts_whole_checkpoints(
        self, reopened: Opener, harness: SaverHarness, first: str
    ) -> None:
        """A node may run longer than the TTL. Its run passes all values of the next checkpoint to
        `put`, which must not assume that unchanged values are still stored."""
        saver = reopened(ttl=policy())
        chain = Chain(saver)
        chain.put({"a": 1, "text": large(), "b": 1})
        saver.get_tuple(chain.head)
        harness.advance(SECONDS + 1)
        if first == "put_writes":
            chain.write(("a", 2))
        for n in (2, 3):
            chain.put({"a": n})
            assert values(saver.get_tuple(chain.head)) == {"a": n, "text": large(), "b": 1}

    def test_ttl_write_on_an_expired_thread_begins_anew(
        self, reopened: Opener, harness: SaverHarness
    ) -> None:
        """A late write of a task on an expired thread does not restore the old thread."""
        saver = reopened(ttl=policy())
        old = filled_thread(saver)
        harness.advance(SECONDS + 1)
        old.write(("n", "late"))
        assert list(saver.list(on(old.thread_id, ns=None))) == []
        assert saver.get_tuple(old.head) is None

    def test_ttl_without_a_policy_nothing_expires(
        self, saver: Facade, harness: SaverHarness
    ) -> None:
        """Without a TTL policy, threads never expire."""
        chain = Chain(saver)
        chain.put({"a": 1})
        harness.advance(1e9)
        assert saver.sweep_ttl() == 0
        assert values(saver.get_tuple(chain.head)) == {"a": 1}
        assert saver.list_threads().threads[0].expires_at is None

    def test_ttl_expiry_is_the_stored_one(self, reopened: Opener, harness: SaverHarness) -> None:
        """A thread's expiry is stored with it; the policy of a later reader does not matter."""
        chain = Chain(reopened(ttl=policy()))
        chain.put({"a": 1})
        other = reopened(ttl=policy(default_ttl=1000))
        harness.advance(SECONDS + 1)
        assert other.get_tuple(chain.head) is None


@clauses_of(Capability.TTL)
class SweepClauses(SaverClauses):
    """Clauses about `sweep_ttl` and the sweeper."""

    def test_ttl_sweep_removes_what_expired(self, reopened: Opener, harness: SaverHarness) -> None:
        """A sweep deletes all rows of expired threads and no others, and returns their number."""
        saver = reopened(ttl=policy())
        gone = [filled_thread(saver) for _ in range(3)]
        harness.advance(SECONDS * 0.75)
        kept = filled_thread(saver)
        assert saver.sweep_ttl() == 0
        harness.advance(SECONDS * 0.5)
        assert saver.sweep_ttl() == len(gone)
        assert saver.sweep_ttl() == 0
        assert len(ids(saver.list(on(kept.thread_id, ns=None)))) == 4
        saver.delete_thread(kept.thread_id)
        assert row_count(harness) == 0, dict(harness.rows())

    def test_ttl_sweep_of_many_threads(self, reopened: Opener, harness: SaverHarness) -> None:
        """A sweep handles more threads than its batch size is likely to be."""
        saver = reopened(ttl=policy())
        for n in range(230):
            Chain(saver, f"thread {n}").put({"n": n})
        harness.advance(SECONDS + 1)
        assert saver.sweep_ttl() == 230
        assert row_count(harness) == 0, dict(harness.rows())

    def test_ttl_keep_latest_prunes_and_keeps(
        self, reopened: Opener, harness: SaverHarness
    ) -> None:
        """With strategy "keep_latest", a sweep keeps an expired thread's state, and deletes its
        history."""
        saver = reopened(ttl=policy(strategy="keep_latest"))
        chain = Chain(saver)
        for n in range(4):
            chain.put({"n": n, "text": large(n)})
        chain.write(("n", "pending"))
        harness.advance(SECONDS + 1)
        state = {"n": 3, "text": large(3)}
        assert values(saver.get_tuple(on(chain.thread_id))) == state
        assert saver.sweep_ttl() == 1
        assert harness.rows()["checkpoints"] == 1
        assert harness.rows()["values"] <= 2  # small values may be embedded in the checkpoint's row
        found = the(saver.get_tuple(on(chain.thread_id)))
        assert (values(found), writes(found)) == (state, [("task-1", "n", "pending")])
        assert saver.sweep_ttl() == 0

    def test_ttl_the_sweeper_sweeps(self, reopened: Opener, harness: SaverHarness) -> None:
        """The sweeper runs in the background; starting and stopping it twice is harmless."""
        saver = reopened(ttl=policy(sweep_interval_minutes=0.0005))
        filled_thread(saver)
        harness.advance(SECONDS + 1)
        saver.call("start_ttl_sweeper")
        saver.call("start_ttl_sweeper")
        deadline = time.monotonic() + GIVE_UP_AFTER
        while row_count(harness) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert row_count(harness) == 0, dict(harness.rows())
        saver.call("stop_ttl_sweeper")
        saver.call("stop_ttl_sweeper")
        filled_thread(saver)
        harness.advance(SECONDS + 1)
        rows = harness.rows()
        time.sleep(0.1)
        assert harness.rows() == rows, "it went on after it was stopped"

    def test_ttl_closing_stops_the_sweeper(self, harness: SaverHarness, flavour: Any) -> None:
        """Closing a saver stops its sweeper, so that nothing uses the closed connection."""
        with opened(harness, flavour, ttl=policy(sweep_interval_minutes=0.0005)) as saver:
            Chain(saver, new_thread()).put({"a": 1})
            saver.call("start_ttl_sweeper")
        harness.advance(SECONDS + 1)
        rows = harness.rows()
        time.sleep(0.1)
        assert harness.rows() == rows
