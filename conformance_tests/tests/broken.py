"""Harnesses that are wrong in a way that a report has to say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from checkpoint_base.memory.planner import MemoryPlanner
from checkpoint_base.memory.saver import MemorySaver
from checkpoint_base.plan import Plan
from checkpoint_base.saver.records.kinds import Stats
from checkpoint_base.tests.harness import MemoryHarness
from conformance_tests import Capability, SaverHarness


class BrokenHarness(MemoryHarness):
    """A reference saver with another planner.

    Attributes:
        planner: What is broken.
    """

    planner: type[MemoryPlanner] = MemoryPlanner

    def _saver(self, **options: Any) -> MemorySaver:
        saver = super()._saver(**options)
        saver._memory.__class__ = self.planner
        return saver


class HasMoreThanItSays(MemoryHarness):
    """Declares a gap that is none."""

    gaps: ClassVar[Mapping[Capability, str]] = {
        **MemoryHarness.gaps,
        Capability.ALLOWLIST: "nobody clones it",
    }


class _CountsNothing(MemoryPlanner):
    def stats(self, thread_id: str | None) -> Plan[Stats]:
        found = yield from super().stats(thread_id)
        return {**found, "checkpoints": 0}


class CountsNothing(BrokenHarness):
    """`stats` gets it wrong."""

    planner = _CountsNothing


def in_a_folder(folder: Path) -> Iterator[BrokenHarness]:
    """A generator function with a folder of its own."""
    assert list(folder.iterdir()) == []
    yield CountsNothing()


class MissesMethods(SaverHarness):
    """Of somebody who has just begun."""

    name = "begun"


def raises() -> MemoryHarness:
    """There is nothing to open."""
    raise RuntimeError("no database\nat that address")


def raises_late() -> Iterator[MemoryHarness]:
    """Cannot clean up."""
    yield MemoryHarness()
    raise RuntimeError("it is still in use")
