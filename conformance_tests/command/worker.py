"""The supervisor's handle of a worker process."""

from __future__ import annotations

import json
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

from conformance_tests.command.process_group import kill, memory

ANSWERS_WITHIN: Final = 2.0
"""Timeout of a request for stacks, in seconds. A worker whose main thread holds the GIL in C code
cannot answer.
"""
QUITS_WITHIN: Final = 5.0
LOG_LINES: Final = 15
_NOISE: Final = re.compile(r"[/\\](_pytest|pluggy)[/\\]|^Extension modules: ")

Event = dict[str, Any]
Inbox = queue.Queue[tuple["Worker", Event | None]]


class Worker:
    """A worker process, which leads its own session.

    Attributes:
        clause: The id of the running clause; empty before the first.
        case: The parameters of the running case.
        expected: Why the running case is expected to fail, if it is.
        since: When the case, or else the process, began, by the monotonic clock.
        taken_before: Memory of the process when the clause began, in bytes.
        told_slow: Whether the clause was reported as slow.
    """

    def __init__(self, arguments: Sequence[str], inbox: Inbox, log: Path) -> None:
        self.clause = self.case = self.expected = ""
        self.since = time.monotonic()
        self.taken_before = 0
        self.told_slow = False
        self._code: int | None = None
        self._inbox = inbox
        self._log = log
        self._where: queue.Queue[Event] = queue.Queue()
        with log.open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "conformance_tests.command.supervised", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
                text=True,
                encoding="utf-8",
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with _pipe(self._process.stdout) as lines:
            for line in lines:
                event = json.loads(line)
                if event["event"] == "where":
                    self._where.put(event)
                else:
                    self._inbox.put((self, event))
        self._inbox.put((self, None))

    def run(self, clause: str) -> None:
        """Tell the worker to run a clause."""
        self.clause, self.case = clause, ""
        self.since, self.told_slow = time.monotonic(), False
        self.taken_before = memory(self._process.pid)
        self._send(clause)

    def begin(self, case: str) -> None:
        """Record that a case of the clause has begun."""
        self.case, self.expected, self.since = case, "", time.monotonic()

    def seconds(self) -> float:
        """Seconds since the running case began."""
        return time.monotonic() - self.since

    def taken(self) -> int:
        """Bytes by which memory has grown since the clause began."""
        return memory(self._process.pid) - self.taken_before

    def has_ended(self) -> bool:
        """Whether the process has ended. Its descendants may still hold its pipes open."""
        return self._process.poll() is not None

    def where(self) -> Event:
        """Request the recent calls and the stacks of all threads."""
        self._send("where")
        try:
            return self._where.get(timeout=ANSWERS_WITHIN)
        except queue.Empty:
            silent = "it does not answer: a loop that holds the interpreter's lock, in C code?"
            return {"calls": "", "stack": silent}

    def quit(self) -> None:
        """Tell the worker to exit; kill it if it does not in time."""
        self._send(None)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(QUITS_WITHIN)
        self.kill()

    def kill(self) -> int:
        """Kill the worker and its descendants; returns its exit code."""
        if self._code is None:
            self._code = kill(self._process)
            self._reader.join(QUITS_WITHIN)
            if self._reader.is_alive():  # a descendant that left the session holds the pipe open
                self._inbox.put((self, None))
            with suppress(BrokenPipeError):
                _pipe(self._process.stdin).close()
        return self._code

    def last_words(self) -> str:
        """The end of its log: a fatal error with its stack, or why pytest did not start."""
        text = self._log.read_text("utf-8", "replace")
        _, fatal, trace = text.rpartition("Fatal Python error: ")
        lines = [line for line in (fatal + trace).splitlines() if not _NOISE.search(line)]
        return "\n".join(lines[:LOG_LINES] if fatal else lines[-LOG_LINES:])

    def _send(self, command: str | None) -> None:
        with suppress(BrokenPipeError):  # the worker has ended, which the supervisor detects
            _pipe(self._process.stdin).write(json.dumps(command) + "\n")
            _pipe(self._process.stdin).flush()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def ended_by(code: int) -> str:
    """Describe an exit code in words."""
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}" + ", by os._exit or sys.exit"
