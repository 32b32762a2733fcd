"""`MemorySaver`: checkpoints in dicts, and the reference that tests compare other backends with.

It stores every value whole, and nothing outlives the object.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from typing_extensions import Unpack

from checkpoint_base.memory.locking import LockDriver
from checkpoint_base.memory.planner import MemoryPlanner
from checkpoint_base.memory.thread import MemoryThread
from checkpoint_base.plan import Plan, arun
from checkpoint_base.saver.mixins import FullSyncSaver
from checkpoint_base.saver.options import SaverOptions, SaverSettings

T = TypeVar("T")


class MemorySaver(FullSyncSaver):
    """Checkpoints in memory, for tests and trials. Has every capability; nothing is persistent.

    Args:
        options: `SaverOptions`. Values are always stored whole, and no step waits, so
            `deduplicate` and `call_timeout` have no effect.

    Raises:
        InvalidArgumentError: an option is invalid.
    """

    _plans_run_on_loop = True

    def __init__(self, **options: Unpack[SaverOptions]) -> None:
        settings = SaverSettings.of(options)
        self._memory = MemoryPlanner(settings.ttl, settings.clock)
        super().__init__(self._memory, LockDriver(), settings)

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
