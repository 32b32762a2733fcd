"""Between looking at a thread and acting on it, somebody deletes it and makes it anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.plan import Plan, run
from checkpoint_base.tests.load import arguments, steps_of
from checkpoint_redis import RedisSaver
from checkpoint_redis.connection.requests import ScriptCalls
from checkpoint_redis.tests.harness import RedisHarness


@pytest.fixture(params=["one_server", "cluster"])
def savers(request: pytest.FixtureRequest) -> Iterator[tuple[RedisSaver, RedisSaver]]:
    """Two processes, as far as the server can see."""
    harness: RedisHarness = request.getfixturevalue(request.param)
    with ExitStack() as stack:
        one, two = (stack.enter_context(harness.open()) for _ in range(2))
        yield one, two


def interrupted(saver: RedisSaver, plan: Plan[Any], script: str, between: Callable[[], Any]) -> Any:
    """Run a plan; something happens just before it first asks for a script."""
    pending = [between]

    def perform(request: Any) -> Any:
        names = (
            [call.script.name for call in request.calls] if isinstance(request, ScriptCalls) else []
        )
        if script in names and pending:
            pending.pop()()
        return saver._driver.perform(request)

    result = run(plan, perform)
    assert not pending, f"{script} was not asked for"
    return result


def test_pruning_leaves_a_thread_that_was_made_anew(
    savers: tuple[RedisSaver, RedisSaver],
) -> None:
    """With as many puts as before, so that it is at the same revision."""
    saver, other = savers
    saver.put(*arguments("t", 1))

    def start_over() -> None:
        other.delete_thread("t")
        other.put(*arguments("t", 2))

    plan = saver._planner.prune(saver._codec, ["t"], "keep_latest")
    interrupted(saver, plan, "begin_collection", start_over)
    assert steps_of(other, "t") == [2]


def test_copying_looks_again_at_a_target_that_was_made_anew(
    savers: tuple[RedisSaver, RedisSaver],
) -> None:
    """With something of its own, over which nothing is copied."""
    saver, other = savers
    saver.put(*arguments("source", 1))
    saver.copy_thread("source", "target")

    def start_over() -> None:
        other.delete_thread("target")
        other.put(*arguments("target", 2))

    plan = saver._planner.copy_thread("source", "target")
    with pytest.raises(InvalidArgumentError, match="target"):
        interrupted(saver, plan, "restore", start_over)
    assert steps_of(other, "target") == [2]
