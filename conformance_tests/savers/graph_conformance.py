"""Clauses with real compiled LangGraph graphs, for any backend: subclass `GraphConformance`."""

from __future__ import annotations

from typing import ClassVar

from conformance_tests.contract.version import Profile
from conformance_tests.savers.graphs.chat import (
    ChatClauses,
    CopiedChatClauses,
    DurabilityClauses,
    HistoryClauses,
    StreamClauses,
)
from conformance_tests.savers.graphs.delta import (
    CopiedDeltaClauses,
    DeltaClauses,
    PrunedDeltaClauses,
)
from conformance_tests.savers.graphs.interrupts import InterruptClauses, OtherProcessClauses
from conformance_tests.savers.graphs.tasks import (
    FailureClauses,
    FunctionalClauses,
    SendClauses,
    SubgraphClauses,
)
from conformance_tests.savers.graphs.time_travel import TimeTravelClauses
from conformance_tests.savers.graphs.types import TypesClauses


class GraphConformance(
    ChatClauses,
    CopiedChatClauses,
    DurabilityClauses,
    HistoryClauses,
    StreamClauses,
    InterruptClauses,
    OtherProcessClauses,
    TimeTravelClauses,
    SubgraphClauses,
    SendClauses,
    FailureClauses,
    FunctionalClauses,
    TypesClauses,
    DeltaClauses,
    PrunedDeltaClauses,
    CopiedDeltaClauses,
):
    """What a compiled graph may expect of its checkpointer, sync and async.

    A backend's test class subclasses it and gives one fixture, `harness`::

        class TestMyGraphs(GraphConformance):
            @pytest.fixture
            def harness(self) -> Iterator[SaverHarness]: ...

    Where it makes sense a clause also runs on LangGraph's InMemorySaver, and the outputs and
    the full histories have to be equal.
    """

    profile: ClassVar[Profile] = "langgraph"
