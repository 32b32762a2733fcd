"""SecantusDB, which speaks MongoDB's wire protocol, out of a wheel."""

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
    """The server process; it may be killed, and started again on the same data and port.

    It acknowledges nothing before it is on disk, and has the fail points of MongoDB's tests.
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
        """Where it is."""
        return f"mongodb://127.0.0.1:{self._port}/?directConnection=true"

    def start(self) -> None:
        """Return when it accepts connections."""
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
        """`kill -9`."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(START_WITHIN)

    def end(self) -> None:
        """Return when the process is gone."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:  # it waits for its clients' connections
            self.kill()

    @contextmanager
    def killed(self) -> Iterator[None]:
        """A `kill -9` of the server; at the end it runs again."""
        self.kill()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stopped, but its sockets are open: it takes what is sent, and answers nothing."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)
        os.waitpid(self._process.pid, os.WUNTRACED)  # a thread may go on until all have stopped
        try:
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)

    @contextmanager
    def full(self) -> Iterator[None]:
        """No file can grow, which ends a MongoDB; at the end it runs again, with room."""
        assert self._process is not None
        limit = (f"--pid={self._process.pid}", "--fsize=0:")
        subprocess.run(["prlimit", *limit], check=True)
        try:
            yield
        finally:
            self.kill()  # what has no room is no longer of use, as long as it lives
            self.start()


SERVERS: dict[int, MongoServer] = {}
"""Those that run, by port."""


@contextmanager
def mongo(*options: str) -> Iterator[str]:
    """A server of its own; yields its URL.

    What it remembers for writes to be retried makes each write slower, as it fills: tests of what
    is lost and made again ask for them, all others go without.
    """
    with temporary_folder() as folder, running_mongo(folder, free_port(), *options) as (url, _):
        yield f"{url}&retryWrites=false"


@contextmanager
def running_mongo(folder: Path, port: int, *options: str) -> Iterator[tuple[str, MongoServer]]:
    """A server on the data in `folder`, made on the first call; yields its URL and itself."""
    server = MongoServer(folder, port, *options)
    server.start()
    SERVERS[port] = server
    try:
        yield server.url, server
    finally:
        del SERVERS[port]
        server.end()
