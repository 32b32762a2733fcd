"""Clauses about get_tuple: a checkpoint as it was put, None if absent, or an error."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.serde.types import TASKS
from langgraph.types import Send

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.samples.build import Chain, ids, new_id, new_thread, on, the, values, writes
from conformance_tests.samples.compare import assert_same, plain
from conformance_tests.samples.driver_adapter import Facade
from conformance_tests.savers.base import SaverClauses


@clauses_of(Capability.GET_TUPLE)
class GetTupleClauses(SaverClauses):
    """Clauses of `get_tuple`."""

    def test_get_tuple_absent_is_none(self, saver: Facade) -> None:
        """For a new thread, the result is None, not an error."""
        chain = Chain(saver, ns="sub:1")
        stored = chain.put({"a": 1})
        name = stored["configurable"]["checkpoint_id"]
        absent = [
            on(new_thread()),
            on(new_thread(), "sub:1", name),
            on(chain.thread_id, "sub:1", new_id()),
            on(chain.thread_id, "", name),
            on(chain.thread_id, "sub"),
        ]
        assert [saver.get_tuple(config) for config in absent] == [None] * len(absent)
        assert saver.get(on(new_thread())) is None

    def test_get_tuple_latest_without_an_id(self, saver: Facade) -> None:
        """Without a checkpoint id, the result is the newest checkpoint of the namespace."""
        chain, sub = Chain(saver), None
        for n in range(12):
            chain.put({"n": n})
        sub = Chain(saver, chain.thread_id, "sub:1")
        sub.put({"n": "sub"})
        for name in (None, ""):
            config = on(chain.thread_id)
            config["configurable"]["checkpoint_id"] = name
            assert values(saver.get_tuple(config)) == {"n": 11}
        assert values(saver.get_tuple(on(chain.thread_id, "sub:1"))) == {"n": "sub"}

    def test_get_tuple_named_checkpoint(self, saver: Facade) -> None:
        """With a checkpoint id, the result is that checkpoint, as time travel needs."""
        chain = Chain(saver)
        stored = [chain.put({"n": n}) for n in range(5)]
        assert [values(saver.get_tuple(config)) for config in stored] == [
            {"n": n} for n in range(5)
        ]

    def test_get_tuple_config_names_the_checkpoint(self, saver: Facade) -> None:
        """The config of the result names the checkpoint: users pass it on to fork."""
        chain = Chain(saver, ns="sub:1")
        stored = chain.put({"a": 1})
        for asked in (on(chain.thread_id, "sub:1"), stored):
            found = the(saver.get_tuple(asked))
            assert_same(stored["configurable"], plain(found)["config"], "config")

    def test_get_tuple_no_writes_is_an_empty_list(self, saver: Facade) -> None:
        """Without writes, `pending_writes` is an empty list, over which LangGraph iterates."""
        chain = Chain(saver)
        assert writes(saver.get_tuple(chain.put({"a": 1}))) == []

    def test_get_tuple_list_gives_the_same_tuple(self, saver: Facade) -> None:
        """`get_tuple` and `list` return equal tuples."""
        chain = Chain(saver, ns="sub:1", user="ada")
        for n in range(3):
            chain.put({"n": n, f"only {n}": {"x": n}}, note=f"note {n}")
            chain.write(("n", n))
        listed = list(saver.list(on(chain.thread_id, "sub:1")))
        assert len(listed) == 3
        for found in listed:
            assert type(found) is CheckpointTuple
            assert_same(plain(the(saver.get_tuple(found.config))), plain(found), "tuple")

    def test_get_tuple_get_returns_the_checkpoint(self, saver: Facade) -> None:
        """`get` returns only the checkpoint."""
        chain = Chain(saver)
        chain.put({"a": 1})
        got = saver.get(on(chain.thread_id))
        assert got is not None
        assert got["channel_values"] == {"a": 1}


@clauses_of(Capability.GET_TUPLE)
class PendingSendsClauses(SaverClauses):
    """Clauses of `get_tuple` and `list` on checkpoints of format 3 and older."""

    @staticmethod
    def sends(saver: Facade, v: int) -> tuple[Chain, list[Send]]:
        """A child with format `v`, whose parent has sends of two tasks, stored out of order."""
        chain = Chain(saver)
        chain.put({"a": 1}, v=v)
        chain.write((TASKS, Send("n", 3)), ("a", 0), (TASKS, Send("n", 4)), task="t1", path="~b")
        chain.write(("a", 0), (TASKS, Send("n", {"k": 1})), task="t2", path="~a")
        chain.put({"a": 2}, v=v)
        return chain, [Send("n", {"k": 1}), Send("n", 3), Send("n", 4)]

    @pytest.mark.parametrize("v", [1, 2, 3])
    def test_get_tuple_sends_of_old_checkpoints_come_from_the_parent(
        self, saver: Facade, v: int
    ) -> None:
        """Checkpoints of older LangGraph versions get pending sends from their parent's writes, so
        that planned tasks are run."""
        chain, expected = self.sends(saver, v)
        listed = next(iter(saver.list(on(chain.thread_id), limit=1)))
        for found in (the(saver.get_tuple(chain.head)), listed):
            assert found.checkpoint["channel_values"] == {"a": 2, TASKS: expected}
            assert TASKS in found.checkpoint["channel_versions"]
            own = found.checkpoint["channel_versions"]["a"]
            assert found.checkpoint["channel_versions"][TASKS] == own

    def test_get_tuple_new_checkpoints_have_their_own_sends(self, saver: Facade) -> None:
        """Format 4 stores sends in a channel: those in the parent's writes are not added."""
        chain, _ = self.sends(saver, 4)
        found = the(saver.get_tuple(chain.head)).checkpoint
        assert found["channel_values"] == {"a": 2}
        assert set(found["channel_versions"]) == {"a"}

    def test_get_tuple_old_checkpoints_without_sends(self, saver: Facade) -> None:
        """Without a parent, or if the parent has no sends, nothing is added."""
        chain = Chain(saver)
        first = chain.put({"a": 1}, v=3)
        chain.write(("a", 9))
        second = chain.put({"a": 2}, v=3)
        chain.write((TASKS, Send("n", 1)))  # of the second checkpoint: only its child gets it
        for config, value in ((first, 1), (second, 2)):
            found = the(saver.get_tuple(config)).checkpoint
            assert found["channel_values"] == {"a": value}
            assert set(found["channel_versions"]) == {"a"}

    def test_get_tuple_sends_come_from_the_own_parent_only(self, saver: Facade) -> None:
        """Each of many listed checkpoints gets its own parent's sends, forks included."""
        chain = Chain(saver)
        chain.put({"n": 0}, v=3)
        chain.write((TASKS, Send("n", 0)))
        other = chain.fork()
        for n in range(1, 4):
            chain.put({"n": n}, v=3)
            chain.write((TASKS, Send("n", n)))
        other.put({"n": "fork"}, v=3)
        listed = list(saver.list(on(chain.thread_id)))
        assert len(ids(listed)) == 5
        got = {
            found.checkpoint["channel_values"]["n"]: values(found).get(TASKS) for found in listed
        }
        expected: dict[Any, Any] = {n: [Send("n", n - 1)] for n in range(1, 4)}
        assert got == {**expected, 0: None, "fork": [Send("n", 0)]}
