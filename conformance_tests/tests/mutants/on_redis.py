"""Mutants on a Redis of their own, which can be reached through a proxy, killed and filled."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from checkpoint_base.deadlines.timeouts import Deadline
from checkpoint_base.errors import BackendUnavailableError
from checkpoint_base.plan import Plan, arun, run
from checkpoint_redis.connection.async_driver import AsyncRedisDriver
from checkpoint_redis.connection.commands import attempt
from checkpoint_redis.connection.errors import ERRORS, translate_error
from checkpoint_redis.connection.requests import ScriptCalls
from checkpoint_redis.connection.sync_driver import SyncRedisDriver
from conformance_tests.tests.mutants.registry import C, mutant
from tests.servers.redis import redis_server

T = TypeVar("T")


class _Once(SyncRedisDriver):
    """Does not try again, so that what a planner does with an error is seen."""

    def perform(self, request: Any) -> Any:
        if not isinstance(request, ScriptCalls):
            return super().perform(request)
        try:
            plan = attempt(request, of_cluster=False)
            return run(plan, partial(self._send, Deadline(None, "a request")))
        except ERRORS as error:
            raise translate_error(error) from error


class _OnceAsync(AsyncRedisDriver):
    async def perform(self, request: Any) -> Any:
        if not isinstance(request, ScriptCalls):
            return await super().perform(request)
        try:
            plan = attempt(request, of_cluster=False)
            return await arun(plan, partial(self._reply, Deadline(None, "a request")))
        except ERRORS as error:
            raise translate_error(error) from error


class OnRedis:
    """What is opened has a fault. Goes before a harness of Redis.

    Attributes:
        planner: What is broken.
        settings: Those of the server.
        patience: Seconds that a call may take, by way of a proxy.
    """

    planner: type
    settings: ClassVar[dict[str, str]] = {"appendonly": "yes", "appendfsync": "no"}
    patience = 2.0
    server = ExitStack()

    @contextmanager
    def open(self: Any, **options: Any) -> Iterator[Any]:
        with super().open(**options) as opened:  # type: ignore[misc]  # that of the harness
            opened._planner.__class__, opened._driver.__class__ = self.planner, _Once
            yield opened

    @asynccontextmanager
    async def aopen(self: Any, **options: Any) -> AsyncIterator[Any]:
        async with super().aopen(**options) as opened:  # type: ignore[misc]
            opened._planner.__class__, opened._driver.__class__ = self.planner, _OnceAsync
            yield opened

    def through(self: Any, host: str, port: int) -> Any:
        return type(self)(f"redis://{host}:{port}/0?socket_timeout={self.patience}", self.prefix)

    def close(self: Any) -> None:
        for node in self.nodes:
            node.close()
        self.server.close()


def on_redis(base: type, caught_by: str, **more: Any) -> Callable[[C], C]:
    """A planner with a fault; or, where the fault is the server's, as it is.

    Args:
        base: the harness of what it plans for.
        caught_by: the id of the clause.
        **more: attributes of `OnRedis`.
    """

    def opened(planner: type, _: Path) -> Any:
        harness: Any = type("Harness", (OnRedis, base), {"planner": planner, **more})
        server = ExitStack()
        made = harness(server.enter_context(redis_server(**harness.settings)), "mutant")
        made.server = server
        return made

    return mutant(caught_by, opened)


def or_else(nothing: T, plan: Plan[T]) -> Plan[T]:
    """What the plan gives, or nothing when the database is out of reach."""
    try:
        return (yield from plan)
    except BackendUnavailableError:
        return nothing
