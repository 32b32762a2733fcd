"""What must not happen: secrets shown, files made by looking, code run, bytes passed over."""

from __future__ import annotations

import os
import pickle
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from checkpoint_base import open_saver
from checkpoint_suite.database import shown
from checkpoint_suite.tests.conftest import Command, chat
from conformance_tests.savers.values.unreadable import add_note

SECRET = "hunter2"
URLS = (
    f"postgresql://me:{SECRET}@127.0.0.1:1/agent",
    f"postgresql://me@127.0.0.1:1/agent?password={SECRET}",
    f"redis://me:{SECRET}@127.0.0.1:1/0",
    f"mongodb://me:{SECRET}@127.0.0.1:1/?serverSelectionTimeoutMS=200",
)


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("name", ["threads", "doctor", "setup"])
def test_a_database_that_cannot_be_reached_is_one_line(url: str, name: str) -> None:
    failed = Command(url).run(name, code=1)
    assert failed.stdout == ""
    assert len(failed.stderr.splitlines()) == 1
    assert SECRET not in failed.output + failed.stderr
    assert SECRET not in shown(url)


@pytest.mark.parametrize("name", ["threads", "verify", "stats", "doctor"])
def test_looking_makes_no_file(tmp_path: Path, name: str) -> None:
    failed = Command(f"sqlite:///{tmp_path}/typo.db").run(name, code=1)
    assert "there is no file" in failed.stderr
    assert list(tmp_path.iterdir()) == []


def test_looking_makes_no_tables(tmp_path: Path) -> None:
    path = tmp_path / "another.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")
    Command(f"sqlite:///{path}").run("threads", code=1)
    Command(f"sqlite:///{path}").run("store", "ls", code=1)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("orders",)]


def test_memory_and_unknown_databases_are_refused() -> None:
    Command("memory://").run("threads", code=1)
    Command("nix://host").run("threads", code=1)


def put_value(url: str, value: Any) -> None:
    checkpoint = empty_checkpoint()
    checkpoint["channel_values"] = {"note": value}
    checkpoint["channel_versions"] = {"note": "1"}
    serde = JsonPlusSerializer(pickle_fallback=True)
    with open_saver(url, serde=serde) as saver:
        config: Any = {"configurable": {"thread_id": "ann", "checkpoint_ns": ""}}
        saver.put(config, checkpoint, {"source": "input", "step": 1}, {"note": "1"})


def test_classes_of_the_user_are_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module: Any = ModuleType("users_module")
    monkeypatch.setitem(sys.modules, "users_module", module)
    add_note(module, "text")
    command = Command(f"sqlite:///{tmp_path}/agent.db")
    put_value(command.url, module.Note("remember"))
    monkeypatch.delitem(sys.modules, "users_module")
    (tmp_path / "users_module.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert command.json("show", "ann")["values"] == {"note": {"text": "remember"}}
    assert command.json("verify") == []


class Exploit:
    """Runs when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.mkdir, (os.environ["EXPLOIT"],)


def test_pickles_are_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPLOIT", str(tmp_path / "owned"))
    command = Command(f"sqlite:///{tmp_path}/agent.db")
    put_value(command.url, Exploit())
    assert pickle.dumps(Exploit())
    command.run("show", "ann", code=1)
    assert not (tmp_path / "owned").exists()


def test_control_characters_do_nothing_to_a_terminal(tmp_path: Path) -> None:
    command = Command(f"sqlite:///{tmp_path}/agent.db")
    put_value(command.url, "\x1b[2Jcleared")
    assert "\x1b" not in command.run("show", "ann").stdout


def test_encrypted_values_need_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGGRAPH_AES_KEY", "0123456789abcdef")
    command = Command(f"sqlite:///{tmp_path}/agent.db")
    serde = EncryptedSerializer.from_pycryptodome_aes()
    checkpoint = empty_checkpoint()
    checkpoint["channel_values"], checkpoint["channel_versions"] = {"note": "secret"}, {"note": "1"}
    with open_saver(command.url, serde=serde) as saver:
        config: Any = {"configurable": {"thread_id": "ann", "checkpoint_ns": ""}}
        saver.put(config, checkpoint, {"source": "input", "step": 1}, {"note": "1"})
    assert command.json("show", "ann")["values"] == {"note": "secret"}
    monkeypatch.delenv("LANGGRAPH_AES_KEY")
    command.run("show", "ann", code=1)


def test_verify_finds_a_changed_byte(tmp_path: Path) -> None:
    command = Command(f"sqlite:///{tmp_path}/agent.db")
    chat(command.url, "ann", "bob")
    with closing(sqlite3.connect(tmp_path / "agent.db")) as connection, connection:
        ((name, column),) = connection.execute(
            "SELECT m.name, p.name FROM sqlite_master AS m, pragma_table_info(m.name) AS p "
            "WHERE m.name LIKE 'saver%writes%' AND p.type = 'BLOB' LIMIT 1"
        ).fetchall()
        connection.execute(
            f"UPDATE {name} SET {column} = zeroblob(length({column})) "
            f"WHERE rowid = (SELECT max(rowid) FROM {name})"
        )
    found = command.json("verify", code=1)
    assert len(found) == 1
    assert "thread" in found[0]["error"]
    command.run("verify", code=1)


def test_as_a_module(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/agent.db"
    chat(url, "ann")
    command = [sys.executable, "-m", "checkpoint_suite", "threads", "--url", url]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert "ann" in done.stdout
    wrong = subprocess.run([*command, "--nix"], capture_output=True, check=False, timeout=120)
    assert wrong.returncode == 2
