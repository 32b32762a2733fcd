"""The commands that operations send: counted, explained by the server, and written down."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from pymongo import AsyncMongoClient, MongoClient

from checkpoint_mongo import AsyncMongoDBSaver, MongoDBSaver, MongoDBStore
from checkpoint_mongo.tests.harness import MongoHarness
from checkpoint_mongo.tests.watching import Commands, filters_of, scans
from conformance_tests.samples.build import checkpoint, large, metadata, new_versions, on, values

BIG = "".join(f"{number} bottles of beer on the wall\n" for number in range(2000))
PUT: Final = {"update": 1, "commitTransaction": 1}
FIRST_PUT: Final = {"insert": 1, "commitTransaction": 1}
# MongoDB pins a snapshot session, and nothing ends a read there
END: Final = {"abortTransaction": 1}
PAGE: Final = Path(__file__).parents[2] / "docs/reference/mongodb-commands.md"


class Watched:
    """A saver, and the commands that it sends."""

    def __init__(self, harness: MongoHarness, **options: Any) -> None:
        self.commands = Commands()
        self.client: MongoClient[Any] = MongoClient(harness.url, event_listeners=[self.commands])
        self.saver = MongoDBSaver(self.client, harness.db_name, clock=harness.clock, **options)
        self.saver.setup()
        self.commands.sent.clear()

    def put(self, step: int, thread: str = "t", **state: Any) -> Any:
        """The commands of a put are all that is remembered."""
        stored = checkpoint(state, id=f"{step:08}")
        config = on(thread, "", f"{step - 1:08}" if step > 1 else None)
        with self.commands.only():
            return self.saver.put(config, stored, metadata(step=step), new_versions(stored))

    def names(self, call: Callable[[], object]) -> Mapping[str, int]:
        """How often each command is sent by a call."""
        with self.commands.only():
            call()
        return self.commands.names


@pytest.fixture
def watched(database: MongoHarness) -> Iterator[Watched]:
    watched = Watched(database)
    yield watched
    watched.client.close()


def test_setup_only_looks_when_all_is_there(watched: Watched) -> None:
    assert watched.names(watched.saver.setup) == {"find": 1}


def test_puts_are_one_command_and_the_commit(watched: Watched) -> None:
    watched.put(1, a="small", b=BIG)
    assert watched.commands.names == FIRST_PUT
    for step in range(2, 10):
        watched.put(step, a="small", b=BIG + str(step) * 5000)
        assert watched.commands.names == PUT, step


def test_writes_are_one_command_and_the_commit(watched: Watched) -> None:
    config = watched.put(1, a=1)
    calls: list[list[tuple[str, Any]]] = [[("a", 1), ("b", BIG)], [("__error__", "e"), ("b", 2)]]
    for number, writes in enumerate(calls * 2):
        put = partial(watched.saver.put_writes, config, writes, f"task {number}")
        assert watched.names(put) == PUT


def test_writes_that_wait_for_others_to_their_thread_know_what_those_stored(
    database: MongoHarness,
) -> None:
    """So nothing of it is refused: a graph puts its tasks' writes while a checkpoint is put."""
    commands = Commands()

    async def main() -> None:
        async with AsyncMongoClient[Any](database.url, event_listeners=[commands]) as client:
            saver = AsyncMongoDBSaver(client, database.db_name)
            await saver.setup()
            commands.sent.clear()
            stored = checkpoint({"a": BIG}, id="1")
            put = saver.aput(on("t"), stored, metadata(), new_versions(stored))
            tasks = (
                saver.aput_writes(on("t", "", "1"), [("a", f"{BIG}{task}")], task)
                for task in ("one", "two")
            )
            await asyncio.gather(put, *tasks)

    asyncio.run(main())
    assert commands.names == {"insert": 1, "update": 2, "commitTransaction": 3}


def test_reads_are_two_commands_and_three_with_large_values(watched: Watched) -> None:
    saver = watched.saver
    for step in range(1, 6):
        watched.put(step, a=step)
    assert watched.names(lambda: saver.get_tuple(on("t"))) == {"find": 2, **END}
    named = on("t", "", f"{2:08}")
    assert watched.names(lambda: saver.get_tuple(named)) == {"find": 2, **END}
    watched.put(6, a=6, b=BIG)
    assert watched.names(lambda: saver.get_tuple(on("t"))) == {"find": 2, "aggregate": 1, **END}
    assert values(saver.get_tuple(on("t"))) == {"a": 6, "b": BIG}


def test_lists(watched: Watched) -> None:
    for step in range(1, 60):
        watched.put(step, a=step, b=BIG + str(step))
    for config in (on("t"), None):
        for limit in (1, 10, 50):
            read = partial(watched.saver.list, config, limit=limit)
            names = watched.names(lambda read=read: list(read()))  # type: ignore[misc]
            assert names == {"find": 2, "aggregate": 2, **END}
    assert watched.names(watched.saver.list_threads) == {"aggregate": 1, **END}
    found = partial(watched.saver.list_threads, filter={"step": 59}, status="idle")
    assert watched.names(found) == {"aggregate": 3, "find": 1, **END}


