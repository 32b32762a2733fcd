"""A database of each kind, and the command on it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from typer.testing import CliRunner, Result

from checkpoint_base import open_saver
from checkpoint_postgres.tests.harness import drop_database, new_database
from checkpoint_suite.app import app

BACKENDS = ("sqlite", "postgres", "redis", "mongo")


class State(TypedDict, total=False):
    messages: Annotated[list[Any], add_messages]
    count: int


def answer(state: State) -> State:
    return {
        "messages": [("ai", f"heard {len(state['messages'])}")],
        "count": len(state["messages"]),
    }


@dataclass
class Command:
    """`checkpoint-suite`, on one database."""

    url: str

    def run(self, *arguments: str, code: int = 0, given: str | None = None) -> Result:
        done = CliRunner().invoke(
            app, list(arguments), env={"CHECKPOINT_URL": self.url, "COLUMNS": "80"}, input=given
        )
        assert done.exit_code == code, done.output + done.stderr
        assert "Traceback" not in done.output
        return done

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", code=code).stdout)


def chat(url: str, *threads: str) -> None:
    """Two turns in each of some threads."""
    builder = StateGraph(State)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    with open_saver(url) as saver:
        graph = builder.compile(checkpointer=saver)
        for thread in threads:
            config: RunnableConfig = {"configurable": {"thread_id": thread}}
            for said in ("Hello", "Again"):
                graph.invoke({"messages": [("user", said)]}, config)


@pytest.fixture(params=BACKENDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/agent.db"
    elif request.param == "postgres":
        made = new_database(request.getfixturevalue("postgres_server"))
        yield made
        drop_database(made)
    elif request.param == "redis":
        import redis

        # a database of its own: the command has no option for a prefix
        address = request.getfixturevalue("redis_url").rpartition("/")[0]
        found = f"{address}/{9 + secrets.randbelow(6)}"
        client = redis.Redis.from_url(found)
        client.flushdb()
        yield found
        client.flushdb()
        client.close()
    else:
        import pymongo

        server = request.getfixturevalue("mongo_server")
        name = f"saver_{secrets.token_hex(6)}"
        head, _, query = server.partition("?")
        found = f"{head.rstrip('/')}/{name}" + (f"?{query}" if query else "")
        yield found
        with pymongo.MongoClient[Any](server) as mongo:
            mongo.drop_database(name)


@pytest.fixture
def command(url: str) -> Command:
    """On an empty database."""
    return Command(url)


@pytest.fixture
def talked(command: Command) -> Command:
    """On one with two threads, of six checkpoints each."""
    chat(command.url, "ann", "bob")
    return command
