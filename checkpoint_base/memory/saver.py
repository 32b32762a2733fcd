"""The reference backend, in dicts: the model that tests compare the others with.

It keeps every value whole and takes the shortest way to each answer. What it has dies with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from langgraph.checkpoint.serde.base import SerializerProtocol

from checkpoint_base.deadlines.timeouts import CALL_TIMEOUT, checked_call_timeout
from checkpoint_base.memory.planner import LockDriver, MemoryPlanner
from checkpoint_base.memory.thread import MemoryThread
from checkpoint_base.plan import Plan, arun
from checkpoint_base.saver.codec.values import OnUnreadable
from checkpoint_base.saver.mixins import FullSyncSaver
from checkpoint_base.saver.ttl.policy import TTLPolicy

T = TypeVar("T")


class MemorySaver(FullSyncSaver):
    """Checkpoints in memory, for tests and trials: all capabilities, nothing kept.

    Args:
        serde: LangGraph's `JsonPlusSerializer` unless another is given.
        on_unreadable: what reading does with a value that the serializer cannot rebuild:
            `"raise"` UnreadableValueError, `"skip"` the channel or write with a warning, or return
            what LangGraph's serializer makes of it (`"langgraph"`).
        encrypted: the serializer encrypts, though it is not LangGraph's `EncryptedSerializer` and
            has no `cipher`: metadata goes through it, too.
        ttl: time to live in `langgraph.json`'s shape, in minutes; see `TTLPolicy`.
        clock: epoch seconds, for `ttl`.
        call_timeout: taken because other savers take it; nothing here waits.
    """

    _plans_run_on_loop = True

    def __init__(
        self,
        *,
        serde: SerializerProtocol | None = None,
        on_unreadable: OnUnreadable = "raise",
        encrypted: bool = False,
        ttl: Mapping[str, Any] | TTLPolicy | None = None,
        clock: Callable[[], float] = time.time,
        call_timeout: float | None = CALL_TIMEOUT,
    ) -> None:
        checked_call_timeout(call_timeout)
        policy = TTLPolicy.of(ttl)
        self._memory = MemoryPlanner(policy, clock)
        super().__init__(
            self._memory,
            LockDriver(),
            policy,
            serde=serde,
            on_unreadable=on_unreadable,
            encrypted=encrypted,
        )

    @property
    def threads(self) -> Mapping[str, MemoryThread]:
        """All that is stored, by thread id; for tests that look behind the saver."""
        return self._memory.threads

    async def _adrive(self, plan: Plan[T]) -> T:
        if self._executor is not None:
            return await super()._adrive(plan)

        if self._life.is_over:
            raise self._life.ended()

        async def perform(request: Any) -> Any:
            return self._driver.perform(request)  # nothing here waits for anything

        return await arun(plan, perform)
