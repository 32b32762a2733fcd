"""SecantusDB, which speaks MongoDB's wire protocol, out of a wheel."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sysconfig import get_path

from tests.servers.process import START_WITHIN, free_port, temporary_folder


@contextmanager
def mongo(*options: str) -> Iterator[str]:
    """A server of its own; yields its URL.

    What it remembers for writes to be retried makes each write slower, as it fills: tests of what
    is lost and made again ask for them, all others go without.
    """
    with temporary_folder() as folder, running_mongo(folder, free_port(), *options) as (url, _):
        yield f"{url}&retryWrites=false"


@contextmanager
def running_mongo(
    folder: Path, port: int, *options: str
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A server on the data in `folder`, made on the first call; yields its URL and its process.

    It acknowledges nothing before it is on disk, and has the fail points of MongoDB's tests.
    """
    program = Path(get_path("scripts")) / "secantusd-py"
    if not program.exists():
        raise RuntimeError("the tests need a MongoDB: pip install --pre SecantusDB")
    flags = ["--host", "127.0.0.1", "--port", str(port), "--log-level", "WARNING"]
    flags += ["--storage-path", str(folder / "data"), "--sync-on-commit", "--enable-test-commands"]
    log = folder / "log"
    with log.open("ab") as output:
        server = subprocess.Popen(
            [program, *flags, *options], stdout=output, stderr=output, cwd=folder
        )
    try:
        _wait_for(port, server, log)
        yield f"mongodb://127.0.0.1:{port}/?directConnection=true", server
    finally:
        if server.poll() is None:
            server.terminate()
        try:
            server.wait(5)
        except subprocess.TimeoutExpired:  # it waits for its clients' connections
            server.kill()
            server.wait(START_WITHIN)


def _wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_WITHIN
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(
                    f"no MongoDB on port {port}:\n{log.read_text()[-2000:]}"
                ) from None
            time.sleep(0.02)
        else:
            return
