"""Demo of a store with vector search: an agent recalls facts from other threads by their meaning.

    python -m examples.semantic_memory [database file]

Needs no keys and no network. Instead of an embedding model, it uses a table of groups of related
words: the demo shows the store, not a language model. As in examples.memory_agent, each line with
a tick is a claim that the program has checked.
"""

from __future__ import annotations

import re
import sys
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.pregel import Pregel
from langgraph.store.base import BaseStore
from rich.panel import Panel
from rich.table import Table

from checkpoint_sqlite import SqliteSaver, SqliteStore
from examples.memory_agent import ClaimError, claim, claims, console, note, scene, spoken

MEANINGS = (
    "eat eats food cook dinner meal dish menu restaurant peanuts nuts curry soup kitchen",
    "allergic allergy avoid intolerant dangerous never ill",
    "drink drinks thirsty tea coffee espresso water juice",
    "travel trip journey ride train plane fly flight drive commute seat",
    "dog cat pet animal puppy biscuit",
    "work works job office profession nurse hospital earn living",
    "sister brother sibling mother father family parents",
    "music piano guitar play plays instrument sing song",
)
OTHER_WORDS = 64
DIMS = len(MEANINGS) + OTHER_WORDS
SMALL_WORDS = """
    a an and at by can do does for her he his i in is it me my of on she the to what
"""
STOP = frozenset(SMALL_WORDS.split())
GROUP_OF = {word: group for group, words in enumerate(MEANINGS) for word in words.split()}

TOLD = {
    "food": "I am allergic to peanuts.",
    "tea": "In the morning I like strong tea.",
    "train": "I always take the train, by the window.",
    "pet": "My dog is called Biscuit.",
    "family": "My sister lives in Lisbon.",
}


def embed(texts: Sequence[str]) -> list[list[float]]:
    """Embed texts: a dimension for each group counts the group's words; other words are hashed into
    further dimensions with less weight.
    """
    return [_vector(re.findall(r"[a-z]+", text.lower())) for text in texts]


def _vector(words: Sequence[str]) -> list[float]:
    vector = [0.0] * DIMS
    for word in words:
        if word in GROUP_OF:
            vector[GROUP_OF[word]] += 1.0
        elif word not in STOP:
            vector[len(MEANINGS) + zlib.crc32(word.encode()) % OTHER_WORDS] += 0.3
    return vector


class State(MessagesState):
    """The chat, and the memories recalled for the last message."""

    recalled: list[str]


def recall(state: State, config: RunnableConfig, *, store: BaseStore) -> dict[str, Any]:
    """Search for memories related to the last message."""
    said = str(state["messages"][-1].content)
    found = store.search(memories_of(config), query=said, limit=2)
    return {"recalled": [str(item.value["text"]) for item in found if (item.score or 0) > 0.2]}


def answer(state: State, config: RunnableConfig, *, store: BaseStore) -> dict[str, Any]:
    """Store a message of the form "topic: text"; answer any other with the recalled memories."""
    said = str(state["messages"][-1].content)
    topic, _, told = said.partition(": ")
    if told:
        store.put(memories_of(config), topic, {"text": told, "words": len(told.split())})
        return {"messages": [AIMessage(f"I will remember that ({topic}).")]}
    known = " ".join(state["recalled"])
    return {
        "messages": [AIMessage(f"You told me: {known}" if known else "I know nothing of that.")]
    }


def memories_of(config: RunnableConfig) -> tuple[str, ...]:
    """The namespace of a user's memories."""
    return "memories", str(config["configurable"]["user"])


Agent = Pregel[Any, Any, Any, Any]


@contextmanager
def agent_on(database: Path) -> Iterator[tuple[Agent, SqliteStore]]:
    """The agent, with its checkpoints and memories in one newly opened file."""
    index = {"dims": DIMS, "embed": embed, "fields": ["text"]}
    with (
        SqliteSaver.from_conn_string(database) as saver,
        SqliteStore.from_conn_string(database, index=index) as store,
    ):
        builder = StateGraph(State)
        builder.add_node("recall", recall)
        builder.add_node("answer", answer)
        builder.add_edge(START, "recall")
        builder.add_edge("recall", "answer")
        builder.add_edge("answer", END)
        yield builder.compile(checkpointer=saver, store=store), store


