"""Common parts of the test servers: free ports, temporary folders, an unprivileged user."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

START_WITHIN: Final = 60.0
"""Timeout of starting or stopping a server, in seconds."""

UNPRIVILEGED: Final = "nobody"
"""The user of a server that refuses to run as root."""


IN_MEMORY: Final = Path("/dev/shm")
ROOM: Final = 4 << 30
"""Bytes required in memory: several times what a run of all tests needs."""


def keep_temporary_files_in_memory() -> None:
    """Put temporary files into an in-memory file system, where one exists (Linux), so that commits
    do not wait for a disk.

    Tests kill processes but not the machine, so the data survives. `TMPDIR` takes precedence.
    """
    if "TMPDIR" in os.environ or not os.access(IN_MEMORY, os.W_OK):
        return
    found = os.statvfs(IN_MEMORY)
    may_load = not found.f_flag & os.ST_NOEXEC  # virtual environments load libraries from there
    if may_load and found.f_bavail * found.f_frsize >= ROOM:
        os.environ["TMPDIR"] = str(IN_MEMORY)
        tempfile.tempdir = None


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A temporary folder that the server's user can access."""
    folder = Path(tempfile.mkdtemp(prefix="server-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def free_port() -> int:
    """A port that is not in use."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def as_user() -> dict[str, Any]:
    """Arguments of `Popen` that run a process as `UNPRIVILEGED`, if this one runs as root."""
    if os.name != "posix" or os.geteuid() != 0:
        return {}
    import pwd

    user = pwd.getpwnam(UNPRIVILEGED)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": ()}


def run_unprivileged(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True, cwd="/", **as_user())
