"""What others do between two commands of a plan, and between two documents of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from checkpoint_base.errors import CorruptValueError
from checkpoint_mongo import MongoDBSaver
from checkpoint_mongo.pipelines import bury_thread, hold_thread, release_thread
from checkpoint_mongo.requests import Add, Aggregate, Named, Pause, Write
from checkpoint_mongo.tests.harness import MongoHarness
from conformance_tests.build import checkpoint, large, metadata, new_versions, on, values, writes

Between = Callable[[int, Any, Any], Any]


def put(saver: MongoDBSaver, thread: str, step: int, **state: Any) -> Any:
    stored = checkpoint({"n": step, **state}, id=f"{step:08}")
    about = metadata(step=step, run_id=f"run {step}")
    return saver.put(on(thread), stored, about, new_versions(stored))


def driven(saver: MongoDBSaver, plan: Any, after: Between) -> tuple[Any, list[type]]:
    """Run a plan; `after(number, request, reply)` may do something and gives the reply."""
    asked: list[type] = []
    try:
        request = next(plan)
        while True:
            asked.append(type(request))
            request = plan.send(after(len(asked), request, saver._driver.perform(request)))
    except StopIteration as stop:
        return stop.value, asked


def test_each_put_changes_its_thread(database: MongoHarness) -> None:
    """A change that changes nothing conflicts with nobody: what the put shares could be removed
    meanwhile. The clock stands still here.
    """
    with database.open() as saver:
        seen = []
        for step in range(3):
            put(saver, "t", step, log=large(1))
            (thread,) = database.records.find({"thread_id": "t", "key": ""})
            seen.append(thread)
        assert seen[1]["log_end"] == seen[2]["log_end"]
        assert seen[1] != seen[2]


READ = [Aggregate, Named]


@pytest.mark.parametrize("by", ["id", "newest", "list"])
@pytest.mark.parametrize("is_known", [False, True])
def test_a_checkpoint_that_is_stored_anew_while_it_is_read_is_read_again(
    database: MongoHarness, by: str, is_known: bool
) -> None:
    with database.open() as saver, database.open() as other:
        head = put(other, "t", 1, other="old")
        other.put_writes(head, [("a", "old")], "task")
        if is_known:
            saver.get_tuple(on("t"))

        def begin_anew(number: int, _: Any, reply: Any) -> Any:
            if number == 1:
                other.delete_thread("t")
                head = put(other, "t", 1, other="new")
                other.put_writes(head, [("a", "new")], "task")
            return reply

        (found,), asked = driven(saver, read_plan(saver, by, head), begin_anew)
        assert values(found) == {"n": 1, "other": "new"}
        assert writes(found) == [("task", "a", "new")]
        assert asked == [*READ, *READ]


@pytest.mark.parametrize("by", ["id", "newest", "list"])
def test_a_checkpoint_is_not_found_without_what_was_removed_with_it(
    database: MongoHarness, by: str
) -> None:
    with database.open() as saver, database.open() as other:
        for step in (1, 2):
            head = put(other, "t", step)
            other.put_writes(head, [("a", step)], "task", "path")
        gone = other.get_tuple(on("t"))
        assert gone is not None

        def lose(number: int, _: Any, reply: Any) -> Any:
            if number == 1:
                other.delete_for_runs(["run 2"])
            return reply

        found, _ = driven(saver, read_plan(saver, by, gone.config), lose)
        assert [(values(one), writes(one)) for one in found] == {
            "id": [],
            "newest": [({"n": 1}, [("task", "a", 1)])],
            "list": [({"n": 1}, [("task", "a", 1)])],
        }[by]


def test_once_read_a_thread_of_which_something_was_removed_is_read_at_once(
    database: MongoHarness,
) -> None:
    """Its checkpoints were stored before, so they do not say that they are whole."""
    with database.open() as saver:
        for step in (1, 2):
            put(saver, "t", step)
        saver.delete_for_runs(["run 1"])
    with database.open() as saver:
        config = on("t")
        assert driven(saver, read_plan(saver, "newest", config), unchanged)[1] == [*READ, *READ]
        assert driven(saver, read_plan(saver, "newest", config), unchanged)[1] == READ
        assert driven(saver, read_plan(saver, "list", config), unchanged)[1] == READ


def test_a_read_waits_for_who_removes_without_a_transaction(database: MongoHarness) -> None:
    with database.open() as saver:
        head = put(saver, "t", 1)
        guard = saver._planner._guard("t")
        saver._driver.perform(Write([hold_thread(guard, 1, 0.0)]))

        def release(_: int, request: Any, reply: Any) -> Any:
            if type(request) is Pause:
                saver._driver.perform(Write([release_thread(guard, 1, 1)]))
            return reply

        (found,), asked = driven(saver, read_plan(saver, "id", head), release)
        assert values(found) == {"n": 1}
        assert asked == [*READ, *READ, Write, Pause, *READ]


def test_what_was_seen_while_somebody_removed_counts_for_nothing(database: MongoHarness) -> None:
    """Without a transaction: held, removed, released, and that between the commands of a read."""
    with database.open() as saver:
        head = put(saver, "t", 1)
        saver.put_writes(head, [("a", 1)], "task")
        guard = saver._planner._guard("t")
        saver._driver.perform(Write([hold_thread(guard, 1, 0.0)]))

        def remove(number: int, request: Any, reply: Any) -> Any:
            if number == 3:
                database.records.delete_many({"thread_id": "t", "key": {"$gt": "c"}})
                saver._driver.perform(Write([release_thread(guard, 2, 1)]))
            return reply

        found, asked = driven(saver, read_plan(saver, "id", head), remove)
        assert found == []
        assert asked == [*READ, *READ, Pause, Aggregate]


@pytest.mark.parametrize("since", [None, 5.0])
def test_a_thread_that_is_being_deleted_is_not_changed_by_who_wants_to_prune_it(
    database: MongoHarness, since: float | None
) -> None:
    """A change would be in the way of the deletion."""
    with database.open() as saver:
        put(saver, "t", 1)
        guard = saver._planner._guard("t")
        saver._driver.perform(Write(bury_thread(guard, 7, None)[:1]))
        before = database.records.find_one({"key": ""})
        assert before["dead"]
        saver._driver.perform(Write([hold_thread(guard, 8, since)]))
        assert database.records.find_one({"key": ""}) == before


def test_a_thread_is_removed_as_empty_only_after_its_mark_was_seen(
    database: MongoHarness,
) -> None:
    """What tasks add together, they add to a thread that they see live afterwards."""
    with database.open() as saver:
        put(saver, "t", 1)
        (added,) = database.records.find({"checkpoint_id": f"{1:08}"}, {"_id": 0})
        name = {"key": f"c\0\0{2:08}", "checkpoint_id": f"{2:08}", "tag": "run 2"}
        added |= name | {"seek": added["seek"].replace(f"{1:08}", f"{2:08}")}

        def add(_: int, request: Any, reply: Any) -> Any:
            if type(request) is Write and "held_at" in database.records.find_one({"key": ""}):
                database.records.insert_one(added)
            return reply

        _, asked = driven(saver, saver._planner.delete_for_runs(["run 1"]), add)
        assert Write in asked
        found = saver.get_tuple(on("t"))
        assert found is not None
        assert found.checkpoint["id"] == f"{2:08}"
        assert "held_at" not in database.records.find_one({"key": ""})
        saver.delete_for_runs(["run 2"])
        assert sum(database.rows().values()) == 0


def test_a_page_of_several_namespaces_is_right_after_what_was_known_is_removed(
    database: MongoHarness,
) -> None:
    with database.open() as saver:
        for step, (ns, run) in enumerate(
            [("", 1), ("a", 1), ("", 1), ("a", 1), ("", 1), ("a", 1), ("", 2), ("", 2), ("", 2)], 1
        ):
            stored = checkpoint({"n": step}, id=f"{step:08}")
            about = metadata(step=step, run_id=f"run {run}")
            saver.put(on("t", ns), stored, about, new_versions(stored))
        config: Any = {"configurable": {"thread_id": "t"}}
        assert [values(one)["n"] for one in saver.list(config, limit=3)] == [9, 8, 7]
        saver.delete_for_runs(["run 2"])
        assert [values(one)["n"] for one in saver.list(config, limit=3)] == [6, 5, 4]


def of_threads(reply: Any) -> list[bool]:
    return [one["key"] == "" for one in reply]


def test_a_thread_is_read_after_all_that_belongs_to_it(database: MongoHarness) -> None:
    """Else what is removed between would be missed, and not noticed."""
    replies: list[list[bool]] = []

    def note(_number: int, _request: Any, reply: Any) -> Any:
        replies.append(of_threads(reply))
        return reply

    with database.open() as saver:
        for thread in "abcde":
            put(saver, thread, 1, other="of all")
            head = put(saver, thread, 2)
            for task in "xyz":
                saver.put_writes(head, [("a", 1)], task)
            driven(saver, read_plan(saver, "id", head), note)
            assert replies.pop() == [False, False, False, True]
        driven(saver, list_plan(saver, None), note)
        assert replies.pop() == [False] * 15 + [True] * 5


def test_a_thread_that_the_server_gave_first_is_read_again(database: MongoHarness) -> None:
    with database.open() as saver, database.open() as other:
        head = put(saver, "t", 1)
        saver.put_writes(head, [("a", 1)], "task")

        def disorder(number: int, _: Any, reply: Any) -> Any:
            if number == 2:
                other.delete_thread("t")
                return sorted(reply, key=lambda one: str(one["key"]))
            return reply

        found, asked = driven(saver, read_plan(saver, "id", head), disorder)
        assert found == []
        assert asked == [*READ, Named]


def unchanged(_number: int, _request: Any, reply: Any) -> Any:
    return reply


def read_plan(saver: MongoDBSaver, by: str, config: Any) -> Any:
    """The plan of reading a thread with one checkpoint, as a list."""
    thread_id = config["configurable"]["thread_id"]
    if by == "list":
        return (yield from list_plan(saver, thread_id)).tuples
    named = config if by == "id" else on(thread_id)
    found = yield from saver._planner.get_tuple(saver._codec, named)
    return [] if found is None else [found]


def list_plan(saver: MongoDBSaver, thread: str | None) -> Any:
    from checkpoint_base.planner import Listing

    return saver._planner.list_page(
        saver._codec, Listing(thread, None if thread is None else "", None, None, None, None)
    )


def test_a_log_that_was_made_anew_meanwhile_is_not_taken_for_damage(
    database: MongoHarness,
) -> None:
    with database.open() as saver, database.open() as other:
        put(saver, "t", 1, log=large(1))

        def begin_anew(number: int, _: Any, reply: Any) -> Any:
            if number == 2:
                other.delete_thread("t")
                put(other, "t", 1, log=large(2))
            return reply

        plan = saver._planner.get_tuple(saver._codec, on("t"))
        found, asked = driven(saver, plan, begin_anew)
        assert values(found) == {"n": 1, "log": large(2)}
        assert Pause in asked
        database.damage()
        with pytest.raises(CorruptValueError):
            saver.get_tuple(on("t"))


def test_writes_to_a_thread_that_is_known_are_two_changes(database: MongoHarness) -> None:
    with database.open() as saver, database.open() as stranger:
        head = put(saver, "t", 1)
        sent: list[Any] = []

        def note(_: int, request: Any, reply: Any) -> Any:
            sent.append(request)
            return reply

        for one in (saver, stranger):
            plan = one._planner.put_writes(one._codec, head, [("a", 1)], f"task {id(one)}", "")
            driven(one, plan, note)
        asked = [one.alone if type(one) is Add else one for one in sent]
        assert [len(one.ops) for one in asked if type(one) is Write] == [2, 3]


@pytest.mark.parametrize("special", [False, True])
def test_writes_to_a_thread_that_somebody_deleted_make_it_anew(
    database: MongoHarness, special: bool
) -> None:
    with database.open() as saver, database.open() as other:
        head = put(saver, "t", 1)
        other.delete_thread("t")
        wanted = ("__error__", "e") if special else ("a", 1)
        saver.put_writes(head, [wanted], "task")
        assert {name: n for name, n in database.rows().items() if n} == {"threads": 1, "writes": 1}
        put(saver, "t", 1)
        assert writes(saver.get_tuple(on("t"))) == [("task", *wanted)]
        saver.delete_thread("t")
        assert sum(database.rows().values()) == 0


def test_writes_to_a_thread_that_expired_do_not_revive_it(database: MongoHarness) -> None:
    with database.open(ttl={"default_ttl": 1}) as saver:
        head = put(saver, "t", 1)
        database.advance(61)
        saver.put_writes(head, [("a", 1)], "task")
        assert saver.get_tuple(on("t")) is None
        assert {name: n for name, n in database.rows().items() if n} == {"threads": 1, "writes": 1}
