"""Threads of another saver, copied through LangGraph's interface and compared."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver, empty_checkpoint
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver as OriginalSaver
from langgraph.types import Command

from checkpoint_base import MemorySaver, UnreadableValueError, import_threads
from checkpoint_base.saver.threads.importing import ImportedVersions
from checkpoint_base.tests.threads import chat, fill, nested, nested_graph
from checkpoint_sqlite import SqliteSaver
from conformance_tests.samples.build import Chain, on
from conformance_tests.samples.compare import assert_same, assert_same_tuple
from conformance_tests.samples.driver_adapter import SyncFacade


@pytest.fixture(params=["sqlite", "memory"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BaseCheckpointSaver[Any]]:
    if request.param == "memory":
        yield InMemorySaver()
    else:
        with OriginalSaver.from_conn_string(str(tmp_path / "one.db")) as saver:
            yield saver


@pytest.fixture
def target(tmp_path: Path) -> Iterator[SqliteSaver]:
    with SqliteSaver.from_conn_string(tmp_path / "one.db") as saver:  # the same file
        yield saver


def listed(saver: Any, thread_id: str) -> list[Any]:
    found = saver.list({"configurable": {"thread_id": thread_id}})
    return sorted(found, key=lambda one: (one.checkpoint["id"], str(one.config)))


def in_order(found: Any) -> Any:
    """With the writes of each task together: savers give tasks in orders of their own."""
    writes = sorted(found.pending_writes, key=lambda write: str(write[0]))
    return found._replace(pending_writes=writes)


def assert_same_threads(source: Any, target: Any, thread_ids: list[str]) -> None:
    for name in thread_ids:
        wanted, got = listed(source, name), listed(target, name)
        assert len(wanted) == len(got) > 0
        for one, other in zip(wanted, got, strict=True):
            assert_same_tuple(in_order(source.get_tuple(one.config)), in_order(other))


def test_all_reads_the_same(source: BaseCheckpointSaver[Any], target: SqliteSaver) -> None:
    thread_ids = fill(source)
    told: dict[str, int] = {}
    count = import_threads(source, target, progress=told.__setitem__)
    assert set(told) == set(thread_ids)
    assert count == sum(told.values())
    # a saver that keeps each checkpoint whole does not show a snapshot of an older one
    assert_same_threads(source, target, [name for name in thread_ids if name != "deltas"])
    for one in listed(source, "deltas"):
        asked: Any = {"config": one.config, "channels": ["log"]}
        wanted = source.get_delta_channel_history(**asked)
        assert_same(wanted, target.get_delta_channel_history(**asked))


class NumberingSaver(InMemorySaver):
    """Versions are 1, 2, 3, in forks too; each checkpoint has its values in itself."""

    def get_next_version(self, current: Any, channel: None) -> Any:
        return (current or 0) + 1

    def put(self, config: Any, checkpoint: Any, *rest: Any) -> Any:
        at = super().put(config, checkpoint, *rest)
        self.whole[checkpoint["id"]] = dict(checkpoint["channel_values"])
        return at

    def get_tuple(self, config: Any) -> Any:
        found = super().get_tuple(config)
        if found is not None:
            found.checkpoint["channel_values"] = self.whole[found.checkpoint["id"]]
        return found

    def __init__(self) -> None:
        super().__init__()
        self.whole: dict[str, Any] = {}


def test_forks_of_a_saver_that_numbers_versions_keep_their_values(target: SqliteSaver) -> None:
    source = NumberingSaver()
    chat(source)
    for _ in range(2):
        import_threads(source, target)
        wanted, got = listed(source, "chat"), listed(target, "chat")
        assert len(wanted) == len(got) > 20
        for one, other in zip(wanted, got, strict=True):
            state = source.get_tuple(one.config).checkpoint["channel_values"]
            assert_same(state, other.checkpoint["channel_values"])
    forks = {str(one.checkpoint["channel_values"].get("messages")) for one in got}
    assert len(forks) > 10


def test_what_is_noted_of_versions_does_not_grow_with_the_thread() -> None:
    line: Any = None
    for step in range(200):
        line = ImportedVersions(f"{step:08}", line)
        found = empty_checkpoint()
        found["channel_versions"] = {"a": step, "b": 1}
        found["versions_seen"] = {"node": {"a": max(step - 1, 0)}}
        line.note(found["channel_versions"])
        named = str(line.named(found["versions_seen"]["node"])["a"])
        line.forget_but(found)
    assert len(vars(line)["_named"]) == 3
    assert named.startswith(f"{198:032}.")
    assert not named.endswith(f".{0.0:016}")


def test_again_changes_nothing_and_takes_what_is_new(
    source: BaseCheckpointSaver[Any], target: SqliteSaver
) -> None:
    nested(source)
    first = import_threads(source, target, ["nested"])
    before = {**target.stats("nested"), "bytes": 0}
    assert import_threads(source, target, ["nested"]) == first
    assert {**target.stats("nested"), "bytes": 0} == before
    nested_graph(source).invoke(Command(resume="two"), on("nested"))
    assert import_threads(source, target, ["nested"]) > first
    assert_same_threads(source, target, ["nested"])


def test_a_graph_goes_on(source: BaseCheckpointSaver[Any], target: SqliteSaver) -> None:
    nested(source)
    import_threads(source, target)
    graph = nested_graph(target)
    (task,) = graph.get_state(on("nested")).tasks
    assert [one.value for one in task.interrupts] == ["second?"]
    graph.invoke(Command(resume="two"), on("nested"))
    assert graph.get_state(on("nested")).values["seen"][-2:] == ["one", "two"]


def test_only_the_threads_that_are_named(
    source: BaseCheckpointSaver[Any], target: SqliteSaver
) -> None:
    nested(source)
    assert import_threads(source, target, ["nobody"]) == 0
    assert target.list_threads().threads == []


def test_values_are_shared_as_if_they_had_been_put_here(
    source: BaseCheckpointSaver[Any], target: SqliteSaver
) -> None:
    thread_ids = fill(source)
    import_threads(source, target, thread_ids)
    states = [str(one.checkpoint["channel_values"]) for one in source.list(on("chat", None))]
    assert target.stats("chat")["bytes"] < sum(map(len, states)) / 3


class Note:
    """A class of the user's that a test can take away."""

    def __init__(self, text: str) -> None:
        self.text = text

    def dict(self) -> dict[str, str]:
        return {"text": self.text}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Note) and self.text == other.text

    __hash__ = None  # type: ignore[assignment]


