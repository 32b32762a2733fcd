"""Clauses about persistence: stored data is found by a saver that is opened later."""

from __future__ import annotations

import random

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.harness import SaverHarness
from conformance_tests.samples.build import Chain, large, new_id, new_thread, on, values, writes
from conformance_tests.samples.compare import assert_same, plain
from conformance_tests.samples.driver_adapter import FLAVOURS, Facade, Flavour, opened
from conformance_tests.samples.values import COMMON
from conformance_tests.savers.base import Opener, SaverClauses
from conformance_tests.savers.threads.delete_thread import filled_thread


@clauses_of(Capability.PERSISTENCE)
class PersistenceClauses(SaverClauses):
    """Clauses about several savers on one database, one after the other or at once."""

    def test_persistence_everything_is_there_after_reopening(
        self, harness: SaverHarness, flavour: Flavour
    ) -> None:
        """After a restart, everything is found again."""
        with opened(harness, flavour) as saver:
            chain = filled_thread(saver)
            chain.put(COMMON)
            early = on(chain.thread_id, "", new_id())
            saver.put_writes(early, [("a", "early")], "task")
            before = [plain(each) for each in saver.list(None)]
        with opened(harness, flavour) as saver:
            after = [plain(each) for each in saver.list(None)]
            assert_same(before, after, "everything")
            chain.saver = saver
            chain.put({"n": "next"}, id=early["configurable"]["checkpoint_id"])
            assert writes(saver.get_tuple(early)) == [("task", "a", "early")]
            found = saver.get_tuple(on(chain.thread_id))
            assert values(found)["n"] == "next"
            assert values(found)["str large"] == COMMON["str large"]

    def test_persistence_the_other_flavour_sees_it(
        self, harness: SaverHarness, flavour: Flavour
    ) -> None:
        """A sync saver reads what an async saver wrote, and vice versa."""
        other: Flavour = FLAVOURS[FLAVOURS.index(flavour) - 1]
        with opened(harness, flavour) as saver, opened(harness, other) as second:
            chain = filled_thread(saver)
            for n in range(3):
                chain.put({"n": n, "text": large(n)})
                chain.write(("n", n))
                got = [plain(each) for each in second.list(None)]
                assert_same([plain(each) for each in saver.list(None)], got, "everything")
            chain.saver = second
            chain.put({"n": "second"})
            assert values(saver.get_tuple(on(chain.thread_id)))["n"] == "second"

    def test_persistence_two_open_savers_see_each_other_at_once(self, reopened: Opener) -> None:
        """Two workers share a database: what one stores, the other reads at once."""
        savers = [reopened(), reopened()]
        chain = Chain(savers[0])
        for turn in range(10):
            chain.saver = savers[turn % 2]
            chain.put({"turn": turn, "text": large(turn)})
            chain.write(("turn", turn))
            for each in savers:
                found = each.get_tuple(on(chain.thread_id))
                assert values(found) == {"turn": turn, "text": large(turn)}
                assert writes(found) == [("task-1", "turn", turn)]

    def test_persistence_what_others_deleted_is_stored_again(
        self, saver: Facade, reopened: Opener
    ) -> None:
        """A put omits values that it believes to be stored; it must detect their deletion."""
        other, text = reopened(), large(1, 50_000)
        for removal in ("delete", "prune", "drop"):
            chain = Chain(saver)
            chain.put({"text": text})
            again = Chain(other, chain.thread_id)
            if removal == "delete":
                other.delete_thread(chain.thread_id)
            elif removal == "prune":
                other.prune([chain.thread_id], strategy="delete")
            else:
                again.put({"other": 1})
                other.prune([chain.thread_id])
            fresh = Chain(saver, chain.thread_id)
            fresh.put({"text": text + "and more"})
            for each in (saver, other):
                assert values(each.get_tuple(fresh.head)) == {"text": text + "and more"}

    def test_persistence_thread_that_was_deleted_and_written_by_another(
        self, saver: Facade, reopened: Opener
    ) -> None:
        """If another saver deletes and recreates a thread, cached knowledge about it is invalid."""
        other, thread = reopened(), new_thread()
        Chain(saver, thread).put({"text": large(1, 50_000)})
        other.delete_thread(thread)
        Chain(other, thread).put({"text": large(2, 60_000)})
        chain = Chain(saver, thread)
        chain.put({"text": large(1, 50_000)})
        assert values(other.get_tuple(chain.head)) == {"text": large(1, 50_000)}

    def test_persistence_values_of_all_sizes_from_two_savers(self, reopened: Opener) -> None:
        """For values of all sizes, two savers that write to a thread in turn do not corrupt each
        other's values, although each has a stale view of the thread."""
        dice, savers = random.Random(7), [reopened(), reopened()]
        chain = Chain(savers[0])
        stored = [(chain.put({"a": b"first"}), b"first")]
        written = []
        for turn in range(120):
            chain.saver = savers[dice.randrange(2)]
            value = dice.randbytes(dice.choice([10, 2060, 2060, 2500, 3000, 20_000]))
            if dice.random() < 0.5:
                stored.append((chain.put({"a": value}), value))
            else:
                chain.saver.put_writes(stored[0][0], [("a", value)], f"task {turn:03}")
                written.append((f"task {turn:03}", "a", value))
        for saver in savers:
            assert [values(saver.get_tuple(config))["a"] for config, _ in stored] == [
                value for _, value in stored
            ]
            assert writes(saver.get_tuple(stored[0][0])) == written
