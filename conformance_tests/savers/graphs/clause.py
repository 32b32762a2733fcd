"""What the clauses share: fixtures, the comparison with InMemorySaver, histories as plain data."""

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
    """The backend under test in one flavour, with InMemorySaver in the same flavour beside it."""

    def __init__(self, harness: SaverHarness, flavour: Flavour, folder: Path) -> None:
        self.harness, self.flavour, self.folder = harness, flavour, folder
        self._logs = 0

    def open(self) -> AbstractContextManager[GraphSession]:
        """Opens the harness's saver (again): nothing but the database is left of earlier ones."""
        return session(self.harness, self.flavour)

    def run_log(self) -> RunLog:
        """An empty log in this test's folder."""
        self._logs += 1
        return RunLog(str(self.folder / f"runs-{self._logs}"))

    def as_in_memory(self, story: Callable[[Open], T]) -> T:
        """What a story returns on the backend, once it is equal to InMemorySaver's."""
        expected = story(memory_opener(self.flavour))
        got = story(self.open)
        assert got == expected
        return got


class GraphClauses(SaverClauses):
    """Base of the mixins: how a clause gets its graphs."""

    contract = "graph"

    @pytest.fixture
    def graphs(self, harness: SaverHarness, flavour: Flavour, tmp_path: Path) -> Graphs:
        """The harness's database, for the graphs of the clause in its flavour."""
        return Graphs(harness, flavour, tmp_path)


def checkpoint_id(config: RunnableConfig | None) -> str | None:
    """The id of the checkpoint that a config names."""
    if config is None:
        return None
    found: str | None = config["configurable"].get("checkpoint_id")
    return found


def told(snapshots: Iterable[StateSnapshot]) -> list[dict[str, Any]]:
    """A history as data that two runs of one story have in common.

    Ids and times differ from run to run, so a parent is its distance in the list instead.
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
