"""Closed savers, and savers on loops other than their own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from checkpoint_base import MemorySaver, open_saver
from checkpoint_base.errors import EventLoopError
from checkpoint_base.saver.mixins import FullAsyncSaver
from checkpoint_base.saver.options import SaverSettings
from checkpoint_base.tests.lives import assert_closed, assert_ended
from checkpoint_base.tests.load import arguments
from conformance_tests.samples.build import on, values
from conformance_tests.samples.driver_adapter import LoopThread


class OnLoop:
    """A driver that notes where it is used."""

    def __init__(self, memory: MemorySaver) -> None:
        self._driver = memory._driver
        self.loops: set[asyncio.AbstractEventLoop] = set()

    async def perform(self, request: Any) -> Any:
        self.loops.add(asyncio.get_running_loop())
        return self._driver.perform(request)


def made() -> FullAsyncSaver:
    memory = MemorySaver()
    return FullAsyncSaver(memory._memory, OnLoop(memory), SaverSettings())


async def make() -> FullAsyncSaver:
    return made()


def test_a_saver_that_is_closed_says_so() -> None:
    assert_closed(open_saver("memory://"))


def test_a_saver_whose_loop_has_ended_says_so() -> None:
    assert_ended(make)


def test_a_saver_is_made_on_a_loop() -> None:
    with pytest.raises(EventLoopError, match="FullAsyncSaver was made outside of an event loop"):
        made()


def test_a_loop_that_rests_is_not_waited_for() -> None:
    loop = asyncio.new_event_loop()
    try:
        saver = loop.run_until_complete(make())
        with pytest.raises(EventLoopError, match="ended or stopped"):
            saver.get_tuple(on("t"))
        with pytest.raises(EventLoopError, match="ended or stopped"):
            asyncio.run(saver.aget_tuple(on("t")))
        assert loop.run_until_complete(saver.aget_tuple(on("t"))) is None
    finally:
        loop.close()


def test_another_loop_goes_over_to_the_saver_s_own() -> None:
    own = LoopThread()
    try:
        saver = own.run(make())

        async def use() -> Any:
            head = await saver.aput(*arguments("t", 1))
            return values(await saver.aget_tuple(head))

        assert asyncio.run(use()) == {"step": 1}
        assert values(saver.get_tuple(on("t"))) == {"step": 1}
        assert saver._driver.loops == {own.loop}  # type: ignore[attr-defined]  # `OnLoop`
    finally:
        own.close()