def say(database: Path, user: str, thread: str, text: str) -> str:
    """Run and print one turn. The file is opened for this turn only."""
    spoken(user, text, "yellow")
    with agent_on(database) as (agent, _):
        config = RunnableConfig(configurable={"thread_id": thread, "user": user})
        state = agent.invoke({"messages": [HumanMessage(text)]}, config)
    said = str(state["messages"][-1].content)
    spoken("agent", said)
    return said


def told(database: Path) -> None:
    """Scene: facts are stored on Monday."""
    scene(1, "On Monday, ann tells the agent about herself")
    for topic, text in TOLD.items():
        say(database, "ann", "monday", f"{topic}: {text}")
    with agent_on(database) as (_, store):
        stats = store.stats()
    claim(
        stats.items == stats.vectors == len(TOLD), f"{len(TOLD)} memories are kept, each embedded"
    )


def asked(database: Path) -> None:
    """Scene: they are recalled on Friday, in another thread."""
    scene(2, "On Friday, in another thread, she asks in other words")
    question = "What should a cook avoid in my meal?"
    said = say(database, "ann", "friday", question)
    shared = set(question.lower().split()) & set(TOLD["food"].lower().split())
    claim(TOLD["food"] in said, "the agent finds the allergy by what is meant")
    claim(not shared, "the question and the memory have no word in common")
    said = say(database, "ann", "friday", "Book me a seat for the journey?")
    claim(TOLD["train"] in said, "and the train, for a journey")


def apart(database: Path) -> None:
    """Scene: users do not see each other's memories."""
    scene(3, "bob asks the same agent")
    said = say(database, "bob", "his", "What should a cook avoid in my meal?")
    claim(said == "I know nothing of that.", "bob's agent knows nothing of ann")


def corrected(database: Path) -> None:
    """Scene: a memory is replaced."""
    scene(4, "What has changed replaces what was")
    say(database, "ann", "friday", "tea: After breakfast I drink only coffee now.")
    said = say(database, "ann", "saturday", "I am thirsty, a drink?")
    claim("coffee" in said and "strong tea" not in said, "the old text is not found any more")


def ranked(database: Path) -> None:
    """Scene: scores, filters and pages of the store itself."""
    scene(5, "What the store answers, without an agent")
    with agent_on(database) as (_, store):
        found = store.search(("memories",), query="family trip", limit=10)
        table = Table("score", "memory", box=None, pad_edge=False)
        for item in found:
            table.add_row(f"{item.score:.2f}", str(item.value["text"]))
        console.print(table)
        scores = [item.score or 0.0 for item in found]
        claim(scores == sorted(scores, reverse=True), "best first, by cosine")
        pages = [
            item.key
            for at in range(0, 6, 2)
            for item in store.search(("memories",), query="family trip", limit=2, offset=at)
        ]
        claim(pages == [item.key for item in found], "pages of two are the same list")
        short = store.search(("memories",), query="family trip", filter={"words": {"$lt": 6}})
        claim(
            {item.key for item in short} == {i.key for i in found if i.value["words"] < 6},
            "a filter leaves all that fulfils it, and nothing else",
        )
        store.delete(("memories", "ann"), "pet")
        names = [item.key for item in store.search(("memories",), query="Is there a dog?")]
        claim("pet" not in names, "what is deleted is forgotten")


def show(database: Path) -> None:
    """Run all scenes."""
    console.print(Panel(f"[bold]An agent that finds memories[/]\n[dim]{database}[/]", expand=False))
    note(
        f"The embedding here is a table of {len(MEANINGS)} groups of words, no language model: it "
        "stands in for one, so that nothing has to be downloaded."
    )
    told(database)
    asked(database)
    apart(database)
    corrected(database)
    ranked(database)
    console.print(f"\n[bold green]All {len(claims)} claims were checked and hold.[/]")


def main(arguments: Sequence[str]) -> int:
    """Run the demo; returns the exit code."""
    claims.clear()
    try:
        if not arguments:
            with tempfile.TemporaryDirectory(prefix="semantic-memory-") as folder:
                show(Path(folder) / "memory.db")
            return 0
        database = Path(arguments[0]).resolve()
        if database.exists():
            console.print(f"{database} is there already; the demo makes a new file", soft_wrap=True)
            return 2
        show(database)
    except ClaimError as error:
        console.print(f"  [bold red]✗ this does not hold:[/] {error}", soft_wrap=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
