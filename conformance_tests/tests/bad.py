"""A saver that takes its process with it, in several ways."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from checkpoint_base.memory.saver import MemorySaver
from checkpoint_base.tests.harness import MemoryHarness

SLEEPERS = "CONFORMANCE_TESTS_SLEEPERS"
"""The file for the ids of processes that the saver starts and does not end."""


class BadSaver(MemorySaver):
    def delete_thread(self, thread_id: str) -> None:
        """Sleeps for ever, and leaves a process behind that is in a session of its own."""
        command = [sys.executable, "-c", "import time; time.sleep(3600)"]
        process = subprocess.Popen(command, start_new_session=True)
        with Path(os.environ[SLEEPERS]).open("a") as file:
            file.write(f"{process.pid}\n")
        time.sleep(3600)

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Eats memory, though not that of the whole machine."""
        eaten: list[bytes] = []
        while len(eaten) < 40:
            eaten.append(b"x" * (25 << 20))
        time.sleep(3600)

    def delete_for_runs(self, run_ids: Any) -> None:
        """Ends its process."""
        os._exit(3)

    def stats(self, thread_id: str | None = None) -> Any:
        """Is killed, as by the kernel when there is no memory left."""
        os.kill(os.getpid(), signal.SIGSEGV)


class BadHarness(MemoryHarness):
    name = "bad"

    def _saver(self, **options: Any) -> MemorySaver:
        saver = super()._saver(**options)
        saver.__class__ = BadSaver
        return saver


class KnownToEnd(BadHarness):
    """Declares what takes its process with it."""

    gaps: ClassVar[Mapping[Any, str]] = {
        **BadHarness.gaps,
        "saver.delete_for_runs.twice": "it ends its process",
    }


def gets_away() -> MemoryHarness:
    """Leaves a process that is in no family and no session of this one, and holds its pipes."""
    if os.fork() == 0:
        os.setsid()
        if (pid := os.fork()) != 0:
            Path(os.environ[SLEEPERS]).write_text(f"{pid}\n")
            os._exit(0)
        time.sleep(3600)
    os.wait()
    return MemoryHarness()


def exits() -> MemoryHarness:
    """Ends the process that opens it."""
    os._exit(4)
