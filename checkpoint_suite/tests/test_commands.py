"""Each command on each database: what it prints, what it changes, and how it ends."""

from __future__ import annotations

import json
import lzma
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from langgraph.types import Command as Command_

from checkpoint_base import open_saver
from checkpoint_base.tests.threads import nested, nested_graph, sent
from checkpoint_suite.app import COMMANDS
from checkpoint_suite.commands.store import COMMANDS as STORE_COMMANDS
from checkpoint_suite.tests.conftest import Command
from conformance_tests.samples.build import Chain
from conformance_tests.samples.driver_adapter import SyncFacade


def test_a_database_that_was_never_set_up(command: Command) -> None:
    failed = command.run("threads", code=1)
    assert failed.stdout == ""
    assert len(failed.stderr.splitlines()) == 1
    assert command.json("setup", "--store", "--cache") == ["saver", "store", "cache"]
    assert command.json("threads") == []
    assert "no threads" in command.run("threads").stdout
    assert command.json("store", "ls") == []
    assert "--strategy" in command.run("sweep", code=2).stderr
    swept = command.json("sweep", "--strategy", "delete", "--store", "--cache")
    assert swept == {"threads": 0, "items": 0, "entries": 0}


@pytest.mark.parametrize("strategy", ["keep_latest", "delete"])
def test_sweep_does_what_the_strategy_says(command: Command, strategy: str) -> None:
    ttl = {"default_ttl": 1, "strategy": "keep_latest"}
    with open_saver(command.url, ttl=ttl, clock=lambda: time.time() - 3600) as saver:
        chain = Chain(SyncFacade(saver))
        for turn in range(3):
            chain.put({"turn": turn})
    assert command.json("sweep", "--strategy", strategy) == {"threads": 1}
    left = [one["thread_id"] for one in command.json("threads")]
    assert left == ([chain.thread_id] if strategy == "keep_latest" else [])
    assert command.json("stats")["checkpoints"] == len(left)


def test_threads(talked: Command) -> None:
    found = talked.json("threads")
    assert [one["thread_id"] for one in found] == ["bob", "ann"]
    assert found[0]["expires_at"] is None
    assert [one["thread_id"] for one in talked.json("threads", "--prefix", "a")] == ["ann"]
    assert [one["thread_id"] for one in talked.json("threads", "--limit", "1")] == ["bob"]
    tomorrow = f"{datetime.now(timezone.utc) + timedelta(days=1):%Y-%m-%d}"
    assert talked.json("threads", "--updated-after", tomorrow) == []
    assert len(talked.json("threads", "--updated-before", tomorrow)) == 2
    assert "bob" in talked.run("threads").stdout


def test_show_and_history(talked: Command) -> None:
    found = talked.json("show", "ann")
    assert found["values"]["count"] == 3
    said = [(one["type"], one["content"]) for one in found["values"]["messages"]]
    assert said == [("human", "Hello"), ("ai", "heard 1"), ("human", "Again"), ("ai", "heard 3")]
    assert found["metadata"]["step"] == 4
    history = talked.json("history", "ann")
    assert [one["step"] for one in history] == [4, 3, 2, 1, 0, -1]
    assert history[0]["checkpoint_id"] == found["checkpoint_id"]
    assert len(talked.json("history", "ann", "--limit", "2")) == 2
    older = talked.json("show", "ann", "--checkpoint", history[3]["checkpoint_id"])
    assert older["values"]["count"] == 1
    text = talked.run("show", "ann").stdout
    assert "  human: Again\n  ai: heard 3" in text
    assert history[5]["checkpoint_id"] in talked.run("history", "ann").stdout


def test_diff(talked: Command) -> None:
    history = talked.json("history", "ann")
    found = talked.json("diff", f"ann@{history[3]['checkpoint_id']}", "ann")
    assert [(one["channel"], one["change"]) for one in found] == [
        ("count", "changed"),
        ("messages", "changed"),
    ]
    assert (found[0]["before"], found[0]["after"]) == (1, 3)
    text = talked.run("diff", f"ann@{history[3]['checkpoint_id']}", "ann").stdout
    assert "+ human: Again" in text
    assert "- 1" in text
    assert talked.json("diff", "ann", "ann") == []


def test_copy_and_delete(talked: Command) -> None:
    assert talked.json("copy", "ann", "carl") == {"thread_id": "carl", "checkpoints": 6}
    assert talked.json("diff", "ann", "carl") == []
    talked.run("delete", "carl", given="n\n", code=1)
    assert len(talked.json("threads")) == 3
    talked.run("delete", "carl", given="y\n")
    assert talked.json("delete", "--prefix", "b", "--yes") == ["bob"]
    assert [one["thread_id"] for one in talked.json("threads")] == ["ann"]
    talked.run("delete", "--yes", code=1)
    talked.run("delete", "--filter", "{}", "--yes", code=1)
    talked.run("delete", "ann", "--prefix", "a", "--yes", code=1)
    assert len(talked.json("threads")) == 1