def test_a_deletion_is_one_command_and_the_commit(watched: Watched) -> None:
    for step in range(1, 30):
        watched.put(step, a=step, b=BIG + str(step))
    names = watched.names(lambda: watched.saver.delete_thread("t"))
    assert names == {"delete": 1, "commitTransaction": 1}


def test_a_put_looks_first_where_too_little_is_known(
    database: MongoHarness, watched: Watched
) -> None:
    watched.put(1, a=BIG)
    cold = Watched(database)
    cold.put(2, a=BIG + "more")  # taken for a new thread, refused
    assert cold.commands.names["abortTransaction"] == 1
    cold.put(3, a=BIG + "and more")
    assert cold.commands.names == PUT
    cold.client.close()
    warm = Watched(database)
    assert warm.saver.get_tuple(on("t")) is not None
    warm.put(4, a=BIG + "and more")
    assert warm.commands.names == PUT
    warm.client.close()


def test_what_was_removed_is_stored_again(database: MongoHarness, watched: Watched) -> None:
    """A put whose unchanged value another process removed finds that out in its transaction."""
    watched.put(1, a=BIG, b=1)
    with database.open() as other:
        other.delete_thread("t")
    state = {"a": BIG, "b": 2}
    second = checkpoint(state, id=f"{2:08}")
    versions = {"b": second["channel_versions"]["b"]}
    watched.saver.put(on("t", "", f"{1:08}"), second, metadata(step=2), versions)
    assert values(watched.saver.get_tuple(on("t"))) == state


def test_each_write_changes_its_thread(database: MongoHarness, watched: Watched) -> None:
    """MongoDB takes no lock for an update that leaves a document as it is."""
    revisions = []
    for _ in range(3):
        config = watched.put(1, a=1)
        watched.saver.put_writes(config, [("a", 1)], "task")
        revisions.append(database.records.find_one({"kind": "thread"})["revision"])
    assert len(set(revisions)) == 3


def test_a_read_moves_an_expiry_only_far(database: MongoHarness) -> None:
    watched = Watched(database, ttl={"default_ttl": 60})
    watched.put(1, a=1)
    read = {"find": 2, **END}
    assert watched.names(lambda: watched.saver.get_tuple(on("t"))) == read
    database.advance(600)
    names = watched.names(lambda: watched.saver.get_tuple(on("t")))
    assert names == {"find": 3, **END, "update": 1, "commitTransaction": 1}
    watched.client.close()


def test_a_chain_of_300_ancestors_is_a_few_commands(watched: Watched) -> None:
    for step in range(1, 301):
        watched.put(step, **({"log": ["seed"]} if step == 1 else {"other": step}))
    read = watched.saver.get_delta_channel_history
    with watched.commands.only() as commands:
        assert read(config=on("t"), channels=["log"])["log"]["seed"] == ["seed"]
    assert commands.names.total() <= 8


def test_no_command_looks_at_all_documents(database: MongoHarness, watched: Watched) -> None:
    """Every filter that is sent, explained by the server."""
    everything(watched.saver)
    seen: set[str] = set()
    for command in watched.commands.sent:
        for wanted in filters_of(command) if "saver_records" in command.values() else ():
            # of `_id` there is an index in any case; this server's `explain` says otherwise
            if "_id" not in wanted and (shape := _shape(wanted)) not in seen:
                seen.add(shape)
                assert not scans(database.client, database.db_name, "saver_records", wanted), wanted
    assert len(seen) >= 8


def _shape(wanted: Mapping[str, Any]) -> str:
    inner = {
        name: sorted(test) if isinstance(test, dict) else None for name, test in wanted.items()
    }
    return str(inner)


def everything(saver: MongoDBSaver) -> None:
    """All that a saver can be asked for of threads, but for the size of everything."""
    for thread in ("a", "b"):
        config: Any = on(thread)
        for step in range(4):
            stored = checkpoint({"a": large(step), "b": step}, id=f"{step:08}")
            config = saver.put(config, stored, metadata(step=step), new_versions(stored))
            saver.put_writes(config, [("a", large(9)), ("__error__", "e")], "task")
            saver.put_writes(config, [("__error__", large(8))], "task")
    saver.put(on("a"), stored, metadata(run_id="run"), new_versions(stored))
    places: list[Any] = [on("a"), {"configurable": {"thread_id": "a"}}, config]
    for place in places:
        for before in (None, config):
            list(saver.list(place, before=before, filter={"step": 2}))
            list(saver.list(place, before=before, limit=1))
    saver.get_tuple(on("a"))
    saver.get_delta_channel_history(config=on("a"), channels=["a"])
    saver.copy_thread("a", "c")
    saver.prune(["a"])
    saver.delete_for_runs(["run"])
    saver.stats("b")
    saver.sweep_ttl()
    saver.delete_thread("b")


# ---------------------------------------------------------------- the page with all commands

