"""What PyMongo really sends, seen by its command monitoring."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pymongo import MongoClient, monitoring

_HANDSHAKE = {"hello", "buildInfo", "endSessions", "ping"}


class Commands(monitoring.CommandListener):
    """Remembers the commands of a client."""

    def __init__(self) -> None:
        self.sent: list[Mapping[str, Any]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name not in _HANDSHAKE:
            self.sent.append(copy.deepcopy(dict(event.command)))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass

    @property
    def names(self) -> Counter[str]:
        """How often each command was sent."""
        return Counter(next(iter(command)) for command in self.sent)

    @contextmanager
    def only(self) -> Iterator[Commands]:
        """Forget what was before."""
        self.sent.clear()
        yield self


def filters_of(command: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """All by which a command looks for documents."""
    for change in (*command.get("updates", ()), *command.get("deletes", ())):
        yield change["q"]
    if "filter" in command:
        yield command["filter"]
    if "pipeline" in command:
        yield from _filters_in(command["pipeline"])


def _filters_in(pipeline: list[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """A pipeline's own filter, and those of the pipelines in it."""
    yield pipeline[0].get("$match", {}) if pipeline else {}
    for stage in pipeline:
        if "$unionWith" in stage:
            yield from _filters_in(stage["$unionWith"]["pipeline"])


def stages_of(plan: Mapping[str, Any]) -> Iterator[str]:
    """The stages of a winning plan."""
    yield plan["stage"]
    for name in ("inputStage", "queryPlan"):
        if name in plan:
            yield from stages_of(plan[name])
    for inner in plan.get("inputStages", ()):
        yield from stages_of(inner)


def scans(client: MongoClient[Any], database: str, collection: str, filter: Any) -> bool:
    """Whether the server would look at all documents of a collection."""
    explained = client[database].command(
        "explain", {"find": collection, "filter": filter}, verbosity="queryPlanner"
    )
    return "COLLSCAN" in set(stages_of(explained["queryPlanner"]["winningPlan"]))