def test_prune(talked: Command) -> None:
    talked.run("prune", "ann", code=1)
    counted = talked.json("prune", "ann", "--keep-latest", "--dry-run")
    assert counted == [{"thread_id": "ann", "checkpoints": 6, "at_most": 5}]
    assert talked.json("stats", "ann")["checkpoints"] == 6
    pruned = talked.json("prune", "--prefix", "", "ann", "--keep-latest", "--yes")
    assert pruned == [{"thread_id": "ann", "checkpoints": 6, "removed": 5}]
    assert talked.json("stats")["checkpoints"] == 7
    assert talked.json("show", "ann")["values"]["count"] == 3


def test_prune_by_a_policy(talked: Command) -> None:
    counted = talked.json("prune", "--keep-last", "2", "--dry-run")
    assert (counted["threads_pruned"], counted["checkpoints_removed"]) == (2, 8)
    assert counted["bytes_after"] is None
    assert "dry run" in talked.run("prune", "--idle", "90d", "--dry-run").stdout
    assert talked.json("stats")["checkpoints"] == 12
    none = talked.json("prune", "--keep-last", "1", "--filter", '{"source": "input"}', "--yes")
    assert none["checkpoints_removed"] == 0
    talked.run("prune", "--keep-last", "2", given="n\n", code=1)
    asked = talked.run("prune", "--keep-last", "2", "--filter", '{"step": 4}', given="y\n")
    assert "remove history of 2 threads, 8 checkpoints in all?" in asked.stderr
    assert "checkpoints removed     8" in asked.stdout
    assert talked.json("stats")["checkpoints"] == 4
    assert talked.json("show", "ann")["values"]["count"] == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ["--keep-last", "2", "ann"],
        ["--keep-last", "2", "--prefix", "a"],
        ["--keep-last", "2", "--keep-latest"],
        ["--keep-last", "2", "--filter", "tier"],
        ["--keep-last", "2", "--status", "idle"],
        ["--keep-last", "2", "--namespaces", "some"],
        ["--max-age", "soon"],
        ["--keep-latest", "ann", "--namespaces", "root"],
    ],
)
def test_prune_refuses(tmp_path: Path, arguments: list[str]) -> None:
    failed = Command(f"sqlite:///{tmp_path}/agent.db").run("prune", *arguments, "--yes", code=1)
    assert len(failed.stderr.splitlines()) == 1


def test_verify_and_doctor(talked: Command) -> None:
    assert talked.json("verify") == []
    assert "12 checkpoints" in talked.run("verify").stdout
    found = talked.json("doctor")
    assert found["ok"]
    assert {check["check"] for check in found["checks"]} >= {"server", "stored", "values"}
    assert "12 checkpoints" in talked.run("doctor", talked.url).stdout


def test_a_store(command: Command) -> None:
    command.run("setup", "--store")
    command.run("store", "put", "memories/ann", "tea", '{"likes": true, "n": 1}')
    command.run("store", "put", "a\\/b", "x", '{"n": 2}')
    assert command.json("store", "ls") == [["a/b"], ["memories", "ann"]]
    assert command.json("store", "ls", "memories") == [["memories", "ann"]]
    assert command.json("store", "get", "memories/ann", "tea")["value"] == {"likes": True, "n": 1}
    assert [one["key"] for one in command.json("store", "search")] == ["x", "tea"]
    found = command.json("store", "search", "memories", "--filter", '{"n": {"$gte": 1}}')
    assert [one["key"] for one in found] == ["tea"]
    assert "memories/ann" in command.run("store", "search").stdout
    command.run("store", "delete", "memories/ann", "tea", given="n\n", code=1)
    command.run("store", "delete", "memories/ann", "tea", "--yes")
    command.run("store", "get", "memories/ann", "tea", code=1)
    command.run("store", "put", "memories/ann", "tea", "[1]", code=1)


@pytest.mark.parametrize("arguments", [("show", "eve"), ("history", "eve"), ("copy", "eve", "x")])
def test_what_is_not_there(talked: Command, arguments: tuple[str, ...]) -> None:
    failed = talked.run(*arguments, code=1)
    assert failed.stdout == ""
    assert "'eve'" in failed.stderr


