"""`StoreGraphConformance`, the base class with all clauses about compiled graphs with a store."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, ToolCall
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_store
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import InjectedStore, ToolNode, create_react_agent
from langgraph.runtime import Runtime
from langgraph.store.base import BaseStore
from typing_extensions import TypedDict

from conformance_tests.contract.capabilities import Capability, clauses_of
from conformance_tests.contract.version import Profile
from conformance_tests.stores.base import Numbers, StoreClauses, StoreOpener, index_of, keys
from conformance_tests.stores.facade import AsyncStoreFacade, StoreFacade
from conformance_tests.stores.harness import StoreHarness

MEMORIES = ("memories", "ada")
HAS_CONTEXT = sys.version_info[:2] >= (3, 11)
"""On older versions, `get_store()` does not work in async nodes: asyncio does not pass the
context."""
SAID = {"north": "0 1 0", "east": "1 0 0"}


class State(TypedDict, total=False):
    """The state of the graphs."""

    messages: Annotated[list[AnyMessage], add_messages]
    found: list[str]


def on(thread: str) -> RunnableConfig:
    """The config of a thread."""
    return {"configurable": {"thread_id": thread}}


def invoke(store: StoreFacade, graph: Any, said: Any, thread: str = "1") -> Any:
    """Run a compiled graph by its sync or its async methods."""
    if isinstance(store, AsyncStoreFacade):
        return store.loop.run(graph.ainvoke(said, on(thread)))
    return graph.invoke(said, on(thread))


@tool
def remember(what: str, memory: Annotated[BaseStore, InjectedStore()]) -> str:
    """Keep something in mind."""
    memory.put(MEMORIES, what, {"text": SAID[what]})
    return f"noted {what}"


@tool
async def aremember(what: str, memory: Annotated[BaseStore, InjectedStore()]) -> str:
    """Keep something in mind, without blocking."""
    await memory.aput(MEMORIES, what, {"text": SAID[what]})
    return f"noted {what}"


class Scripted(BaseChatModel):
    """A chat model that returns the given messages, one after the other."""

    script: list[AIMessage]
    turn: int = 0

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **_: Any) -> Runnable[Any, AIMessage]:
        """Ignore the tools: the scripted messages contain their calls."""
        del tools
        return self

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        del messages
        said = self.script[self.turn % len(self.script)]
        self.turn += 1
        return ChatResult(generations=[ChatGeneration(message=said)])


def calling(name: str, *what: str) -> AIMessage:
    """A message that calls a tool once for each argument."""
    calls = [ToolCall(name=name, args={"what": one}, id=one, type="tool_call") for one in what]
    return AIMessage("", tool_calls=calls)


@clauses_of(Capability.STORE_GRAPHS)
class StoreGraphConformance(StoreClauses):
    """Clauses about compiled graphs with a store, sync and async."""

    profile: ClassVar[Profile] = "langgraph"

    @pytest.fixture
    def memory(self, reopened: StoreOpener, harness: StoreHarness) -> StoreFacade:
        """A store, with an index over the field `text` if the harness supports the option."""
        if not harness.takes("index"):
            return reopened()
        return reopened(index=index_of(harness, Numbers()))

    @pytest.fixture
    def indexed(self, reopened: StoreOpener, harness: StoreHarness) -> StoreFacade:
        """A store with an index over the field `text`."""
        return reopened(index=index_of(harness, Numbers()))

    @staticmethod
    def compiled(memory: StoreFacade, node: Any) -> Any:
        """A graph of one node."""
        builder = StateGraph(State)
        builder.add_node("node", node)
        builder.add_edge(START, "node")
        builder.add_edge("node", END)
        return builder.compile(checkpointer=InMemorySaver(), store=memory.raw)

    def test_graphs_put_and_get_in_a_node(self, store: StoreFacade) -> None:
        """An item that a node puts is read on another thread, without an index."""

        def sync_node(state: State, *, store: BaseStore) -> State:
            before = store.get(MEMORIES, "said")
            store.put(MEMORIES, "said", {"text": str(state["messages"][-1].content)})
            return {"found": [before.value["text"]] if before else []}

        async def async_node(state: State, *, store: BaseStore) -> State:
            before = await store.aget(MEMORIES, "said")
            await store.aput(MEMORIES, "said", {"text": str(state["messages"][-1].content)})
            return {"found": [before.value["text"]] if before else []}

        node = async_node if isinstance(store, AsyncStoreFacade) else sync_node
        graph = self.compiled(store, node)
        for thread, said, known in (("1", "east", []), ("2", "north", ["east"])):
            state = invoke(store, graph, {"messages": [("user", said)]}, thread)
            assert state["found"] == known

    def test_graphs_search_in_a_node(self, indexed: StoreFacade) -> None:
        """A node's store finds items that were put outside of the graph or on other threads."""

        def sync_node(state: State, *, store: BaseStore) -> State:
            said = str(state["messages"][-1].content)
            store.put(MEMORIES, said, {"text": SAID[said]})
            return {"found": keys(store.search(MEMORIES, query="0 1 0", limit=1))}

        async def async_node(state: State, *, store: BaseStore) -> State:
            said = str(state["messages"][-1].content)
            await store.aput(MEMORIES, said, {"text": SAID[said]})
            return {"found": keys(await store.asearch(MEMORIES, query="0 1 0", limit=1))}

        node = async_node if isinstance(indexed, AsyncStoreFacade) else sync_node
        graph = self.compiled(indexed, node)
        for thread, said, found in (("1", "east", ["east"]), ("2", "north", ["north"])):
            state = invoke(indexed, graph, {"messages": [("user", said)]}, thread)
            assert state["found"] == found
        state = invoke(indexed, graph, {"messages": [("user", "east")]}, "1")
        assert state["found"] == ["north"]
        assert sorted(keys(indexed.search(MEMORIES))) == ["east", "north"]

    def test_graphs_get_store(self, memory: StoreFacade) -> None:
        """`get_store()` and the runtime's `store` are the graph's store."""
        memory.put(MEMORIES, "north", {"text": "0 1 0"})

        def sync_node(_: State, runtime: Runtime) -> State:
            assert runtime.store is memory.raw
            return {"found": keys(get_store().search(MEMORIES, query="0 1 0"))}

        async def async_node(_: State, runtime: Runtime) -> State:
            own = get_store() if HAS_CONTEXT else memory.raw
            assert runtime.store is memory.raw
            found = await asyncio.gather(*(own.asearch(MEMORIES, query="0 1 0") for _ in range(3)))
            return {"found": [key for one in found for key in keys(one)][:1]}

        node = async_node if isinstance(memory, AsyncStoreFacade) else sync_node
        graph = self.compiled(memory, node)
        assert invoke(memory, graph, {"messages": []})["found"] == ["north"]

    def test_graphs_injected_into_tools(self, memory: StoreFacade) -> None:
        """The store is injected into tools, also into concurrent calls of one message."""
        is_async = isinstance(memory, AsyncStoreFacade)
        used = aremember if is_async else remember
        graph = self.compiled(memory, ToolNode([used]))
        asked = {"messages": [calling(used.name, "north", "east")]}
        said = invoke(memory, graph, asked)["messages"][1:]
        assert [message.content for message in said] == ["noted north", "noted east"]
        assert sorted(keys(memory.search(MEMORIES, query="1 0 0"))) == ["east", "north"]

    @pytest.mark.filterwarnings("ignore:create_react_agent has been moved")
    def test_graphs_react_agent(self, memory: StoreFacade) -> None:
        """A ReAct agent with a scripted model puts an item, and another agent finds it."""
        is_async = isinstance(memory, AsyncStoreFacade)
        used = aremember if is_async else remember
        model = Scripted(script=[calling(used.name, "north"), AIMessage("I will remember.")])
        agent = create_react_agent(model, [used], checkpointer=InMemorySaver(), store=memory.raw)
        state = invoke(memory, agent, {"messages": [HumanMessage("Go north.")]})
        assert [message.content for message in state["messages"]] == [
            "Go north.",
            "",
            "noted north",
            "I will remember.",
        ]
        assert keys(memory.search(("memories",), query="0 1 0")) == ["north"]
