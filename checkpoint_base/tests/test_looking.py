"""What a planner asks before its first operation."""

from __future__ import annotations

from typing import Any, Protocol

import pytest

from checkpoint_base.errors import NotSetUpError
from checkpoint_base.lifecycle.setup_check import requires_setup
from checkpoint_base.plan import Plan, run


class Operations(Protocol):
    def setup(self) -> Plan[None]: ...

    def get(self, key: str, *, times: int) -> Plan[str]: ...

    def put(self, key: str) -> Plan[None]: ...


@requires_setup(Operations)
class Planner:
    is_set_up = False

    def setup(self) -> Plan[None]:
        yield "setup"

    def expect_setup(self) -> Plan[None]:
        if not (yield "look"):
            raise NotSetUpError("call setup() once")

    def get(self, key: str, *, times: int) -> Plan[str]:
        """What is there."""
        found: str = yield f"get {key}"
        return found * times

    def put(self, key: str) -> Plan[None]:
        assert (yield from self.get(key, times=1))
        yield f"put {key}"


class Database:
    def __init__(self) -> None:
        self.is_set_up = False
        self.asked: list[str] = []

    def __call__(self, request: str) -> Any:
        self.asked.append(request)
        self.is_set_up = self.is_set_up or request == "setup"
        return self.is_set_up if request == "look" else "x"


def test_the_first_operation_looks_and_no_other() -> None:
    planner, database = Planner(), Database()
    database.is_set_up = True
    run(planner.put("a"), database)
    assert run(planner.get("b", times=2), database) == "xx"
    assert database.asked == ["look", "get a", "put a", "get b"]
    assert Planner.get.__doc__ == "What is there."


def test_setup_spares_the_look() -> None:
    planner, database = Planner(), Database()
    run(planner.setup(), database)
    run(planner.put("a"), database)
    assert database.asked == ["setup", "get a", "put a"]


def test_nothing_is_done_until_somebody_calls_setup() -> None:
    planner, database = Planner(), Database()
    for plan in (planner.put("a"), planner.get("a", times=1)):
        with pytest.raises(NotSetUpError, match=r"call setup\(\) once"):
            run(plan, database)
    assert database.asked == ["look", "look"]
    run(Planner().setup(), database)  # that of another process
    run(planner.put("a"), database)
    assert database.asked == ["look", "look", "setup", "look", "get a", "put a"]


def test_plans_that_were_begun_before_it_was_known() -> None:
    planner, database = Planner(), Database()
    database.is_set_up = True
    plans = [planner.get(key, times=1) for key in "ab"]
    assert [run(plan, database) for plan in plans] == ["x", "x"]
    assert database.asked == ["look", "get a", "look", "get b"]
