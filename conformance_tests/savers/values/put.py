"""Clauses about put: a checkpoint is stored whole, and its values are loaded by version."""

from __future__ import annotations

import copy

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.samples.build import (
    Chain,
    checkpoint,
    large,
    metadata,
    new_id,
    new_thread,
    new_versions,
    on,
    the,
    values,
    version,
)
from conformance_tests.samples.compare import assert_same, assert_same_tuple
from conformance_tests.samples.driver_adapter import Facade
from conformance_tests.savers.base import Opener, SaverClauses


@clauses_of(Capability.PUT)
class PutClauses(SaverClauses):
    """Clauses of `put`."""

    def test_put_returns_the_config_of_the_checkpoint(self, saver: Facade) -> None:
        """`put` returns the config of the checkpoint, which LangGraph uses as the next parent."""
        thread, body = new_thread(), checkpoint({"a": 1})
        stored = saver.put(on(thread, "sub:1"), body, metadata(), new_versions(body))
        assert stored["configurable"]["thread_id"] == thread
        assert stored["configurable"]["checkpoint_ns"] == "sub:1"
        assert stored["configurable"]["checkpoint_id"] == body["id"]
        assert the(saver.get_tuple(stored)).checkpoint["id"] == body["id"]

    def test_put_reads_back_as_from_in_memory_saver(self, saver: Facade) -> None:
        """All parts are read back as from InMemorySaver, on which graphs are developed."""
        body = checkpoint(
            {"a": [1, "two", None], "b": {"c": 3.5}},
            versions_seen={"__input__": {}, "node": {"a": version(1), "b": version(2)}},
            updated_channels=["a", "b"],
        )
        config = on(new_thread(), "", new_id(), user="ada")
        config["metadata"] = {"team": "x"}
        entries = metadata(
            step=3, nested={"k": [1, {"deep": None}]}, run_id="run", parents={"": "p"}
        )
        reference: InMemorySaver = InMemorySaver()
        expected = reference.get_tuple(
            reference.put(copy.deepcopy(config), copy.deepcopy(body), entries, new_versions(body))
        )
        got = saver.get_tuple(saver.put(config, body, entries, new_versions(body)))
        assert_same_tuple(the(expected), the(got))

    def test_put_body_entries_of_a_newer_langgraph_survive(self, saver: Facade) -> None:
        """Unknown fields of a checkpoint, as of a newer LangGraph, are stored and returned."""
        body = checkpoint({"a": 1}, updated_channels=None, a_field_to_come={"x": [1]})
        stored = saver.put(on(new_thread()), body, metadata(), new_versions(body))
        got = dict(the(saver.get_tuple(stored)).checkpoint)
        assert got["updated_channels"] is None
        assert got["a_field_to_come"] == {"x": [1]}

    def test_put_parent_is_the_checkpoint_of_the_config(self, saver: Facade) -> None:
        """The parent is the checkpoint of the config: time travel and delta channels follow it."""
        chain = Chain(saver, ns="sub:1")
        first = chain.put({"a": 1})
        branch = chain.fork()
        for child in (chain.put({"a": 2}), branch.put({"a": 3})):
            parent = the(saver.get_tuple(child)).parent_config
            assert parent is not None
            assert_same(first["configurable"], parent["configurable"], "parent_config")

    @pytest.mark.parametrize("parent", [None, ""])
    def test_put_no_parent(self, saver: Facade, parent: str | None) -> None:
        """The first checkpoint of a thread, with a parent id of None or "", has no parent."""
        thread, body = new_thread(), checkpoint({"a": 1})
        config = on(thread)
        config["configurable"]["checkpoint_id"] = parent
        stored = saver.put(config, body, metadata(), new_versions(body))
        assert the(saver.get_tuple(stored)).parent_config is None
        assert [found.parent_config for found in saver.list(on(thread))] == [None]

    def test_put_namespace_defaults_to_the_root(self, saver: Facade) -> None:
        """A config written by hand has no `checkpoint_ns`."""
        thread, body = new_thread(), checkpoint({"a": 1})
        stored = saver.put(on(thread, ns=None), body, metadata(), new_versions(body))
        assert stored["configurable"]["checkpoint_ns"] == ""
        for config in (on(thread, ns=None), on(thread, "")):
            assert the(saver.get_tuple(config)).checkpoint["id"] == body["id"]

    def test_put_namespaces_are_apart(self, saver: Facade) -> None:
        """Namespaces are separate, even with equal checkpoint ids: a subgraph's state is not its
        parent's."""
        thread, shared = new_thread(), new_id()
        namespaces = ["", "sub", "sub:1", "sub:1|inner:2", "sub|inner"]
        for ns in namespaces:
            body = checkpoint({"where": ns}, {"where": "1"}, id=shared)
            saver.put(on(thread, ns), body, metadata(), {"where": "1"})
        for ns in namespaces:
            assert values(saver.get_tuple(on(thread, ns))) == {"where": ns}

    def test_put_unchanged_channel_is_still_there(self, saver: Facade) -> None:
        """Channels that are not in `new_versions` are loaded from earlier puts."""
        chain = Chain(saver)
        chain.put({"a": 1, "b": "kept", "c": large()})
        for step in range(2, 6):
            chain.put({"a": step})
        assert values(saver.get_tuple(chain.head)) == {"a": 5, "b": "kept", "c": large()}

    def test_put_values_load_by_version_not_by_what_the_put_carried(self, saver: Facade) -> None:
        """An unchanged value that `put` does not pass again is still loaded by its version."""
        thread, versions = new_thread(), {"a": version(1), "b": version(1)}
        first = checkpoint({"a": 1, "b": 2}, versions)
        head = saver.put(on(thread), first, metadata(), new_versions(first))
        newer = {"a": version(2)}
        second = checkpoint({"a": 10}, {**versions, **newer})
        stored = saver.put(head, second, metadata(), dict(newer))
        assert values(saver.get_tuple(stored)) == {"a": 10, "b": 2}

    @pytest.mark.parametrize("writer", ["the same saver", "another process's"])
    def test_put_value_that_is_not_carried_outlives_its_parent(
        self, saver: Facade, reopened: Opener, writer: str
    ) -> None:
        """An unchanged value, small or large, that `put` does not pass again is kept when the
        parent is pruned, also if this saver never read the parent."""
        thread = new_thread()
        versions = {name: version(1) for name in ("a", "none", "small", "large", "empty")}
        carried = {"a": 1, "none": None, "small": ["kept"], "large": large()}
        body = checkpoint(carried, versions)
        head = saver.put(on(thread), body, metadata(), dict(versions))
        for step in (2, 3):
            versions["a"] = version(step)
            body = checkpoint({"a": step}, dict(versions))
            putting = saver if writer == "the same saver" else reopened()
            head = putting.put(head, body, metadata(), {"a": versions["a"]})
        saver.prune([thread])
        expected = {**carried, "a": 3}
        for each in (saver, reopened()):
            assert_same(expected, values(each.get_tuple(head)), "channel_values")
            assert_same([expected], [values(one) for one in each.list(on(thread))], "list")

    def test_put_value_of_an_unchanged_channel_is_not_stored_again(self, saver: Facade) -> None:
        """A value that `put` passes for an unchanged channel is not stored again."""
        thread, versions = new_thread(), {"a": version(1), "b": version(1)}
        first = checkpoint({"a": 1, "b": 2}, versions)
        head = saver.put(on(thread), first, metadata(), new_versions(first))
        newer = {"a": version(2)}
        second = checkpoint({"a": 10, "b": "stale"}, {**versions, **newer})
        stored = saver.put(head, second, metadata(), dict(newer))
        assert values(saver.get_tuple(stored)) == {"a": 10, "b": 2}
        assert values(saver.get_tuple(head)) == {"a": 1, "b": 2}

    def test_put_dropped_channel_is_gone(self, saver: Facade) -> None:
        """A channel without a version has no value, although it had one before."""
        chain = Chain(saver)
        before = chain.put({"a": 1, "b": 2})
        after = chain.put({"a": 3}, drop=["b"])
        assert values(saver.get_tuple(after)) == {"a": 3}
        assert values(saver.get_tuple(before)) == {"a": 1, "b": 2}

    def test_put_dropped_channel_is_gone_although_its_value_is_carried(self, saver: Facade) -> None:
        """A channel is dropped if it is not in `channel_versions`, although `channel_values` has
        it."""
        body = checkpoint({"a": 1, "b": 2}, {"a": version(1)})
        stored = saver.put(on(new_thread()), body, metadata(), {"a": body["channel_versions"]["a"]})
        assert values(saver.get_tuple(stored)) == {"a": 1}

    def test_put_emptied_channel_has_a_version_and_no_value(self, saver: Facade) -> None:
        """A new version without a value empties a channel, as ephemeral channels need."""
        chain = Chain(saver)
        chain.put({"a": 1, "b": 2})
        found = the(saver.get_tuple(chain.put({}, empty=["b"])))
        assert found.checkpoint["channel_values"] == {"a": 1}
        assert set(found.checkpoint["channel_versions"]) == {"a", "b"}
        again = chain.put({"b": 3})
        assert values(saver.get_tuple(again)) == {"a": 1, "b": 3}

    def test_put_none_is_a_value(self, saver: Facade) -> None:
        """None is a value: the channel is not empty."""
        chain = Chain(saver)
        chain.put({"a": None, "b": []})
        assert_same({"a": None, "b": []}, values(saver.get_tuple(chain.head)))

    def test_put_checkpoint_without_channels(self, saver: Facade) -> None:
        """A checkpoint may have no channels, as the first one of some graphs."""
        stored = saver.put(on(new_thread()), checkpoint({}), metadata(), {})
        found = the(saver.get_tuple(stored))
        assert found.checkpoint["channel_values"] == {}
        assert found.checkpoint["channel_versions"] == {}

    def test_put_earlier_checkpoints_keep_their_values(self, saver: Facade) -> None:
        """Earlier checkpoints keep their values, for time travel."""
        chain = Chain(saver)
        stored = [chain.put({"n": n, "text": large(n)}) for n in range(6)]
        for n, config in enumerate(stored):
            assert values(saver.get_tuple(config)) == {"n": n, "text": large(n)}

    def test_put_forks_do_not_share_a_version(self, saver: Facade) -> None:
        """Two children of a checkpoint change the same channel independently."""
        chain = Chain(saver)
        chain.put({"a": "root", "b": "same"})
        other = chain.fork()
        left, right = chain.put({"a": "left"}), other.put({"a": "right"})
        assert values(saver.get_tuple(left)) == {"a": "left", "b": "same"}
        assert values(saver.get_tuple(right)) == {"a": "right", "b": "same"}

    def test_put_the_latest_is_the_highest_id_not_the_last_put(self, saver: Facade) -> None:
        """The newest checkpoint is the one with the highest id: background saving may store an
        older one later."""
        thread, old, new = new_thread(), new_id(), new_id()
        for each in (new, old):
            body = checkpoint({"a": each}, id=each)
            saver.put(on(thread), body, metadata(), new_versions(body))
        assert the(saver.get_tuple(on(thread))).checkpoint["id"] == new
