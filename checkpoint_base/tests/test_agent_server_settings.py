"""What the Agent Server opens, by itself: the environment, and what is wrong with it."""

from __future__ import annotations

import asyncio
import json
import threading
import time

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import empty_checkpoint

from checkpoint_base.agent_server import checkpointer, store
from checkpoint_base.errors import InvalidArgumentError
from checkpoint_base.saver.threads.mixin import ThreadAdminMixin


def opened(monkeypatch: pytest.MonkeyPatch, **environment: str) -> None:
    """Enter and leave `checkpointer` with nothing but these variables."""
    for name in ("CHECKPOINT_URL", "CHECKPOINT_TTL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    async def enter() -> None:
        async with checkpointer():
            pass

    asyncio.run(enter())


@pytest.mark.parametrize("url", [{}, {"CHECKPOINT_URL": " "}])
def test_a_missing_url_is_named(monkeypatch: pytest.MonkeyPatch, url: dict[str, str]) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^CHECKPOINT_URL: not set"):
        opened(monkeypatch, **url)


def test_a_wrong_url_keeps_its_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidArgumentError, match="oracle") as raised:
        opened(monkeypatch, CHECKPOINT_URL="oracle://scott:tiger@localhost/agent")
    assert "tiger" not in repr(raised.value)


@pytest.mark.parametrize(
    ("ttl", "told"),
    [
        ("{", "Expecting property name"),
        ("60", "got a JSON int"),
        ('["delete"]', "got a JSON list"),
        ('{"default_ttl": "1d"}', "default_ttl"),
        ('{"default_ttl": -1}', "default_ttl"),
        ('{"strategy": "forget"}', "strategy"),
        ('{"minutes": 60}', "minutes"),
    ],
)
def test_a_wrong_ttl_is_named(monkeypatch: pytest.MonkeyPatch, ttl: str, told: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^CHECKPOINT_TTL: .*{told}"):
        opened(monkeypatch, CHECKPOINT_URL="memory://", CHECKPOINT_TTL=ttl)


def all_ended(before: set[threading.Thread]) -> bool:
    """Whether only these run; a connection's thread ends a moment after it is closed."""
    for thread in threads() - before:
        thread.join(20)
    return threads() <= before  # threads of other tests may end meanwhile


def threads() -> set[threading.Thread]:
    """All that run but the watchdog of `call_timeout`, which stays once a process has it."""
    return {thread for thread in threading.enumerate() if thread.name != "call_timeout"}


@pytest.mark.parametrize("url", ["memory://", "sqlite:///:memory:"])
def test_the_sweeper_lives_as_long_as_the_saver(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("CHECKPOINT_URL", url)
    ttl = {"default_ttl": 0.001, "sweep_interval_minutes": 0.001}
    monkeypatch.setenv("CHECKPOINT_TTL", json.dumps(ttl))

    async def swept() -> None:
        async with checkpointer() as saver:
            assert isinstance(saver, ThreadAdminMixin)
            config = RunnableConfig(configurable={"thread_id": "1", "checkpoint_ns": ""})
            await saver.aput(config, empty_checkpoint(), {}, {})
            deadline = time.monotonic() + 60
            while (await saver.astats())["threads"]:
                assert time.monotonic() < deadline, "the sweeper never came by"
                await asyncio.sleep(0.02)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    before = threads()
    asyncio.run(swept())
    assert all_ended(before)


def opened_store(monkeypatch: pytest.MonkeyPatch, **environment: str) -> None:
    """Enter and leave `store` with nothing but these variables."""
    for name in ("CHECKPOINT_URL", "STORE_URL", "STORE_INDEX", "STORE_TTL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    async def enter() -> None:
        async with store() as one:
            await one.aput(("n",), "a", {"n": 1})
            assert await one.aget(("n",), "a") is not None

    asyncio.run(enter())


@pytest.mark.parametrize("name", ["STORE_URL", "CHECKPOINT_URL"])
def test_the_store_is_where_the_checkpoints_are(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    before = threads()
    ttl = json.dumps({"default_ttl": 1, "sweep_interval_minutes": 0.001})
    opened_store(monkeypatch, **{name: "sqlite:///:memory:", "STORE_TTL": ttl})
    assert all_ended(before)


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({}, "^STORE_URL: not set"),
        ({"STORE_URL": "memory://"}, "^url: memory://"),
        ({"STORE_TTL": "{"}, "^STORE_TTL: .*Expecting property name"),
        ({"STORE_TTL": "60"}, "^STORE_TTL: .*got a JSON int"),
        ({"STORE_TTL": '{"strategy": "delete"}'}, "^ttl: .*strategy"),
        ({"STORE_INDEX": "[]"}, "^STORE_INDEX: .*got a JSON list"),
        ({"STORE_INDEX": '{"dims": 3}'}, "embed"),
        ({"STORE_INDEX": '{"dims": 3, "embed": "no.such.thing"}'}, "^STORE_INDEX: .*no.such.thing"),
        ({"STORE_INDEX": '{"dims": 3, "embed": "json.nothing"}'}, "^STORE_INDEX: .*json.nothing"),
        ({"STORE_INDEX": '{"dims": 3, "embed": "alone"}'}, "^STORE_INDEX: .*alone"),
    ],
)
def test_what_is_wrong_with_the_stores_environment_is_named(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], told: str
) -> None:
    given = {"STORE_URL": "sqlite:///:memory:", **environment} if environment else {}
    with pytest.raises(InvalidArgumentError, match=told):
        opened_store(monkeypatch, **given)
