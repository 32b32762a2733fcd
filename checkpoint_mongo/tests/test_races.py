"""What others do between two commands of a plan, and between two documents of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from checkpoint_base.errors import CorruptValueError
from checkpoint_mongo import MongoDBSaver
from checkpoint_mongo.requests import Add, Aggregate, Pause, Write
from checkpoint_mongo.tests.harness import MongoHarness
from conformance_tests.build import checkpoint, large, metadata, new_versions, on, values, writes

Between = Callable[[int, Any, Any], Any]


def put(saver: MongoDBSaver, thread: str, step: int, **state: Any) -> Any:
    stored = checkpoint({"n": step, **state}, id=f"{step:08}")
    return saver.put(on(thread), stored, metadata(step=step), new_versions(stored))


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


@pytest.mark.parametrize("how", ["removed", "stored anew"])
def test_a_checkpoint_that_changed_while_it_was_read_is_looked_for_again(
    database: MongoHarness, how: str
) -> None:
    with database.open() as saver:
        put(saver, "t", 1)
        gone: list[int] = []

        def lose(number: int, request: Any, reply: Any) -> Any:
            if type(request) is Aggregate and not gone:
                gone.append(number)
                assert all(one.get("same", True) for one in reply)
                if how == "removed":  # as if it had been there at first, and not at last
                    return [one for one in reply if "body" not in one]
                return [{**one, "same": "body" not in one} for one in reply]
            return reply

        plan = saver._planner.get_tuple(saver._codec, on("t"))
        found, asked = driven(saver, plan, lose)
        assert values(found) == {"n": 1}
        assert asked == [Aggregate, Pause, Aggregate]
        gone.clear()
        listing = list_plan(saver, "t")
        page, asked = driven(saver, listing, lose)
        assert [values(one) for one in page.tuples] == [{"n": 1}]
        assert asked == [Aggregate, Pause, Aggregate]


def list_plan(saver: MongoDBSaver, thread: str | None) -> Any:
    from checkpoint_base.planner import Listing

    return saver._planner.list_page(saver._codec, Listing(thread, None, None, None, None, None))


def test_a_log_that_was_made_anew_meanwhile_is_not_taken_for_damage(
    database: MongoHarness,
) -> None:
    with database.open() as saver, database.open() as other:
        put(saver, "t", 1, log=large(1))

        def begin_anew(number: int, _: Any, reply: Any) -> Any:
            if number == 1:
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
