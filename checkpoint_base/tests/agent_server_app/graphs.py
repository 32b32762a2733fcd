"""The graphs that the Agent Server serves in its test: no model, no key, no network."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from langchain_core.messages import AIMessage, AnyMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.store.base import BaseStore
from langgraph.types import interrupt
from typing_extensions import TypedDict


def embed(texts: Sequence[str]) -> list[list[float]]:
    """How often each of a few words is said: what STORE_INDEX names."""
    words = ("tea", "rain", "train")
    return [[float(text.lower().count(word)) for word in words] for text in texts]


def _joined(entries: list[str], batches: Sequence[list[str]]) -> list[str]:
    return [*entries, *(entry for batch in batches for entry in batch)]


class Chat(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


class Approval(TypedDict, total=False):
    request: str
    drafts: Annotated[list[str], operator.add]
    answer: str


class Memory(TypedDict, total=False):
    keep: str
    ask: str
    found: list[str]


@dataclass
class Note:
    text: str


class Notebook(TypedDict, total=False):
    text: str
    note: Note
    answer: str


class Journal(TypedDict, total=False):
    entries: Annotated[list[str], operator.add]
    notes: Annotated[list[str], DeltaChannel(_joined)]
    hold: bool


def reply(state: Chat) -> dict[str, Any]:
    said = state["messages"][-1].content
    return {"messages": [AIMessage(f"You said: {said}")]}


def draft(state: Approval) -> dict[str, Any]:
    return {"drafts": [f"draft of {state['request']}"]}


def ask(state: Approval) -> dict[str, Any]:
    return {"answer": interrupt({"approve": state["drafts"][-1]})}


async def recall(state: Memory, *, store: BaseStore) -> dict[str, Any]:
    """Keeps one text and asks for another, in whatever thread it runs."""
    if keep := state.get("keep"):
        await store.aput(("memories",), keep, {"text": keep})
    found = await store.asearch(("memories",), query=state.get("ask"), limit=1)
    return {"found": [str(item.value["text"]) for item in found]}


def jot(state: Notebook) -> dict[str, Any]:
    return {"note": Note(state["text"])}


def look(state: Notebook) -> dict[str, Any]:
    """Resumed, it finds the note as the saver gives it back."""
    return {"answer": f"{interrupt('really?')} {state['note'].text}"}


def note(state: Journal) -> dict[str, Any]:
    return {"notes": [f"noted {state['entries'][-1]}"]}


async def held(state: Journal) -> dict[str, Any]:
    """A step that never ends by itself when the input says `hold`: only cancelling ends it."""
    if state["hold"]:
        await asyncio.Event().wait()
    return {"entries": [f"kept {state['entries'][-1]}"]}


chat = StateGraph(Chat).add_node(reply).add_edge(START, "reply").add_edge("reply", END).compile()
approval = StateGraph(Approval).add_sequence([draft, ask]).add_edge(START, "draft").compile()
journal = StateGraph(Journal).add_sequence([note, held]).add_edge(START, "note").compile()
page = StateGraph(Notebook).add_node(jot).add_edge(START, "jot").compile()
notebook = (
    StateGraph(Notebook)
    .add_node("page", page)
    .add_node(look)
    .add_edge(START, "page")
    .add_edge("page", "look")
    .compile()
    .with_config(tags=["strict"])  # the copy has no allow-list
)
memory = StateGraph(Memory).add_node(recall).add_edge(START, "recall").compile()
