"""The agent of memory_agent.py, and the steps that the demo runs in separate processes.

python -m examples.memory_agent_steps <step> <database file>
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolCall, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.pregel import Pregel
from langgraph.types import Command, Send, interrupt

from checkpoint_sqlite import SqliteSaver

Agent = Pregel[Any, Any, Any, Any]

PATIENCE = 60.0
"""Timeout of waits for another process, in seconds."""

STUCK = "MEMORY_AGENT_STUCK_CITY"
"""Environment variable: a city for which the weather service does not answer."""

CITIES = {"Oslo": "3 °C, snow", "Lima": "22 °C, fog", "Rome": "17 °C, sun", "Cairo": "29 °C, dust"}

VOCABULARY = """
    agent answer bees book bridge carry city clear count daily early field follow garden green
    harbour honey hour kettle letter light market memory minute mountain never night often other
    paper plain question quiet rain reason remember river road season second slow small story
    table thread time turn under voice walk water weather week while window winter word write
"""


def prose(seed: str) -> str:
    """About 500 characters of text, deterministic for a seed."""
    pick, words = random.Random(seed), VOCABULARY.split()
    return " ".join(pick.choice(words) for _ in range(85)).capitalize() + "."


@tool
def weather(city: str) -> str:
    """The weather in a city today."""
    if city == os.environ.get(STUCK):
        time.sleep(PATIENCE)  # the process is killed meanwhile
    return f"{city}: {CITIES[city]}"


@tool
def send_mail(to: str, text: str) -> str:
    """Sends a mail, if a person agrees."""
    verdict = interrupt({"to": to, "text": text})
    return f"mail to {to} {'sent' if verdict == 'yes' else 'not sent'}"


TOOLS = {one.name: one for one in (weather, send_mail)}


def _call(name: str, subject: str, **arguments: str) -> ToolCall:
    return ToolCall(name=name, args=arguments, id=f"{name}-{subject}", type="tool_call")


def script(messages: Sequence[AnyMessage]) -> AIMessage:
    """The answer of the scripted model, computed from the messages alone."""
    last = str(messages[-1].content)
    if isinstance(messages[-1], ToolMessage):
        asked = max(at for at, one in enumerate(messages) if isinstance(one, AIMessage))
        return AIMessage("; ".join(str(one.content) for one in messages[asked + 1 :]))
    if "Compare" in last:
        return AIMessage("", tool_calls=[_call("weather", city, city=city) for city in CITIES])
    if "Mail" in last:
        text = str(messages[-2].content)
        return AIMessage("", tool_calls=[_call("send_mail", "boss", to="the boss", text=text)])
    if "about me" in last:
        own = [str(one.content) for one in messages if isinstance(one, HumanMessage)]
        return AIMessage("You said: " + " ".join(one for one in own if one.startswith("I ")))
    if last.startswith("I "):
        return AIMessage("I will remember that.")
    return AIMessage(prose(f"answer {len(messages)}"))


def build_agent(saver: SqliteSaver, log: Path) -> Agent:
    """A graph that alternates between the model and its tool calls until the model calls no tool.
    Each tool call is a separate task.
    """

    def model(state: MessagesState) -> dict[str, Any]:
        scripted = GenericFakeChatModel(messages=iter([script(state["messages"])]))
        return {"messages": [scripted.invoke(state["messages"])]}

    def run_tool(state: ToolCall) -> dict[str, Any]:
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{state['id']}\n")
        return {"messages": [TOOLS[state["name"]].invoke(state)]}

    def route(state: MessagesState) -> list[Send] | str:
        last = state["messages"][-1]
        calls = last.tool_calls if isinstance(last, AIMessage) else []
        return [Send("run_tool", one) for one in calls] or END

    build = StateGraph(MessagesState)
    build.add_node("model", model)
    build.add_node("run_tool", run_tool, input_schema=ToolCall)
    build.add_edge(START, "model")
    build.add_conditional_edges("model", route, ["run_tool", END])
    build.add_edge("run_tool", "model")
    return build.compile(checkpointer=saver)


@contextmanager
def agent_on(database: Path) -> Iterator[Agent]:
    """The agent on a newly opened saver, so that its memory comes from the file."""
    with SqliteSaver.from_conn_string(str(database)) as saver:
        yield build_agent(saver, run_log(database))


def run_log(database: Path) -> Path:
    """The log of tool runs: one line for each run, appended by any process."""
    return database.with_name(f"{database.name}.runs")


def runs(database: Path) -> Counter[str]:
    """How often each tool call was run, over all processes."""
    log = run_log(database)
    return Counter(log.read_text(encoding="utf-8").split() if log.exists() else [])


def on(thread: str) -> RunnableConfig:
    """The config of a thread."""
    return {"configurable": {"thread_id": thread}}


def say(agent: Agent, config: RunnableConfig, text: str) -> str:
    """Run one turn; returns the agent's answer."""
    return _last(agent.invoke({"messages": [HumanMessage(text)]}, config))


def _last(out: dict[str, Any]) -> str:
    return str(out["messages"][-1].content)


def research(agent: Agent) -> str:
    """Ask a question that starts a task for each city."""
    return say(agent, on("trip"), "Compare the weather in four cities.")


def resume(agent: Agent) -> str:
    """Resume the thread where it stopped."""
    return _last(agent.invoke(None, on("trip")))


def approve(agent: Agent) -> str:
    """Answer the interrupt that the thread waits for."""
    return _last(agent.invoke(Command(resume="yes"), on("trip")))


STEPS: dict[str, Callable[[Agent], str]] = {
    "research": research,
    "resume": resume,
    "approve": approve,
}


def main(step: str, database: str) -> None:
    """Run a step and print the answer as JSON."""
    with agent_on(Path(database)) as agent:
        print(json.dumps(STEPS[step](agent)))


if __name__ == "__main__":
    main(*sys.argv[1:])
