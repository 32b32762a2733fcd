"""Tests that run the demos as a user does; the demos check their own claims."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from checkpoint_sqlite import SqliteSaver, SqliteStore
from examples import memory_agent, semantic_memory

ROOT = Path(__file__).parents[2]
TIMEOUT = 180.0  # seconds; a hang fails the test

SAID = [
    "the agent remembers all of ann's chat",
    "the process died in the middle of its step",
    "nothing is lost: the answer has all four cities",
    "the 3 finished tasks were not run again, only Cairo was",
    "the question is kept in the file",
    "another process gave the answer",
    "the branch goes on from the changed past",
    "the first branch is as it was",
    "all 400 messages are there, word for word",
    "times less than whole snapshots",
    "linear: ",
]


MEANT = [
    "each embedded",
    "the agent finds the allergy by what is meant",
    "the question and the memory have no word in common",
    "bob's agent knows nothing of ann",
    "the old text is not found any more",
    "pages of two are the same list",
    "what is deleted is forgotten",
]


def run_demo(*arguments: str, demo: str = "memory_agent") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"examples.{demo}", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=TIMEOUT,
        check=False,
    )


def test_memory_agent(tmp_path: Path) -> None:
    database = tmp_path / "memory.db"
    done = run_demo(str(database))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    ticked = re.findall(r"^  ✓ (.*)$", done.stdout, re.MULTILINE)
    assert [text for text in SAID if not any(text in line for line in ticked)] == []
    assert f"All {len(ticked)} claims were checked and hold." in done.stdout
    assert "\x1b" not in done.stdout, "piped output is plain"
    with SqliteSaver.from_conn_string(str(database)) as saver:
        threads = {one.config["configurable"]["thread_id"] for one in saver.list(None)}
    assert threads == {"ann", "bob", "trip", "long"}


def test_semantic_memory(tmp_path: Path) -> None:
    database = tmp_path / "memory.db"
    done = run_demo(str(database), demo="semantic_memory")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    ticked = re.findall(r"^  ✓ (.*)$", done.stdout, re.MULTILINE)
    assert [text for text in MEANT if not any(text in line for line in ticked)] == []
    assert f"All {len(ticked)} claims were checked and hold." in done.stdout
    assert "no language model" in " ".join(done.stdout.split()), "it must not pass for one"
    with SqliteStore.from_conn_string(database) as store:
        assert len(store.search(("memories", "ann"))) == len(semantic_memory.TOLD) - 1


def test_a_memory_that_is_not_found_ends_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(semantic_memory, "say", lambda *_: "I know nothing of that.")
    monkeypatch.setattr(semantic_memory, "told", lambda *_: None)
    assert semantic_memory.main([str(tmp_path / "memory.db")]) == 1
    assert "this does not hold: the agent finds the allergy" in capsys.readouterr().out
    kept = tmp_path / "kept.db"
    kept.write_text("mine")
    assert semantic_memory.main([str(kept)]) == 2


def test_a_claim_that_does_not_hold_ends_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(memory_agent, "say", lambda *_: "I have forgotten it.")
    assert memory_agent.main([str(tmp_path / "memory.db")]) == 1
    printed = capsys.readouterr().out
    assert "this does not hold: the agent remembers all of ann's chat" in printed
    assert "✓" not in printed


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    kept = tmp_path / "kept.db"
    kept.write_text("mine")
    done = run_demo(str(kept))
    assert done.returncode == 2
    assert "is there already" in done.stdout
    assert kept.read_text() == "mine"
