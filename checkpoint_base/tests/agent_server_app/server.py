"""The real server as a child process. Tests of every backend start theirs with this."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient

PATIENCE = 60.0  # seconds until a wait gives up; nothing is asserted about how long things take
OFFLINE = {
    "LANGGRAPH_CLI_NO_ANALYTICS": "1",
    "LANGGRAPH_NO_VERSION_CHECK": "true",
    "LANGSMITH_TRACING": "false",
}


def until(what: str, met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not met():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.02)


@dataclass
class AgentServer:
    """`langgraph dev` as a process group of its own, in a folder that outlives a restart."""

    folder: Path
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    client: SyncLangGraphClient = field(init=False)

    def __post_init__(self) -> None:
        self.log_file = self.folder / "server.log"

    def events(self) -> list[dict[str, Any]]:
        """What the server has logged so far, over all its starts."""
        # without the last line, which may still be half written
        lines = self.log_file.read_text("utf-8").split("\n")[:-1]
        return [json.loads(line) for line in lines if line.startswith("{")]

    def start(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        # nothing inherited that could name a licence, a key or a tracing endpoint
        inherited = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        command = [sys.executable, "-m", "langgraph_cli", "dev", "--no-browser", "--no-reload"]
        # more than one run at a time, or a held run would hold up all others
        command += ["--n-jobs-per-worker", "4", "--host", "127.0.0.1", "--port", str(port)]
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**inherited, **OFFLINE, "LOG_JSON": "true", **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        address = f"http://127.0.0.1:{port}"
        self.client = get_sync_client(url=address, api_key=None, timeout=PATIENCE)
        until("the server answers", lambda: self._answers(f"{address}/ok"))

    def _answers(self, address: str) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "the server ended while it was starting"
        try:
            return httpx.get(address, trust_env=False).is_success
        except httpx.ConnectError:
            return False

    def stop(self) -> None:
        """Ask it to shut down; a server that hangs is killed, and that is a failure."""
        if self.process is None:
            return
        self.client.close()
        try:
            self.process.terminate()
            self.process.wait(PATIENCE)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None
