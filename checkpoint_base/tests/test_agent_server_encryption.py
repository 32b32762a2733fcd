"""The Agent Server's own encryption and its strict mode, on savers of this suite."""

from __future__ import annotations

import base64
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest

from checkpoint_base import open_saver
from checkpoint_base.tests.agent_server_app.server import AgentServer
from checkpoint_base.tests.test_agent_server import APP, REPOSITORY, contents, human, new_thread
from conformance_tests.samples.build import on

SECRET = "tangerine-trumpet"
CONTEXT = {"X-Encryption-Context": base64.b64encode(b'{"tenant": "ann"}').decode()}


def server(folder: Path, **environment: str) -> AgentServer:
    shutil.copytree(APP, folder, dirs_exist_ok=True)
    return AgentServer(
        folder,
        {
            "CHECKPOINT_URL": "sqlite:///agent.db",
            "HOME": str(folder),
            "PYTHONPATH": str(REPOSITORY),
            **environment,
        },
    )


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentServer]:
    made = server(
        tmp_path_factory.mktemp("encrypted"),
        LANGGRAPH_ENCRYPTION=json.dumps({"path": "./encryption.py:encryption"}),
        LANGGRAPH_STRICT_MSGPACK="true",
    )
    try:
        made.start()
        yield made
    finally:
        try:
            made.stop()
        finally:
            print(made.log_file.read_text("utf-8"))  # noqa: T201  shown on failure


def stored(folder: Path) -> bytes:
    with closing(sqlite3.connect(folder / "agent.db")) as connection:
        return "\n".join(connection.iterdump()).encode() + (folder / "agent.db").read_bytes()


def test_values_are_encrypted_as_the_server_says(running: AgentServer) -> None:
    client, thread = running.client, new_thread(running.client)
    for text in (SECRET, "again"):
        said = client.runs.wait(thread, "chat", input=human(text), headers=CONTEXT)
    expected = [SECRET, f"You said: {SECRET}", "again", "You said: again"]
    assert contents(said) == expected
    assert contents(client.threads.get_state(thread)["values"]) == expected  # without a context
    assert len(client.threads.get_history(thread)) == 6
    dump = stored(running.folder)
    assert thread.encode() in dump
    assert SECRET.encode() not in dump
    assert SECRET.encode().hex().upper().encode() not in dump
    assert b"msgpack+langgraph" in dump
    url = f"sqlite:///{running.folder}/agent.db"
    with open_saver(url) as plain, pytest.raises(ValueError, match="stored encrypted"):
        plain.get_tuple(on(thread))


def test_each_graph_brings_its_allowlist(running: AgentServer) -> None:
    client, thread = running.client, new_thread(running.client)
    client.runs.wait(thread, "notebook", input={"text": "x"}, headers=CONTEXT)
    assert client.threads.get_state(thread)["values"] == {"text": "x", "note": {"text": "x"}}
    done = client.runs.wait(thread, "notebook", command={"resume": "yes"}, headers=CONTEXT)
    assert cast("dict[str, Any]", done)["answer"] == "yes x"


def test_the_server_does_not_start_with_an_encryption_that_cannot_be_applied(
    tmp_path: Path,
) -> None:
    made = server(tmp_path)
    given = json.loads((tmp_path / "langgraph.json").read_text("utf-8"))
    given["encryption"] = {"path": "./encryption.py:encryption"}
    (tmp_path / "langgraph.json").write_text(json.dumps(given), "utf-8")
    try:
        with pytest.raises(AssertionError, match="ended while it was starting"):
            made.start()
    finally:
        made.stop()
    assert "Set LANGGRAPH_ENCRYPTION=" in made.log_file.read_text("utf-8")
