"""Clauses about hostile ids: different ids never collide, and ids that cannot be stored are
rejected.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.harness import SaverHarness
from conformance_tests.samples.build import (
    Chain,
    checkpoint,
    ids,
    metadata,
    new_id,
    new_thread,
    new_versions,
    on,
    the,
    values,
    writes,
)
from conformance_tests.samples.corpus import HOSTILE, UNSTORABLE
from conformance_tests.samples.driver_adapter import Facade
from conformance_tests.savers.base import SaverClauses, row_count


def body_with_id(name: str) -> Any:
    """A checkpoint with this id."""
    return checkpoint({"a": 1}, id=name)


def put(saver: Facade, config: Any, body: Any) -> Any:
    """Put a checkpoint whose channels have all changed."""
    return saver.put(config, body, metadata(), new_versions(body))


REFUSED: dict[str, Callable[[Facade, str], Any]] = {
    "put: thread_id": lambda s, bad: put(s, on(bad), checkpoint({"a": 1})),
    "put: checkpoint_ns": lambda s, bad: put(s, on("t", bad), checkpoint({"a": 1})),
    "put: checkpoint_id": lambda s, bad: put(s, on("t", "", bad), checkpoint({"a": 1})),
    "put: checkpoint['id']": lambda s, bad: put(s, on("t"), body_with_id(bad)),
    "put: channel": lambda s, bad: put(s, on("t"), checkpoint({bad: 1})),
    "put_writes: thread_id": lambda s, bad: s.put_writes(on(bad, "", "c"), [("a", 1)], "task"),
    "put_writes: checkpoint_ns": lambda s, bad: s.put_writes(on("t", bad, "c"), [("a", 1)], "x"),
    "put_writes: checkpoint_id": lambda s, bad: s.put_writes(on("t", "", bad), [("a", 1)], "x"),
    "put_writes: task_id": lambda s, bad: s.put_writes(on("t", "", "c"), [("a", 1)], bad),
    "put_writes: task_path": lambda s, bad: s.put_writes(on("t", "", "c"), [("a", 1)], "x", bad),
    "put_writes: channel": lambda s, bad: s.put_writes(on("t", "", "c"), [(bad, 1)], "x"),
    "get_tuple: thread_id": lambda s, bad: s.get_tuple(on(bad)),
    "get_tuple: checkpoint_ns": lambda s, bad: s.get_tuple(on("t", bad)),
    "get_tuple: checkpoint_id": lambda s, bad: s.get_tuple(on("t", "", bad)),
    "list: thread_id": lambda s, bad: list(s.list(on(bad))),
    "list: checkpoint_ns": lambda s, bad: list(s.list(on("t", bad))),
    "list: checkpoint_id": lambda s, bad: list(s.list(on("t", "", bad))),
    "list: before": lambda s, bad: list(s.list(on("t"), before=on("t", "", bad))),
    "delete_thread": lambda s, bad: s.delete_thread(bad),
    "delete_for_runs": lambda s, bad: s.delete_for_runs(["run", bad]),
    "copy_thread: source": lambda s, bad: s.copy_thread(bad, "t2"),
    "copy_thread: target": lambda s, bad: s.copy_thread("t", bad),
    "prune": lambda s, bad: s.prune(["t", bad]),
    "list_threads: prefix": lambda s, bad: s.list_threads(prefix=bad),
    "stats: thread_id": lambda s, bad: s.stats(bad),
    "get_delta_channel_history": lambda s, bad: s.get_delta_channel_history(
        config=on(bad), channels=["a"]
    ),
}
"""Calls with the hostile id in each argument that takes an id."""

NO_THREAD: dict[str, Callable[[Facade, Any], Any]] = {
    "put": lambda s, config: put(s, config, checkpoint({"a": 1})),
    "put_writes": lambda s, config: s.put_writes(config, [("a", 1)], "task"),
    "get_tuple": lambda s, config: s.get_tuple(config),
    "list": lambda s, config: list(s.list(config)),
    "get_delta_channel_history": lambda s, config: s.get_delta_channel_history(
        config=config, channels=["a"]
    ),
}


@clauses_of(Capability.HOSTILE_INPUT)
class HostileInputClauses(SaverClauses):
    """Clauses about ids, namespaces, channels and tasks."""

    def test_hostile_input_thread_ids_never_collide(self, saver: Facade) -> None:
        """A thread id is often a user's text: no user may read another user's thread."""
        for thread in HOSTILE:
            chain = Chain(saver, thread)
            chain.put({"whose": thread})
            chain.write(("whose", thread))
        for thread in HOSTILE:
            found = the(saver.get_tuple(on(thread)))
            assert found.checkpoint["channel_values"] == {"whose": thread}
            assert found.config["configurable"]["thread_id"] == thread
            assert writes(found) == [("task-1", "whose", thread)]
            assert [values(each) for each in saver.list(on(thread))] == [{"whose": thread}]

    def test_hostile_input_deleting_a_thread_deletes_only_that_one(self, saver: Facade) -> None:
        """Deleting `a*` deletes only the thread `a*`; copy and prune also take ids literally."""
        for thread in HOSTILE:
            chain = Chain(saver, thread)
            chain.put({"whose": "nobody's"})
            chain.put({"whose": thread})
        gone, pruned = HOSTILE[::3], HOSTILE[1::3]
        for thread in gone:
            saver.delete_thread(thread)
        saver.prune(pruned)
        counts = {thread: len(ids(saver.list(on(thread)))) for thread in HOSTILE}
        expected = dict.fromkeys(HOSTILE, 2) | dict.fromkeys(gone, 0) | dict.fromkeys(pruned, 1)
        assert counts == expected
        for thread in gone:
            saver.copy_thread(pruned[0], thread)
            assert values(saver.get_tuple(on(thread))) == {"whose": pruned[0]}

    @pytest.mark.parametrize("given", [7, -1, uuid.UUID(int=5), 2**70])
    def test_hostile_input_thread_ids_of_other_types(self, saver: Facade, given: Any) -> None:
        """An int or a UUID names the thread whose id is its text."""
        chain = Chain(saver, given)
        chain.put({"a": 1})
        chain.write(("a", 2))
        for same in (given, str(given)):
            found = the(saver.get_tuple(on(same)))
            assert writes(found) == [("task-1", "a", 2)]
            assert len(ids(saver.list(on(same)))) == 1
        saver.copy_thread(given, "copy")
        saver.prune([given])
        assert saver.stats(given)["checkpoints"] == 1
        saver.delete_thread(given)
        assert saver.get_tuple(on(str(given))) is None
        assert saver.get_tuple(on("copy")) is not None

    def test_hostile_input_namespaces_never_collide(self, saver: Facade) -> None:
        """Namespaces collide neither with each other nor with a thread id of the same text."""
        thread, shared = new_thread(), new_id()
        for ns in HOSTILE:
            chain = Chain(saver, thread, ns)
            chain.put({"where": ns}, id=shared)
            chain.write(("where", ns))
        for ns in HOSTILE:
            found = the(saver.get_tuple(on(thread, ns)))
            assert found.checkpoint["channel_values"] == {"where": ns}
            assert found.config["configurable"]["checkpoint_ns"] == ns
            assert writes(found) == [("task-1", "where", ns)]
            assert [values(each) for each in saver.list(on(thread, ns))] == [{"where": ns}]

    def test_hostile_input_separators_do_not_shift(self, saver: Facade) -> None:
        """Keys that a backend joins must stay unambiguous: ("a:b", "c") is not ("a", "b:c")."""
        places = [
            *[("a:b", "c"), ("a", "b:c"), ("a/b", "c"), ("a", "b/c"), ("a|b", "c"), ("a", "b|c")],
            *[
                ("a$b", "c"),
                ("a", "b$c"),
                ("a", ""),
                ("", "a"),
                ("", ""),
                ("{a}", "b"),
                ("a}", "b"),
            ],
        ]
        for thread, ns in places:
            Chain(saver, f"x{thread}", ns).put({"at": [thread, ns]}, id="same")
        for thread, ns in places:
            assert values(saver.get_tuple(on(f"x{thread}", ns))) == {"at": [thread, ns]}

    def test_hostile_input_checkpoint_ids_are_any_text(self, saver: Facade) -> None:
        """Checkpoint ids are usually UUIDs, but may be any text."""
        thread = new_thread()
        for name in HOSTILE:
            body = checkpoint({"which": name}, {"which": name}, id=name)
            saver.put_writes(put(saver, on(thread), body), [("which", name)], "task")
        for name in HOSTILE:
            found = the(saver.get_tuple(on(thread, "", name)))
            assert found.checkpoint["id"] == name
            assert found.checkpoint["channel_values"] == {"which": name}
            assert writes(found) == [("task", "which", name)]
        assert ids(saver.list(on(thread))) == sorted(HOSTILE, reverse=True)

    def test_hostile_input_channels_and_tasks_are_any_text(self, saver: Facade) -> None:
        """The user's code names channels: `a.b`, `$set` and `__proto__` are legal names."""
        chain = Chain(saver)
        chain.put({name: f"value of {name}" for name in HOSTILE})
        for name in HOSTILE:
            chain.write((name, name), task=f"task {name}", path=name)
        found = the(saver.get_tuple(chain.head))
        assert found.checkpoint["channel_values"] == {name: f"value of {name}" for name in HOSTILE}
        assert set(found.checkpoint["channel_versions"]) == set(HOSTILE)
        assert writes(found) == [(f"task {name}", name, name) for name in sorted(HOSTILE)]

    @pytest.mark.parametrize("where", REFUSED)
    def test_hostile_input_what_cannot_be_kept_is_refused(
        self, saver: Facade, harness: SaverHarness, where: str
    ) -> None:
        """An id with NUL or a lone surrogate is rejected by an error that names the argument, on
        every backend, so that no database silently changes the id."""
        for bad in UNSTORABLE:
            with pytest.raises(ValueError, match=r"(?s)."):
                REFUSED[where](saver, bad)
        assert row_count(harness) == 0

    @pytest.mark.parametrize("call", NO_THREAD)
    @pytest.mark.parametrize("missing", ["no thread_id", "None", "no configurable"])
    def test_hostile_input_missing_thread_id(self, saver: Facade, call: str, missing: str) -> None:
        """A config without a thread id, a common mistake, raises an error that names the key."""
        config: Any = {
            "no thread_id": {"configurable": {"checkpoint_ns": "", "checkpoint_id": "c"}},
            "None": on(None, "", "c"),
            "no configurable": {"metadata": {"a": 1}},
        }[missing]
        with pytest.raises((ValueError, KeyError), match="thread_id"):
            NO_THREAD[call](saver, config)
