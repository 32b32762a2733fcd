"""LangGraph's own Agent Server as a client: the real `langgraph dev`, driven by `langgraph-sdk`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from langgraph_sdk.client import SyncLangGraphClient
from langgraph_sdk.errors import NotFoundError
from langgraph_sdk.schema import Config, ThreadState

from checkpoint_base.backends import open_saver, open_store
from checkpoint_base.saver.threads.mixin import ThreadAdminMixin
from checkpoint_base.tests.agent_server_app.server import AgentServer, until

APP = Path(__file__).parent / "agent_server_app"
REPOSITORY = Path(__file__).parents[2]


class AgentServerTests:
    """What the server does with its checkpointer; a backend subclasses this with its own `url`."""

    # no thread expires by itself during the tests: the run that should says so
    ttl: Mapping[str, Any] = {"default_ttl": 600, "sweep_interval_minutes": 0.005}

    @pytest.fixture(scope="class")
    @classmethod
    def url(cls) -> str:
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def store_url(cls, tmp_path_factory: pytest.TempPathFactory) -> str:
        """Where the long-term memory is; a backend that has a store gives its own `url`."""
        return f"sqlite:///{tmp_path_factory.mktemp('memories')}/memories.db"

    @pytest.fixture(scope="class")
    @classmethod
    def running(
        cls, url: str, store_url: str, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[AgentServer]:
        folder = tmp_path_factory.mktemp("agent_server")
        shutil.copytree(APP, folder, dirs_exist_ok=True)
        environment = {
            "CHECKPOINT_URL": url,
            "CHECKPOINT_TTL": json.dumps(cls.ttl),
            "STORE_URL": store_url,
            "STORE_INDEX": json.dumps({"dims": 3, "embed": "graphs.embed", "fields": ["text"]}),
            "STORE_TTL": json.dumps({"omit_expired": True, "sweep_interval_minutes": 0.005}),
            "HOME": str(folder),
            "PYTHONPATH": str(REPOSITORY),
        }
        running = AgentServer(folder, environment)
        try:
            running.start()
            yield running
        finally:
            try:
                running.stop()
            finally:
                print(running.log_file.read_text("utf-8"))  # noqa: T201  shown on failure

    @pytest.fixture
    def server(self, running: AgentServer) -> Iterator[AgentServer]:
        """The running server; what it logs during a test stands in that test's report."""
        before = len(running.events())
        yield running
        logged = running.events()[before:]
        print(*logged, sep="\n")  # noqa: T201  shown on failure
        assert [event for event in logged if event["level"] in ("error", "critical")] == []

    @pytest.fixture
    def client(self, server: AgentServer) -> SyncLangGraphClient:
        return server.client

    def test_no_capability_is_missing(self, server: AgentServer) -> None:
        told = [str(event["event"]) for event in server.events()]
        assert any(line.startswith("Using custom checkpointer: ") for line in told)
        assert [line for line in told if line.startswith("Custom checkpointer ")] == []
        assert any(line.startswith("Using custom store: ") for line in told)

    def test_runs_are_waited_for_and_streamed(self, client: SyncLangGraphClient, url: str) -> None:
        thread = new_thread(client)
        said = client.runs.wait(thread, "chat", input=human("hello"))
        assert contents(said) == ["hello", "You said: hello"]
        parts = list(
            client.runs.stream(
                thread, "chat", input=human("again"), stream_mode=["updates", "values"]
            )
        )
        assert [part.event for part in parts] == ["metadata", "values", "updates", "values"]
        all_said = contents(parts[-1].data)
        assert all_said == ["hello", "You said: hello", "again", "You said: again"]
        # read with a saver of our own, beside the running server
        with open_saver(url) as saver:
            stored = saver.get_tuple({"configurable": {"thread_id": thread}})
        assert stored is not None
        messages = stored.checkpoint["channel_values"]["messages"]
        assert [message.content for message in messages] == all_said
        assert dict(stored.metadata)["graph_id"] == "chat"

    def test_state_history_and_update(self, client: SyncLangGraphClient) -> None:
        thread = new_thread(client)
        for word in ("one", "two"):
            client.runs.wait(thread, "chat", input=human(word))
        history = client.threads.get_history(thread, limit=100)
        assert [step(state) for state in history] == [4, 3, 2, 1, 0, -1]
        assert client.threads.get_state(thread)["checkpoint"] == history[0]["checkpoint"]
        # the state of an earlier checkpoint, then a fork from it
        after_one = history[3]
        earlier = client.threads.get_state(thread, checkpoint=after_one["checkpoint"])
        assert contents(earlier["values"]) == ["one", "You said: one"]
        client.threads.update_state(
            thread, human("instead"), as_node="__start__", checkpoint=after_one["checkpoint"]
        )
        forked = client.runs.wait(thread, "chat", input=None)
        assert contents(forked) == ["one", "You said: one", "instead", "You said: instead"]
        assert len(client.threads.get_history(thread, limit=100)) == 8
        assert len(client.threads.get_history(thread, limit=2)) == 2
        # get_history(before=) contradicts the server: one sends an object, the other wants an id
        before = {"before": checkpoint_id(after_one), "limit": "100"}
        older = client.http.get(f"/threads/{thread}/history", params=before)
        assert [step(state) for state in older] == [0, -1]

    def test_a_copy_is_a_thread_of_its_own(self, client: SyncLangGraphClient) -> None:
        thread = new_thread(client)
        client.runs.wait(thread, "chat", input=human("shared"))
        client.threads.copy(thread)  # gives nothing back: the newest thread is the copy
        (found,) = client.threads.search(limit=1, sort_by="created_at", sort_order="desc")
        twin = found["thread_id"]
        assert twin != thread
        assert checkpoints(client, twin) == checkpoints(client, thread)
        client.runs.wait(twin, "chat", input=human("only here"))
        assert contents(values(client, thread)) == ["shared", "You said: shared"]
        assert contents(values(client, twin))[:2] == ["shared", "You said: shared"]
        assert len(contents(values(client, twin))) == 4

    def test_an_interrupt_is_resumed(self, client: SyncLangGraphClient) -> None:
        thread = new_thread(client)
        asked = client.runs.wait(thread, "approval", input={"request": "leave"})
        assert cast("dict[str, Any]", asked)["__interrupt__"][0]["value"] == {
            "approve": "draft of leave"
        }
        assert client.threads.get_state(thread)["next"] == ["ask"]
        done = client.runs.wait(thread, "approval", command={"resume": "granted"})
        # a draft that was made twice would stand there twice
        assert done == {"request": "leave", "drafts": ["draft of leave"], "answer": "granted"}

    def test_a_rolled_back_run_leaves_no_checkpoint(
        self, client: SyncLangGraphClient, url: str
    ) -> None:
        thread = new_thread(client)
        client.runs.wait(thread, "journal", input=entry("first"))
        before = checkpoints(client, thread)
        slow = client.runs.create(thread, "journal", input=entry("slow", hold=True))
        until(
            "the slow run has stored its first step",
            lambda: (
                client.threads.get_state(thread)["next"] == ["held"]
                and values(client, thread)["entries"][-1] == "slow"
            ),
        )
        client.runs.wait(thread, "journal", input=entry("second"), multitask_strategy="rollback")
        assert values(client, thread)["entries"] == ["first", "kept first", "second", "kept second"]
        assert values(client, thread)["notes"] == ["noted first", "noted second"]
        assert checkpoints(client, thread)[-len(before) :] == before
        with open_saver(url) as saver:
            stored = list(saver.list({"configurable": {"thread_id": thread}}))
        runs = {saved.metadata["run_id"] for saved in stored}
        assert len(runs) == 2
        assert slow["run_id"] not in runs

    def test_pruning(self, client: SyncLangGraphClient, url: str) -> None:
        pruned, kept = new_thread(client), new_thread(client)
        for thread in (pruned, kept):
            for word in ("one", "two"):
                client.runs.wait(thread, "journal", input=entry(word))
        client.threads.prune([pruned], strategy="delete")
        with open_saver(url) as saver:
            assert list(saver.list({"configurable": {"thread_id": pruned}})) == []
            # the in-memory runtime refuses keep_latest, so it comes from beside the server
            before = values(client, kept)
            assert len(checkpoints(client, kept)) == 8
            saver.prune([kept], strategy="keep_latest")
        assert values(client, kept) == before
        client.runs.wait(kept, "journal", input=entry("three"))
        assert values(client, kept)["notes"] == ["noted one", "noted two", "noted three"]

    def test_a_deleted_thread_is_gone(self, client: SyncLangGraphClient, url: str) -> None:
        before = rows(url)
        thread = new_thread(client)
        client.runs.wait(thread, "chat", input=human("forget me"))
        assert rows(url) != before
        client.threads.delete(thread)
        with pytest.raises(NotFoundError):
            client.threads.get_state(thread)
        assert rows(url) == before

    def test_an_expired_thread_is_swept(self, client: SyncLangGraphClient, url: str) -> None:
        before = rows(url)
        thread = new_thread(client)
        soon = Config(configurable={"ttl": 0.01})  # minutes
        client.runs.wait(thread, "chat", input=human("half a second"), config=soon)
        until("the sweeper came by", lambda: rows(url) == before)
        assert client.threads.get_history(thread) == []

    def test_memories_are_found_by_meaning_across_threads(
        self, client: SyncLangGraphClient, store_url: str
    ) -> None:
        for text in ("She likes her tea strong.", "The train was late again."):
            client.runs.wait(new_thread(client), "memory", input={"keep": text})
        asked = {"ask": "When does the train leave?"}
        done = client.runs.wait(new_thread(client), "memory", input=asked)
        assert cast("dict[str, Any]", done)["found"] == ["The train was late again."]
        # the server's own store interface
        found = client.store.search_items(("memories",), query="tea?", limit=1)["items"]
        assert [item["value"]["text"] for item in found] == ["She likes her tea strong."]
        client.store.put_item(("memories", "ann"), "city", {"text": "It rains."})
        item = client.store.get_item(("memories", "ann"), "city")
        assert (item["namespace"], item["value"]) == (["memories", "ann"], {"text": "It rains."})
        listed = client.store.list_namespaces(prefix=["memories"])["namespaces"]
        assert listed == [["memories"], ["memories", "ann"]]
        # read with a store of our own, beside the running server
        with open_store(store_url) as store:
            assert len(store.search(("memories",))) == 3
        client.store.delete_item(("memories", "ann"), "city")
        with open_store(store_url) as store:
            assert store.list_namespaces() == [("memories",)]

    def test_an_expired_memory_is_swept(self, client: SyncLangGraphClient, store_url: str) -> None:
        client.store.put_item(("soon",), "gone", {"text": "half a second"}, ttl=1)
        with open_store(store_url) as store:
            before = store.stats().items
            store.put(("soon",), "gone", {"text": "half a second"}, ttl=0.01)
            until("the store's sweeper came by", lambda: store.stats().items == before - 1)

    def test_all_is_there_after_a_restart(
        self, server: AgentServer, client: SyncLangGraphClient
    ) -> None:
        chat, approval = new_thread(client), new_thread(client)
        client.runs.wait(chat, "chat", input=human("remember"))
        client.runs.wait(approval, "approval", input={"request": "travel"})
        client.runs.wait(new_thread(client), "memory", input={"keep": "Rain, rain!"})
        before = client.threads.get_history(chat)
        server.stop()
        server.start()
        client = server.client
        assert client.threads.get_history(chat) == before
        assert contents(values(client, chat)) == ["remember", "You said: remember"]
        known = client.runs.wait(new_thread(client), "memory", input={"ask": "rain"})
        assert cast("dict[str, Any]", known)["found"] == ["Rain, rain!"]
        again = client.runs.wait(chat, "chat", input=human("still here?"))
        assert contents(again)[2:] == ["still here?", "You said: still here?"]
        done = client.runs.wait(approval, "approval", command={"resume": "granted"})
        assert cast("dict[str, Any]", done)["drafts"] == ["draft of travel"]


