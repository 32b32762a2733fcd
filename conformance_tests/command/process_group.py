"""Memory use and termination of a process with all its descendants."""

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
"""Lines of /proc/PID/status that count. RssFile does not: a memory-mapped database is no usage."""


def members(leader: int) -> set[int]:
    """The process ids of a session, and of descendants that started their own sessions."""
    family = {leader}
    processes = list(_processes())
    while True:
        found = {pid for pid, parent, session in processes if {parent, session} & family}
        if found <= family:
            return family
        family |= found


def _processes() -> Iterator[tuple[int, int, int]]:
    """(process id, parent, session) of all processes; empty on systems without /proc."""
    for entry in _PROC.iterdir() if _PROC.is_dir() else ():
        if entry.name.isdigit():
            with suppress(OSError):  # the process has ended meanwhile
                # fields after the name in brackets: state, parent, group, session
                fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
                yield int(entry.name), int(fields[1]), int(fields[3])


def memory(leader: int) -> int:
    """Memory of a session's processes, in bytes; 0 on systems without /proc."""
    kilobytes = 0
    for pid in members(leader) if _PROC.is_dir() else ():
        with suppress(OSError):
            status = (_PROC / str(pid) / "status").read_text("utf-8", "replace")
            kilobytes += sum(map(int, _OWN_MEMORY.findall(status)))
    return 1024 * kilobytes


def kill(process: subprocess.Popen[str]) -> int:
    """Kill a process that leads its own session, and all its descendants.

    Returns:
        Its exit code; negative if a signal ended it.
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