def test_tables_are_80_columns_wide(talked: Command) -> None:
    with open_saver(talked.url) as saver:
        saver.copy_thread("ann", "a thread of a customer with a very long name " * 4)
    for arguments in (["threads"], ["history", "ann"], ["show", "ann"], ["doctor"], ["stats"]):
        lines = talked.run(*arguments).stdout.splitlines()
        assert max(map(len, lines)) <= 80, arguments


def test_every_command_is_documented_and_has_json() -> None:
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs/howto/command-line.md").read_text(encoding="utf-8")
    for name in (*COMMANDS, *(f"store {each}" for each in STORE_COMMANDS)):
        assert f"checkpoint-suite {name}" in page, name


def test_json_is_all_that_is_printed(talked: Command) -> None:
    for arguments in (["threads"], ["show", "ann"], ["stats"], ["verify"]):
        json.loads(talked.run(*arguments, "--json").stdout)


def test_migrate_and_archives(talked: Command, tmp_path: Path) -> None:
    """By file and by URL, all threads or some; what is there already stays."""
    target = Command(f"sqlite:///{tmp_path}/target.db")
    assert talked.json("migrate", talked.url, target.url) == {"threads": 2, "checkpoints": 12}
    assert target.json("show", "ann") == talked.json("show", "ann")
    archive = str(tmp_path / "threads.ckpt.jsonl.xz")
    assert talked.json("export", archive, "bob") == {"threads": 1, "checkpoints": 6}
    again = Command(f"sqlite:///{tmp_path}/again.db")
    assert again.json("import", archive) == {"threads": 1, "checkpoints": 6}
    assert again.json("show", "bob") == talked.json("show", "bob")
    back = talked.json("migrate", again.url, talked.url, "bob")
    assert back == {"threads": 1, "checkpoints": 6}
    assert len(talked.json("history", "bob")) == 6
    assert "exists" in talked.run("export", archive, code=1).stderr
    assert talked.run("import", str(tmp_path / "none"), code=1).stderr.count("\n") == 1


def test_threads_of_a_user_and_of_a_status(command: Command) -> None:
    with open_saver(command.url) as saver:
        for thread, user in (("one", "ann"), ("two", "bob"), ("three", "ann")):
            config = {"configurable": {"thread_id": thread}, "metadata": {"user_id": user}}
            graph = nested_graph(saver)
            graph.invoke({"seen": []}, config)
            for _ in range(2 if thread == "one" else 0):
                graph.invoke(Command_(resume="yes"), config)
    ann = ("--filter", '{"user_id": "ann"}')

    def found(*options: str) -> list[str]:
        return sorted(one["thread_id"] for one in command.json("threads", *options))

    assert found(*ann) == ["one", "three"]
    assert found("--status", "interrupted") == ["three", "two"]
    assert found(*ann, "--status", "idle") == ["one"]
    assert found(*ann, "--limit", "1", "--prefix", "t") == ["three"]
    (asked,) = command.json("interrupts", *ann)
    assert (asked["thread_id"], asked["value"]) == ("three", "first?")
    command.run("threads", "--filter", "ann", code=1)
    command.run("threads", "--status", "busy", code=2)
    assert sorted(command.json("delete", *ann, "--dry-run")) == ["one", "three"]
    assert "2 threads" in command.run("delete", *ann, "--dry-run").stdout
    assert sorted(command.json("delete", *ann, "--yes")) == ["one", "three"]
    assert found() == ["two"]


def test_a_redacted_archive_has_no_values(talked: Command, tmp_path: Path) -> None:
    archive = tmp_path / "redacted.ckpt.jsonl.xz"
    talked.run("export", str(archive), "--redact")
    assert b"Hello" not in lzma.decompress(archive.read_bytes())
    assert "redacted" in talked.run("import", str(archive), code=1).stderr


def test_interrupts(command: Command) -> None:
    with open_saver(command.url) as saver:
        sent(saver)
        nested(saver)
        found = {one["thread_id"]: one for one in command.json("interrupts")}
        assert set(found) == {"sent", "nested"}
        assert found["nested"]["value"] == "second?"
        state = nested_graph(saver).get_state({"configurable": {"thread_id": "nested"}})
        assert found["nested"]["interrupt_id"] == state.tasks[0].interrupts[0].id
        assert "second?" in command.run("interrupts", "--prefix", "n").stdout
        nested_graph(saver).invoke(
            Command_(resume="two"), {"configurable": {"thread_id": "nested"}}
        )
    assert [one["thread_id"] for one in command.json("interrupts")] == ["sent"]
    assert command.json("interrupts", "--prefix", "x") == []
    assert "no questions" in command.run("interrupts", "--prefix", "x").stdout
