"""SIGKILL at random moments under load: what was acknowledged is there, and nothing by halves."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

from checkpoint_sqlite import SqliteSaver
from checkpoint_sqlite.tests import crash_writer
from checkpoint_sqlite.tests.raw import unreferenced

RUNS = 200


def test_a_killed_process_loses_nothing_it_was_told_is_saved(tmp_path: Path) -> None:
    path = tmp_path / "crash.db"
    command = [sys.executable, "-m", crash_writer.__name__, str(path), str(RUNS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    said = [(kind, int(run), int(w), int(step)) for kind, run, w, step in json.loads(done.stdout)]
    assert len({run for _, run, _, _ in said}) == RUNS

    with SqliteSaver.from_conn_string(path) as saver:
        stored = 0
        for run in range(RUNS):
            for writer in range(crash_writer.THREADS):
                config = {"configurable": {"thread_id": f"{run}/{writer}"}}
                found = {each.metadata["step"]: each for each in saver.list(config)}  # type: ignore[arg-type]
                puts = {step for kind, *who, step in said if kind == "put" and who == [run, writer]}
                assert puts <= found.keys(), f"run {run} lost an acknowledged put"
                assert len(found) <= len(puts) + 1, "more than the one put that was under way"
                for step, each in found.items():
                    expected = crash_writer.checkpoint(run, writer, step)["channel_values"]
                    assert each.checkpoint["channel_values"] == expected
                    if ("write", run, writer, step) in said:
                        written = ("task", "log", crash_writer.words(run, writer, step))
                        assert each.pending_writes == [written]
                stored += len(found)
    assert stored > 2 * RUNS, "killed too early to prove anything"
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert unreferenced(connection) == []
    connection.close()
