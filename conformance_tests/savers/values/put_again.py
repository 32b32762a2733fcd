"""Clauses about putting a checkpoint again, versions of channels, and atomicity."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

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
    new_versions,
    on,
    the,
    told,
    values,
    version,
)
from conformance_tests.samples.compare import assert_same
from conformance_tests.samples.driver_adapter import Facade
from conformance_tests.savers.base import Opener, SaverClauses

POISON = "this value cannot be serialized"


class FailingSerializer(JsonPlusSerializer):
    """A serializer that fails on one value, as on an unsupported type."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        if obj == POISON:
            raise TypeError(POISON)
        return super().dumps_typed(obj)


@clauses_of(Capability.PUT)
class PutAgainClauses(SaverClauses):
    """Clauses of `put` for an existing checkpoint, versions and atomicity."""

    def test_put_again_changes_nothing(self, saver: Facade, harness: SaverHarness) -> None:
        """A retried put does not create a second checkpoint."""
        thread, body = new_thread(), checkpoint({"a": 1, "b": large()})
        for _ in range(3):
            stored = saver.put(on(thread), body, metadata(), new_versions(body))
        assert ids(saver.list(on(thread))) == [body["id"]]
        assert values(saver.get_tuple(stored)) == {"a": 1, "b": large()}
        if harness.looks("rows"):
            rows = harness.rows()
            saver.put(on(thread), body, metadata(), new_versions(body))
            assert harness.rows() == rows

    def test_put_again_replaces(self, saver: Facade) -> None:
        """The run that ends rewrites its last checkpoint under the same id."""
        chain = Chain(saver)
        parent = chain.put({"p": 0})
        before = chain.put({"a": 1, "b": 2}, id=new_id(), note="first")
        name = before["configurable"]["checkpoint_id"]
        body = checkpoint({"a": 10}, id=name, ts="2026-01-01T00:00:00+00:00")
        entries = metadata("update", 7, other="second")
        stored = saver.put(on(chain.thread_id), body, entries, new_versions(body))
        found = the(saver.get_tuple(stored))
        assert found.checkpoint["channel_values"] == {"a": 10}
        assert found.checkpoint["ts"] == "2026-01-01T00:00:00+00:00"
        assert found.metadata["source"] == "update"
        assert "note" not in found.metadata
        assert ids(saver.list(on(chain.thread_id))) == [
            name,
            parent["configurable"]["checkpoint_id"],
        ]
        assert ids(saver.list(on(chain.thread_id), filter={"note": "first"})) == []
        assert ids(saver.list(on(chain.thread_id), filter={"other": "second"})) == [name]

    def test_put_again_replaces_the_parent(self, saver: Facade) -> None:
        """A repeated put also replaces the parent."""
        chain = Chain(saver)
        chain.put({"p": 0})
        before = chain.put({"a": 1})
        body = checkpoint({"a": 1}, id=before["configurable"]["checkpoint_id"])
        stored = saver.put(on(chain.thread_id), body, metadata(), new_versions(body))
        assert the(saver.get_tuple(stored)).parent_config is None

    def test_put_again_replaces_a_value_of_the_same_version(self, saver: Facade) -> None:
        """If a put passes another value under the same version, the later value is read."""
        thread, name, one = new_thread(), new_id(), {"a": version(1), "b": version(1)}
        for put in ("first", "second"):
            body = checkpoint({"a": put, "b": put + large()}, dict(one), id=name)
            stored = saver.put(on(thread), body, metadata(), dict(one))
        assert values(saver.get_tuple(stored)) == {"a": "second", "b": "second" + large()}

    def test_put_again_keeps_the_pending_writes(self, saver: Facade) -> None:
        """A repeated put keeps the pending writes, so that finished tasks are not run again."""
        thread, body = new_thread(), checkpoint({"a": 1})
        stored = saver.put(on(thread), body, metadata(), new_versions(body))
        saver.put_writes(stored, [("a", 2)], "task")
        saver.put(on(thread), body, metadata(step=1), new_versions(body))
        assert the(saver.get_tuple(stored)).pending_writes == [("task", "a", 2)]

    @pytest.mark.parametrize(
        "given", [f"{1:032}.0.25", "1", "not.a.number", "é", 1, 0, 2**40, 1.0, 1.5, 1e300]
    )
    def test_put_versions_keep_their_type(self, saver: Facade, given: Any) -> None:
        """Versions keep their type, because LangGraph compares them with `>`."""
        body = checkpoint(
            {"a": "value"}, {"a": given, "empty": given}, versions_seen={"node": {"a": given}}
        )
        stored = saver.put(on(new_thread()), body, metadata(), {"a": given})
        found = the(saver.get_tuple(stored)).checkpoint
        assert_same({"a": given, "empty": given}, found["channel_versions"], "channel_versions")
        assert_same({"node": {"a": given}}, found["versions_seen"], "versions_seen")
        assert found["channel_values"] == {"a": "value"}

    @pytest.mark.parametrize("counts", [(1, 2, 10), (1.0, 1.5, 2.0), ("1", "2", "10")])
    def test_put_versions_of_any_type_load_their_values(self, saver: Facade, counts: Any) -> None:
        """Values are loaded also by int or float versions, which older savers make."""
        head, stored = on(new_thread()), []
        for count in counts:
            body = checkpoint({"a": f"at {count}"}, {"a": count})
            head = saver.put(head, body, metadata(), {"a": count})
            stored.append(head)
        for count, config in zip(counts, stored, strict=True):
            assert values(saver.get_tuple(config)) == {"a": f"at {count}"}

    def test_put_next_version_is_greater(self, saver: Facade) -> None:
        """`get_next_version` returns a greater version: LangGraph compares them with `>`."""
        grown = [saver.raw.get_next_version(None, None)]
        for _ in range(12):
            grown.append(saver.raw.get_next_version(grown[-1], None))
        for before, after in itertools.pairwise(grown):
            assert after > before, f"expected a version greater than {before!r}, got {after!r}"
        same = {type(each) for each in grown}
        assert len(same) == 1, f"expected versions of one type, got {grown[:3]!r}"

    def test_put_next_version(self, saver: Facade) -> None:
        """Versions grow in string order, and two forks never get the same one."""
        first = saver.raw.get_next_version(None, None)
        count, dot, fraction = first.partition(".")
        assert (len(count), int(count), dot) == (32, 1, ".")
        assert fraction
        grown = [first]
        for _ in range(12):
            grown.append(saver.raw.get_next_version(grown[-1], None))
        assert grown == sorted(grown)
        assert len({saver.raw.get_next_version(first, None) for _ in range(50)}) == 50
        assert int(saver.raw.get_next_version(7, None).partition(".")[0]) == 8

    def test_put_arguments_are_not_changed_and_not_kept(self, saver: Facade) -> None:
        """`put` neither changes nor keeps its arguments, which the running graph still uses."""
        config, tags = on(new_thread(), user="ada"), ["x"]
        entries = metadata(tags=tags)
        body = checkpoint({"a": [1]}, versions_seen={"n": {"a": "1"}})
        given = copy.deepcopy((config, body, entries))
        stored = saver.put(config, body, entries, new_versions(body))
        assert_same(given, (config, body, entries), "arguments")
        body["channel_values"]["a"].append(2)
        body["versions_seen"]["n"]["a"] = "2"
        tags.append("y")
        for _ in range(2):
            found = saver.get_tuple(stored)
            assert values(found) == {"a": [1]}
            assert the(found).checkpoint["versions_seen"] == {"n": {"a": "1"}}
            assert told(found)["tags"] == ["x"]
            # results of reads are copies, too
            values(found)["a"].append(3)
            told(found)["tags"].append("z")

    def test_put_failed_put_leaves_nothing(self, reopened: Opener, harness: SaverHarness) -> None:
        """A put is atomic: if one value cannot be stored, nothing is."""
        saver = reopened(serde=FailingSerializer())
        chain = Chain(saver)
        before = chain.put({"a": 1})
        rows = harness.rows()
        body = checkpoint({"a": 2, "b": large(), "c": POISON})
        with pytest.raises(TypeError, match=POISON):
            saver.put(before, body, metadata(), new_versions(body))
        assert harness.rows() == rows
        assert ids(saver.list(on(chain.thread_id))) == [before["configurable"]["checkpoint_id"]]
        assert values(saver.get_tuple(on(chain.thread_id))) == {"a": 1}

    def test_put_many_channels(self, saver: Facade) -> None:
        """A checkpoint may have 300 channels."""
        state = {f"channel {n}": {"n": n} for n in range(300)}
        chain = Chain(saver)
        chain.put(state)
        chain.put({"channel 7": "changed"})
        assert values(saver.get_tuple(chain.head)) == {**state, "channel 7": "changed"}

    def test_put_megabytes(self, saver: Facade) -> None:
        """Values of megabytes, such as documents, are stored."""
        text = large(1, 3_000_000)
        chain = Chain(saver)
        chain.put({"document": text, "bytes": text.encode()})
        chain.put({"document": text + "!"})
        assert values(saver.get_tuple(chain.head)) == {
            "document": text + "!",
            "bytes": text.encode(),
        }

    def test_put_metadata_is_merged_as_langgraph_merges_it(self, saver: Facade) -> None:
        """`config.metadata` and scalars of `configurable` become metadata; internal keys do not."""
        config = on(new_thread(), user="ada", level=3, flag=True, __internal="x", thing=object())
        config["metadata"] = {"team": "nul\0free", "step": "not mine", "listed": [1]}
        reference: InMemorySaver = InMemorySaver()
        bodies = checkpoint({}), checkpoint({})
        expected = reference.get_tuple(reference.put(config, bodies[0], metadata(step=2), {}))
        got = saver.get_tuple(saver.put(config, bodies[1], metadata(step=2), {}))
        assert_same(dict(the(expected).metadata), dict(the(got).metadata), "metadata")