class TestSqlite(AgentServerTests):
    @pytest.fixture(scope="class")
    @classmethod
    def url(cls, tmp_path_factory: pytest.TempPathFactory) -> str:
        return f"sqlite:///{tmp_path_factory.mktemp('database')}/agent.db"

    @pytest.fixture(scope="class")
    @classmethod
    def store_url(cls, url: str) -> str:
        return url


def rows(url: str) -> dict[str, object]:
    """What the whole database holds, expired threads included: asked beside the server."""
    with open_saver(url) as saver:
        assert isinstance(saver, ThreadAdminMixin)
        counted = saver.stats()
    # bytes are those of the file, which keeps free pages
    return {record: rows for record, rows in counted.items() if record != "bytes"}


def new_thread(client: SyncLangGraphClient) -> str:
    return client.threads.create()["thread_id"]


def human(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "human", "content": text}]}


def entry(text: str, *, hold: bool = False) -> dict[str, Any]:
    return {"entries": [text], "hold": hold}


def contents(state: Any) -> list[str]:
    return [message["content"] for message in state["messages"]]


def values(client: SyncLangGraphClient, thread: str) -> dict[str, Any]:
    return cast("dict[str, Any]", client.threads.get_state(thread)["values"])


def step(state: ThreadState) -> int:
    return cast("dict[str, int]", state["metadata"])["step"]


def checkpoints(client: SyncLangGraphClient, thread: str) -> list[str]:
    history = client.threads.get_history(thread, limit=100)
    return [checkpoint_id(state) for state in history]


def checkpoint_id(state: ThreadState) -> str:
    found = state["checkpoint"]["checkpoint_id"]
    assert found is not None
    return found
