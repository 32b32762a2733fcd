"""Clauses about get_delta_channel_history, which collects writes along the ancestors.

It walks back to the nearest stored value of a channel, its seed.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.types import INTERRUPT, _DeltaSnapshot

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.samples.build import (
    Chain,
    checkpoint,
    large,
    metadata,
    new_id,
    new_thread,
    on,
)
from conformance_tests.samples.compare import assert_same
from conformance_tests.samples.driver_adapter import Facade
from conformance_tests.samples.steps import ending
from conformance_tests.savers.base import SaverClauses

CHANNELS = ["a", "b", "c", "never"]


def history(saver: Facade, config: Any, *channels: str) -> Any:
    """Call `get_delta_channel_history`; returns plain dicts."""
    found = saver.get_delta_channel_history(config=config, channels=list(channels))
    return {name: dict(entry) for name, entry in found.items()}


def random_tree(saver: Facade, seed: int) -> list[Chain]:
    """A random tree of checkpoints, whose channels are stored, empty, dropped or only written."""
    dice = random.Random(seed)
    branches = [Chain(saver)]
    for _ in range(14):
        branch = dice.choice(branches)
        if dice.random() < 0.2 and branch.step >= 0:
            branch = branch.fork()
            branches.append(branch)
        changed = {
            name: dice.choice([new_id(), [large(), name], _DeltaSnapshot([name])])
            for name in "abc"
            if dice.random() < 0.15
        }
        rest = [name for name in "abc" if name not in changed]
        branch.put(changed, empty=rest[:2] if dice.random() < 0.8 else (), drop=rest[2:])
        for task in dice.sample(["t1", "t2", "t3"], dice.randrange(3)):
            written = [(dice.choice("abcd"), f"{task} {n}") for n in range(dice.randrange(1, 4))]
            branch.write(*written, (INTERRUPT, "?"), task=task, path=dice.choice(["", "~p", "~a"]))
    return branches


@clauses_of(Capability.DELTA_HISTORY)
class DeltaHistoryClauses(SaverClauses):
    """Clauses of `get_delta_channel_history`."""

    def test_delta_history_it_is_the_savers_own(self, saver: Facade) -> None:
        """The saver overrides the base class's method, which takes a round trip per checkpoint."""
        for name in ("get_delta_channel_history", "aget_delta_channel_history"):
            assert getattr(type(saver.raw), name) is not getattr(BaseCheckpointSaver, name)

    @pytest.mark.parametrize("seed", range(12))
    def test_delta_history_as_the_base_class_walks(self, saver: Facade, seed: int) -> None:
        """On random trees, results equal those of the base class, which is the specification."""
        branches = random_tree(saver, seed)
        asked = [found.config for found in saver.list(on(branches[0].thread_id))]
        asked += [on(branches[0].thread_id), on(new_thread())]
        for config in asked:
            for channels in (CHANNELS, ["b"]):
                expected = saver.ancestors_walk(config, channels)
                got = saver.get_delta_channel_history(config=config, channels=channels)
                assert_same(dict(expected), dict(got), "history")

    def test_delta_history_seed_is_the_nearest_stored_value(self, saver: Facade) -> None:
        """Writes at the seed's checkpoint come after the seed and are included. Older writes are
        part of the seed, and the target's own writes are pending: neither is included."""
        chain = Chain(saver)
        chain.put({"log": ["too old"]})
        chain.write(("log", "in the seed"))
        chain.put({"log": ["seed"]})
        chain.write(("log", 1), ("log", 2), ("other", "x"))
        chain.put({"other": 1}, empty=["log"])
        chain.write(("log", 3))
        chain.put({"other": 2}, empty=["log"])
        chain.write(("log", "pending"))
        assert history(saver, chain.head, "log") == {
            "log": {
                "writes": [("task-1", "log", 1), ("task-1", "log", 2), ("task-1", "log", 3)],
                "seed": ["seed"],
            }
        }

    def test_delta_history_no_seed_key_when_there_is_none(self, saver: Facade) -> None:
        """Without a seed, the key is absent and the channel starts empty; None would be a value."""
        chain = Chain(saver)
        chain.put({"other": 1})
        chain.write(("log", 1))
        chain.put({"other": 2})
        assert history(saver, chain.head, "log", "unknown") == {
            "log": {"writes": [("task-1", "log", 1)]},
            "unknown": {"writes": []},
        }

    def test_delta_history_none_is_a_seed(self, saver: Facade) -> None:
        """A stored None is a seed and ends the walk, as any other value does."""
        chain = Chain(saver)
        chain.put({"log": "older"})
        chain.put({"log": None})
        chain.put({}, empty=["log"])
        chain.put({}, empty=["log"])
        assert history(saver, chain.head, "log") == {"log": {"writes": [], "seed": None}}

    def test_delta_history_a_value_of_the_target_is_no_seed(self, saver: Facade) -> None:
        """The walk begins at the parent: a value stored at the target itself is not a seed."""
        chain = Chain(saver)
        chain.put({"log": "parent's"})
        chain.put({"log": "own"})
        assert history(saver, chain.head, "log")["log"]["seed"] == "parent's"
        first = Chain(saver)
        first.put({"log": "own"})
        assert history(saver, first.head, "log") == {"log": {"writes": []}}

    def test_delta_history_parents_only_not_time_order(self, saver: Facade) -> None:
        """Only ancestors count, not checkpoints of other branches, older or newer."""
        chain = Chain(saver)
        chain.put({"log": ["root"]})
        other = chain.fork()
        chain.put({}, empty=["log"])
        other.put({"log": ["other branch"]})
        other.write(("log", "other branch"))
        chain.write(("log", "mine"))
        other.put({}, empty=["log"])
        chain.put({}, empty=["log"])
        mine = history(saver, chain.head, "log")["log"]
        assert mine == {"writes": [("task-1", "log", "mine")], "seed": ["root"]}

    def test_delta_history_order_inside_a_step(self, saver: Facade) -> None:
        """Writes of a step are in the order of the live run: reducers may depend on the order."""
        chain = Chain(saver)
        chain.put({"n": 0})
        for path, task in (("~p, b", "t1"), ("~p, a", "t2"), ("", "t3")):
            chain.write(*[("log", f"{task} {n}") for n in range(11)], task=task, path=path)
        chain.put({"n": 1})
        chain.write(("log", "next step"), task="t0")
        chain.put({"n": 2})
        got = [value for _, _, value in history(saver, chain.head, "log")["log"]["writes"]]
        expected = [f"{task} {n}" for task in ("t3", "t2", "t1") for n in range(11)]
        assert got == [*expected, "next step"]

    def test_delta_history_latest_checkpoint_when_none_is_named(self, saver: Facade) -> None:
        """A config without a checkpoint id means the newest checkpoint of its namespace."""
        chain = Chain(saver, ns="sub:1")
        chain.put({"log": "seed"})
        chain.write(("log", 1))
        chain.put({}, empty=["log"])
        root = Chain(saver, chain.thread_id)
        root.put({"log": "root's"})
        root.put({}, empty=["log"])
        by_name = history(saver, chain.head, "log")
        assert history(saver, on(chain.thread_id, "sub:1"), "log") == by_name
        assert by_name["log"]["seed"] == "seed"
        assert history(saver, on(chain.thread_id, ns=None), "log")["log"]["seed"] == "root's"

    def test_delta_history_absent_checkpoints_and_no_channels(self, saver: Facade) -> None:
        """For an absent checkpoint or no channels, the result is empty, not an error."""
        chain = Chain(saver)
        chain.put({"log": 1})
        chain.put({"log": 2})
        nothing: Any = {"log": {"writes": []}}
        assert history(saver, on(new_thread()), "log") == nothing
        assert history(saver, on(chain.thread_id, "", new_id()), "log") == nothing
        assert history(saver, chain.head) == {}

    def test_delta_history_missing_ancestor_ends_the_walk(self, saver: Facade) -> None:
        """The walk ends at a missing parent, which was deleted with its run."""
        chain = Chain(saver)
        chain.put({"log": "gone"}, run_id="one")
        chain.put({}, empty=["log"], run_id="two")
        chain.write(("log", "gone, too"))
        chain.put({}, empty=["log"], run_id="three")
        chain.write(("log", "known"))
        chain.put({}, empty=["log"], run_id="three")
        saver.delete_for_runs(["two"])
        known: Any = {"log": {"writes": [("task-1", "log", "known")]}}
        assert history(saver, chain.head, "log") == known

    def test_delta_history_of_a_ring_ends(self, saver: Facade) -> None:
        """The walk ends also if two checkpoints are each other's parent, which a caller can cause
        by reusing ids."""
        thread, names = new_thread(), ("one", "two")
        for name, parent in (names, names[::-1], names):
            saver.put(on(thread, "", parent), checkpoint({}, id=name), metadata(), {})
        own = "three"
        saver.put(on(thread, "", own), checkpoint({}, id=own), metadata(), {})
        for name in (*names, own):
            saver.put_writes(on(thread, "", name), [("log", name)], "task")
        with ending(saver, f"expected: an answer, however {names} are each other's parent"):
            found = history(saver, on(thread, "", "one"), "log")
        assert [value for _, _, value in found["log"]["writes"]] in (["two"], ["one", "two"])
        with ending(saver, f"expected: an answer, although {own!r} is its own parent"):
            found = history(saver, on(thread, "", own), "log")
        assert [value for _, _, value in found["log"]["writes"]] in ([], [own])

    def test_delta_history_snapshots_come_as_they_are(self, saver: Facade) -> None:
        """A snapshot is returned with its type, by which LangGraph distinguishes it from a
        value."""
        chain = Chain(saver)
        chain.put({"log": _DeltaSnapshot([1, large()])})
        chain.put({}, empty=["log"])
        seed = history(saver, chain.head, "log")["log"]["seed"]
        assert_same(_DeltaSnapshot([1, large()]), seed, "seed")

    def test_delta_history_long_chains(self, saver: Facade) -> None:
        """The walk works over thousands of steps, which may lie between two snapshots."""
        chain = Chain(saver)
        chain.put({"log": "seed"})
        for n in range(250):
            chain.write(("log", n))
            chain.put({"n": n}, empty=["log"])
        found = history(saver, chain.head, "log", "n")
        assert [value for _, _, value in found["log"]["writes"]] == list(range(250))
        assert found["log"]["seed"] == "seed"
        assert found["n"] == {"writes": [], "seed": 248}
