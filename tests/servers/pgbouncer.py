"""Starts PgBouncer in transaction mode, if it is installed (Debian's package `pgbouncer`)."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

from tests.servers.process import START_WITHIN, as_user, free_port, temporary_folder

# Debian installs it in a folder that is only on root's PATH
PROGRAM: Final = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

_SETTINGS = """
[databases]
* = host={host} port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
server_reset_query = DISCARD ALL
server_reset_query_always = 1
server_round_robin = 1
ignore_startup_parameters = extra_float_digits,options
"""


def version() -> str:
    """The name and version that it reports, e.g. `PgBouncer 1.18.0`."""
    assert PROGRAM is not None
    done = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]


@contextmanager
def bounced(url: str) -> Iterator[str]:
    """Start PgBouncer before a database; yields the database's URL through it."""
    assert PROGRAM is not None
    parts = urlsplit(url)
    port = free_port()
    with temporary_folder() as folder:
        settings, log = folder / "pgbouncer.ini", folder / "log"
        text = _SETTINGS.format(host=parts.hostname, server=parts.port, port=port)
        # with auth_type = any, the server's user is that of the line of the database
        settings.write_text(text.replace("* = ", f"* = user={parts.username} "))
        with log.open("ab") as output:
            process = subprocess.Popen(
                [PROGRAM, settings], stdout=output, stderr=output, cwd="/", **as_user()
            )
        try:
            deadline = time.monotonic() + START_WITHIN
            while b"process up" not in log.read_bytes():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"no PgBouncer on port {port}:\n{log.read_text()[-2000:]}")
                time.sleep(0.02)
            yield url.replace(f":{parts.port}", f":{port}", 1)
        finally:
            process.kill()  # a shutdown may wait for clients, and there is no data to keep
            process.wait(START_WITHIN)
