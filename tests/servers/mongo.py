"""Starts SecantusDB, a server with MongoDB's wire protocol, from a wheel."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sysconfig import get_path

from tests.servers.process import START_WITHIN, free_port, temporary_folder


class MongoServer:
    """The server process. It can be killed and restarted with the same data and port.

    It acknowledges writes only when they are on disk, and has the fail points of MongoDB's tests.
    """

    def __init__(self, folder: Path, port: int, *options: str) -> None:
        program = Path(get_path("scripts")) / "secantusd-py"
        if not program.exists():
            raise RuntimeError("the tests need a MongoDB: pip install --pre SecantusDB")
        flags = ["--host", "127.0.0.1", "--port", str(port), "--log-level", "WARNING"]
        flags += ["--storage-path", str(folder / "data")]
        flags += ["--sync-on-commit", "--enable-test-commands"]
        self._command: tuple[str | Path, ...] = (program, *flags, *options)
        self._folder, self._port, self._log = folder, port, folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The server's URL."""
        return f"mongodb://127.0.0.1:{self._port}/?directConnection=true"

    def start(self) -> None:
        """Start the process, and wait until it accepts connections."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command, stdout=output, stderr=output, cwd=self._folder
            )
        deadline = time.monotonic() + START_WITHIN
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), 1).close()
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(
                        f"no MongoDB on port {self._port}:\n{self._log.read_text()[-2000:]}"
                    ) from None
                time.sleep(0.02)
            else:
                return

    def kill(self) -> None:
        """Kill the process by SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(START_WITHIN)

    def end(self) -> None:
        """Stop the process, and wait until it has ended."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:  # the server waits for open connections
            self.kill()

    @contextmanager
    def killed(self) -> Iterator[None]:
        """Kill the server by SIGKILL; restart it at the end of the block."""
        self.kill()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Suspend the server by SIGSTOP: its sockets accept data, but it does not answer."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)
        os.waitpid(self._process.pid, os.WUNTRACED)  # wait until all its threads have stopped
        try:
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)

    @contextmanager
    def full(self) -> Iterator[None]:
        """Let no file grow, which makes MongoDB exit; restart it at the end of the block."""
        assert self._process is not None
        limit = (f"--pid={self._process.pid}", "--fsize=0:")
        subprocess.run(["prlimit", *limit], check=True)
        try:
            yield
        finally:
            self.kill()  # the running process does not recover from a failed write
            self.start()


SERVERS: dict[int, MongoServer] = {}
"""Port -> running server."""


@contextmanager
def mongo(*options: str) -> Iterator[str]:
    """Start a new server; yields its URL, without retryable writes.

    The server's records of retryable writes slow down each write as they grow, so only tests of
    retries enable them.
    """
    with temporary_folder() as folder, running_mongo(folder, free_port(), *options) as (url, _):
        yield f"{url}&retryWrites=false"


@contextmanager
def running_mongo(folder: Path, port: int, *options: str) -> Iterator[tuple[str, MongoServer]]:
    """Start a server on the data in `folder`, created if absent; yields its URL and the server."""
    server = MongoServer(folder, port, *options)
    server.start()
    SERVERS[port] = server
    try:
        yield server.url, server
    finally:
        del SERVERS[port]
        server.end()