class Other:
    """A serializer of another kind."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        return "pickle", pickle.dumps(obj)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        return pickle.loads(data[1])


def noted(saver: BaseCheckpointSaver[Any]) -> Any:
    chain = Chain(SyncFacade(saver), "noted")
    chain.put({"note": [Note("x")], "n": 1}, tags=["a"])
    chain.write(("note", Note("y")))
    chain.put({"n": 2})
    return chain.head


@pytest.fixture
def gone(monkeypatch: pytest.MonkeyPatch) -> Any:
    def take() -> None:
        monkeypatch.setattr(Note, "__module__", __name__)
        monkeypatch.delattr(f"{__name__}.Note")

    return take


def encrypting() -> EncryptedSerializer:
    return EncryptedSerializer.from_pycryptodome_aes(key=b"k" * 32)


@pytest.mark.parametrize("serde", [JsonPlusSerializer(), encrypting()], ids=["plain", "encrypted"])
def test_objects_are_copied_without_their_class(
    source: BaseCheckpointSaver[Any],
    tmp_path: Path,
    serde: Any,
    gone: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at = noted(source)
    expected = source.get_tuple(at)
    assert expected is not None
    with SqliteSaver.from_conn_string(tmp_path / "two.db", serde=serde) as target:
        with monkeypatch.context():
            gone()
            assert import_threads(source, target) == 2
            with pytest.raises(UnreadableValueError, match="Note"):
                target.get_tuple(at)
        monkeypatch.undo()
        assert_same_threads(source, target, ["noted"])


def test_what_would_be_stored_as_something_else_is_refused(
    source: BaseCheckpointSaver[Any], tmp_path: Path, gone: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted(source)
    with SqliteSaver.from_conn_string(tmp_path / "two.db", serde=Other()) as target:
        gone()
        with pytest.raises(UnreadableValueError, match=r"thread 'noted'.*test_importing\.Note"):
            import_threads(source, target)
        assert target.list_threads().threads == []
        monkeypatch.undo()
        assert import_threads(source, target) == 2
        assert_same_threads(source, target, ["noted"])


@pytest.mark.parametrize("how", ["skip", "langgraph"])
def test_options_of_the_source_do_not_lose_values(tmp_path: Path, how: Any, gone: Any) -> None:
    source = MemorySaver(on_unreadable=how)
    noted(source)
    gone()
    target = MemorySaver(serde=Other())
    with pytest.raises(UnreadableValueError, match="thread 'noted', channel 'note'"):
        import_threads(source, target)
    assert target.list_threads().threads == []
