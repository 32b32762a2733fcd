"""Clauses about values that the serializer cannot store or rebuild: errors name the value."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import make_dataclass
from types import ModuleType
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from checkpoint_base.errors import UnreadableValueError
from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.samples.build import (
    Chain,
    checkpoint,
    large,
    metadata,
    new_versions,
    on,
    the,
    values,
    writes,
)
from conformance_tests.samples.compare import assert_same
from conformance_tests.samples.driver_adapter import Facade
from conformance_tests.savers.base import Opener, SaverClauses

USERS = "conformance_users"
NOTE = f"{USERS}.Note"


def add_note(module: Any, *fields: str) -> None:
    """Give the module a dataclass `Note` with these fields."""
    module.Note = make_dataclass("Note", fields)
    module.Note.__module__ = module.__name__


@contextmanager
def without_note(module: Any) -> Iterator[None]:
    """Remove the class during the block."""
    kept = module.Note
    del module.Note
    try:
        yield
    finally:
        module.Note = kept


def remove_class(module: Any) -> None:
    """Remove the class, as if it had been renamed."""
    del module.Note


def remove_module(module: Any) -> None:
    """Remove the module, as if it had been moved."""
    del sys.modules[module.__name__]


def change_class(module: Any) -> None:
    """Replace the class by one with other fields."""
    add_note(module, "title", "body")


def read_error(read: Callable[[], Any]) -> str:
    """The message of the error that reading must raise."""
    try:
        found = read()
    except UnreadableValueError as error:
        return str(error)
    pytest.fail(f"read as {found!r}, without an error")


class Handle:
    """A type that cannot be serialized."""

    def __reduce__(self) -> Any:
        raise TypeError("cannot pickle a handle")


def store_error(store: Callable[[], Any]) -> str:
    """The message of the error that storing must raise, of the serializer's type."""
    with pytest.raises(TypeError) as caught:
        store()
    return str(caught.value)


class UsersClauses(SaverClauses):
    """Base class, with a module of a user-defined class."""

    @pytest.fixture
    def users(self) -> Iterator[Any]:
        """A module with a class `Note`, which clauses can remove or change."""
        made = ModuleType(USERS)
        sys.modules[USERS] = made
        add_note(made, "text")
        yield made
        sys.modules.pop(USERS, None)


