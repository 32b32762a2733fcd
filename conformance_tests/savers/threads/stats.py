"""Clauses about stats, which counts stored data."""

from __future__ import annotations

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.harness import SaverHarness
from conformance_tests.samples.build import Chain, large, new_thread
from conformance_tests.samples.driver_adapter import Facade
from conformance_tests.savers.base import SaverClauses
from conformance_tests.savers.threads.delete_thread import filled_thread

COUNTS = ("threads", "checkpoints", "values", "segments", "writes")


@clauses_of(Capability.STATS)
class StatsClauses(SaverClauses):
    """Clauses of `stats`."""

    def test_stats_says_what_it_talks_to(self, saver: Facade, harness: SaverHarness) -> None:
        """`stats` names the backend and the server's version, for bug reports."""
        told = saver.stats()
        assert harness.name.startswith(told["backend"])
        assert told["server"]

    def test_stats_counts_are_those_of_the_database(
        self, saver: Facade, harness: SaverHarness
    ) -> None:
        """As many as a look behind the saver's back finds."""
        assert {name: saver.stats()[name] for name in COUNTS} == dict.fromkeys(COUNTS, 0)
        for _ in range(3):
            filled_thread(saver)
        told, rows = saver.stats(), harness.rows()
        assert {name: told[name] for name in COUNTS} == {name: rows.get(name, 0) for name in COUNTS}
        assert (told["threads"], told["checkpoints"], told["writes"]) == (3, 12, 12)

    def test_stats_of_one_thread(self, saver: Facade) -> None:
        """Numbers of a single thread; the sum over threads is the total."""
        big, small = filled_thread(saver), Chain(saver)
        small.put({"a": large(1, 5_000)})
        told = {each: saver.stats(each) for each in (big.thread_id, small.thread_id, None)}
        one, other, everything = told.values()
        assert (one["threads"], one["checkpoints"], one["writes"]) == (1, 4, 4)
        assert (other["threads"], other["checkpoints"], other["values"]) == (1, 1, 1)
        for name in COUNTS:
            assert one[name] + other[name] == everything[name], name
        assert one["bytes"] > 40_000 > other["bytes"] > 0
        assert everything["bytes"] >= one["bytes"] + other["bytes"]

    def test_stats_of_an_absent_thread(self, saver: Facade) -> None:
        """For an absent thread, the numbers are zero, not an error."""
        Chain(saver).put({"a": 1})
        told = saver.stats(new_thread())
        assert {name: told[name] for name in COUNTS} == dict.fromkeys(COUNTS, 0)
        assert told["bytes"] == 0

    def test_stats_bytes_follow_what_is_stored(self, saver: Facade) -> None:
        """The number of bytes grows with puts, and shrinks with deletions."""
        chain = Chain(saver)
        chain.put({"a": large(1, 100_000)})
        before = saver.stats(chain.thread_id)["bytes"]
        assert before >= 90_000
        chain.put({"b": large(2, 100_000)})
        assert saver.stats(chain.thread_id)["bytes"] >= before + 90_000
        chain.put({}, drop=["a", "b"])
        saver.prune([chain.thread_id])
        assert saver.stats(chain.thread_id)["bytes"] < 10_000
