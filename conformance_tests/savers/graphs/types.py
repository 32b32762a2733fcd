"""Clauses about graphs whose state has user-defined classes."""

from __future__ import annotations

import operator
from typing import Annotated, Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.types import Command
from typing_extensions import TypedDict

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.samples.values import NOON, Colour, Frozen, Person, Purse, SampleAddress
from conformance_tests.savers.graphs.clause import GraphClauses, Graphs, told
from conformance_tests.savers.graphs.driver import Graph, Open, Saver, on_thread
from conformance_tests.savers.graphs.questions import ask


class Household(TypedDict, total=False):
    """User-defined classes, also nested, and one that only a subgraph uses."""

    person: Person
    purses: Annotated[list[Purse], operator.add]
    colours: dict[str, Colour]
    oldest: Frozen | None
    answer: str


def move_in(state: Household) -> Household:  # noqa: ARG001
    return {
        "person": Person(name="ada", addresses=[SampleAddress(street="é", number=2)], tags={"new"}),
        "purses": [Purse("ada")],
        "colours": {"door": Colour.GREEN},
    }


def furnish(state: Household, config: RunnableConfig) -> Household:
    """A node of the subgraph: reads the parent's state, and interrupts."""
    verdict = ask(config, {"colours": state["colours"]})
    return {"purses": [Purse(verdict)], "oldest": Frozen(NOON, state["purses"][0])}


def describe(state: Household) -> Household:
    """Uses attributes and methods, so that it fails if a dict replaces an object."""
    person, oldest = state["person"], state["oldest"]
    assert oldest is not None
    owners = [purse.owner for purse in state["purses"]]
    street = person.addresses[0].street
    return {
        "answer": f"{person.name} {street} {owners} {state['colours']['door'].value} {oldest.at}"
    }


def household(saver: Saver) -> Graph:
    """A graph that is interrupted in its subgraph."""
    inner = StateGraph(Household).add_node(furnish).add_edge(START, "furnish").compile()
    graph = StateGraph(Household).add_node(move_in).add_node("inner", inner).add_node(describe)
    graph.add_edge(START, "move_in").add_edge("move_in", "inner").add_edge("inner", "describe")
    return graph.compile(checkpointer=saver)


@clauses_of(Capability.FIDELITY)
class TypesClauses(GraphClauses):
    """Clauses about states with user-defined classes."""

    def test_types_of_the_users_are_resumed(self, graphs: Graphs) -> None:
        """A reopened saver restores objects of user-defined classes, also in LangGraph's strict
        mode, since the graph's allowlist names the classes of its state."""

        def story(opened: Open) -> list[Any]:
            seen: list[Any] = []
            inputs: list[Any] = [{}, Command(resume="bob")]
            for said in inputs:
                with opened() as session:
                    driver = session.drive(household(session.saver))
                    driver.invoke(said, on_thread("home"))
                    state = driver.get_state(on_thread("home"), subgraphs=True)
                    seen.append((state.values, state.next))
            with opened() as session:
                seen.append(
                    told(session.drive(household(session.saver)).history(on_thread("home")))
                )
            return seen

        seen = graphs.as_in_memory(story)
        (state, following), _ = seen[1:]
        assert following == ()
        assert state["answer"] == "ada é ['ada', 'ada', 'bob'] green 2026-07-01 12:00:00.123456"
        assert state["oldest"] == Frozen(NOON, Purse("ada"))
