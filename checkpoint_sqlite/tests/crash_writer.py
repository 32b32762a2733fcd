"""A process that forks writers and kills them: started by test_crash.py.

Forking from a process with one thread, which has imported everything, makes 200 runs a matter of
seconds. Each writer says what was acknowledged through a pipe; what it says is checked by the test.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from threading import Thread
from typing import Any

from langgraph.checkpoint.base import ChannelVersions, Checkpoint

from checkpoint_sqlite import SqliteSaver

THREADS = 3
LONGEST_LIFE = 0.04


def words(run: int, writer: int, step: int) -> str:
    """What a step adds to its channel."""
    rng = random.Random(f"{run} {writer} {step}")
    return " ".join(str(rng.random()) for _ in range(60))


def checkpoint(run: int, writer: int, step: int) -> Checkpoint:
    """The checkpoint of a step: a list that grows, and a value that is new each time."""
    return {
        "v": 4,
        "id": f"{step:08}",
        "ts": "then",
        "channel_values": {
            "log": [words(run, writer, each) for each in range(step + 1)],
            "last": words(run, writer, step) * 3,
        },
        "channel_versions": {"log": step + 1, "last": step + 1},
        "versions_seen": {},
        "updated_channels": None,
    }


def write(saver: SqliteSaver, run: int, writer: int, out: int) -> None:
    """Put checkpoints and writes, and say so, until killed."""
    thread_id, step = f"{run}/{writer}", 0
    parent: dict[str, Any] = {}
    while True:
        config: Any = {"configurable": {"thread_id": thread_id, "checkpoint_ns": "", **parent}}
        new: ChannelVersions = {"log": step + 1, "last": step + 1}
        stored = saver.put(config, checkpoint(run, writer, step), {"step": step}, new)
        os.write(out, f"put {run} {writer} {step}\n".encode())
        saver.put_writes(stored, [("log", words(run, writer, step))], "task")
        os.write(out, f"write {run} {writer} {step}\n".encode())
        parent = {"checkpoint_id": f"{step:08}"}
        step += 1


def child(path: str, run: int, out: int) -> None:
    """One run: several threads write at once through one saver."""
    with SqliteSaver.from_conn_string(path) as saver:
        saver.setup()
        threads = [Thread(target=write, args=(saver, run, each, out)) for each in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def main(path: str, runs: int) -> None:
    """Kill `runs` writers, each at a random moment; print what they said."""
    rng = random.Random(20261122)
    said: list[str] = []
    for run in range(runs):
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(read_end)
            child(path, run, write_end)
            os._exit(1)
        os.close(write_end)
        with os.fdopen(read_end) as lines:
            said.append(lines.readline())  # it lives: now wait for a random moment
            time.sleep(rng.random() * LONGEST_LIFE)
            os.kill(pid, signal.SIGKILL)
            said += lines.readlines()
        os.waitpid(pid, 0)
    json.dump([line.split() for line in said if line.endswith("\n")], sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