@clauses_of(Capability.UNREADABLE)
class UnreadableClauses(UsersClauses):
    """Clauses about values that cannot be stored or rebuilt."""

    @pytest.mark.parametrize("change", [remove_class, remove_module, change_class])
    def test_unreadable_value_is_an_error(
        self, saver: Facade, users: Any, change: Callable[[Any], None]
    ) -> None:
        """A value whose class was removed or changed raises an error that names the thread, the
        channel and the class. It is never read as None, a dict or an absent channel."""
        chain = Chain(saver)
        first = chain.put({"note": [users.Note("x")], "n": 1})
        chain.put({}, empty=["note"])
        change(users)
        reads: list[Callable[[], Any]] = [
            lambda: saver.get_tuple(first),
            lambda: list(saver.list(on(chain.thread_id))),
            lambda: saver.get_delta_channel_history(config=chain.head, channels=["note"]),
        ]
        for read in reads:
            told = read_error(read)
            assert all(name in told for name in (chain.thread_id, "'note'", NOTE)), told
        assert values(saver.get_tuple(chain.head)) == {"n": 1}

    def test_unreadable_what_the_allowlist_blocks_is_an_error(
        self, reopened: Opener, users: Any
    ) -> None:
        """A class that the allowlist blocks raises an error; LangGraph's strict mode returns a dict
        of its fields."""
        saver = reopened(serde=JsonPlusSerializer(allowed_msgpack_modules=None))
        chain = Chain(saver)
        chain.put({"note": users.Note("x")})
        told = read_error(lambda: saver.get_tuple(chain.head))
        assert all(part in told for part in ("'note'", NOTE, "allow")), told
        clone = saver.with_allowlist([(USERS, "Note")])
        assert values(clone.get_tuple(chain.head)) == {"note": users.Note("x")}

    def test_unreadable_write_is_an_error(self, saver: Facade, users: Any) -> None:
        """An unreadable pending write raises an error that names its channel and its task."""
        chain = Chain(saver)
        chain.put({"n": 1})
        chain.write(("note", users.Note("x")), task="task-7")
        with without_note(users):
            told = read_error(lambda: saver.get_tuple(chain.head))
            parts = chain.thread_id, "'note'", "task-7", NOTE
            assert all(part in told for part in parts), told
        assert [value for *_, value in writes(saver.get_tuple(chain.head))] == [users.Note("x")]

    def test_unreadable_large_value_is_an_error(self, saver: Facade, users: Any) -> None:
        """An unreadable large value, which is stored in chunks, raises an error."""
        chain = Chain(saver)
        chain.put({"note": {"text": large(), "note": users.Note(large(1))}})
        with without_note(users):
            assert NOTE in read_error(lambda: saver.get_tuple(chain.head))

    def test_unreadable_metadata_is_an_error(self, saver: Facade, users: Any) -> None:
        """An unreadable object in the metadata raises an error."""
        chain = Chain(saver)
        chain.put({}, note=users.Note("x"))
        with without_note(users):
            assert NOTE in read_error(lambda: saver.get_tuple(chain.head))
            filtered = on(chain.thread_id)
            assert NOTE in read_error(lambda: list(saver.list(filtered, filter={"no": "such"})))

    def test_unreadable_is_left_out_on_demand(
        self, reopened: Opener, users: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        """With `on_unreadable="skip"`, unreadable values are omitted with a warning, and the rest
        of the thread is read."""
        saver = reopened(on_unreadable="skip")
        chain = Chain(saver)
        chain.put({"note": users.Note("x"), "n": 1}, note=users.Note("x"), user="ada")
        chain.write(("note", users.Note("x")), ("n", 2))
        parent = chain.head
        chain.put({}, empty=["note"])
        caplog.set_level(logging.WARNING)
        with without_note(users):
            found = the(saver.get_tuple(parent))
            assert found.checkpoint["channel_values"] == {"n": 1}
            assert writes(found) == [("task-1", "n", 2)]
            assert dict(found.metadata)["user"] == "ada"
            (history,) = saver.get_delta_channel_history(
                config=chain.head, channels=["note"]
            ).values()
            assert (history.get("seed"), list(history["writes"])) == (None, [])
            assert any("'note'" in one.getMessage() for one in caplog.records)
            chain.put({"n": 2})
            assert values(saver.get_tuple(chain.head)) == {"n": 2}
        assert values(saver.get_tuple(parent)) == {"note": users.Note("x"), "n": 1}

    def test_unreadable_as_langgraph_gives_it_on_demand(self, reopened: Opener, users: Any) -> None:
        """With `on_unreadable="langgraph"`, unreadable values are read as by InMemorySaver."""
        state = {"note": [users.Note("x")], "n": 1}
        reference: InMemorySaver = InMemorySaver()
        body = checkpoint(state)
        at = reference.put(on("reference"), body, metadata(), new_versions(body))
        chain = Chain(reopened(on_unreadable="langgraph"))
        chain.put(state)
        chain.write(*state.items())
        with without_note(users):
            expected = the(reference.get_tuple(at)).checkpoint["channel_values"]
            assert expected["note"] != state["note"]
            found = chain.saver.get_tuple(chain.head)
            assert_same(expected, values(found), "channel_values")
            assert_same(list(expected.values()), [v for *_, v in writes(found)], "writes")

    def test_unreadable_what_cannot_be_stored_is_named(self, saver: Facade) -> None:
        """Storing an unsupported type raises an error that names the channel, the task and the
        type, and stores nothing."""
        chain = Chain(saver)
        before = chain.put({"n": 1})
        told = store_error(lambda: chain.put({"n": 2, "handle": Handle()}))
        assert all(part in told for part in (chain.thread_id, "'handle'", "Handle")), told
        told = store_error(
            lambda: saver.put_writes(before, [("n", 3), ("handle", {"deep": [Handle()]})], "task-7")
        )
        assert all(part in told for part in ("'handle'", "task-7", "Handle")), told
        found = saver.get_tuple(on(chain.thread_id))
        assert (values(found), writes(found)) == ({"n": 1}, [])


def noted(saver: Facade, users: Any, run: str = "run") -> Chain:
    """Put a thread whose values, writes and metadata have objects of the user's class."""
    chain = Chain(saver)
    for n in range(3):
        chain.put({"note": users.Note(n), "more": large(n)}, note=users.Note(n), run_id=run)
        chain.write(("note", users.Note(n)))
    return chain


def notes(saver: Facade, thread_id: str) -> list[Any]:
    """The channel `note` of each checkpoint, newest first."""
    return [values(one)["note"] for one in saver.list(on(thread_id))]


@clauses_of(Capability.DELETE_THREAD)
class DeleteUnreadableClauses(UsersClauses):
    """Clauses about deleting threads without decoding values."""

    def test_delete_thread_of_unreadable_values(self, saver: Facade, users: Any) -> None:
        """A thread with unreadable values can be deleted."""
        chain = noted(saver, users)
        with without_note(users):
            saver.delete_thread(chain.thread_id)
            assert saver.get_tuple(chain.head) is None


@clauses_of(Capability.DELETE_FOR_RUNS)
class DeleteRunsUnreadableClauses(UsersClauses):
    """Clauses about deleting runs without decoding values."""

    def test_delete_for_runs_of_unreadable_values(self, saver: Facade, users: Any) -> None:
        """A run with unreadable values can be deleted; data of other runs stays whole."""
        gone, kept = noted(saver, users, "run 1"), noted(saver, users, "run 2")
        with without_note(users):
            saver.delete_for_runs(["run 1"])
            assert saver.get_tuple(gone.head) is None
        assert notes(saver, kept.thread_id) == [users.Note(n) for n in (2, 1, 0)]


@clauses_of(Capability.PRUNE)
class PruneUnreadableClauses(UsersClauses):
    """Clauses about pruning, which decodes no values, and only the plain part of metadata."""

    def test_prune_unreadable_values(self, saver: Facade, users: Any) -> None:
        """After a prune of a thread with unreadable values, the kept checkpoint is whole when the
        class is available again."""
        chain = noted(saver, users)
        with without_note(users):
            saver.prune([chain.thread_id])
        assert notes(saver, chain.thread_id) == [users.Note(2)]
        assert [value for *_, value in writes(saver.get_tuple(chain.head))] == [users.Note(2)]

    def test_prune_finds_delta_channels_beside_unreadable_metadata(
        self, saver: Facade, users: Any
    ) -> None:
        """A prune finds the counters of delta channels in metadata that also has an unreadable
        object."""
        chain = Chain(saver)
        chain.put({"log": "seed"})
        for n in range(3):
            chain.write(("log", n))
            counters: dict[str, Any] = {"counters_since_delta_snapshot": {"log": (n + 1, n + 1)}}
            chain.put({}, empty=["log"], note=users.Note(n), **counters)
        with without_note(users):
            saver.prune([chain.thread_id])
        history = saver.get_delta_channel_history(config=chain.head, channels=["log"])["log"]
        assert history["seed"] == "seed"
        assert [value for *_, value in history["writes"]] == [0, 1, 2]


@clauses_of(Capability.COPY_THREAD)
class CopyUnreadableClauses(UsersClauses):
    """Clauses about copying without decoding values."""

    def test_copy_thread_of_unreadable_values(self, saver: Facade, users: Any) -> None:
        """A thread with unreadable values can be copied; the copy is whole when the class is
        available again."""
        chain = noted(saver, users)
        copy = f"copy of {chain.thread_id}"
        with without_note(users):
            saver.copy_thread(chain.thread_id, copy)
        assert notes(saver, copy) == [users.Note(n) for n in (2, 1, 0)]
        assert [value for *_, value in writes(saver.get_tuple(on(copy)))] == [users.Note(2)]
