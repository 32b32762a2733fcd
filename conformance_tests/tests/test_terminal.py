"""What the command shows while it runs, and how many processes it runs at once."""

from __future__ import annotations

import io
import os
import shutil

import pytest

from conformance_tests.command.main import _parser
from conformance_tests.command.terminal import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_has_a_line_for_each_tenth_and_for_each_slow_clause() -> None:
    log = io.StringIO()
    progress = Progress(20, log)
    for done in range(1, 5):
        progress.step(int(done == 4))
    progress.slow("saver.list.before", 7.4)
    assert log.getvalue().splitlines() == [
        "    2/20 clauses, 0 failed",
        "    4/20 clauses, 1 failed",
        "    4/20 clauses, 1 failed; saver.list.before runs for 7 s",
    ]


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_terminal_has_one_line_that_is_written_over(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = os.terminal_size((columns, 24))
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: size)
    terminal = Terminal()
    progress = Progress(4, terminal)
    for _ in range(3):
        progress.step(0)
    progress.slow("saver.put.a_clause_with_a_name_that_takes_its_place", 6)
    lines = [line.removesuffix("\033[K") for line in terminal.getvalue().split("\r")[1:]]
    assert len(lines) == 4
    assert all(len(line) < columns for line in lines)
    assert "    3/4 clauses, 0 failed" in lines[2]
    width = lines[2].count("#") + lines[2].count(".")
    assert lines[2].count("#") == width * 3 // 4
    if columns == 200:
        assert lines[3].endswith("saver.put.a_clause_with_a_name_that_takes_its_place")


def test_jobs_are_a_number_or_as_many_as_there_are_processors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def jobs(*given: str) -> int:
        found: int = _parser().parse_args(["run", *given]).jobs
        return found

    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert jobs() == 1
    assert jobs("--jobs", "2") == 2
    assert jobs("--jobs", "0") == 1
    assert jobs("--jobs", "auto") == 3
    monkeypatch.setattr(os, "cpu_count", lambda: None)  # where nobody can say
    assert jobs("--jobs", "auto") == 1
