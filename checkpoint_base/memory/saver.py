"""`MemorySaver`: checkpoints in dicts, and the reference that tests compare other backends with.

It stores every value whole, and nothing outlives the object.
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
from checkpoint_base.saver.ttl.retention import Retention

T = TypeVar("T")


class MemorySaver(FullSyncSaver):
    """Checkpoints in memory, for tests and trials. Has every capability; nothing is persistent.

    Args:
        serde: the serializer; default: LangGraph's `JsonPlusSerializer`.
        on_unreadable: how to read a value that the serializer cannot rebuild: `"raise"` an
            UnreadableValueError, `"skip"` the channel or write with a warning, or return
            LangGraph's substitute for it (`"langgraph"`).
        encrypted: True if the serializer encrypts but is not LangGraph's `EncryptedSerializer` and
            has no `cipher`. Metadata is then encrypted, too.
        ttl: time to live in the format of `langgraph.json`, in minutes; see `TTLPolicy`.
        retention: a policy that sweeps apply.
        clock: returns epoch seconds, for `ttl`.
        call_timeout: validated for compatibility with other savers, but unused.

    Raises:
        InvalidArgumentError: an argument is invalid.
    """

    _plans_run_on_loop = True

    def __init__(
        self,
        *,
        serde: SerializerProtocol | None = None,
        on_unreadable: OnUnreadable = "raise",
        encrypted: bool = False,
        ttl: Mapping[str, Any] | TTLPolicy | None = None,
        retention: Retention | None = None,
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
            retention=retention,
        )

    @property
    def threads(self) -> Mapping[str, MemoryThread]:
        """All stored threads by id, for tests that inspect or damage them."""
        return self._memory.threads

    async def _adrive(self, plan: Plan[T]) -> T:
        if self._executor is not None:
            return await super()._adrive(plan)

        if self._life.is_over:
            raise self._life.ended()

        async def perform(request: Any) -> Any:
            return self._driver.perform(request)  # no I/O, so it may run on the event loop

        return await arun(plan, perform)
