"""An agent with long-term memory: it finds what it was told, in another thread, by what is meant.

    python -m examples.semantic_memory [database file]

Needs no keys and no network. Its embedding is a stand-in, a table of words that belong together:
it shows what the store does, not what a language model knows. As in examples.memory_agent, each
line with a tick is a claim that the program has checked.
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
    """A text as how often it says a word of each group, and, weaker, each other word."""
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
    """The chat, and what came to the agent's mind."""

    recalled: list[str]


def recall(state: State, config: RunnableConfig, *, store: BaseStore) -> dict[str, Any]:
    """Looks for memories that have to do with what was said last."""
    said = str(state["messages"][-1].content)
    found = store.search(memories_of(config), query=said, limit=2)
    return {"recalled": [str(item.value["text"]) for item in found if (item.score or 0) > 0.2]}


def answer(state: State, config: RunnableConfig, *, store: BaseStore) -> dict[str, Any]:
    """Keeps what it is told to keep; to anything else it says what it remembers."""
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
    """Where a user's memories are."""
    return "memories", str(config["configurable"]["user"])


Agent = Pregel[Any, Any, Any, Any]


@contextmanager
def agent_on(database: Path) -> Iterator[tuple[Agent, SqliteStore]]:
    """The agent, with its checkpoints and its memories in one file."""
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
    """One turn, on a file that is opened for it and closed after it."""
    spoken(user, text, "yellow")
    with agent_on(database) as (agent, _):
        config = RunnableConfig(configurable={"thread_id": thread, "user": user})
        state = agent.invoke({"messages": [HumanMessage(text)]}, config)
    said = str(state["messages"][-1].content)
    spoken("agent", said)
    return said


def told(database: Path) -> None:
    """What is told on Monday."""
    scene(1, "On Monday, ann tells the agent about herself")
    for topic, text in TOLD.items():
        say(database, "ann", "monday", f"{topic}: {text}")
    with agent_on(database) as (_, store):
        stats = store.stats()
    claim(
        stats.items == stats.vectors == len(TOLD), f"{len(TOLD)} memories are kept, each embedded"
    )


def asked(database: Path) -> None:
    """What is asked on Friday, in another thread."""
    scene(2, "On Friday, in another thread, she asks in other words")
    question = "What should a cook avoid in my meal?"
    said = say(database, "ann", "friday", question)
    shared = set(question.lower().split()) & set(TOLD["food"].lower().split())
    claim(TOLD["food"] in said, "the agent finds the allergy by what is meant")
    claim(not shared, "the question and the memory have no word in common")
    said = say(database, "ann", "friday", "Book me a seat for the journey?")
    claim(TOLD["train"] in said, "and the train, for a journey")


def apart(database: Path) -> None:
    """Other people's memories."""
    scene(3, "bob asks the same agent")
    said = say(database, "bob", "his", "What should a cook avoid in my meal?")
    claim(said == "I know nothing of that.", "bob's agent knows nothing of ann")


def corrected(database: Path) -> None:
    """A memory that changes."""
    scene(4, "What has changed replaces what was")
    say(database, "ann", "friday", "tea: After breakfast I drink only coffee now.")
    said = say(database, "ann", "saturday", "I am thirsty, a drink?")
    claim("coffee" in said and "strong tea" not in said, "the old text is not found any more")


def ranked(database: Path) -> None:
    """Scores, filters and pages."""
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
    """All scenes."""
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
    """The exit code."""
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
