"""What all servers of the tests have in common: a free loopback port, a temporary folder."""

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
"""Seconds that a server has."""

UNPRIVILEGED: Final = "nobody"
"""Whom a server runs as that refuses to run as root."""


IN_MEMORY: Final = Path("/dev/shm")
ROOM: Final = 4 << 30
"""Bytes: several times what a run of all tests takes."""


def keep_temporary_files_in_memory() -> None:
    """Temporary files go where a commit waits for no disk, if there is such a place on Linux.

    Databases of tests outlive the processes that use them, but not the machine. Whoever names a
    folder by `TMPDIR` gets that one.
    """
    if "TMPDIR" in os.environ or not os.access(IN_MEMORY, os.W_OK):
        return
    found = os.statvfs(IN_MEMORY)
    may_load = not found.f_flag & os.ST_NOEXEC  # environments have libraries
    if may_load and found.f_bavail * found.f_frsize >= ROOM:
        os.environ["TMPDIR"] = str(IN_MEMORY)
        tempfile.tempdir = None


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that the server's user can work in."""
    folder = Path(tempfile.mkdtemp(prefix="server-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def as_user() -> dict[str, Any]:
    """Arguments of `Popen`: another user than root."""
    if os.name != "posix" or os.geteuid() != 0:
        return {}
    import pwd

    user = pwd.getpwnam(UNPRIVILEGED)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": ()}


def run_unprivileged(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True, cwd="/", **as_user())
