"""Base class of the clauses about graphs, and the comparison of histories with InMemorySaver."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.types import StateSnapshot

from conformance_tests.harness import SaverHarness
from conformance_tests.samples.driver_adapter import Flavour
from conformance_tests.savers.base import SaverClauses
from conformance_tests.savers.graphs.driver import GraphSession, Open, memory_opener, session
from conformance_tests.savers.graphs.nodes import RunLog

T = TypeVar("T")


class Graphs:
    """Opens the backend under test and InMemorySaver, in one flavour."""

    def __init__(self, harness: SaverHarness, flavour: Flavour, folder: Path) -> None:
        self.harness, self.flavour, self.folder = harness, flavour, folder
        self._logs = 0

    def open(self) -> AbstractContextManager[GraphSession]:
        """Open a new saver, which shares only the database with earlier ones."""
        return session(self.harness, self.flavour)

    def run_log(self) -> RunLog:
        """A new log of runs in this test's folder."""
        self._logs += 1
        return RunLog(str(self.folder / f"runs-{self._logs}"))

    def as_in_memory(self, story: Callable[[Open], T]) -> T:
        """Run a story on the backend and on InMemorySaver, assert equal results, and return one."""
        expected = story(memory_opener(self.flavour))
        got = story(self.open)
        assert got == expected
        return got


class GraphClauses(SaverClauses):
    """Base class of the mixins about graphs."""

    contract = "graph"

    @pytest.fixture
    def graphs(self, harness: SaverHarness, flavour: Flavour, tmp_path: Path) -> Graphs:
        """The backend and InMemorySaver, in the flavour of the clause."""
        return Graphs(harness, flavour, tmp_path)


def checkpoint_id(config: RunnableConfig | None) -> str | None:
    """The checkpoint id in a config; None without one."""
    if config is None:
        return None
    found: str | None = config["configurable"].get("checkpoint_id")
    return found


def told(snapshots: Iterable[StateSnapshot]) -> list[dict[str, Any]]:
    """A history as data that is the same in each run of a story.

    Ids and times differ between runs, so a parent is given by its distance in the list.
    """
    history = list(snapshots)
    places = {checkpoint_id(one.config): at for at, one in enumerate(history)}
    return [_told(one, at, places) for at, one in enumerate(history)]


def _told(one: StateSnapshot, at: int, places: dict[str | None, int]) -> dict[str, Any]:
    parent = checkpoint_id(one.parent_config)
    metadata = dict(one.metadata or {})
    return {
        "values": one.values,
        "next": one.next,
        "source": metadata.get("source"),
        "step": metadata.get("step"),
        "metadata": sorted(metadata),
        "parent": None if parent is None else places.get(parent, -1) - at,
        "tasks": [
            (task.name, task.error, task.result, [asked.value for asked in task.interrupts])
            for task in one.tasks
        ],
        "interrupts": [asked.value for asked in one.interrupts],
    }


def trails(snapshots: Sequence[StateSnapshot]) -> list[list[str]]:
    """The values of the channel `trail` in a history, newest first."""
    return [one.values.get("trail", []) for one in snapshots]