_HEAD = """# What MongoDB is sent

Each operation of a saver and of a store, as PyMongo's command monitoring shows it: a command is a
round trip. A test, `checkpoint_mongo/tests/test_commands.py`, compares this page with what is sent;
`UPDATE_PAGE=1 pytest checkpoint_mongo/tests/test_commands.py -k page` writes it anew. Bytes, times
and random numbers are left out. `txn`: in a transaction. SecantusDB does not pin snapshot sessions,
so reads are transactions here, which an `abortTransaction` ends; on MongoDB they are in a snapshot
session, and nothing is sent at the end.
"""


def test_the_page_has_the_commands_that_are_sent(database: MongoHarness) -> None:
    watched = Watched(database)
    page = _page(watched, database)
    watched.client.close()
    if os.environ.get("UPDATE_PAGE"):
        PAGE.write_text(page)
    assert PAGE.read_text() == page


def _page(watched: Watched, database: MongoHarness) -> str:
    saver, sections = watched.saver, [_HEAD]
    first = checkpoint({"a": 1}, id="1")
    second = checkpoint({"a": 2, "text": BIG}, id="2")
    head = on("t", "", "2")
    store = MongoDBStore(
        watched.client,
        database.db_name,
        clock=database.clock,
        index={"dims": 2, "embed": lambda texts: [[1.0, 0.0] for _ in texts], "engine": "exact"},
    )
    fresh = MongoDBSaver(watched.client, database.db_name, collection_prefix="new_")
    calls: list[tuple[str, Callable[[], object]]] = [
        ("setup(), of a saver", fresh.setup),
        ("setup(), once it was called", fresh.setup),
        (
            "put(), the first one of a thread",
            lambda: saver.put(on("t"), first, metadata(step=1), new_versions(first)),
        ),
        (
            "put(), with a large value",
            lambda: saver.put(on("t", "", "1"), second, metadata(step=2), new_versions(second)),
        ),
        (
            "put(), over a checkpoint",
            lambda: saver.put(on("t", "", "1"), second, metadata(step=2), new_versions(second)),
        ),
        ("put_writes()", lambda: saver.put_writes(head, [("a", 3), ("b", 4)], "task")),
        (
            "put_writes() of what may replace a write",
            lambda: saver.put_writes(head, [("__error__", "no")], "task"),
        ),
        ("get_tuple(), the newest", lambda: saver.get_tuple(on("t"))),
        ("get_tuple(), by its id", lambda: saver.get_tuple(on("t", "", "1"))),
        ("list()", lambda: list(saver.list(on("t"), filter={"step": 2}, limit=10))),
        (
            "get_delta_channel_history()",
            lambda: saver.get_delta_channel_history(config=head, channels=["a"]),
        ),
        ("list_threads()", saver.list_threads),
        (
            "list_threads(), with a filter",
            lambda: saver.list_threads(filter={"step": 2}, status="error"),
        ),
        ("interrupts()", lambda: list(saver.interrupts())),
        ("copy_thread()", lambda: saver.copy_thread("t", "u")),
        ("prune()", lambda: saver.prune(["t"])),
        ("delete_for_runs()", lambda: saver.delete_for_runs(["run"])),
        ("stats()", lambda: saver.stats("t")),
        ("sweep_ttl()", saver.sweep_ttl),
        ("delete_thread()", lambda: saver.delete_thread("t")),
        ("setup(), of a store", store.setup),
        ("store.put()", lambda: store.put(("a",), "k", {"n": 1})),
        ("store.get()", lambda: store.get(("a",), "k")),
        ("store.search(), a filter", lambda: store.search(("a",), filter={"n": 1})),
        ("store.search(), a query", lambda: store.search(("a",), query="one")),
        ("store.list_namespaces()", store.list_namespaces),
        ("store.delete()", lambda: store.delete(("a",), "k")),
    ]
    for title, call in calls:
        with watched.commands.only() as commands:
            call()
        sent = "\n".join(_line(command) for command in commands.sent)
        sections.append(f"\n## {title}\n\n```\n{sent}\n```\n")
    return "".join(sections)


_UNSEEN: Final = {
    *("lsid", "$clusterTime", "txnNumber", "$db", "$readPreference", "autocommit"),
    *("maxTimeMS", "startTransaction", "readConcern", "ordered", "cursor", "batchSize"),
}


_VERSION: Final = re.compile(r"(\0v\d+\.)\d+")


def _line(command: Mapping[str, Any]) -> str:
    shown = {name: _abbreviated(value) for name, value in command.items() if name not in _UNSEEN}
    name = next(iter(shown))
    mark = "txn " if command.get("autocommit") is False else ""
    return (
        mark
        + name
        + " "
        + json.dumps({k: v for k, v in shown.items() if k != name or v != 1}, ensure_ascii=False)
    )


def _abbreviated(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _abbreviated(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_abbreviated(inner) for inner in value]
    if isinstance(value, bytes):
        return "<bytes>"
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, float) or (isinstance(value, int) and abs(value) > 1 << 31):
        return "<number>"
    if isinstance(value, int):
        return int(value)
    text = _VERSION.sub(r"\1…", str(value))
    return "<text>" if text.startswith("{") else text
