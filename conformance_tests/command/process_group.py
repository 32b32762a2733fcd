"""A process with all that it starts: how much memory they take, and their end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_OWN_MEMORY: Final = re.compile(r"^(?:RssAnon|RssShmem|VmSwap):\s+(\d+) kB", re.MULTILINE)
"""Without mapped files: a database of 10 GB that is mapped takes no memory of its own."""


def members(leader: int) -> set[int]:
    """The leader of a session, its members, and their descendants in sessions of their own."""
    family = {leader}
    processes = list(_processes())
    while True:
        found = {pid for pid, parent, session in processes if {parent, session} & family}
        if found <= family:
            return family
        family |= found


def _processes() -> Iterator[tuple[int, int, int]]:
    """Process id, parent and session of all; none where there is no /proc."""
    for entry in _PROC.iterdir() if _PROC.is_dir() else ():
        if entry.name.isdigit():
            with suppress(OSError):  # it has ended
                # after the name, in brackets: state, parent, group, session
                fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
                yield int(entry.name), int(fields[1]), int(fields[3])


def memory(leader: int) -> int:
    """The bytes that the session takes; 0 where there is no /proc."""
    kilobytes = 0
    for pid in members(leader) if _PROC.is_dir() else ():
        with suppress(OSError):
            status = (_PROC / str(pid) / "status").read_text("utf-8", "replace")
            kilobytes += sum(map(int, _OWN_MEMORY.findall(status)))
    return 1024 * kilobytes


def kill(process: subprocess.Popen[str]) -> int:
    """End a process that was started in a session of its own, and whatever it started.

    Returns:
        Its exit code, negative when a signal ended it.
    """
    if hasattr(os, "killpg"):
        family = members(process.pid)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        for pid in family - {process.pid}:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
    else:
        process.kill()
    return process.wait()
