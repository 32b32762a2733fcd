"""`GraphConformance`, the base class with all clauses about compiled graphs."""

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
from conformance_tests.savers.graphs.interrupts import (
    FoundQuestionClauses,
    InterruptClauses,
    OtherProcessClauses,
)
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
    FoundQuestionClauses,
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
    """Clauses about compiled graphs with a checkpointer, sync and async.

    A backend's test class subclasses it and defines the fixture `harness`::

        class TestMyGraphs(GraphConformance):
            @pytest.fixture
            def harness(self) -> Iterator[SaverHarness]: ...

    Most clauses also run on LangGraph's InMemorySaver, and compare the outputs and the full
    histories.
    """

    profile: ClassVar[Profile] = "langgraph"
